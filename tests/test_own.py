"""A user's own task: read from a class or a TOML file, held to what every task must keep to, run only when named."""

import csv
import json
import os
import re
import textwrap

import pytest

from rationem import Example, FitConfig, Judge, JudgeTask, Ledger, Scale, ScriptedEngine, Splits, progress, rate_file
from rationem.cli.main import main
from rationem.errors import ConfigError
from rationem.run.card import Card, write_card
from rationem.run.preflight import check_own
from rationem.run.problem import Resolved, _trains
from rationem.sampling.schemes import parse_scheme
from rationem.sft import Training
from rationem.tasks import choices, from_description, named
from rationem.tasks.answer import OPEN_TASKS, AnswerTask
from rationem.tasks.built_in import described, recorded
from rationem.tasks.conformance import LEAKS, check_task
from rationem.tasks.own import OwnTask, is_own, read_task
from rationem.tasks.template import Template, packaged

GOOD = """
class Units:
    name = "units"
    inputs = ("question",)

    def prompt(self, fields):
        return f"{fields['question']}\\nEnd with one line: Answer: NUMBER UNIT"

    def read(self, line):
        return " ".join(line.lower().split()) or None

    def reward(self, predicted, answer):
        return 1.0 if predicted == answer else 0.5 * (predicted.split()[-1] == answer.split()[-1])
"""

TOML = """
name = "colour"
inputs = ["text"]
answer = "pattern:(red|green)"
prompt = '''
{{ text }}
Which colour? End with: {{ marker }} COLOUR
'''
"""


def written(tmp_path, text, name="my_task.py"):
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    return path


@pytest.fixture
def good(tmp_path):
    return read_task(f"{written(tmp_path, GOOD)}:Units")


def test_a_class_of_few_lines_is_a_task(good):
    assert check_task(good) == []
    assert good.prompt({"question": "How far?", "answer": "5 km"}).text.startswith("How far?")
    assert good.hint_prompt({"question": "How far?"}, "5 km").text.endswith(
        "The correct answer is: 5 km. Give the reason for it, then the line."
    )
    assert good.parse("far\nAnswer: 5  KM").answer == "5 km"
    assert (good.reward("4 km", "5 km"), good.reward("4 m", "5 km")) == (0.5, 0.0)


def test_the_class_sees_its_inputs_and_nothing_else_of_an_item(tmp_path):
    spy = written(
        tmp_path, "class Spy:\n    inputs = ('a',)\n    def prompt(self, fields):\n        return f'{fields} Answer:'"
    )
    shown = read_task(f"{spy}:Spy").prompt({"a": "1", "answer": "secret", "rationale": "secret"}).text
    assert shown == "{'a': '1'} Answer:"


def test_an_input_that_is_the_answer_is_found(tmp_path):
    two = GOOD.replace('("question",)', '("question", "other")').replace("{fields['question']}", "{fields}")
    task = read_task(f"{written(tmp_path, two)}:Units")

    def items(other):
        return [Example(str(n), {"question": f"q{n}", "other": other(n)}, f"{n} km", "g") for n in range(20)]

    assert check_task(task, items(lambda n: "5 km")) == []
    (sentence,) = check_task(task, items(lambda n: f" {n}  KM" if n else "none"))
    assert sentence == f"The input 'other' is the right answer itself in 19 of 20 items: {LEAKS}."
    named = two.replace('"other"', '"answer"')
    with pytest.raises(ConfigError, match="'answer' is y\\*, and no input"):
        read_task(f"{written(tmp_path, named, 'named.py')}:Units")


