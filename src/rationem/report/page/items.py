"""The evaluated items of a run as rows of data: people's ratings, and what was predicted before and after training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rationem.ledger import read_predictions
from rationem.report.page.marks import units
from rationem.report.page.nouns import Numbered, OpenedRun, Shared
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction

#: The splits whose items are listed, in order.
SPLITS = ("test", "validation")

#: How a prediction fits the label, by ``Kind.page``, the best first; the last is for items without a verdict.
FITS = {
    "levels": ("agrees", "off by one level", "off by more", "differs", "no verdict"),
    "answers": ("right", "nearly right", "wrong", "no answer"),
    "rewards": ("full reward", "some reward", "no reward", "no answer"),
}


def rows(n: int, one: OpenedRun, shared: Shared, numbers: Mapping[str, int]) -> Iterator[list[Any]]:
    """Yield a row for each evaluated item that has drafts on the page.

    A row holds run, split, example, part (such as a criterion), people's ratings, the prediction before training, that
    of the chosen iteration, and the texts; see ``_prediction`` and ``_texts``.

    Args:
        n: the run's number.
        numbers: id -> number of the examples on the page.
    """
    for split in SPLITS:
        before, after = _predictions(one, 0, split), _predictions(one, one.there.best, split)
        for x in one.sets[split]:
            if x.id in numbers and x.id in after:
                yield [
                    *(n, SPLITS.index(split), numbers[x.id], shared.parts.number(one.kind.part_of(x))),
                    [shared.levels.number(level) for level in x.ratings],
                    _prediction(before.get(x.id), x, one, shared),
                    _prediction(after[x.id], x, one, shared),
                    _texts(x, one.wording.of(x).forward, shared.fields),
                ]


def scored(one: OpenedRun) -> int:
    """Return the number of evaluated items, on the page or not."""
    return sum(len(_predictions(one, one.there.best, split)) for split in SPLITS)


def _predictions(one: OpenedRun, iteration: int, split: str) -> dict[str, Prediction]:
    return {prediction.example_id: prediction for prediction in read_predictions(one.db, iteration, split)}


def _prediction(found: Prediction | None, x: Example, one: OpenedRun, shared: Shared) -> list[Any] | None:
    """Return what was predicted, how it fits the label, and the probabilities; of an open answer its reward."""
    if found is None:
        return None
    said = -1 if found.predicted is None else shared.levels.number(found.predicted)
    fit, told = _FIT[one.kind.page](found, x.answer, one.kind.scale.of(one.kind.part_of(x)))
    return [said, fit, *told]


def _of_levels(found: Prediction, answer: str, scale: Scale) -> tuple[int, list[Any]]:
    return distance(found.predicted, answer, scale), [[round(p, 3) for p in found.probabilities]]


def distance(predicted: str | None, answer: str, scale: Scale) -> int:
    """Return how far a level is from the label, an index into ``FITS``.

    >>> [distance(level, "1", Scale.parse("1-5")) for level in ("1", "2", "4", None)]
    [0, 1, 2, 4]
    """
    if predicted is None:
        return 4
    if predicted == answer:
        return 0
    if not scale.ordered:
        return 3
    return 1 if abs(scale.rank(predicted) - scale.rank(answer)) == 1 else 2


def _of_reward(found: Prediction, _: str, __: Scale) -> tuple[int, list[Any]]:
    reward = found.reward or 0.0
    return 3 if found.predicted is None else 0 if reward >= 1 else 1 if reward > 0 else 2, [round(reward, 3)]


_FIT: dict[str, Callable[[Prediction, str, Scale], tuple[int, list[Any]]]] = {
    "levels": _of_levels,
    "answers": _of_reward,
    "rewards": _of_reward,
}


def _texts(x: Example, forward: str, fields: Numbered) -> list[list[Any]]:
    """Return an item's inputs: the number of the field's name, and where its text is in the forward prompt.

    A text that the prompt does not hold as it is, such as one that a template changes, is given itself.
    """
    told = []
    for name, text in x.fields.items():
        start = forward.find(text)
        place = [text] if start < 0 else [units(forward, start), units(forward, start + len(text))]
        told.append([fields.number(name), *place])
    return told
