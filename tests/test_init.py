"""``rationem init`` and ``rationem completion``."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from rationem.cli.main import COMMANDS, main
from rationem.config import FitConfig, Mark, read_config, settings_with


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answering(monkeypatch, *answers):
    waiting = iter(answers)

    def ask(_prompt):
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", ask)


@pytest.fixture
def files(folder):
    for name in ("a.csv", "b c.csv"):
        Path(name).write_text("prompt,response,rating\np,r,1\n")


def test_an_answer_that_cannot_be_is_asked_for_again(files, monkeypatch, capsys):
    answers = ("nofile.csv", "a.csv 'b", "a.csv", "a.csv", "helpful: 1-5; tone: 2-10", "", "perhaps", "no")
    answering(monkeypatch, *answers)
    assert main(["init"]) == 0
    found = tomllib.loads(Path("run.toml").read_text())
    assert found == {"data": ["a.csv"], "scale": "helpful: 1-5; tone: 2-10", "quick": False}
    said = capsys.readouterr().out
    assert "nofile.csv: there is no such file" in said
    assert said.count("Try again") == 4
    assert "rationem fit --config run.toml --model MODEL -o runs/first" in said


def test_answers_become_a_file_that_fit_reads(files, monkeypatch, capsys):
    answering(monkeypatch, "a.csv 'b c.csv'", "1-5", "", "yes")
    assert main(["init"]) == 0
    assert tomllib.loads(Path("run.toml").read_text()) == {"data": ["a.csv", "b c.csv"], "scale": "1-5", "quick": True}
    assert read_config(Path("run.toml"), {}) == FitConfig(data=("a.csv", "b c.csv"), scale="1-5", quick=True)
    said = capsys.readouterr().out
    assert all(FitConfig.model_fields[name].description in said for name in settings_with(Mark.ASKED))
    assert "rationem check --config run.toml" in said


def test_what_a_flag_says_is_not_asked(folder, monkeypatch):
    answering(monkeypatch, "some/model", "no")
    assert main(["init", "a.csv", "--scale", "1-3", "--lr", "0.5", "-o", "other.toml"]) == 0
    found = tomllib.loads(Path("other.toml").read_text())
    assert found == {"data": ["a.csv"], "scale": "1-3", "learning_rate": 0.5, "model": "some/model", "quick": False}


def test_without_a_terminal_it_says_what_to_give_and_writes_nothing(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert main(["init", "--model", "m"]) == 2
    said = capsys.readouterr().err
    assert "DATA, --scale, --quick" in said
    assert "--yes" in said
    assert not list(folder.iterdir())
    assert main(["init", "--model", "m", "--yes"]) == 0
    assert tomllib.loads(Path("run.toml").read_text()) == {"model": "m"}


@pytest.mark.parametrize(
    ("answers", "arguments", "said"),
    [
        (("a.csv",), [], "before the last question"),
        (("nofile.csv", "1-5", "m", "no"), [], "before the last question"),
        ((), ["--yes", "-o", "no/run.toml"], "there is no directory"),
    ],
)
def test_what_cannot_be_is_an_error_and_nothing_is_written(folder, monkeypatch, capsys, answers, arguments, said):
    answering(monkeypatch, *answers)
    assert main(["init", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not list(folder.iterdir())


def test_it_overwrites_nothing(folder, capsys):
    Path("run.toml").write_text("mine")
    assert main(["init", "--yes"]) == 2
    assert Path("run.toml").read_text() == "mine"


def completed(script, *words):
    code = f'source {script}; COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _rationem; printf "%s\\n" "${{COMPREPLY[@]}}"'
    told = subprocess.run(["bash", "-c", code, "bash", *words], capture_output=True, text=True, check=True)
    return told.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_a_shell_completes_commands_flags_and_their_values(folder, capsys):
    assert main(["completion", "bash"]) == 0
    Path("complete.sh").write_text(capsys.readouterr().out)
    assert completed("./complete.sh", "rationem", "") == [*COMMANDS, "--help", "--version"]
    assert completed("./complete.sh", "rationem", "fit", "--learn") == ["--learning-rate"]
    assert completed("./complete.sh", "rationem", "fit", "--schedule", "co") == ["constant", "cosine"]
    assert completed("./complete.sh", "rationem", "model", "ins") == ["install"]
    assert completed("./complete.sh", "rationem", "demo", "ratings", "--se") == ["--seed"]
    assert completed("./complete.sh", "rationem", "model", "install", "") == ["smollm2"]
    assert completed("./complete.sh", "rationem", "fit", "--model", "tiny-j") == ["tiny-judge"]
    assert completed("./complete.sh", "rationem", "fit", "--scheme", "st") == ["star"]
    cases = [line for line in Path("complete.sh").read_text().splitlines() if line.endswith(";;")]
    named = [line.partition(")")[0] for line in cases]
    assert len(set(named)) == len(named)  # of two equal cases the second is never reached
    assert completed("./complete.sh", "rationem", "show", "x") == []  # files: left to the shell


def test_an_unknown_choice_is_said_in_the_same_words_as_an_unknown_flag(capsys):
    with pytest.raises(SystemExit):
        main(["completion", "fish"])
    said = capsys.readouterr().err
    assert "shell fish: there is no such choice. Choose from bash, zsh." in said
    assert "argument" not in said


def test_no_example_of_a_help_is_wider_than_80_columns():
    from rationem.cli.main import parser_of

    for name in COMMANDS:
        command = parser_of(name)._subparsers._group_actions[0].choices[name]
        assert [line for line in (command.epilog or "").splitlines() if len(line) > 80] == []
        assert "{'" not in command.format_help()


def test_a_missing_configuration_names_the_nearest_file(folder, capsys):
    Path("first.toml").write_text("")
    assert main(["check", "ratings.csv", "--config", "frist.toml"]) == 2
    said = capsys.readouterr().err
    assert "Cannot read the configuration frist.toml: there is no such file. Did you mean 'first.toml'?" in said
    assert "Errno" not in said


def test_zsh_gets_the_same_by_its_own_support_of_bash(capsys):
    assert main(["completion", "zsh"]) == 0
    zsh = capsys.readouterr().out
    assert main(["completion", "bash"]) == 0
    assert "bashcompinit" in zsh
    assert zsh.splitlines()[3:] == capsys.readouterr().out.splitlines()[1:]
