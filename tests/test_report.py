"""A report says what the ledger's rows say: every part on runs written by hand, no model and no torch."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from rationem import metrics, report
from rationem.data import expand_raters
from rationem.ledger import Ledger
from rationem.pairs import both_orders, swap_level
from rationem.report import sections, text
from rationem.report.reading import reading
from rationem.report.sections import scored
from rationem.report.tables import number, table, within
from rationem.scale import Scale
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


def test_people_stand_beside_the_model(run):
    _, given, summary = run
    assert summary["baselines"]["test"]["human_ceiling"]["quadratic_kappa"] == pytest.approx(
        metrics.human_ceiling(given["test"], FIVE).quadratic_kappa
    )
    assert summary["raters"]["alpha"]["test"] == pytest.approx(metrics.alpha(given["test"], FIVE))
    assert summary["baselines"]["test"]["best_constant"]["level"] in FIVE.levels


def test_calibration_is_fitted_on_validation_of_the_best_and_shown_on_both(run):
    _, given, summary = run
    fit = summary["calibration"]
    guesses = [prediction(x, FIVE, 6.0, lost=n % 9 == 0) for n, x in enumerate(given["validation"])]
    assert fit["temperature"] == metrics.calibrate(guesses, given["validation"], FIVE).temperature
    assert fit["validation"]["after"]["log_likelihood"] >= fit["validation"]["before"]["log_likelihood"]
    for split in ("validation", "test"):
        scores = summary["iterations"][1][split]
        assert fit[split]["before"] == pytest.approx({key: scores[key] for key in ("log_likelihood", "ece")})


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
        assert baselines["majority"]["accuracy"] == metrics.majority(only["train"], only["test"], FIVE).accuracy
        assert summary["raters"]["alpha_by_criterion"]["test"][name] == metrics.alpha(only["test"], FIVE)
        assert parts[name]["beside_humans"]["count"] == 150
    text = (tmp_path / "run" / "report.md").read_text()
    rows = [line for line in text.split("## Each criterion")[1].split("##")[0].splitlines() if line.startswith("| tr")]
    alpha = number(metrics.alpha(other["test"], FIVE))
    level = metrics.best_constant(other["train"], other["test"], FIVE).level
    assert [row.split(" | ")[1:4] for row in rows] == [
        ["50", alpha, name]
        for name in (
            "training marginal, majority label", f"best constant on train ({level})", "base model",
            "iteration 1 (best)", "iteration 2", "one human against the others",
            "best iteration, on the humans' targets",
        )
    ]  # fmt: skip
    assert "On 100 test items of 2 criteria the judge" in text
    assert "training label of the criterion, in" in text
    assert "is agreement, 0 is chance; the mean over criteria)" in text
    assert "Correlations and kappas are means over the criteria" in text


def test_a_judge_that_reads_only_the_criterions_name_beats_no_baseline(tmp_path):
    """One criterion is rated 4 or 5, the other 1 or 2: the majority knows it too, and the report says so."""
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
    judge, majority = summary["iterations"][1]["test"], summary["baselines"]["test"]["majority"]
    assert judge["accuracy"] == majority["accuracy"] == 0.75
    assert judge["pearson"] is judge["spearman"] is judge["intervals"]["pearson"] is None
    assert judge["quadratic_kappa"] == pytest.approx(0)
    text = (tmp_path / "run" / "report.md").read_text()
    assert "The judge is right no more often than always saying each criterion's most frequent level (0.750)." in text


def test_pairs_are_scored_in_both_orders_and_without_distances(tmp_path):
    def pair(n):
        level = PAIRS.levels[n % 3]
        fields = {"prompt": str(n), "response_a": "a", "response_b": "b"}
        return Example(f"p-{n}", fields, level, f"g{n}", (level, level, PAIRS.levels[(n + n // 3) % 3]))

    given = {split: both_orders([pair(n) for n in range(start, start + 12)], PAIRS) for split, start in
             (("train", 0), ("validation", 20), ("test", 40))}  # fmt: skip
    summary = write(tmp_path / "run", PAIRS, given, pair=True)
    block = summary["iterations"][1]["test"]
    assert block["pairs"]["pairs"] == 12
    assert block["mae"] is block["within_one"] is block["rps"] is None
    assert summary["calibration"]["items"] == 12
    assert summary["baselines"]["test"]["best_constant"] is None
    text = (tmp_path / "run" / "report.md").read_text()
    assert "## Both orders of 12 pairs" in text
    assert "On 12 test pairs, each asked in both orders, the judge" in text
    assert "Each pair is two of them, one for each order." in text
    assert "MAE" not in text
    assert swap_level("A", PAIRS) == "B"


def test_without_a_test_set_validation_has_all_numbers(tmp_path):
    given = {**sets(FIVE, raters=1), "test": ()}
    given = {split: tuple(Example(x.id, x.fields, x.answer, x.group) for x in part) for split, part in given.items()}
    summary = write(tmp_path / "run", FIVE, given)
    assert summary["shots"] is None
    assert summary["calibration"]["test"] is None
    assert summary["raters"] == {
        "alpha": dict.fromkeys(given), "alpha_by_criterion": {split: {} for split in given}, "warnings": []
    }  # fmt: skip
    assert "## All numbers on validation" in (tmp_path / "run" / "report.md").read_text()


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
    assert text.index("**The raters") < text.index("## Test")


def test_one_training_row_per_rating_is_not_taken_for_one_rating_per_item(tmp_path):
    given = sets(FIVE)
    each = {**given, "train": expand_raters(given["train"], "each")}
    summary = write(tmp_path / "run", FIVE, each, raters="each")
    assert summary["examples"]["train"] == 120
    assert summary["raters"]["warnings"] == []
    assert summary["raters"]["alpha"]["train"] == pytest.approx(metrics.alpha(given["train"], FIVE))
    limited = {**each, "train": each["train"][::3]}  # one rating of each item is left
    assert write(tmp_path / "other", FIVE, limited, raters="each", limit=40)["raters"]["warnings"] == []


def read(notes, **config):
    return reading({"notes": notes, "config": config})


def test_how_the_data_was_read_is_said_in_words_and_only_what_is_not_zero():
    zeros = dict.fromkeys(("identical_duplicates", "missing_ratings", "unrated", "repeated_ratings"), 0)
    columns = {"prompt": "question", "response": "answer", "rating": "r1,r2", "group": None, "criteria": []}
    assert read({}) == []
    assert read({**zeros, "rows": 60, "preset": "feedbackqa", "columns": columns}) == [
        "Data: 60 rows of the published set feedbackqa."
    ]
    assert read({**zeros, "rows": 60, "preset": None, "columns": columns, "guessed": {"response": "answer"}}) == [
        "Data: 60 rows. Columns: prompt from `question`, response from `answer`, rating from `r1,r2` (guessed by name: "
        "response)."
    ]


def test_what_was_left_out_of_the_data_is_counted_over_both_files():
    notes = {"rows": 9, "skipped": 2, "repeated_ratings": 1, "unrated": 3, "not_scored_without_majority": 1,
             "several_raters": 4, "delimiter": {"a.csv": ";"},
             "test": {"rows": 5, "repeated_ratings": 2, "delimiter": {"b.csv": "\t"}}}  # fmt: skip
    (said,) = read(notes, raters="each")
    assert said == (
        "Data: 9 rows, and 5 for the test. 2 rows could not be used and were left out. 3 ratings are second ones by "
        "the same rater for the same item and were left out. 3 ratings are missing: an item is asked only for the "
        "criteria that it is rated on. 1 held-out item is not scored: its raters agree on no label. 4 items have "
        "several ratings: in training every rating is an example of its own, elsewhere an item has one label made of "
        "all its ratings. The cells of `a.csv` are parted at `;`, not at commas. The cells of `b.csv` are parted at "
        "`tab`, not at commas."
    )
    assert "every rating" not in read(notes, raters="mean")[0]


def test_criteria_are_read_from_columns_of_their_own():
    columns = {"prompt": "p", "response": "r", "rating": "rating", "criteria": [["tone", "tone_`score"]]}
    assert read({"rows": 1, "columns": columns})[0].endswith("response from `r`, criterion `tone` from `tone_'score`.")


def test_the_paragraph_on_the_data_stands_above_the_tables(tmp_path):
    write(tmp_path / "run", FIVE, sets(FIVE), notes={"rows": 130, "skipped": 3})
    page = (tmp_path / "run" / "report.md").read_text()
    assert page.index("Data: 130 rows. 3 rows could not be used") < page.index("## Test")


def test_the_notes_under_the_table_say_once_in_what_its_columns_are(run):
    page = (run[0] / "report.md").read_text()
    assert "| within one level | MAE |" in page
    assert page.count("at most one step of the scale off") == 1
    assert page.count("in the values of the scale") == 1
    assert "a bootstrap over the 20 groups of the test set: too few, so they are too narrow." in page


def finished(best, unparsed=0.0, accuracy=0.6, majority=0.3, groups=30, calibration=None, likelihood=-1.0):
    def block(share):
        return {"count": 30, "accuracy": share, "log_likelihood": likelihood, "unparsed_draws": unparsed,
                "intervals": None, "pairs": None, "beside_humans": None}  # fmt: skip

    majority = {"accuracy": majority, "log_likelihood": -1.4}
    return {
        "finished": True,
        "examples": {"train": 9, "validation": 9, "test": 9},
        "groups": {"train": 9, "validation": 9, "test": groups},
        "calibration": calibration,
        "criteria": [],
        "best_iteration": best,
        "iterations": [{"iteration": 0, "test": block(0.2)}, {"iteration": 1, "test": block(accuracy)}],
        "baselines": {"test": {"majority": majority, "human_ceiling": None}},
        "notes": {},
        "raters": {"warnings": []},
    }


def tempered(temperature, after):
    def one(likelihood):
        return {"log_likelihood": likelihood, "ece": 0.1}

    split = {"before": one(-9.0), "after": one(after)}
    return {"temperature": temperature, "items": 9, "validation": split, "test": split}


def few(items):
    summary = finished(1, groups=items)
    for entry in summary["iterations"]:
        entry["test"]["count"] = items
    return summary


@pytest.mark.parametrize(
    ("summary", "said"),
    [
        (finished(1), []),
        (finished(0), ["training did not help", "no more often than always saying one level (0.300)"]),
        (finished(1, unparsed=0.63), ["63 % of the judge's draws name no level"]),
        (finished(1, accuracy=0.3), ["no more often than always saying one level (0.300)"]),
        (finished(1, likelihood=-1.41), ["say less than the training marginal (-1.410 against -1.400 nats).**"]),
        (finished(1, likelihood=None), ["(minus infinity against -1.400 nats).**"]),
        (finished(1, likelihood=-9.0, calibration=tempered(2.0, -1.39)), []),
        (
            finished(1, likelihood=-9.0, calibration=tempered(2.0, -1.5)),
            ["marginal (-1.500 against -1.400 nats), also after calibration.**"],
        ),
        (finished(1, calibration=tempered(2.0, -1.5)), ["marginal (-1.500 against -1.400 nats), after calibration.**"]),
        (finished(1, calibration=tempered(20.0, -1.0)), ["temperature in 0.05..20: the probabilities carry next to"]),
        (
            finished(1, calibration=tempered(0.05, -1.0)),
            ["temperature in 0.05..20: the probabilities are near certain"],
        ),
        (finished(1, groups=5), ["The 30 test items belong to only 5 groups (such as prompts): no number"]),
        (few(5), ["Only 5 test items: no number about this judge is to be relied on."]),
        (few(1), ["Only 1 test item: no number"]),
    ],
)
def test_a_judge_that_should_not_be_used_yet_is_called_so_on_top(summary, said):
    warnings = text._warnings(summary)
    assert len(warnings) == len(said)
    assert all(part in warning for part, warning in zip(said, warnings, strict=True))
    assert [f"**{sentence}**" for sentence in report.doubts(summary)] == warnings


def test_a_run_that_is_not_finished_raises_no_doubts_yet():
    assert report.doubts(finished(0, accuracy=0.1) | {"finished": False}) == []


def test_a_temperature_at_the_edge_is_explained_where_it_stands():
    for temperature, said in ((20.0, "carry next to nothing"), (0.05, "are near certain"), (1.3, None)):
        page = "\n".join(sections.calibration(finished(1, calibration=tempered(temperature, -1.0))))
        assert ("no temperature in 0.05..20" in page) == (said is not None)
        assert said is None or said in page


def test_the_first_sentence_gives_no_interval_that_means_nothing():
    for groups, ends, given in ((30, [0.41, 0.77], True), (29, [0.41, 0.77], False), (30, [0.6, 0.6], False)):
        summary = finished(1, groups=groups)
        summary["iterations"][1]["test"]["intervals"] = {"accuracy": ends}
        assert ("interval" in text._sentence(summary)) == given


def test_the_first_sentence_gives_interval_baselines_and_people():
    summary = finished(1)
    summary["iterations"][1]["test"]["intervals"] = {"accuracy": [0.41, 0.77]}
    summary["iterations"][1]["test"]["beside_humans"] = {"accuracy": 0.55}
    summary["baselines"]["test"]["human_ceiling"] = {"accuracy": 0.7}
    assert text._sentence(summary) == (
        "On 30 test items the judge names the people's level in 0.600 (95 % interval 0.410 to 0.770); before training "
        "in 0.200; always saying the most frequent training label, in 0.300. Against what an item's other "
        "raters say, each rater left out in turn: the judge is right in 0.550, the person left out in 0.700. "
        "Log-likelihood: -1.000 before, -1.000 after, -1.400 for the training marginal (nats per rating)."
    )


def test_people_and_judge_stand_side_by_side_on_the_same_targets_only(run):
    """The label pooled of three raters is easier to meet than that of two: the ceiling does not stand beside it."""
    directory, _, summary = run
    best = summary["iterations"][1]["test"]
    judge, person = best["beside_humans"], summary["baselines"]["test"]["human_ceiling"]
    assert judge["count"] == person["count"]
    assert judge["accuracy"] != best["accuracy"]
    said = f"the judge is right in {number(judge['accuracy'])}, the person left out in {number(person['accuracy'])}."
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
