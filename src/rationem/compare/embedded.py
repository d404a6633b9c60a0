"""The comparison on embedded data: its arms and measurements, sized for two cores."""

from __future__ import annotations

from rationem.config import FitConfig

#: The paper's schemes, and the best of our own (docs/schemes-study.md).
PAPER = "rs:4,star,pps,frozen PPS resampled=rationalize@base*2/resample"
#: The embedded study adds enumerated EM.
STUDY = f"{PAPER},exact"
#: Embedded data -> the arms of its comparison. On sums, rejection sampling has as many attempts as STaR.
STUDIES = {"world": STUDY, "addition": "rs:2,star,pps", "summaries": "rs:4,star,pps"}
#: The measurements of every iteration, and the training settings.
_MEASURED = FitConfig(draws=4, evidence_draws=2, wrong_hints=32, difficulty_examples=0, sampling_batch=256, steps=40)
_EXACT_ITEMS = 64


def embedded(config: FitConfig, *, exact: bool) -> FitConfig:
    """Return settings for embedded data; settings left open are sized for two cores.

    Args:
        config: the settings; explicit ones are kept.
        exact: also bound the evidence of some test items by enumeration.
    """
    sized = _MEASURED.replace(exact_items=_EXACT_ITEMS) if exact else _MEASURED
    wanted = sized.model_dump(exclude_unset=True)
    return config.model_copy(
        update={name: value for name, value in wanted.items() if name not in config.model_fields_set}
    )
