"""``rationem task check``: it takes the flags that its messages advise, and counts what it finds."""

import csv
import re

import pytest

from rationem import Example, progress
from rationem.cli.main import main
from rationem.run.preflight import check_own
from rationem.tasks.own import read_task

TOML = """
inputs = ["text"]
optional = ["topic"]
answer = "number"
prompt = '''
{{ text }} {{ topic }}
End with: {{ marker }} NUMBER
'''
"""
CLASS = """
class Rew:
    inputs = ("text",)

    def prompt(self, fields):
        return f"{fields['text']} Answer:"

    def reward(self, predicted, answer):
        return 2.0
"""
ROWS = [{"body": f"{n} and one more?", "about": "goats", "answer": str(n + 1)} for n in range(12)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ok.toml").write_text(TOML)
    (tmp_path / "units.py").write_text(CLASS)
    table(tmp_path / "units.csv", ROWS)
    return tmp_path


def table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)


def check(capsys, *words):
    code = main(["task", "check", *words])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_what_it_advises_it_takes(folder, capsys):
    code, said = check(capsys, "ok.toml", "units.csv")
    assert code == 2
    assert "`--inputs-col text=NAME`" in said
    code, said = check(capsys, "ok.toml", "units.csv", "--inputs-col", "text=body", "topic=about")
    assert (code, said.splitlines()[-1]) == (0, "The task 'ok' meets all requirements, tested on 12 items.")


def test_rows_that_cannot_be_used_are_left_out_when_asked_and_told(folder, capsys):
    table(folder / "units.csv", [*ROWS, {"body": "How many?", "about": "goats", "answer": "some"}])
    words = ("ok.toml", "units.csv", "--inputs-col", "text=body")
    code, said = check(capsys, *words)
    assert code == 2
    assert "--skip-unusable" in said
    code, said = check(capsys, *words, "--skip-unusable")
    assert code == 0
    assert "left out because they cannot be used: 1. units.csv:14: the answer" in said
    assert "tested on 12 items" in said


def test_the_columns_of_a_built_in_task_can_be_named(folder, capsys):
    code, said = check(capsys, "math", "units.csv", "--prompt-col", "body", "--context-col", "about")
    assert (code, "tested on 12 items" in said) == (0, True)


def test_every_column_flag_of_fit_is_taken(capsys):
    def flags(*command):
        with pytest.raises(SystemExit):
            main([*command, "--help-all"])
        return set(re.findall(r"--[a-z-]+-col\b", capsys.readouterr().out))

    assert flags("task", "check") == flags("fit") >= {"--inputs-col", "--prompt-col", "--context-col"}


def test_one_thing_to_correct_is_counted_as_one(folder, capsys):
    code, said = check(capsys, "units.py:Rew")
    assert code == 1
    assert said.splitlines()[-1] == "1 thing to correct."


def test_a_warning_names_its_task_once(folder, monkeypatch):
    told = []
    monkeypatch.setattr(progress, "say", told.append)
    items = [Example(str(n), {"text": f"how far, {n}?"}, f"{n} km", str(n)) for n in range(3)]
    check_own(read_task("units.py:Rew"), items)
    assert [one.lower().count("the task rew") for one in told] == [1]
    assert told[0].startswith("Warning: the task Rew: reward returns 2.0")


@pytest.mark.parametrize("words", [("task", "check"), ("check", "units.csv", "--task"), ("show", "run", "--own-task")])
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("units.py", CLASS, "Name the class as well: units.py:Rew."),
        ("units.py:not-a-name", CLASS, "Name the class as well: units.py:Rew."),
        ("units.py", f"{CLASS}\nclass Units:\n    class Inner: ...\n", "units.py:Rew or units.py:Units."),
        ("units.py", "open('ran', 'w')\n", "Name the class as well: as in units.py:MyTask."),
        ("units.py", "open('ran', 'w')\nclass Mine:\n    pass\n", "Name the class as well: units.py:Mine."),
        ("units.py", "class :", "Name the class as well: as in units.py:MyTask."),
        ("gone.py", CLASS, "Cannot read the task gone.py: No such file or directory."),
    ],
)
def test_a_forgotten_class_is_asked_for_and_nothing_is_run(folder, capsys, words, name, content, said):
    (folder / "units.py").write_text(content)
    assert main([*words, name]) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("number", "pattern:("), "ok.toml: The answer's pattern '(' is not a regular expression"),
        (("number", "numbr"), "ok.toml: Unknown kind of answer 'numbr'"),
        (('answer = "number"', 'reward = "exakt"'), "ok.toml: Unknown reward 'exakt'"),
        (('answer = "number"', 'marker = " "'), "ok.toml: The marker opens a line"),
        (("{{ text }}", ""), "ok.toml, prompt"),
    ],
)
def test_what_is_wrong_in_a_toml_file_is_told_with_its_name_once(folder, capsys, change, said):
    (folder / "ok.toml").write_text(TOML.replace(*change))
    code, told = check(capsys, "ok.toml")
    assert (code, said in told, told.count("ok.toml")) == (2, True, 1), told


def test_two_rows_are_enough_to_check_a_task_on(folder, capsys):
    table(folder / "two.csv", ROWS[:2])
    code, said = check(capsys, "ok.toml", "two.csv", "--inputs-col", "text=body")
    assert "cannot fill" not in said
    assert (code, "tested on 2 items" in said) == (0, True)
