"""A report says what the ledger's rows say: every part on runs written by hand, no model and no torch."""

import itertools
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from rationem import metrics, report
from rationem.data import expand_raters
from rationem.ledger import Ledger
from rationem.report.sections.scores import explained, scored
from rationem.report.tables import number, table, within
from rationem.tasks.kinds import Kind
from rationem.tasks.pairs import every_order, swap_level
from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction

FIVE = Scale.parse("1-5")
PAIRS = Scale.parse("A | B | tie")


def example(n, scale, raters=3, criterion=None):
    rng = np.random.default_rng(n)
    truth = int(rng.integers(len(scale.levels)))
    ranks = np.clip(truth + rng.integers(-1, 2, raters), 0, len(scale.levels) - 1)
    ratings = tuple(scale.levels[rank] for rank in ranks)
    fields = {"prompt": str(n), "response": "x" * (n % 7), **({"criterion": criterion} if criterion else {})}
    return Example(
        f"{criterion or 'item'}-{n}", fields, scale.pool(ratings, "mean") or ratings[0], f"g{n % 20}", ratings
    )


def prediction(x, scale, skill, lost=False):
    weight = np.ones(len(scale.levels))
    weight[scale.rank(x.answer)] += skill
    weight *= np.random.default_rng(len(x.id) + int(x.group[1:])).uniform(0.5, 1.5, len(weight))
    probs = weight / weight.sum()
    predicted = None if lost else scale.levels[int(probs.argmax())]
    return Prediction(x.id, predicted, tuple(probs.tolist()), float(probs[scale.rank(x.answer)]), 4, 4 * lost)


def write(directory, scale, sets, *, pair=False, shots=0, test_at=(0, 1, 2), notes=None, **config):
    ledger = Ledger(directory)
    manifest = {
        "config": {"scheme": "star", "model": "m", "seed": 3, "shots": shots, **config},
        "engine": {"name": "by hand", "honours_seeds": True},
        "notes": notes or {},
        "task": {"scale": scale.describe(), "pair": pair},
    }
    ledger.start(manifest, sets)
    for k, skill in enumerate((0.0, 6.0, 3.0)):
        for split in ("validation", *(["test"] if k in test_at else [])):
            guesses = [prediction(x, scale, skill, lost=n % 9 == 0) for n, x in enumerate(sets[split])]
            if guesses:
                ledger.finish(k, split, seconds=1.0, predictions={split: guesses})
    if shots:
        ledger.finish(0, "shots", seconds=1.0, predictions={"shots": [prediction(x, scale, 1.0) for x in sets["test"]]})
    ledger.finish(2, "fitted", seconds=0.0)
    ledger.close()
    return report.write(directory)


