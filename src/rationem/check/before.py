"""What ``rationem fit`` prints of the check before it starts."""

from __future__ import annotations

from rationem.check.checkup import examine
from rationem.check.findings import Severity
from rationem.config import FitConfig
from rationem.errors import DataError, RationemError
from rationem.report.plain import short

#: Findings that a fit reports itself, as errors or with the model's own tokens.
_OWN = (
    *("unusable_rows", "no_scale", "pair_scale", "no_splits"),
    *("too_long", "no_shots", "shots_too_long", "memory", "hours", "unreadable_drafts"),
)
_LONGEST = 240


def told(config: FitConfig) -> list[str]:
    """Return the errors and warnings of the check about the data, a line each.

    Raises:
        DataError: every item has the same label, so there is nothing to learn; not with ``go_on``.
    """
    try:
        # Without the model, whose prompts a fit measures itself.
        checkup = examine(config.replace(model=None, adapter_base=None))
    except RationemError:  # a fit finds the same
        return []
    nothing = next((one for one in checkup.findings if one.code == "one_label"), None)
    if nothing is not None and not config.go_on:
        raise DataError(f"{', '.join(config.data)}: {nothing.message} To train anyway, add --go-on.")
    serious = [one for one in checkup.findings if one.severity is not Severity.NOTE and one.code not in _OWN]
    lines = [f"check: {one.severity}: {short(one.message, _LONGEST)}" for one in serious]
    return [*lines, "check: `rationem check` with the same flags shows everything."] if lines else []
