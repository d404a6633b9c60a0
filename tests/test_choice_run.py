"""Multiple choice from the file to the report and the answered file: every example accounted for, no missing letter."""

import csv
import json
import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from judges import Recorder, card, directory
from lettered import arc, item, mmlu, rows_of, task
from rationem import progress
from rationem.cli.main import main
from rationem.data import Columns
from rationem.errors import ConfigError, DataError
from rationem.evaluation.evaluate import evaluate
from rationem.judging.judge import Judge
from rationem.judging.stream import rate_file
from rationem.judging.verdicts import Status
from rationem.metrics import evidence
from rationem.tasks import choices
from rationem.tasks.template import packaged

TASK = task(4)
COLUMNS = Columns("question", choices="options", rating="key").to_dict()


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(progress, "_display", progress.Silent())


def asked(path, engine, columns=COLUMNS, **more):
    made = directory(path, TASK, marginal=(0.4, 0.3, 0.2, 0.1), columns=columns, **more)
    return Judge.load(made, engine=engine)


def says(letter, levels=(0.1, 0.2, 0.3, 0.4)):
    return Recorder(lambda _: f"why\nAnswer: {letter}", lambda _: [math.log(p) for p in levels])


# No mass for what is not on offer -----------------------------------------------------------------------------------


def test_a_level_that_is_not_offered_has_no_mass_and_the_others_keep_their_shares():
    logps, marginal = evidence.restricted(
        [np.log([0.1, 0.2, 0.3, 0.4])], (0.4, 0.3, 0.2, 0.1), (True, True, False, True)
    )
    (probs,) = (evidence.predictive(logps, [True], marginal),)
    assert np.allclose(probs, np.array([0.1, 0.2, 0, 0.4]) / 0.7)
    assert np.allclose(marginal, np.array([0.4, 0.3, 0, 0.1]) / 0.8)
    unparsed = evidence.predictive(logps, [False], marginal)
    assert np.allclose(unparsed, marginal)
    same = evidence.restricted([[-1.0, -2.0]], (0.5, 0.5), None)
    assert np.array_equal(same[0], [[-1.0, -2.0]])


def test_a_missing_letter_is_never_right_nor_counted_as_said():
    from rationem.sampling.trials import grade
    from rationem.types import Draft, Finish, Outcome

    draft = Draft("why\nAnswer: D", (1,), Finish.STOP, 3)
    parsed, outcome, reward = grade(draft, item(), TASK, 1.0)
    assert (parsed.answer, parsed.problem, outcome, reward) == (None, "unoffered_level", Outcome.UNPARSEABLE, 0.0)
    assert grade(draft, item(("p", "q", "r", "s"), "D"), TASK, 1.0)[1] is Outcome.ACCEPTED


def test_an_evaluations_probabilities_are_over_the_items_own_letters(tmp_path):
    from rationem.ledger import Ledger
    from rationem.sampling.trials import SamplingContext
    from rationem.types import Sampling

    short, full = item(name="short"), item(("p", "q", "r", "s"), name="full")
    known = item(("t", "u", "v", "w"), name="known")
    ledger = Ledger(tmp_path / "run")
    ledger.start({"config": {}, "task": TASK.describe(), "notes": {}}, {"train": [known], "validation": [short, full]})
    run = SamplingContext(TASK, ledger, 0, Sampling())
    evaluate([short, full], says("D"), run, train=[known], iteration=0, split="validation", draws=2)
    found = {one.example_id: one for one in ledger.predictions(0, "validation")}
    ledger.close()
    assert np.allclose(found["full"].probabilities, (0.1, 0.2, 0.3, 0.4))
    assert found["full"].predicted == "D"
    assert (found["short"].predicted, found["short"].unparsed) == (None, 2)  # D is none of its letters
    assert found["short"].probabilities[3] == 0
    assert math.isclose(sum(found["short"].probabilities), 1)
    assert math.isclose(found["short"].raw, 0.2)


# Asked again --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": "Q?", "choices": ["p", "q", "r"]},
        {"question": "Q?", "options": ["p", "q", "r"], "key": "C"},
        {"question": "Q?", "options": {"text": ["p", "q", "r"], "label": [1, 2, 3]}},
        {"prompt": "Q?", "choice_a": "p", "choice_b": "q", "choice_c": "r"},
    ],
)
def test_a_judge_answers_an_item_in_whatever_form_its_choices_come(tmp_path, given):
    engine = says("B")
    (answer,) = asked(tmp_path, engine).rate([given], draws=2)
    assert answer.status is Status.RATED
    assert answer.rating == "C"
    assert np.allclose(list(answer.probabilities.values()), [1 / 6, 2 / 6, 3 / 6, 0])
    assert {request.prompt.text.split("\n\n")[1] for request in engine.requests} == {"A. p\nB. q\nC. r"}