def sets(scale, **more):
    return {
        "train": tuple(example(n, scale, **more) for n in range(100, 140)),
        "validation": tuple(example(n, scale, **more) for n in range(40)),
        "test": tuple(example(n, scale, **more) for n in range(40, 90)),
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("report") / "run"
    given = sets(FIVE)
    summary = write(directory, FIVE, given, shots=4)
    return directory, given, summary


def test_a_block_is_what_the_metrics_say(run):
    _, given, summary = run
    assert (summary["best_iteration"], summary["last_iteration"]) == (1, 2)
    guesses = [prediction(x, FIVE, 6.0, lost=n % 9 == 0) for n, x in enumerate(given["test"])]
    block = summary["iterations"][1]["test"]
    scores = metrics.score(guesses, given["test"], FIVE).as_dict()
    assert {key: block[key] for key in scores} == json.loads(json.dumps(scores))
    assert block["beside_humans"]["count"] == 150
    drawn = metrics.intervals(guesses, given["test"], FIVE, seed=3)
    assert block["intervals"] == {name: list(ends) if ends else None for name, ends in drawn.items()}
    assert "intervals" not in summary["iterations"][1]["validation"]


def test_sets_of_levels_are_those_of_the_judge_on_the_test_set(run):
    directory, given, summary = run
    found, fit = summary["sets"], summary["calibration"]
    guesses = [prediction(x, FIVE, 6.0, lost=n % 9 == 0) for n, x in enumerate(given["test"])]
    assert [row["asked"] for row in found["at"]] == [0.8, 0.9, 0.95]
    assert (found["groups"], found["at"][2]["needed"]) == (20, 19)
    for row in found["at"]:
        seen = metrics.covered(guesses, given["test"], Kind(FIVE), fit["temperature"], row["threshold"], seed=3)
        assert row["test"] == json.loads(json.dumps(asdict(seen)))
        assert 0.6 < seen.coverage <= 1
        assert (seen.items, seen.without) == (44, 6)
    page = (directory / "report.md").read_text()
    assert "Sets of levels, test" in page
    assert "6 items without a verdict have no set." in page


@pytest.mark.slow
def test_sets_that_take_more_groups_are_refused_in_one_sentence(tmp_path):
    given = sets(FIVE)
    few = tuple(replace(x, group=f"g{n % 12}") for n, x in enumerate(given["validation"]))
    found = write(tmp_path / "twelve", FIVE, {**given, "validation": few})["sets"]
    assert [row["threshold"] is None for row in found["at"]] == [False, False, True]
    page = (tmp_path / "twelve" / "report.md").read_text()
    assert "Validation has 12 groups with verdicts, too few for sets of every coverage: 0.95 takes 19." in page
    two = tuple(replace(x, group=f"g{n % 2}") for n, x in enumerate(given["validation"]))
    assert all(row["test"] is None for row in write(tmp_path / "two", FIVE, {**given, "validation": two})["sets"]["at"])
    page = (tmp_path / "two" / "report.md").read_text()
    assert "Validation has 2 groups with verdicts" in page
    assert "coverage asked" not in page


def test_people_stand_beside_the_model(run):
    _, given, summary = run
    assert summary["baselines"]["test"]["human_ceiling"]["quadratic_kappa"] == pytest.approx(
        metrics.human_ceiling(given["test"], FIVE).quadratic_kappa
    )
    assert summary["raters"]["alpha"]["test"] == pytest.approx(metrics.alpha(given["test"], FIVE))
    assert summary["baselines"]["test"]["constant"] == asdict(metrics.best_constant(given["test"], FIVE))


def test_calibration_is_fitted_on_validation_of_the_best_and_shown_on_both(run):
    _, given, summary = run
    fit = summary["calibration"]
    fold_of = metrics.folds((x.group for x in given["validation"]), 3)
    assert set(fit["chosen_without"]) == {1, 2}  # the folds do not agree
    skills = [(0.0, 6.0, 3.0)[fit["chosen_without"][fold_of[x.group]]] for x in given["validation"]]
    guesses = [
        prediction(x, FIVE, skill, lost=n % 9 == 0)
        for n, (x, skill) in enumerate(zip(given["validation"], skills, strict=True))
    ]
    assert fit["temperature"] == metrics.calibrate(guesses, given["validation"], FIVE).temperature
    for split in ("validation", "test"):
        scores = summary["iterations"][1][split]
        assert fit[split]["before"] == pytest.approx(
            {key: scores[key] for key in ("log_likelihood", "squared_calibration_error")}
        )


def test_the_calibrated_reliability_is_that_of_tempered_probabilities(run):
    _, given, summary = run
    fit = summary["calibration"]
    assert fit["test"]["reliability"]["before"] == summary["iterations"][1]["test"]["reliability"]
    probabilities = np.array([prediction(x, FIVE, 6.0).probabilities for x in given["test"]])
    tempered = probabilities ** (1 / fit["temperature"])
    sure = tempered.max(1) / tempered.sum(1)
    for one in fit["test"]["reliability"]["after"]:
        inside = sure[(sure > one["low"]) & (sure <= one["high"])]
        assert one["count"] == len(inside)
        assert one["confidence"] == (pytest.approx(inside.mean()) if len(inside) else None)


def test_the_control_with_examples_in_the_prompt_is_a_row_of_its_own(run):
    directory, _, summary = run
    names = [name for name, _ in scored(summary, "test")]
    assert names == ["base model", "base model, 4 examples in the prompt", "iteration 1 (best)", "iteration 2"]
    assert "base model, 4 examples in the prompt" in (directory / "report.md").read_text()
    assert [name for name, _ in scored(summary, "validation")] == ["base model", "iteration 1 (best)", "iteration 2"]


def test_every_row_of_every_table_has_as_many_cells_as_its_head(run):
    directory, _, _ = run
    lines = (directory / "report.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) > 50
    for before, line in itertools.pairwise(lines):
        if before.startswith("|") and line.startswith("|"):
            assert before.count(" | ") == line.count(" | ") or set(line) == {"|", "-"} or set(before) == {"|", "-"}
    for wanted in ("unparsed", "QWK", "## Calibration", "one human against the others", "recall of 5", "Krippendorff"):
        assert any(wanted in line for line in lines), wanted


def test_the_summary_holds_no_number_that_json_lacks(run):
    directory, _, summary = run
    assert json.loads((directory / "metrics.json").read_text(), parse_constant=pytest.fail) == json.loads(
        json.dumps(summary)
    )


@pytest.mark.slow
def test_every_criterion_is_scored_by_itself(tmp_path):
    given = sets(FIVE, criterion="clear")
    other = sets(FIVE, criterion="true")
    both = {split: given[split] + other[split] for split in given}
    summary = write(tmp_path / "run", FIVE, both)
    assert summary["criteria"] == ["clear", "true"]
    parts = summary["iterations"][1]["test"]["by_criterion"]
    assert [part["count"] for part in parts.values()] == [50, 50]
    whole = summary["iterations"][1]["test"]
    assert np.mean([part["accuracy"] for part in parts.values()]) == pytest.approx(whole["accuracy"])
    for name, only in (("clear", given), ("true", other)):
        baselines = summary["baselines"]["test"]["by_criterion"][name]
        assert baselines["human_ceiling"]["count"] == 150
        assert baselines["constant"]["accuracy"] == metrics.best_constant(only["test"], FIVE).accuracy
        assert summary["raters"]["alpha_by_criterion"]["test"][name] == metrics.alpha(only["test"], FIVE)
        assert parts[name]["beside_humans"]["count"] == 150
        attainable = metrics.attainable(only["test"])
        assert baselines["attainable"]["log_likelihood"] == pytest.approx(attainable.log_likelihood)
    text = (tmp_path / "run" / "report.md").read_text()
    rows = [line for line in text.split("## Each criterion")[1].split("##")[0].splitlines() if line.startswith("| tr")]
    alpha = number(metrics.alpha(other["test"], FIVE))
    assert [row.split(" | ")[1:4] for row in rows] == [
        ["50", alpha, name]
        for name in (
            "training marginal", "best single level, for each number", "base model",
            "iteration 1 (best)", "iteration 2", "attainable, given how raters differ", "one human against the others",
            "best iteration, on the humans' targets",
        )
    ]  # fmt: skip
    assert "On 100 test items of 2 criteria your judge" in text
    assert "always saying one level per criterion, the best for these items, in" in text
    assert "is agreement, 0 is chance; the mean over criteria)" in text
    assert "Correlations and kappas are means over the criteria" in text


@pytest.mark.slow
def test_a_judge_that_reads_only_the_criterions_name_beats_no_baseline(tmp_path):
    """One criterion is rated 4 or 5, the other 1 or 2: the best constant knows it too, and the report says so."""
    given = {}
    for split, start in (("train", 100), ("validation", 0), ("test", 40)):
        given[split] = tuple(
            Example(f"{name}-{n}", {"prompt": str(n), "response": "x", "criterion": name}, level, f"g{n}")
            for name, levels in (("high", "5545"), ("low", "1121"))
            for n in range(start, start + 40)
            for level in [levels[n % 4]]
        )
    ledger = Ledger(tmp_path / "run")
    manifest = {"config": {"scheme": "star", "model": "m"}, "engine": {"name": "by hand", "honours_seeds": True},
                "notes": {}, "task": {"scale": FIVE.describe()}}  # fmt: skip
    ledger.start(manifest, given)
    for k in (0, 1):
        for split in ("validation", "test"):
            guesses = [
                Prediction(x.id, level, tuple(0.6 if one == level else 0.1 for one in FIVE.levels), 0.5, 4, 0)
                for x in given[split]
                for level in ["5" if x.fields["criterion"] == "high" else "1"]
            ]
            ledger.finish(k, split, seconds=1.0, predictions={split: guesses})
    ledger.finish(1, "fitted", seconds=0.0)
    ledger.close()
    summary = report.write(tmp_path / "run")
    judge, same = summary["iterations"][1]["test"], summary["baselines"]["test"]["constant"]
    assert judge["accuracy"] == same["accuracy"] == 0.75
    assert judge["pearson"] is judge["spearman"] is judge["intervals"]["pearson"] is None
    assert judge["quadratic_kappa"] == pytest.approx(0)
    text = (tmp_path / "run" / "report.md").read_text()
    assert "The judge is right no more often than always saying one level of each criterion (75.0 %)." in text


@pytest.mark.slow
def test_pairs_are_scored_in_both_orders_and_without_distances(tmp_path):
    def pair(n):
        level = PAIRS.levels[n % 3]
        fields = {"prompt": str(n), "response_a": "a", "response_b": "b"}
        return Example(f"p-{n}", fields, level, f"g{n}", (level, level, PAIRS.levels[(n + n // 3) % 3]))

    given = {split: every_order([pair(n) for n in range(start, start + 12)], PAIRS) for split, start in
             (("train", 0), ("validation", 20), ("test", 40))}  # fmt: skip
    summary = write(tmp_path / "run", PAIRS, given, pair=True)
    block = summary["iterations"][1]["test"]
    assert block["pairs"]["pairs"] == 12
    assert block["mae"] is block["within_one"] is block["rps"] is None
    assert summary["calibration"]["items"] == 12
    assert summary["baselines"]["test"]["constant"]["mae"] is None
    text = (tmp_path / "run" / "report.md").read_text()
    assert "## Both orders of 12 pairs" in text
    assert "On 12 test pairs, each asked in both orders, your judge" in text
    assert "Each pair is two of them, one for each order." in text
    assert "MAE" not in text
    assert swap_level("A", PAIRS) == "B"


@pytest.mark.slow
def test_without_a_test_set_validation_has_all_numbers(tmp_path):
    given = {**sets(FIVE, raters=1), "test": ()}
    given = {split: tuple(Example(x.id, x.fields, x.answer, x.group) for x in part) for split, part in given.items()}
    summary = write(tmp_path / "run", FIVE, given)
    assert summary["shots"] is None
    assert summary["calibration"]["test"] is None
    assert summary["raters"] == {
        "alpha": dict.fromkeys(given), "alpha_by_criterion": {split: {} for split in given}, "warnings": []
    }  # fmt: skip
    page = (tmp_path / "run" / "report.md").read_text()
    assert "## All numbers on validation" in page
    assert "In brackets" not in page
    assert "Iteration 1 of 2 has the best log-likelihood (validation)." in page


@pytest.mark.slow
def test_without_validation_the_last_iteration_is_taken_and_the_report_says_why(tmp_path):
    write(tmp_path / "run", FIVE, {**sets(FIVE), "validation": ()})
    page = (tmp_path / "run" / "report.md").read_text()
    assert "Iteration 2 of 2 is taken as the best, for it is the last: there is no validation set" in page


@pytest.mark.slow
def test_warnings_of_raters_stand_on_top(tmp_path):
    given = sets(FIVE)
    noise = {
        split: tuple(
            Example(x.id, x.fields, x.answer, x.group, (str(n % 5 + 1), str(5 - n % 5))) for n, x in enumerate(part)
        )
        for split, part in given.items()
    }
    summary = write(tmp_path / "run", FIVE, noise)
    assert "do not agree beyond chance" in summary["raters"]["warnings"][0]
    text = (tmp_path / "run" / "report.md").read_text()
    assert text.index("**Warning:** The raters") < text.index("## Headline numbers")


@pytest.mark.slow
def test_one_training_row_per_rating_is_not_taken_for_one_rating_per_item(tmp_path):
    given = sets(FIVE)
    each = {**given, "train": expand_raters(given["train"], "each")}
    summary = write(tmp_path / "run", FIVE, each, raters="each")
    assert summary["examples"]["train"] == 120
    assert summary["raters"]["warnings"] == []
    assert summary["raters"]["alpha"]["train"] == pytest.approx(metrics.alpha(given["train"], FIVE))
    limited = {**each, "train": each["train"][::3]}  # one rating of each item is left
    assert write(tmp_path / "other", FIVE, limited, raters="each", limit=40)["raters"]["warnings"] == []


@pytest.mark.slow
def test_the_paragraph_on_the_data_stands_above_the_tables(tmp_path):
    write(tmp_path / "run", FIVE, sets(FIVE), notes={"rows": 130, "skipped": 3})
    page = (tmp_path / "run" / "report.md").read_text()
    assert page.index("Data: 130 rows. 3 rows could not be used") < page.index("## Headline numbers")


def test_the_notes_under_the_table_say_once_in_what_its_columns_are(run):
    page = (run[0] / "report.md").read_text()
    assert "| within one level | MAE |" in page
    assert page.count("at most one step of the scale off") == 1
    assert page.count("in the values of the scale") == 1
    assert "a bootstrap over the 20 groups of the test set: too few, so they are too narrow." in page


def test_fewer_than_ten_groups_have_no_interval_and_the_report_says_why(run):
    told = explained({**run[2], "groups": {"test": 9}}, "test")
    assert told.startswith("No intervals: the test set has 9 groups of items, and fewer than 10 do not show")


def test_people_and_judge_stand_side_by_side_on_the_same_targets_only(run):
    """The label pooled of three raters is easier to meet than that of two: the ceiling does not stand beside it."""
    directory, _, summary = run
    best = summary["iterations"][1]["test"]
    judge, person = best["beside_humans"], summary["baselines"]["test"]["human_ceiling"]
    assert judge["count"] == person["count"]
    assert judge["accuracy"] != best["accuracy"]
    right, rights = (f"{100 * one['accuracy']:.0f}" for one in (person, judge))
    said = f"Another person agrees with an item's other raters in {right}; the judge with the same raters in {rights}."
    assert said in (directory / "report.md").read_text()


def test_cells_cannot_break_a_table():
    assert table(["a", "b"], [["x | y", "two\nlines"]]).splitlines()[2] == "| x \\| y | two lines |"
    assert (number(None), number(2), within(0.5, None)) == ("–", "2", "0.500")
    assert within(0.5, [0.25, math.pi], 1) == "0.5 [0.2, 3.1]"


def test_every_number_of_a_block_is_documented(run):
    _, _, summary = run
    page = (Path(__file__).parents[1] / "docs" / "run-directory.md").read_text(encoding="utf-8")
    blocks = (summary["iterations"][1]["test"], summary["baselines"]["test"], summary["calibration"], summary)
    agreed = summary["baselines"]["test"]["human_ceiling"]
    for name in {name for block in (*blocks, agreed, blocks[0]["reliability"][0]) for name in block}:
        assert f"`{name}`" in page, name
