"""Texts are compared without a prompt: essays against each other, or two photos' captions."""

import pytest

from doctored import WORDS, check, codes, finding, rows, write
from rationem import data
from rationem.cli.main import main
from rationem.data import Columns
from rationem.tasks.built_in import described
from rationem.tasks.judge import asking
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale
from small import MEASURES_LITTLE

FLAGS = ("--response-col", "one,two", "--rating-col", "better", "--scale", "A | B")


def pairs(count=60):
    """Rows of two different texts each, and a verdict."""
    return [
        {"one": a["response"], "two": b["response"], "better": "AB"[n % 2]}
        for n, (a, b) in enumerate(zip(rows(count, seed=1), rows(count, seed=2), strict=True))
    ]


@pytest.mark.parametrize("flags", [(), ("--prompt-col", "none")])
def test_two_columns_of_texts_and_a_verdict_need_no_prompt(tmp_path, capsys, flags):
    code, found = check(capsys, write(tmp_path / "p.csv", pairs()), *FLAGS, *flags)
    assert code == 0
    assert found["data"]["columns"] == {"response": "one,two", "rating": "better"}
    assert finding(found, "no_prompt")["message"].startswith("Texts are compared")
    assert "--prompt-col none" in found["command"]["text"]


def test_another_column_that_can_be_the_prompt_is_it_or_is_asked_for(tmp_path, capsys):
    table = [{**row, "question": f"Which {n}?"} for n, row in enumerate(pairs())]
    _, found = check(capsys, write(tmp_path / "q.csv", table), *FLAGS)
    assert found["data"]["columns"]["prompt"] == "question"
    table = [{**row, "text": f"Which {n}?"} for n, row in enumerate(pairs())]
    assert main(["check", write(tmp_path / "t.csv", table), *FLAGS]) == 2
    assert "no column 'prompt'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("scale", "count", "asked"),
    [
        ("A | B", 2, "Which text is better? Choose one of A | B."),
        ("-1 to 1", 2, "Which text is better, and by how much? Choose one of -1 < 0 < 1"),
        ("A | B | C", 3, "Which text is the best? Choose one of A | B | C."),
    ],
)
def test_the_prompt_holds_the_texts_and_no_prompt(scale, count, asked):
    task = asking("responses", Scale.parse(scale), (Criterion(),), candidates=count, prompted=False)
    texts = {f"response_{letter}": f"text {letter}" for letter in "abc"[:count]}
    said = task.prompt(texts).text
    assert asked in said
    assert "Prompt:" not in said
    assert "Response" not in said
    assert all(said.count(text) == 1 for text in texts.values())
    assert task.inputs == tuple(texts)
    assert task.demonstrations(texts) == ()
    assert described(task.describe()).orders == count


def test_the_same_two_texts_are_one_group_in_either_order(tmp_path):
    table = [{"one": "a", "two": "b", "better": "A"}, {"one": "b", "two": "a", "better": "B"}]
    table += [{"one": "a", "two": "c", "better": "A"}]
    columns = Columns("", "one,two", "better")
    found = data.load([write(tmp_path / "p.csv", table)], scale=Scale.parse("A | B"), columns=columns)
    first, second, third = found.examples
    assert first.group == second.group != third.group


def test_texts_that_return_in_other_comparisons_are_a_warning_unless_a_group_is_named(tmp_path, capsys):
    essays = [f"An essay on {word}." for word in WORDS]
    table = [
        {"one": a, "two": b, "better": "AB"[(i + j) % 2], "class": i % 12}
        for i, a in enumerate(essays)
        for j, b in enumerate(essays)
        if i < j
    ]
    file = write(tmp_path / "p.csv", table)
    _, found = check(capsys, file, *FLAGS)
    assert finding(found, "texts_reused")["count"] == len(essays)
    _, found = check(capsys, file, *FLAGS, "--group-col", "class")
    assert "texts_reused" not in codes(found)
    _, found = check(capsys, write(tmp_path / "q.csv", pairs()), *FLAGS)
    assert "texts_reused" not in codes(found)


@pytest.mark.slow
def test_a_judge_of_two_texts_is_trained_and_rates_a_file(tmp_path, capsys):
    file, run, out = write(tmp_path / "p.csv", pairs(40)), tmp_path / "run", tmp_path / "rated.jsonl"
    more = ("--model", "tiny-judge", "--iterations", "1", "--limit", "8", "--draws", "2", "--device", "cpu")
    assert main(["fit", file, *FLAGS, "--output", str(run), *more, *MEASURES_LITTLE, "--steps", "2"]) == 0
    assert main(["judge", str(run), file, "-o", str(out), "--draws", "2", "--threads", "1"]) == 0
    assert len(out.read_text(encoding="utf-8").splitlines()) == 40
