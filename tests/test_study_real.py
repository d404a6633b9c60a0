"""The study of a real model: its tables are read by the preset, and its numbers are those of a second library."""

import argparse
import csv

import pytest
import real
import real_page

from rationem.types import Example, Prediction

QUESTION = """<question id="{id}"><questionText>What is {id}?</questionText><referenceAnswers>
<referenceAnswer id="r">It is {id}.</referenceAnswer></referenceAnswers><studentAnswers>{answers}</studentAnswers>
</question>"""


def published(folder, **answers):
    """Questions with so many answers, right and wrong in turn; two answers are one pupil's."""
    folder.mkdir(parents=True)
    for name, count in answers.items():
        said = "".join(
            f'<studentAnswer id="{name}.p{n // 2}.{n}" accuracy="{"in" * (n % 2)}correct">It is {n}.</studentAnswer>'
            for n in range(count)
        )
        (folder / f"{name}.xml").write_text(QUESTION.format(id=name, answers=said))


@pytest.fixture
def options(tmp_path):
    published(tmp_path / "data" / "training" / "2way" / "beetle", few=2, most=20, many=10)
    published(tmp_path / "data" / "test" / "2way" / "beetle" / "test-unseen-answers", most=2, few=2)
    given = {"data": tmp_path / "data", "output": tmp_path / "out", "corpus": "beetle", "questions": False, "few": None}
    return argparse.Namespace(**given)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_all_answers_train_and_are_grouped_by_pupil(options):
    train, (tests,) = real.tables(options)
    assert len(rows(train)) == 32
    assert len(rows(tests)) == 4
    assert {
        "id": "most.p9.19", "prompt": "What is most?", "response": "It is 19.", "reference": "It is most.",
        "pupil": "most.p9", "rating": "incorrect",
    } in rows(train)  # fmt: skip


def test_of_few_questions_two_pupils_in_five_are_held_out(options):
    options.few = 2
    train, (tests,) = real.tables(options)
    pupils = {name: {row["pupil"] for row in rows(path)} for name, path in (("train", train), ("test", tests))}
    assert len(pupils["train"]) == 9  # of 15, in two questions of three
    assert len(rows(tests)) == 2 * 6 + 2
    assert pupils["test"] - pupils["train"] >= {name for name in pupils["test"] if name != "most.p0"}
    assert not any(row["id"].startswith("few") for row in [*rows(train), *rows(tests)])


def test_the_area_under_the_curve_by_hand():
    examples = [Example(f"x{n}", {}, answer, f"x{n}") for n, answer in enumerate(("correct", "correct", "incorrect"))]
    said = [Prediction(f"x{n}", None, (1 - p, p), 0.0, 1, 0) for n, p in enumerate((0.9, 0.3, 0.4))]
    assert real.auc(said, examples) == 0.5  # of two pairs one is in order
    assert real.auc(said[:2], examples[:2]) is None


def numbers(arm, seed, right):
    """A finished run of an arm, of four answers by three pupils."""
    part = {
        "count": 4, "macro_f1": 0.5, "kappa": 0.1, "auc": 0.7,
        "calibrated": {"log_likelihood": -0.6, "squared_calibration_error": 0.05},
        "right": right,
    }  # fmt: skip
    return {
        "setting": "s", "arm": arm, "seed": seed, "constant": {"test": 0.75}, "seconds": 120,
        "base": {"answers": part}, "demonstrated": {}, "chosen": {"answers": part}, "generated_tokens": 7000,
        "examples": {"train": 30, "validation": 4}, "kept": [9, 12], "best": 2, "last": 2,
    }  # fmt: skip


ALL_RIGHT = {"a.1": 1.0, "a.2": 1.0, "b.1": 1.0, "c.1": 1.0}
ONE_WRONG = {**ALL_RIGHT, "b.1": 0.0}
NAMES = {"direct": "answer alone", "rs": "RS(4)", "star": "STaR"}


def test_an_interval_is_clustered_by_pupil():
    """Values 1, 1, 0, 1 of pupils a, a, b, c: mean .75, sums .5, -.75, .25; se^2 = 3/2 (.25 + .5625 + .0625) / 16."""
    ran = numbers("direct", 0, ONE_WRONG)
    value, low, high = real_page.interval([ran["chosen"]["answers"]["right"]])
    half = 1.96 * (1.5 * 0.875 / 16) ** 0.5
    assert value == 0.75
    assert (low, high) == pytest.approx((0.75 - half, 0.75 + half))