def test_choices_in_columns_of_their_own_are_read_as_in_training(tmp_path):
    columns = Columns("question", choices="w,x,y,z", rating="key").to_dict()
    engine = says("A", (0.7, 0.1, 0.1, 0.1))
    (answer,) = asked(tmp_path, engine, columns).rate(
        [{"question": "Q?", "w": "p", "x": "q", "y": "", "key": "x"}], draws=1
    )
    assert np.allclose(list(answer.probabilities.values()), [7 / 8, 1 / 8, 0, 0])


def test_a_letter_that_the_item_has_not_is_no_answer_also_when_fast(tmp_path):
    judge = asked(tmp_path, says("D"))
    (slow,) = judge.rate([{"prompt": "Q?", "choices": ["p", "q"]}], draws=3)
    (fast,) = judge.rate([{"prompt": "Q?", "choices": ["p", "q"]}], fast=True)
    assert (slow.status, slow.unparsed, slow.rating) == (Status.UNPARSED, 3, None)
    assert (fast.status, fast.rating) == (Status.UNPARSED, None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["p"], "1 choices"),
        (list("pqrst"), "it has 5 choices, and the run had 4 at most"),
        (["p", ""], "1 choices"),
        (["", "q"], "choice 1 is empty"),
        ("p or q", "not a list of choices"),
    ],
)
def test_an_item_that_cannot_be_asked_says_why(tmp_path, options, said):
    (answer,) = asked(tmp_path, says("A")).rate([{"prompt": "Q?", "choices": options}], draws=1)
    assert answer.status is Status.UNUSABLE
    assert said in answer.problem


def test_an_item_without_choices_is_refused_with_the_call_that_would_do(tmp_path):
    with pytest.raises(DataError, match="choice_a"):
        asked(tmp_path, says("A")).rate([{"prompt": "Q?", "response": "p"}], draws=1)
    with pytest.raises(ConfigError, match=r'judge.rate\(\[\{"prompt": "...", "choices": \[...\]\}\]\)'):
        asked(tmp_path / "again", says("A")).rate(["Q?"], draws=1)