def test_a_report_without_the_tasks_file_changes_nothing(tmp_path, good, capsys):
    described = {**good.describe(), "sha256": "0" * 64, "own": "Elsewhere"}
    run = tmp_path / "run"
    ledger = Ledger(run)
    ledger.start(
        {"task": described, "config": {}, "notes": {}, "engine": {}},
        {"train": [Example("a", {"question": "?"}, "1 km", "g")]},
    )
    ledger.close()
    (run / "report.md").write_text("as it was")
    assert main(["report", str(run)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "is not run because a run directory mentions it. Name it: --own-task my_task.py:Elsewhere" in said
    assert (run / "report.md").read_text() == "as it was"
    assert not (run / "metrics.json").exists()


def test_a_toml_file_is_a_task(tmp_path):
    task = read_task(str(written(tmp_path, TOML, "my_task.toml")))
    assert task.name == "colour"
    assert task.parse("it glows\nAnswer: bright red!").answer == "red"
    assert task.parse("it glows\nAnswer: blue").problem == "no_answer"
    assert from_description(task.describe()).describe() == task.describe()
    assert (
        check_task(task, [Example(str(n), {"text": "t"}, answer, str(n)) for n, answer in enumerate(("red", "green"))])
        == []
    )


BROKEN = {
    "leaks what it was shown": (
        "def hint(self, fields, answer):\n        self.seen = answer\n        return f'It is {answer}.'",
        "def prompt(self, fields):\n        return f\"{fields['question']} {getattr(self, 'seen', '')} Answer:\"",
        "the answer leaks into training",
    ),
    "reads nothing": ("def read(self, line):\n        return None", None, "No answer is known"),
    "reads another answer than it wrote": (
        "def read(self, line):\n        return line[1:] or None", None, "an answer must be read as it is written"
    ),
    "fails on a text": (
        "def read(self, line):\n        return str(int(line))", None, "read raises ValueError: invalid literal for int"
    ),
    "earns too much": ("def reward(self, predicted, answer):\n        return 2.0", None, "a reward is a number in"),
    "earns nothing": ("def reward(self, predicted, answer):\n        return 0.0", None, "the right answer earns 1"),
    "is no number": (
        "def reward(self, predicted, answer):\n        return float('nan')", None, "a reward is a number in [0, 1]"
    ),
    "does not ask": (
        "marker = 'Answer:'", "def prompt(self, fields):\n        return 'Answer:'", "does not change with the input"
    ),
    "never says the marker": (
        "marker = 'Result:'", None, "never says 'Result:'"
    ),
    "is not the same twice": (
        "count = 0",
        "def prompt(self, fields):\n        self.count += 1\n        return f\"{self.count} {fields} Answer:\"",
        "another text when it is asked again",
    ),
    "hints at nothing": ("def hint(self, fields, answer):\n        return 'Think!'", None, "does not state the answer"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_what_a_task_does_not_keep_to_is_found(tmp_path, fault):
    part, prompt, sentence = BROKEN[fault]
    prompt = prompt or "def prompt(self, fields):\n        return f\"{fields['question']} Answer:\""
    path = written(tmp_path, f"class Mine:\n    inputs = ('question',)\n\n    {part}\n\n    {prompt}\n")
    found = check_task(read_task(f"{path}:Mine"))
    assert any(sentence in one for one in found), found


@pytest.mark.parametrize(
    "task",
    [
        *(make() for make in OPEN_TASKS.values()),
        JudgeTask(Scale.parse("1-5")),
        JudgeTask(Scale.parse("A | B | tie"), template=packaged("pair"), pair=True),
        JudgeTask(choices.scale_of(5), template=packaged("choice"), name="choice"),
    ],
    ids=lambda task: task.name,
)
def test_every_task_of_our_own_keeps_to_it(task):
    fields = {name: f"some {name}" for name in task.inputs}
    answers = task.levels or ("12", "7")
    assert check_task(task, [Example(str(n), fields, answer, str(n)) for n, answer in enumerate(answers)]) == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("class Mine:\n    pass", "needs inputs"),
        ("class Mine:\n    inputs = 'question'", "is a tuple of names"),
        ("class Mine:\n    inputs = ('question',)", "needs a method prompt"),
        ("class Other:\n    pass", "has no class 'Mine'. It has"),
        ("1 / 0", "cannot be run: ZeroDivisionError"),
        ("class Mine:\n    def __init__(self):\n        raise OSError('no')", "Mine() fails: OSError: no"),
    ],
)
def test_a_file_that_holds_no_task_is_told_in_one_sentence(tmp_path, content, sentence):
    with pytest.raises(ConfigError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        read_task(f"{written(tmp_path, content)}:Mine")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("inputs = ['x']", "give the question's wording"),
        ("propmt = 'x'", "unknown key 'propmt'. Did you mean 'prompt'"),
        ("inputs = 'x'\nprompt = '{{ x }}'", "a list of names is needed"),
        ("inputs = ['x']\nprompt = '{{ y }} {{ marker }}'", "unknown variable 'y'"),
        ("inputs = ['x']\nprompt = '{{ x }}'", "never says 'Answer:'"),
        ("inputs = ['x']\nprompt = '{{ x }} {{ marker }}'\nanswer = 'nmuber'", "Did you mean 'number'"),
        ("inputs = ['x']\nprompt = '{{ x }} {{ marker }}'\nanswer = 'pattern:('", "is not a regular expression"),
        ("inputs = ['x']\nprompt = '{{ x }} {{ marker }}'\nreward = 'bleu'", "Unknown reward 'bleu'"),
        ("inputs = [", "not valid TOML"),
    ],
)
def test_a_toml_file_that_is_no_task_is_told_in_one_sentence(tmp_path, content, sentence):
    with pytest.raises(ConfigError) as caught:
        read_task(str(written(tmp_path, content, "mine.toml")))
    assert sentence in str(caught.value)


def test_a_program_that_a_run_mentions_is_not_run(tmp_path, good):
    """Only what this very process was told to run comes back; another file of the same name does not."""
    assert from_description(good.describe()) is good
    described = {**good.describe(), "sha256": "0" * 64}
    with pytest.raises(ConfigError, match="another file is another task"):
        from_description(described)
    with pytest.raises(ConfigError, match="is not run because a run directory mentions it"):
        from_description({**described, "own": "Others"})


@pytest.mark.parametrize("described", [{"own": "X"}, {"own": 3, "sha256": None, "name": []}])
def test_a_description_that_lacks_something_is_no_traceback(described):
    with pytest.raises(ConfigError, match="is not run"):
        from_description(described)


@pytest.mark.parametrize("changed", [{"template": 5}, {"inputs": "prompt"}, {"inputs": [3]}, {"marker": None}])
def test_a_description_of_other_types_is_no_traceback(changed):
    with pytest.raises(ConfigError, match=f"{next(iter(changed))} is "):
        from_description({**OPEN_TASKS["math"]().describe(), **changed})


@pytest.mark.slow
def test_what_a_run_directory_mentions_is_no_program_of_the_training_processes(tmp_path, good):
    """Refit takes its settings from a run: a task's file that stands there is never handed on."""
    told = FitConfig(data=("x",), task="from/the/run.py:Evil", processes=2)

    def handed(task):
        run = Resolved(told, parse_scheme("star", "first", "weight"), task, Splits((), (), ()), "", None)
        return _trains(run, Training(), tmp_path).task

    assert handed(OPEN_TASKS["math"]()) is None
    assert handed(good) == f"{tmp_path / 'my_task.py'}:Units"


def test_the_bytes_that_run_are_those_that_were_hashed(tmp_path):
    """Python's cache of bytecode goes by time and size, and both can be those of another file."""
    shared = "class Mine:\n    inputs = ('q',)\n    name = 'ONE'\n    def prompt(self, f):\n        return f['q']"
    path = written(tmp_path, shared)
    before = path.stat()
    assert read_task(f"{path}:Mine").name == "ONE"
    path.write_text(shared.replace("ONE", "TWO"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert read_task(f"{path}:Mine").name == "TWO"
    assert not (tmp_path / "__pycache__").exists()


def test_a_dataclass_with_annotations_as_text_is_a_task(tmp_path):
    path = written(
        tmp_path,
        """
        from __future__ import annotations
        from dataclasses import dataclass

        @dataclass
        class Mine:
            inputs: tuple[str, ...] = ("q",)

            def prompt(self, fields):
                return f"{fields['q']} Answer:"
        """,
    )
    assert check_task(read_task(f"{path}:Mine")) == []


@pytest.mark.parametrize("said", ["\u3000", "a\u2028b", "a\x0bb\x85c", "**", "\u00a0"])
def test_no_text_of_a_model_ends_the_run_of_a_class_that_returns_the_line(tmp_path, said):
    """What some reader takes for a line's end, or for blank, is no mistake of the class."""
    path = written(
        tmp_path,
        "class Mine:\n    inputs = ('q',)\n    def prompt(self, f):\n        return f['q']\n"
        "    def read(self, line):\n        return line",
    )
    parsed = read_task(f"{path}:Mine").parse(f"so\nAnswer: {said}")
    assert (parsed.answer is None) == (parsed.problem is not None)
    assert parsed.answer in (None, "a b", "a b c")


@pytest.mark.parametrize("cell", ["**5 km**", "`5 km`", "_5 km_", " *5 km* \n"])
def test_ornaments_around_an_answer_are_no_part_of_it_on_either_side(good, cell):
    """Else y* could never be said: a completion's line is read without them."""
    plain = AnswerTask("plain", Template("{{ prompt }} {{ marker }}"))
    for task in (good, plain):
        assert task.read(cell) == "5 km"
        assert task.parse(task.format("so", cell.strip())).answer == "5 km"


def test_names():
    assert is_own("a/b.py:C")
    assert is_own("c.toml")
    assert not any(map(is_own, ("judge", "math", None, "a.py", "a.py:not a class")))
    assert named("math").name == "math"
    with pytest.raises(ConfigError, match="Did you mean 'summarize'"):
        named("sumarize")


def test_what_task_new_writes_passes_task_check(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for file, spec in (("my_task.py", "my_task.py:MyTask"), ("my_task.toml", "my_task.toml")):
        assert main(["task", "new", file]) == 0
        assert main(["task", "check", spec]) == 0
        assert main(["task", "new", file]) == 2  # never overwritten
    assert main(["task", "new", "my-task.py"]) == 2
    assert "already exists" in capsys.readouterr().err


def test_task_check_ends_with_status_1_where_something_is_to_be_mended(tmp_path, capsys):
    path = written(
        tmp_path, "class Mine:\n    inputs = ('q',)\n    def prompt(self, fields):\n        return fields['q']"
    )
    assert main(["task", "check", f"{path}:Mine"]) == 1
    assert "never says 'Answer:'" in capsys.readouterr().out


def test_no_run_begins_with_a_class_that_shows_what_its_hint_was_given(tmp_path, monkeypatch):
    """The first invariant holds for a program of the user's too, whether or not he has tried rationem task check."""
    told = []
    monkeypatch.setattr(progress, "say", told.append)
    leak, prompt, _ = BROKEN["leaks what it was shown"]
    items = [Example(str(n), {"question": f"how far, {n}?"}, f"{n} km", str(n)) for n in range(3)]
    path = written(tmp_path, f"class Mine:\n    inputs = ('question',)\n\n    {leak}\n\n    {prompt}\n")
    with pytest.raises(ConfigError, match="leaks into training"):
        check_own(read_task(f"{path}:Mine"), items)
    harmless = GOOD.replace("1.0 if predicted == answer else ", "")  # half for the right answer
    check_own(read_task(f"{written(tmp_path, harmless)}:Units"), items)
    assert len(told) == 3
    assert "the right answer earns 1" in told[0]


def test_what_read_returns_must_be_one_line(tmp_path):
    path = written(tmp_path, "class Mine:\n    inputs = ('q',)\n    def prompt(self, fields):\n        return ''\n"
                   "    def read(self, line):\n        return 'a\\nb'")  # fmt: skip
    with pytest.raises(ConfigError, match="an answer is one line of text, or None"):
        read_task(f"{path}:Mine").read("x")
    assert isinstance(read_task(f"{path}:Mine"), OwnTask)


def test_a_trained_task_answers_a_file_and_says_how_much_its_draws_agree(tmp_path, good):
    """The consensus, its agreement and a rationale that came to it, from draws that a script says."""
    directory = tmp_path / "model"
    directory.mkdir()
    columns = {"rating": "answer", "inputs": [["question", "q"]]}
    write_card(Card(good.describe(), columns, None, {"": ()}, 3, 100, 20, False, 0, None), directory)
    said = {"near": ["a\nAnswer: 5 km", "b\nAnswer: 3 m", "c\nAnswer: 4 km"], "lost": ["?", "?", "?"]}

    def say(request):
        name = next(name for name in said if name in request.prompt.text)
        asked.append(name)
        return said[name][asked.count(name) - 1]

    asked = []
    rows = tmp_path / "rows.csv"
    rows.write_text("q,answer,more\nnear,5 km,kept\nlost,,\n")
    with Judge.load(directory, engine=ScriptedEngine(say, lambda query: [])) as judge:
        totals = rate_file(judge, rows, tmp_path / "out.csv", draws=3)
    with (tmp_path / "out.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first["judge_answer"] == "5 km"  # of 5 km and 4 km, which agree equally, the first
    assert float(first["judge_agreement"]) == pytest.approx((1 + 0 + 0.5) / 3)
    assert (first["judge_rationale"], first["judge_status"], first["more"]) == ("a", "answered", "kept")
    assert (second["judge_answer"], second["judge_status"], second["judge_unparsed_draws"]) == ("", "unparsed", "3")
    assert "1 answered; 1 unparsed (no rationale names an answer)" in totals.lines(good.kind)[1]


LEVELS = """
class Tone:
    name = "tone"
    inputs = ("text",)
    scale = "rude < plain < kind"
    marker = "Tone:"

    def prompt(self, fields):
        return f"{fields['text']}\\nHow does it sound? End with one line: Tone: rude, plain or kind"
"""


RATED = """
class Stars:
    inputs = ("text",)
    scale = "1-5"
    marker = "Final rating:"

    def prompt(self, fields):
        return (
            f"Prompt: {fields['text']}\\n\\nResponse: {fields['text']}\\n\\nRate the response on the scale "
            "1 < 2 < 3 < 4 < 5. Reason first, then end with one line: Final rating: LEVEL"
        )
"""


def test_a_class_may_have_levels(tmp_path):
    tone = read_task(f"{written(tmp_path, LEVELS)}:Tone")
    assert (tone.levels, tone.scale.ordered, tone.orders) == (("rude", "plain", "kind"), True, 1)
    assert tone.parse("soft words\nTone: **Kind**").answer == "kind"
    assert tone.parse("soft words\nTone: cruel").answer is None
    assert tone.format("z", "kind") == "z\nTone: kind"
    assert (tone.scored("kind"), tone.kind.place("kind")) == ((" rude", " plain", " kind"), 2)
    assert described(tone.describe()) == tone.kind == recorded(tone.scale.describe(), name="tone", own=True)
    assert check_task(tone, [Example(level, {"text": f"a {level} text"}, level, level) for level in tone.levels]) == []


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('scale = ("a", "b")', "scale is text"),
        ('scale = "a"', "Cannot read the scale"),
        ('scale = "a | b"\n    optional = ("subject",)', "no input can be called 'subject'"),
    ],
)
def test_a_scale_that_cannot_be_used_is_told_in_one_sentence(tmp_path, line, sentence):
    text = LEVELS.replace('scale = "rude < plain < kind"', line)
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        read_task(f"{written(tmp_path, text)}:Tone")


def stars(tmp_path):
    """Return the task of a class with levels, its rows, and the settings of its smallest run."""
    own, rows = f"{written(tmp_path, RATED)}:Stars", tmp_path / "rows.csv"
    rows.write_text("text,stars\n" + "".join(f"text {n},{n % 5 + 1}\n" for n in range(40)))
    small = (
        "--model", "tiny-judge", "--iterations", "1", "--steps", "2", "--draws", "2", "--threads", "1",
        "--device", "cpu", "--validation-share", "0.2", "--test-share", "0.2",
    )  # fmt: skip
    return own, rows, ("--task", own, "--answer-col", "stars", *small)


@pytest.mark.slow
def test_a_class_with_levels_is_trained_judges_and_is_reported_as_levels_are(tmp_path, capsys):
    own, rows, settings = stars(tmp_path)
    run = str(tmp_path / "run")
    measured = ("--evidence-draws", "1", "--wrong-hints", "3", "--difficulty-examples", "4", "--shots", "2")
    assert main(["fit", str(rows), *settings, *measured, "--scheme", "star", "--output", run]) == 0
    summary = json.loads((tmp_path / "run" / "metrics.json").read_text())
    test = summary["iterations"][summary["best_iteration"]]["test"]
    assert set(test["recall"]) == set("12345")
    assert test["log_likelihood"] < 0 < summary["calibration"]["temperature"]
    assert summary["baselines"]["test"]["training_marginal"]["rps"] > 0
    out = tmp_path / "out.csv"
    assert main(["judge", run, str(rows), "-o", str(out), "--own-task", own, "--draws", "2"]) == 0
    with out.open(newline="") as file:
        rated = [row for row in csv.DictReader(file) if row["status"] == "rated"]
    assert len(rated) > 20
    assert all(sum(float(row[f"p_{n}"]) for n in range(1, 6)) == pytest.approx(1, abs=1e-2) for row in rated)
    before = (tmp_path / "run" / "report.md").read_text()
    assert main(["report", run, "--own-task", own]) == 0
    assert (tmp_path / "run" / "report.md").read_text() == before
    assert "model is right in" in before


@pytest.mark.slow
def test_a_class_with_levels_is_compared_as_levels_are(tmp_path):
    _, rows, settings = stars(tmp_path)
    output = tmp_path / "compared"
    little = ("--evidence-draws", "0", "--wrong-hints", "0", "--difficulty-examples", "0", "--shots", "0")
    asked = ("compare", str(rows), *settings, *little, "--schemes", "star", "--seeds", "1", "--output", str(output))
    assert main(list(asked)) == 0
    results = json.loads((output / "results.json").read_text())
    assert results["scale"] == {"levels": list("12345"), "meanings": [], "ordered": True}
    assert results["base"]["log_likelihood"]["value"] < 0 <= results["base"]["mae"]["value"]
    assert "| arm | accuracy | within one | MAE | quadratic kappa |" in (output / "report.md").read_text()


def test_a_file_that_ends_the_process_is_told_too(tmp_path):
    with pytest.raises(ConfigError, match="cannot be run: SystemExit: 3"):
        read_task(f"{written(tmp_path, 'import sys; sys.exit(3)')}:Mine")