def test_a_tie_counts_a_half_and_neither_ids_nor_grades_are_written_down():
    examples = [
        Example(f"q.p1.{n}", {}, answer, "q.p1") for n, answer in enumerate(("correct", "incorrect", "correct"))
    ]
    said = [Prediction(x.id, None, (1 - p, p), 0.0, 1, 0) for x, p in zip(examples, (0.5, 0.6, 0.9), strict=True)]
    found = real.right(said, examples)
    assert list(found.values()) == [0.5, 0.0, 1.0]
    assert len({key.rpartition(".")[0] for key in found}) == 1  # one pupil, one cluster
    assert "p1" not in "".join(found)


def test_arms_are_compared_with_answer_alone_seed_by_seed():
    ran = [numbers("direct", 0, ONE_WRONG), numbers("rs", 0, ALL_RIGHT), numbers("rs", 1, ONE_WRONG)]
    value, low, high = real_page.difference(ran[1:], {0: ran[0]}, "answers")
    assert value == 0.25  # seed 1 has nothing to be compared with
    assert low < value < high
    assert real_page.difference(ran[2:], {0: ran[0]}, "answers") is None


def test_the_page_names_what_has_not_run_and_one_seed_tells_nothing():
    ran = [numbers("direct", 0, ONE_WRONG), numbers("rs", 0, ALL_RIGHT)]
    told = "\n\n".join(real_page.page(ran, NAMES))
    assert "Not run: STaR." in told
    assert "Trained on 30 grades, chosen on 4 others." in told
    assert "RS(4), seed 0: kept 9, 12; iteration 2 of 2 chosen." in told
    assert "cannot be told with one seed" in told
    assert "| RS(4) | 1 | 1.000 [1.000, 1.000] | +0.250 [" in told
    assert "| -0.600 | 0.050 | 7,000 | 2 |" in told


def test_the_verdict_goes_no_further_than_the_intervals():
    """Over three seeds: an arm that is always right, and one that says what answer alone says."""
    seeds = [
        numbers(arm, seed, said) for seed in range(3) for arm, said in (("direct", ONE_WRONG), ("star", ONE_WRONG))
    ]
    assert "STaR: no difference from answer alone can be told" in real_page.verdict(seeds, NAMES)
    other = dict.fromkeys(ALL_RIGHT, 0.1) | {"q.b.1": 0.9}
    worst = [numbers("direct", seed, other) for seed in range(3)]
    better = real_page.verdict([*worst, *(numbers("rs", seed, ALL_RIGHT) for seed in range(3))], NAMES)
    assert better == "On answers, 3 seeds: RS(4): better than answer alone."


def test_a_setting_that_was_searched_is_told_by_its_validation_numbers():
    one = {
        "setting": "s", "arm": "search", "best": 1, "validation_accuracy": [0.5, 0.625], "validation_auc": 0.7,
        "constant": {"validation": 0.6}, "examples": {"train": 90}, "seconds": 600,
    }  # fmt: skip
    *_, row, last = real_page.page([one], NAMES)
    assert row.endswith("| s | 90 | 0.700 | 0.625 | 0.600 | 10 |")
    assert last == "No arm has run yet: not answer alone, RS(4), STaR."


@pytest.mark.slow
def test_the_figure_has_a_row_for_each_arm_that_ran():
    ran = [numbers("direct", 0, ONE_WRONG), numbers("rs", 0, ALL_RIGHT)]
    told = real_page.figure(ran, NAMES)
    assert all(name in told for name in ("base model", "answer alone", "RS(4)", "always one grade 0.750"))
    assert "STaR" not in told


def test_what_the_model_says_is_shown_on_our_own_items():
    unread = {"rating": None, "rationale": "", "probability": None, "unparsed": 4, "draws": 4}
    read = {"rating": "correct", "rationale": "It names | the gap.", "probability": 0.8, "unparsed": 1, "draws": 4}
    item = {"prompt": "Why?", "response": "a gap", "grade": "correct", "before": unread, "after": read}
    ran = [numbers("direct", 0, ONE_WRONG), numbers("rs", 0, ALL_RIGHT) | {"said": [item]}]
    told = "\n\n".join(real_page.page(ran, NAMES))
    row = "| Why? **a gap** | correct | none of 4 drafts ends with a grade | “It names / the gap.” **correct** (p of "
    assert row + "correct 0.80) |" in told
