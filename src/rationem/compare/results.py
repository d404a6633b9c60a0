"""From runs to one dictionary of numbers, the schema of ``results.json`` (docs/compare.md); from ledgers alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rationem import metrics
from rationem.compare.design import Arm, Design, read_design
from rationem.compare.items import At, RunItems, read_reading
from rationem.compare.running import check_alike
from rationem.errors import RunError
from rationem.ledger import read_manifest, read_only
from rationem.metrics import Crossed
from rationem.report.blocks import as_given
from rationem.report.run import Recorded, read_run
from rationem.types import Example, Prediction

SCHEMA_VERSION = 1
RESAMPLES = 2000
#: The weights that are evaluated: those that validation chose, and the last ones.
WEIGHTS = ("chosen", "last")
#: Costs of a run. They have no items, so their intervals are over seeds alone.
SPENT = ("iterations", "steps", "passes", "prompt_tokens", "generated_tokens", "seconds")
#: Numbers whose difference from the reference is tested; p-values are adjusted for the number of arms.
TESTED = tuple(row.name for row in metrics.METRICS.values() if row.tested)
#: The only number on validation: the score that can choose the iteration.
VALIDATION = "validation_score"

#: The range of each number; intervals that are wide because of few seeds are cut there.
_BOUNDS: dict[str, tuple[float, float]] = {
    **{row.name: row.bounds for row in metrics.METRICS.values()},
    **dict.fromkeys(("accepted", "kept", "faithful"), (0.0, 1.0)),
    **dict.fromkeys(("length", *SPENT), (0.0, math.inf)),
    VALIDATION: (-math.inf, 0.0),
}

_Several = Sequence[RunItems]
_Numbers = dict[str, Crossed | None]


def summarize(output: Path) -> dict[str, Any]:
    """Return all numbers of a comparison over its finished runs.

    Raises:
        RunError: there is no comparison, or none of its runs is finished.
    """
    design = read_design(output)
    read = {
        (arm.name, seed): read_reading(design.run(output, arm, seed)) for arm in design.arms for seed in design.seeds
    }
    runs = {key: one for key, one in read.items() if one is not None}
    # Arms are compared over the same seeds: those that every arm has finished.
    seeds = [seed for seed in design.seeds if all((arm.name, seed) in runs for arm in design.arms)]
    if not seeds:
        raise RunError(
            f"In {output} no seed has finished every arm yet. Resume the comparison: rationem compare --output {output}"
        )
    _check_runs(design, output, seeds)
    db = read_only(design.run(output, design.arms[0], seeds[0]))
    try:
        run = read_run(db)
        by_arm = {arm.name: [runs[arm.name, seed] for seed in seeds] for arm in design.arms}
        return _results(design, run, seeds, by_arm)
    finally:
        db.close()


def _check_runs(design: Design, output: Path, seeds: Sequence[int]) -> None:
    """Check that all runs still have the same data, base model, task and settings."""
    first: Mapping[str, Any] | None = None
    for directory in (design.run(output, arm, seed) for arm in design.arms for seed in seeds):
        db = read_only(directory)
        try:
            manifest = read_manifest(db)
        finally:
            db.close()
        first = first or manifest
        check_alike(manifest, first, directory)


def _results(design: Design, run: Recorded, seeds: Sequence[int], by_arm: Mapping[str, _Several]) -> dict[str, Any]:
    found = {
        name: {weights: _numbers(design[name], several, weights, run) for weights in WEIGHTS}
        for name, several in by_arm.items()
    }
    of_base = _numbers(None, by_arm[design.reference], "base", run)
    # One seed says nothing about other runs: its differences are between two runs, and no scheme is tested.
    tested = TESTED if len(seeds) > 1 else ()
    tests = [(weights, number) for weights in WEIGHTS for number in tested]
    p_of = {(*key, arm): p for key in tests for arm, p in _adjusted(design, found, *key).items()}

    def told(name: str, weights: str) -> dict[str, Any]:
        against: _Numbers = found[design.reference][weights] if name != design.reference else {}
        return {
            number: _highest(one)
            if (weights, number) == ("chosen", VALIDATION)
            else _told(number, one, against.get(number), p_of.get((weights, number, name)), of_base.get(number))
            for number, one in found[name][weights].items()
        }

    return {
        "schema_version": SCHEMA_VERSION,
        "reference": design.reference,
        "equal": design.equal,
        "scale": run.scale.describe(),
        "rule": run.kind.rule,
        "seeds": list(seeds),
        "seeds_unfinished": [seed for seed in design.seeds if seed not in seeds],
        "resamples": RESAMPLES,
        "config": design.config.model_dump(mode="json", exclude_none=True),
        "examples": {split: len(examples) for split, examples in run.sets.items()},
        "groups": {split: len({x.group for x in examples}) for split, examples in run.sets.items()},
        "base": {
            **{number: _told(number, one) for number, one in of_base.items()},
            "exact": _exact(by_arm[design.reference], lambda reading: reading.at[0]),
            "hints": _hints(by_arm[design.reference], lambda reading: reading.at[0]),
        },
        "shots": _shots(run, by_arm[design.reference]),
        "baselines": _baselines(run),
        "arms": [
            {
                **asdict(arm),
                "directory": arm.directory,
                "control": arm.control,
                "chosen": told(arm.name, "chosen"),
                "last": told(arm.name, "last"),
                "exact": {
                    "chosen": _exact(by_arm[arm.name], lambda reading: reading.at[reading.chosen]),
                    "last": _exact(by_arm[arm.name], lambda reading: reading.at[reading.last]),
                },
                "hints": {
                    "chosen": _hints(by_arm[arm.name], lambda reading: reading.at[reading.chosen]),
                    "last": _hints(by_arm[arm.name], lambda reading: reading.at[reading.last]),
                },
                "beside_humans": _beside_humans(by_arm[arm.name], run),
                "minus_human": _minus_human(by_arm[arm.name], run),
                "chosen_iterations": [reading.chosen for reading in by_arm[arm.name]],
                "highest_iterations": [reading.highest for reading in by_arm[arm.name]],
                "last_iterations": [reading.last for reading in by_arm[arm.name]],
                "by_label": _by_label(by_arm[arm.name]) if arm.generates else [],
                "reliability": _reliability(by_arm[arm.name], run),
                "curves": [[point.as_dict() for point in reading.curve] for reading in by_arm[arm.name]],
            }
            for arm in design.arms
        ],
    }


def _numbers(arm: Arm | None, several: _Several, weights: str, run: Recorded) -> _Numbers:
    """Return name -> number over seeds and items, of the chosen or last weights, or of the base model."""
    which: dict[str, Callable[[RunItems], int]] = {
        "base": lambda _: 0,
        "chosen": lambda reading: reading.chosen,
        "last": lambda reading: reading.last,
    }
    at = [reading.at[which[weights](reading)] for reading in several]
    groups = {split: {x.id: x.group for x in examples} for split, examples in run.sets.items()}
    found: _Numbers = {}
    if run.sets["test"]:
        found |= _of_predictions([one.predictions for one in at], run)
        found |= _calibrated(at, run)
        found["length"] = _mean([one.length for one in at], groups["test"])
        found["faithful"] = _mean([one.faithful for one in at], groups["test"])
        found |= _of_pairs([one.predictions for one in at], run, groups["test"])
    found[VALIDATION] = _mean([one.evidence for one in at], groups["validation"])
    if arm is not None:
        generates = arm.generates
        found["accepted"] = _mean([one.accepted if generates else {} for one in several], groups["train"])
        found["kept"] = _mean([one.kept for one in several], groups["train"])
        found |= {name: _spent([one.spent[name] for one in at]) for name in SPENT}
    return found


def _spent(values: Sequence[float | None]) -> Crossed | None:
    known = [float(value) for value in values if value is not None]
    return metrics.crossed([metrics.constant(value) for value in known]) if len(known) == len(values) else None


def _of_predictions(several: Sequence[Sequence[Prediction]], run: Recorded) -> _Numbers:
    """Return the headline numbers of predictions on the test set, one list per seed."""
    test = run.sets["test"]
    scored = [metrics.resampled(one, test, run.scale, seed=0, resamples=RESAMPLES) for one in several]
    return {name: metrics.crossed([one.get(name) for one in scored]) for name in metrics.HEADLINE}


def _calibrated(several: Sequence[At], run: Recorded) -> _Numbers:
    """Return log-likelihood and calibration error on test with each run's own temperature; of comparisons over all
    orders together, as a judge applies it.
    """
    if any(one.temperature is None for one in several):
        return {}
    each = []
    for one in several:
        given, examples = metrics.merged(one.predictions, run.sets["test"], run.scale)
        said = metrics.recalibrated(given, one.temperature or 1.0)
        each.append(metrics.resampled(said, examples, run.scale, seed=0, resamples=RESAMPLES))
    return {
        f"calibrated_{name}": metrics.crossed([one.get(name) for one in each])
        for name in ("log_likelihood", "squared_calibration_error")
    }


def _of_pairs(several: Sequence[Sequence[Prediction]], run: Recorded, group_of: Mapping[str, str]) -> _Numbers:
    """Return the numbers over all orders of comparisons on the test set; nothing if none has two orders."""
    test = run.sets["test"]
    if run.kind.orders == 1 or not any(x.turn for x in test):
        return {}
    each = [metrics.each_pair(one, test, run.scale) for one in several]
    # Without ties and degrees of preference a verdict is its winner, and then that is the accuracy.
    more = ("side", "winner") if run.scale.ordered else ("winner",) if len(run.scale.levels) > run.kind.orders else ()
    names = ("consistency", *more)
    found = {
        name: [{x: value for x, pair in one.items() if (value := getattr(pair, name)) is not None} for one in each]
        for name in names
    }
    return {name: _mean(shares, group_of) for name, shares in found.items()}


def _mean(scores: Sequence[Mapping[str, float]], group_of: Mapping[str, str]) -> Crossed | None:
    return metrics.crossed([metrics.resampled_mean(one, group_of, seed=0, resamples=RESAMPLES) for one in scores])


def _told(
    name: str,
    one: Crossed | None,
    reference: Crossed | None = None,
    p: tuple[float, float] | None = None,
    base: Crossed | None = None,
) -> dict[str, Any] | None:
    """Return a number with its interval, and the differences of an arm from the base model and from the reference."""
    if one is None:
        return None
    low, high = _BOUNDS[name]
    told = _with_interval(one, low, high)
    if (gained := metrics.difference(one, base)) is not None:
        told["from_base"] = _with_interval(gained, low - high, high - low)
    if (apart := metrics.difference(one, reference)) is not None:
        told["difference"] = _with_interval(apart, low - high, high - low)
        if p is not None:
            told["difference"] |= {"p": p[0], "p_holm": p[1], "detectable": apart.detectable()}
    return told


def _highest(one: Crossed | None) -> dict[str, Any] | None:
    """Return the score of the iteration that it chose: the largest of several, therefore too high, and without
    interval.
    """
    return None if one is None else {"value": one.value, "low": None, "high": None}


def _with_interval(one: Crossed, lowest: float, highest: float) -> dict[str, Any]:
    if (ends := one.interval()) is None:
        return {"value": one.value, "low": None, "high": None}
    return {"value": one.value, "low": max(lowest, ends[0]), "high": min(highest, ends[1])}


def _adjusted(
    design: Design, found: Mapping[str, Mapping[str, _Numbers]], weights: str, number: str
) -> dict[str, tuple[float, float]]:
    """Return arm -> (p, p adjusted by Holm over the arms) of its difference from the reference."""
    reference = found[design.reference][weights].get(number)
    apart = {
        name: metrics.difference(numbers[weights].get(number), reference)
        for name, numbers in found.items()
        if name != design.reference
    }
    p = {name: p for name, one in apart.items() if one is not None and (p := one.p_value()) is not None}
    # An arm whose difference cannot be tested still counts as an arm.
    adjusted = dict(zip(apart, metrics.holm([p.get(name, 1.0) for name in apart]), strict=True))
    return {name: (value, adjusted[name]) for name, value in p.items()}


def _baselines(run: Recorded) -> dict[str, Any]:
    """Return the baselines of the numbers on the test set, the same for all seeds."""
    test, train = run.sets["test"], run.sets["train"]
    if not test:
        return {}
    ceiling, attainable = metrics.human_ceiling(test, run.scale), metrics.attainable(as_given(test))
    return {
        **metrics.without_reading(train, test, run.scale, run.reward),
        "human_ceiling": asdict(ceiling) if ceiling else None,
        "attainable": asdict(attainable) if attainable else None,
    }


def _shots(run: Recorded, several: _Several) -> dict[str, Any] | None:
    """Return the numbers of the base model with solved examples in its prompt; None without that control."""
    if not all(one.shots for one in several):
        return None
    found = _of_predictions([one.shots for one in several], run)
    return {name: _told(name, one) for name, one in found.items()}


def _beside_humans(several: _Several, run: Recorded) -> dict[str, float] | None:
    """Return the chosen weights' scores on the targets of the human ceiling, means over seeds; None without such
    targets.
    """
    test = run.sets["test"]
    each = [metrics.beside_humans(one.at[one.chosen].predictions, test, run.scale) for one in several] if test else []
    if not each or any(one is None for one in each):
        return None
    told = [{name: value for name, value in asdict(one).items() if isinstance(value, float)} for one in each if one]
    return {name: sum(one[name] for one in told) / len(told) for name in told[0] if all(name in one for one in told)}


def _minus_human(several: _Several, run: Recorded) -> dict[str, Any] | None:
    """Return the chosen weights' numbers minus one person's on the same targets, over seeds and items; None without
    such targets.
    """
    test = run.sets["test"]
    each = [
        metrics.minus_human(one.at[one.chosen].predictions, test, run.scale, seed=0, resamples=RESAMPLES)
        for one in several
        if test
    ]
    names = each[0] if each else {}
    apart = {name: metrics.crossed([one.get(name) for one in each]) for name in names}
    bounds = {name: metrics.METRICS[name].bounds for name in apart}
    return {
        name: _with_interval(one, low - high, high - low)
        for name, one in apart.items()
        if one is not None
        for low, high in [bounds[name]]
    } or None


def _exact(several: _Several, at: Callable[[RunItems], At]) -> dict[str, Any] | None:
    """Return the certified bounds of the mean log evidence, means over seeds; None if nothing was enumerated."""
    found = [one.exact for one in map(at, several) if one.exact is not None]
    if not found or len(found) < len(several):
        return None
    lower = [one["lower"] for one in found if one["lower"] is not None]
    return {
        "items": found[0]["items"],
        "lower": sum(lower) / len(lower) if len(lower) == len(found) else None,
        "without_lower": sum(one["without_lower"] for one in found),
        "upper": sum(one["upper"] for one in found) / len(found),
        "missing": sum(one["missing"] for one in found) / len(found),
    }


def _hints(several: _Several, at: Callable[[RunItems], At]) -> dict[str, float | None] | None:
    """Return the effect of the hint on validation, means over seeds; None without hinted drafts."""
    found = [one.hints for one in map(at, several) if one.hints is not None and one.hints["hinted"]["draws"]]
    if not found:
        return None
    told = {
        f"{name}_{kind}": _mean_of([one[kind].get(name) for one in found])
        for kind in ("hinted", "forward")
        for name in ("said_answer", "copied", "faithful")
    }
    return {**told, "wrong_justified": _mean_of([one["wrong_justified"] for one in found])}


def _by_label(several: _Several) -> list[dict[str, Any]]:
    """Return the means over seeds per level."""
    return [
        {
            "level": rows[0]["level"],
            "examples": rows[0]["examples"],
            **{name: _mean_of([row[name] for row in rows]) for name in ("kept_share", "first_accepted")},
        }
        for rows in zip(*(reading.by_label for reading in several), strict=True)
    ]


def _mean_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _reliability(several: _Several, run: Recorded) -> list[dict[str, Any]]:
    """Return the reliability bins of the chosen weights on the test set, over the predictions of all seeds."""
    test: Sequence[Example] = run.sets["test"]
    if not test:
        return []
    each = [metrics.score(one.at[one.chosen].predictions, test, run.scale).reliability for one in several]
    pooled = []
    for bins in zip(*each, strict=True):
        count = sum(one.count for one in bins)
        pooled.append(
            {
                "low": bins[0].low,
                "high": bins[0].high,
                "count": count,
                "confidence": _weighted([(one.confidence, one.count) for one in bins], count),
                "accuracy": _weighted([(one.accuracy, one.count) for one in bins], count),
            }
        )
    return pooled


def _weighted(pairs: Sequence[tuple[float | None, int]], count: int) -> float | None:
    return sum((value or 0.0) * weight for value, weight in pairs) / count if count else None
