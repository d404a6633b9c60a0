"""The study of a real model: its tables are read by the preset, and its numbers are those of a second library."""

import argparse
import csv
import importlib.util
import json
import sys
from pathlib import Path

import pytest

from rationem.types import Example, Prediction

ROOT = Path(__file__).parents[1]
QUESTION = """<question id="{id}"><questionText>What is {id}?</questionText><referenceAnswers>
<referenceAnswer id="r">It is {id}.</referenceAnswer></referenceAnswers><studentAnswers>{answers}</studentAnswers>
</question>"""


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("real", ROOT / "studies" / "real.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


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


def test_all_answers_train_and_are_grouped_by_pupil(study, options):
    train, (tests,) = study.tables(options)
    assert len(rows(train)) == 32
    assert len(rows(tests)) == 4
    assert {
        "id": "most.p9.19", "prompt": "What is most?", "response": "It is 19.", "reference": "It is most.",
        "pupil": "most.p9", "rating": "incorrect",
    } in rows(train)  # fmt: skip


def test_of_few_questions_two_pupils_in_five_are_held_out(study, options):
    options.few = 2
    train, (tests,) = study.tables(options)
    pupils = {name: {row["pupil"] for row in rows(path)} for name, path in (("train", train), ("test", tests))}
    assert len(pupils["train"]) == 9  # of 15, in two questions of three
    assert len(rows(tests)) == 2 * 6 + 2
    assert pupils["test"] - pupils["train"] >= {name for name in pupils["test"] if name != "most.p0"}
    assert not any(row["id"].startswith("few") for row in [*rows(train), *rows(tests)])


def test_the_area_under_the_curve_by_hand(study):
    examples = [Example(f"x{n}", {}, answer, f"x{n}") for n, answer in enumerate(("correct", "correct", "incorrect"))]
    said = [Prediction(f"x{n}", None, (1 - p, p), 0.0, 1, 0) for n, p in enumerate((0.9, 0.3, 0.4))]
    assert study.auc(said, examples) == 0.5  # of two pairs one is in order
    assert study.auc(said[:2], examples[:2]) is None


def test_the_page_names_what_has_not_run(study, tmp_path):
    part = {"count": 5, "accuracy": 0.6, "macro_f1": 0.5, "auc": 0.7, "calibrated": {"log_likelihood": -0.6}}
    one = {"chosen": {"answers": part}, "base": {"answers": {"accuracy": 0.4}}, "validation_auc": 0.65}
    (tmp_path / "beetle-400-rs-seed-0.json").write_text(json.dumps({**one, "generated_tokens": 7, "seconds": 3.2}))
    told = list(study.page(tmp_path))
    row = "| beetle-400-rs-seed-0 | 0.650 | answers | 5 | 0.600 (0.400) | 0.500 | 0.700 | -0.600 | 7 | 3 |"
    assert row in told
    assert "STaR" in told[-1]
    assert "RS(4)" not in told[-1]
