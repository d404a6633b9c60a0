"""What ``rationem fit`` prints of the check before it starts."""

from __future__ import annotations

from rationem import progress
from rationem.check.checkup import examine
from rationem.check.findings import Severity
from rationem.config import FitConfig
from rationem.errors import RationemError
from rationem.report.plain import short

#: The finding that a fit refuses although it is no error of the check.
_NO_SCALE = "suggested_scale"
#: With one of these, a fit is refused, and says so itself.
_REFUSED = ("unusable_rows", "no_scale", "pair_scale", "no_splits", _NO_SCALE)
#: Findings that a fit reports itself, with the model's own tokens.
_OWN = ("unusable_rows", "too_long", "no_shots", "shots_too_long", "memory", "hours", "unreadable_drafts")
#: Characters of a line: a message ends with what to do, so few are cut.
_LONGEST = 1000


def told(config: FitConfig) -> list[str]:
    """Return the errors and warnings of the check about the data, a line each."""
    try:
        with progress.silenced():
            # Without the model, whose prompts a fit measures itself.
            checkup = examine(config.replace(model=None, adapter_base=None))
    except RationemError:  # a fit finds the same
        return []
    if any(one.code in _REFUSED for one in checkup.findings if one.severity is Severity.ERROR or one.code == _NO_SCALE):
        return []
    serious = [one for one in checkup.findings if one.severity is not Severity.NOTE and one.code not in _OWN]
    lines = [f"check: {one.severity}: {short(one.message, _LONGEST)}" for one in serious]
    return [*lines, "check: `rationem check` with the same flags shows everything."] if lines else []
