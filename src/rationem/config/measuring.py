"""How much a run measures beside learning: the defaults of ``--measure``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measuring:
    """The measurements of a run.

    Args:
        draws: unhinted drafts per evaluated item; the same for validation, test and the judge.
        evidence_draws: hinted drafts per item beside them, for the evidence.
        evidence_items: validation items that get hinted drafts, the same in every iteration; None for all.
        wrong_hints: validation items that get a wrong hint, in every iteration.
        difficulty_examples: training examples whose difficulty for the base model is measured once.
        test_last: whether the last iteration is tested beside the base model and the chosen one.
        everything: whether all validation items are measured.
    """

    draws: int
    evidence_draws: int
    evidence_items: int | None
    wrong_hints: int
    difficulty_examples: int
    test_last: bool
    everything: bool


#: By ``--measure``.
MEASURES = {
    "lean": Measuring(4, 1, 64, 32, 64, test_last=False, everything=False),
    "full": Measuring(8, 4, None, 64, 128, test_last=True, everything=True),
}