def test_a_file_is_answered_in_its_own_order(tmp_path):
    judge = asked(tmp_path, says("B"))
    rows = [{"question": "Q?", "options": ["p", "q", "r"]}, {"question": "Q!", "options": list("pqrst")}]
    rate_file(judge, rows_of(tmp_path / "in.jsonl", rows), tmp_path / "out.csv", draws=2)
    with (tmp_path / "out.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["rating"], first["p_D"], first["status"]) == ("C", "0.0", "rated")
    assert (second["rating"], second["status"]) == ("", "unusable")
    published = rows_of(tmp_path / "arc.jsonl", [arc(n) for n in range(3)])
    rate_file(judge, published, tmp_path / "arc.csv", draws=1, preset="arc")
    with (tmp_path / "arc.csv").open(newline="") as file:
        assert [row["rating"] for row in csv.DictReader(file)] == ["D", "D", "D"]
    with pytest.raises(ConfigError, match="answers multiple choice; the preset llmbar holds something else"):
        rate_file(judge, published, tmp_path / "no.csv", draws=1, preset="llmbar")


def test_a_judge_of_responses_refuses_multiple_choice(tmp_path):
    judge = Judge.load(directory(tmp_path), engine=says("1"))
    with pytest.raises(ConfigError, match="rates responses; the preset arc holds something else"):
        rate_file(judge, rows_of(tmp_path / "a.jsonl", [arc(1)]), tmp_path / "o.csv", draws=1, preset="arc")


def test_a_calibration_is_bound_to_the_wording_of_multiple_choice_too(tmp_path):
    from rationem.run.card import prompt_sha256

    described = TASK.describe()
    assert prompt_sha256(described) != prompt_sha256(task(5).describe())
    assert card(TASK).task == described
    assert replace(TASK, hint=packaged("hint")).describe() != described


# End to end ---------------------------------------------------------------------------------------------------------

SMALL = (
    "--model", "tiny-judge", "--verdict-marker", "Final rating:",  # what it was trained to write
    "--iterations", "1", "--steps", "2", "--draws", "2", "--evidence-draws", "1",
    "--wrong-hints", "6", "--difficulty-examples", "4", "--shots", "2", "--validation-share", "0.2",
    "--test-share", "0.2", "--threads", "1", "--device", "cpu",
)  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on MMLU's schema, some items with three choices, and the file that it read."""
    folder = tmp_path_factory.mktemp("choice")
    rows = [mmlu(n, f"subject {n % 3}") for n in range(80)]
    for row in rows[::7]:
        row["choices"], row["answer"] = row["choices"][:3], 1
    data = rows_of(folder / "mmlu.jsonl", rows)
    output = folder / "run"
    assert main(["fit", str(data), "--scheme", "star", *SMALL, "--output", str(output)]) == 0
    return data, output


@pytest.mark.slow
def test_a_fit_accounts_for_every_example_and_subject(finished):
    _, output = finished
    summary = json.loads((output / "metrics.json").read_text())
    assert summary["config"]["task"] == "choice"
    assert summary["notes"]["preset"] == "mmlu"
    assert sum(summary["examples"].values()) == 80
    assert sum(summary["iterations"][1]["e_step"]["states"].values()) == summary["examples"]["train"]
    for entry in summary["iterations"]:
        parts = entry["test"]["by_criterion"]
        assert set(parts) == {"subject 0", "subject 1", "subject 2"}
        assert sum(part["count"] for part in parts.values()) == entry["test"]["count"] == summary["examples"]["test"]
    text = (output / "report.md").read_text()
    assert "## Each subject" in text
    assert " is right in " in text
    assert all(f"| subject {n} |" in text for n in range(3))
    assert "criterion" not in text.partition("## Settings")[0]


@pytest.mark.slow
def test_no_missing_letter_has_mass_or_is_hinted_at_and_orders_are_recorded(finished):
    data, output = finished
    original = {json.loads(line)["question"]: json.loads(line) for line in data.read_text().splitlines()}
    with sqlite3.connect(output / "ledger.sqlite") as db:
        db.row_factory = sqlite3.Row
        fields = {row["id"]: (json.loads(row["fields"]), row["answer"]) for row in db.execute("SELECT * FROM examples")}
        for inputs, answer in fields.values():
            row = original[inputs["prompt"]]
            order = json.loads(inputs["labels"])
            assert [inputs[choices.field_of(letter)] for letter in choices.letters(inputs)] == [
                row["choices"][int(label)] for label in order
            ]
            assert int(order[choices.LETTERS.index(answer)]) == row["answer"]
        short = {name for name, (inputs, _) in fields.items() if len(choices.letters(inputs)) == 3}
        assert short
        seen = 0
        for row in db.execute("SELECT example_id, probabilities FROM predictions"):
            probabilities = json.loads(row["probabilities"])
            assert math.isclose(sum(probabilities), 1)
            if row["example_id"] in short:
                seen += 1
                assert probabilities[3] == 0
        assert seen
        said = db.execute("SELECT example_id, predicted FROM trials WHERE predicted = 'D'").fetchall()
        assert not [row for row in said if row["example_id"] in short]


@pytest.mark.slow
def test_report_refit_prompt_show_and_judge_know_the_task(finished, tmp_path, capsys):
    data, output = finished
    before = (output / "report.md").read_bytes()
    assert main(["report", str(output)]) == 0
    assert (output / "report.md").read_bytes() == before
    assert main(["show", str(output)]) == 0
    assert main(["check", str(data)]) in (0, 1)
    assert "one of several choices is correct" in capsys.readouterr().out
    refitted = ["refit", str(output), "--steps", "1", "--output", str(tmp_path / "again")]
    assert main(refitted) == 0
    assert (
        main(["judge", str(output), str(data), "-o", str(tmp_path / "out.csv"), "--draws", "2", "--threads", "1"]) == 0
    )
    with (tmp_path / "out.csv").open(newline="") as file:
        answered = list(csv.DictReader(file))
    assert len(answered) == 80
    for row in answered:
        assert row["rating"] in ("", *"ABCD"[: len(json.loads(row["choices"]))])
    assert main(["export", str(output), "--to", "messages", "--output", str(tmp_path / "kept.jsonl")]) == 0
    for line in Path(tmp_path / "kept.jsonl").read_text().splitlines():
        assert "The correct answer" not in line  # no hint reaches what is trained on
    assert main(["push", str(output), "me/letters", "--directory", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "README.md").read_text()
    assert "a question with lettered choices and says which is right" in page


@pytest.mark.slow
def test_a_users_columns_and_flags_run_and_go_on(tmp_path, capsys):
    rows = [
        (f"what is {n} ?", f"{n} kind", f"{n} right", "" if n % 5 == 0 else f"{n} rude", "ab"[n % 2]) for n in range(40)
    ]
    name = tmp_path / "my.csv"
    with name.open("w", newline="") as file:
        csv.writer(file).writerows([("question", "a", "b", "c", "key"), *rows])
    words = ["fit", str(name), "--task", "choice", "--prompt-col", "question", "--choices-col", "a,b,c"]
    words += ["--answer-col", "key", "--no-shuffle-choices", *SMALL, "--output", str(tmp_path / "run")]
    assert main(words) == 0
    assert main(words) == 0  # finished: the resolved task is the one that is asked
    assert (
        "Columns: prompt from `question`, choices from `a,b,c`, answer from `key`."
        in (tmp_path / "run" / "report.md").read_text()
    )
    assert main([*words[:-1], str(tmp_path / "other"), "--rating-col", "key"]) == 2
    assert "--rating-col applies to judging" in capsys.readouterr().err
