"""Whether a judge can give sets of levels with a coverage, and at which threshold."""

from __future__ import annotations

from rationem import metrics
from rationem.errors import ConfigError
from rationem.run.card import Calibration


def threshold_for(coverage: float, applied: Calibration | None) -> float:
    """Return the threshold of conformal sets with this coverage.

    Args:
        coverage: in (0, 1).
        applied: the calibration that the ratings use, None without one.

    Raises:
        ConfigError: the coverage is out of range, the ratings are not calibrated, or too few groups were held out.
    """
    if not 0 < coverage < 1:
        raise ConfigError(f"A coverage of {coverage}: give a number between 0 and 1, such as 0.9.")
    if applied is None:
        raise ConfigError(
            f"A coverage of {coverage:g} needs the judge's calibrated probabilities. Leave out --fast, "
            "--no-calibration and --draws. A judge whose run had no validation set, or whose answers are open, gives "
            "no sets."
        )
    if not applied.thresholds:
        raise ConfigError(
            f"This judge's card has no thresholds, so it gives no sets of coverage {coverage:g}: it is of an older "
            "version, or its validation set has a single group. Fit it again."
        )
    least = metrics.needed(coverage)
    if applied.groups < least:
        raise ConfigError(
            f"A coverage of {coverage:g} needs at least {least} groups of validation items; the run of this judge had "
            f"{applied.groups}. {_instead(applied.groups)}fit with more validation items (--validation-share)."
        )
    return metrics.threshold(applied.thresholds, coverage)


def _instead(groups: int) -> str:
    if groups < metrics.FEWEST_GROUPS:
        return "To get sets, "
    return f"Ask for at most {int(200 * groups / (groups + 1)) / 200:g}, or "
