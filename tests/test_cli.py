"""The command line: what cannot work says why, with file and row, exits with 2, and writes nothing."""

import csv
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rationem import RationemError, Scale, progress
from rationem.cli import main as cli
from rationem.config import FitConfig, Mark, marks_of, read_config, to_toml
from rationem.engines import models
from rationem.errors import ConfigError
from rationem.run import launch as launching
from rationem.run import preflight

HEAD = ("prompt", "response", "rating")
ROWS = [(f"what is {n} ?", f"{n} kind", str(n % 5 + 1)) for n in range(30)]


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """Each test's display ends with it."""
    monkeypatch.setattr(progress, "_display", progress.Silent())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("good.csv", [HEAD, *ROWS])
    Path("empty").mkdir()
    return tmp_path


def write(name, rows):
    with Path(name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def contents(directory):
    """Every file by its bytes, but SQLite's own scratch beside a ledger that is read."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(Path(directory).rglob("*"))
        if not path.name.startswith("ledger.sqlite-")
    }


def run(arguments, capsys):
    try:
        code = cli.main(list(map(str, arguments)))
    except SystemExit as left:  # argparse
        code = left.code
    out, err = capsys.readouterr()
    return code, out, err


def dense(text):
    """The text without blanks: the terminal breaks lines where it likes."""
    return "".join(text.split())


GOOD = ("fit", "good.csv", "--scale", "1-5", "--model", "no-such-model", "--output", "run")


def changed(**flags):
    """GOOD with some flags replaced, added, or (None) left out."""
    words = dict(zip(GOOD[2::2], GOOD[3::2], strict=True))
    words |= {f"--{name.replace('_', '-')}": value for name, value in flags.items() if name != "data"}
    pairs = [word for flag, value in words.items() if value is not None for word in (flag, value)]
    return ["fit", *flags.get("data", ["good.csv"]), *pairs]


#: what is wrong -> (rows of bad.csv or None, the command, what the message must say).
BAD_ROWS = {
    "missing column": (
        [("prompt", "words", "rating"), ("a", "b", "1")],
        ["bad.csv:2", "'response'", "--response-col"],
    ),
    "misspelt column": ([("prompt", "respnse", "rating"), ("a", "b", "1")], ["bad.csv:2", "Did you mean 'respnse'"]),
    "unknown level": ([HEAD, *ROWS[:3], ("a", "b", "6")], ["bad.csv:5", "'6'", "'1 < 2 < 3 < 4 < 5'"]),
    "level between two": ([HEAD, *ROWS[:3], ("a", "b", "3.5")], ["bad.csv:5", "'3.5'"]),
    "empty text": ([HEAD, *ROWS[:2], ("a", "  ", "1")], ["bad.csv:4", "'response'", "empty"]),
    "empty rating": ([HEAD, *ROWS[:2], ("a", "b", "")], ["bad.csv:4", "rating", "empty"]),
    "ragged row": ([HEAD, ("a", "b", "1", "more")], ["bad.csv:2", "4 cells", "3"]),
    "no usable row": ([HEAD], ["bad.csv", "no row"]),
    "empty file": ([], ["bad.csv", "no row"]),
    "one group only": ([HEAD, ("a", "b", "1"), ("a", "c", "2")], ["1 group", "--group-col"]),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_named_with_file_and_row_and_nothing_is_written(folder, capsys, case):
    rows, said = BAD_ROWS[case]
    write("bad.csv", rows)
    before = contents(folder)
    code, out, err = run(changed(data=["bad.csv"]), capsys)
    assert code == 2
    assert out == ""
    assert err.startswith("reading bad.csv\nrationem: ")
    assert "Traceback" not in err
    for part in said:
        assert part in err
    assert contents(folder) == before


@pytest.mark.parametrize("place", ["data", "test"])
def test_a_duplicate_id_with_two_labels_names_both_rows(folder, capsys, place):
    write("bad.csv", [("id", *HEAD), ("x", "a", "b", "1"), ("y", "c", "d", "2"), ("x", "a", "b", "3")])
    write("good.csv", [("id", *HEAD), *((n, *row) for n, row in enumerate(ROWS))])
    before = contents(folder)
    named = {"data": ["bad.csv"]} if place == "data" else {"test": "bad.csv"}
    code, _, err = run(changed(id_col="id", **named), capsys)
    assert code == 2
    assert "bad.csv:4" in err
    assert "bad.csv:2" in err
    assert "['1'] and ['3']" in err
    assert contents(folder) == before


BAD_COMMANDS = {
    "missing file": (changed(data=["god.csv"]), ["god.csv", "no such file", "Did you mean 'good.csv'"]),
    "missing test file": (changed(test="gone.csv"), ["gone.csv", "no such file"]),
    "directory without data": (changed(data=["empty"]), ["empty", "data set"]),
    "the same file twice": (changed(data=["good.csv", "./good.csv"]), ["good.csv", "twice"]),
    "no scale": (changed(scale=None), ["good.csv", "--scale 1-5"]),
    "falling scale": (changed(scale="5-1"), ["'5-1'", "rise"]),
    "one level": (changed(scale="Good"), ["'Good'", "Bad < Fair < Good"]),
    "unknown preset": (changed(preset="feedbackaq"), ["Did you mean 'feedbackqa'"]),
    "unknown scheme": (changed(scheme="stra"), ["'stra'", "Did you mean 'star'"]),
    "budget of zero": (changed(scheme="rs:0"), ["'rs:0'", "1 and 4096"]),
    "unknown selector": (changed(selector="last"), ["'last'", "first", "all"]),
    "no iteration": (changed(iterations="0"), ["--iterations", "'0'", "greater than or equal to 1"]),
    "negative seed": (changed(seed="-1"), ["--seed", "'-1'"]),
    "a word for a number": (changed(steps="many"), ["--steps", "'many'", "integer"]),
    "rate of zero": (changed(learning_rate="0"), ["--learning-rate", "greater than 0"]),
    "rate that is no number": (changed(learning_rate="nan"), ["--learning-rate"]),
    "infinite rate": (changed(learning_rate="inf"), ["--learning-rate"]),
    "infinite temperature": (changed(temperature="inf"), ["--temperature"]),
    "steps and epochs": (changed(steps="3", epochs="1"), ["steps", "epochs", "one"]),
    "batches that do not divide": (changed(batch_size="8", micro_batch_size="3"), ["batch_size", "micro_batch_size"]),
    "nothing to train on": (changed(validation_share="0.5", test_share="0.5"), ["validation_share", "test_share"]),
    "output is a file": (changed(output="good.csv"), ["good.csv", "is a file"]),
    "output below a file": (changed(output="good.csv/run"), ["good.csv", "file"]),
    "output is not a run": (changed(output="."), ["holds other files and no run"]),
    "no model": (changed(model=None), ["--model", "GB", "tiny-judge"]),
    "no data and no run": (changed(data=[]), ["No data"]),
    "config is missing": (changed(config="gone.toml"), ["gone.toml"]),
    "unknown flag": ([*GOOD, "--learning-rat", "x"], ["--learning-rat"]),
    "no output": (changed(output=None), ["--output"]),
    "unknown schedule": (changed(schedule="cosin"), ["cosin", "cosine"]),
    "report without a run": (["report", "gone"], ["gone holds no run"]),
    "test set of the world": (changed(data=["world"], test="good.csv"), ["'world'", "--test"]),
    "world beside a file": (changed(data=["world", "good.csv"]), ["world"]),
}


@pytest.mark.parametrize("case", BAD_COMMANDS)
def test_a_bad_command_says_what_is_wrong_and_writes_nothing(folder, capsys, case):
    arguments, said = BAD_COMMANDS[case]
    before = contents(folder)
    code, out, err = run(arguments, capsys)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    for part in said:
        assert part in err
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learning_rat = 1e-3", ["bad.toml", "'learning_rat'", "Did you mean 'learning_rate'"]),
        ("steps = 0", ["bad.toml: steps", "0", "greater than or equal to 1"]),
        ("iterations = 3\nsteps = 5\nepochs = 1.0", ["steps", "epochs"]),
        ("scheme = star", ["bad.toml", "line 1"]),
        ('schedule = "cosin"', ["bad.toml: schedule", "cosin"]),
        ("[training]\nsteps = 3", ["bad.toml", "'training'"]),
        ("steps = 4\nsteps = 5", ["bad.toml", "overwrite"]),
    ],
)
def test_a_bad_configuration_names_its_file_and_key(folder, capsys, text, said):
    Path("bad.toml").write_text(text)
    before = contents(folder)
    code, out, err = run(["fit", "good.csv", "--config", "bad.toml", "--output", "run"], capsys)
    assert (code, out) == (2, "")
    for part in said:
        assert part in err
    assert contents(folder) == before


def test_the_tiny_judge_is_never_the_silent_default_for_a_users_file(folder, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(models, "resolve", lambda name: asked.append(name) or name)
    assert run(changed(model=None), capsys)[0] == 2
    assert asked == []
    with pytest.raises(ConfigError, match="No model"):
        launching.start(FitConfig(data=("good.csv",), scale="1-5"), folder / "run")


def test_the_suggested_models_fit_the_memory(monkeypatch):
    from rationem.engines.suggested import suggestion

    def memory(gigabytes):
        monkeypatch.setattr(os, "sysconf", lambda name: 2**12 if "SIZE" in name else gigabytes * 2**18)
        return suggestion()

    assert "0.5B" in memory(4)
    assert "3B" not in memory(8)
    assert "1.5B" in memory(8)
    assert "7B" in memory(64)


def test_a_suggested_scale_can_be_typed_as_it_is_shown(folder, capsys):
    import shlex

    write("negative.csv", [HEAD, *((a, b, int(c) - 3) for a, b, c in ROWS)])
    code, _, err = run(changed(data=["negative.csv"], scale=None), capsys)
    assert code == 2
    typed = shlex.split(err[err.index("`") + 1 : err.rindex("`")])
    code, out, err = run([*changed(data=["negative.csv"], scale=None), *typed, "--dry-run"], capsys)
    assert code == 0, err
    assert Scale.parse(tomllib.loads(out[: out.index("train ")])["scale"]).levels == ("-2", "-1", "0", "1", "2")


@pytest.mark.parametrize("command", ["fit", "check", "prompt", "compare", "task check judge"])
@pytest.mark.parametrize("scale", ["-2..2", "-2-2", "-2 to 2", "-2..2 by 0.5", "-.5..2 by 0.5"])
def test_a_scale_may_begin_below_zero(monkeypatch, command, scale):
    seen = []
    for module in ("fit", "check", "prompt", "compare", "task"):
        monkeypatch.setattr(f"rationem.cli.{module}.run", lambda options: seen.append(options) or 0)
    more = ["--output", "run"] if command in ("fit", "compare") else []
    assert cli.main([*command.split(), "d.csv", "--scale", scale, "--id-col", "i", *more]) == 0
    assert (seen[0].scale, seen[0].id_col, seen[0].data) == (scale, "i", ["d.csv"])


def test_a_flag_behind_a_scale_is_still_a_flag(folder, capsys):
    code, _, err = run(["fit", "good.csv", "--output", "run", "--scale", "--seed", "1"], capsys)
    assert code == 2
    assert "argument --scale: expected one argument" in err


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["fit", "good.csv", "--scale", "9-1"], ["report", "good.csv"], ["fit", "gone.csv"]]
)
def test_a_real_process_exits_with_2_and_no_traceback(folder, arguments):
    before = contents(folder)
    more = ["--model", "x", "--output", "run"] if arguments[0] == "fit" else []
    command = [sys.executable, "-m", "rationem.cli.main", *arguments, *more]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert told.returncode == 2
    *before_it, error = told.stderr.splitlines()
    assert error.startswith("rationem: ")
    assert before_it == [f"reading {arguments[1]}"] * (arguments[0] == "fit")
    assert told.stdout == ""
    assert contents(folder) == before


def test_an_error_of_ours_keeps_its_traceback_and_an_interrupt_is_no_error(folder, monkeypatch, capsys):
    def broken(config, output):
        raise ZeroDivisionError

    monkeypatch.setattr(launching, "start", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(list(GOOD))

    def interrupted(config, output):
        raise KeyboardInterrupt

    monkeypatch.setattr(launching, "start", interrupted)
    assert run(GOOD, capsys)[0] == 130


def test_a_dry_run_shows_settings_and_sizes_and_writes_nothing(folder, capsys):
    before = contents(folder)
    code, out, _ = run([*GOOD, "--dry-run"], capsys)
    assert code == 0
    assert "train 24, validation 3, test 3 examples" in out
    shown = tomllib.loads(out[: out.index("train ")])
    assert (shown["scale"], shown["model"], shown["data"]) == ("1-5", "no-such-model", ["good.csv"])
    assert contents(folder) == before


def test_a_dry_run_tells_what_a_run_would_take_and_leave_out(folder, capsys):
    write("odd.csv", [("Question", "output", "score"), *ROWS, ("what ?", "kind", "very")])
    code, out, err = run([*changed(data=["odd.csv"]), "--skip-unusable", "--dry-run"], capsys)
    assert code == 0, err
    assert "Columns taken: 'score' as the rating, 'output' as the response, 'Question' as the prompt.\n" in out
    assert "Rows left out because they cannot be used: 1. odd.csv:32: in column 'score', 'very'" in out


@pytest.mark.parametrize("flags", [{"scheme": "stra"}, {"selector": "frist"}, {"output": "good.csv"}, {"model": None}])
def test_a_dry_run_finds_what_a_run_would_refuse(folder, capsys, flags):
    dry = run([*changed(**flags), "--dry-run"], capsys)
    assert dry[0] == 2
    assert dry[2] == run(changed(**flags), capsys)[2]


def test_a_dry_run_on_an_existing_run_does_not_resume_it(folder, capsys, monkeypatch):
    Path("run").mkdir()
    Path("run/config.toml").write_text(to_toml(read_config(None, {"data": ["good.csv"], "scale": "1-5", "model": "m"})))
    Path("run/ledger.sqlite").touch()
    resumed = []
    monkeypatch.setattr(launching, "start", lambda *given: resumed.append(given) or Path("run"))
    before = contents(folder)
    code, out, _ = run(["fit", "--output", "run", "--model", "m", "--dry-run"], capsys)
    assert resumed == []
    assert code == 0
    assert "train 24" in out
    assert contents(folder) == before


def test_a_run_killed_before_its_first_write_can_be_started_again(folder, capsys):
    """What a process leaves that was killed between making the directory and the first transaction."""
    for left in (["checkpoints"], ["checkpoints", ".lock"], ["checkpoints", ".lock", "ledger.sqlite"]):
        Path("run/checkpoints").mkdir(parents=True, exist_ok=True)
        for name in left[1:]:
            Path("run", name).touch()
        code, _, err = run([*GOOD, "--dry-run"], capsys)
        assert code == 0, err
        preflight.check_directory(folder / "run")


@pytest.mark.parametrize("content", [b"", b"no database at all " * 400])
def test_a_report_of_a_directory_without_a_recorded_run_is_a_clear_error(folder, capsys, content):
    Path("run").mkdir()
    Path("run/ledger.sqlite").write_bytes(content)
    before = contents(folder)
    code, out, err = run(["report", "run"], capsys)
    assert (code, out) == (2, "")
    assert "run" in err
    assert contents(folder) == before


@pytest.mark.parametrize(
    "arguments",
    [["demo", "schemes", "--iterations", "0"], ["demo", "schemes", "--seed", "-1"], ["world", "--examples", "0"]],
)
def test_other_commands_refuse_what_cannot_be(folder, capsys, monkeypatch, arguments):
    monkeypatch.setattr(models, "resolve", lambda name: name)
    before = contents(folder)
    code, _, err = run([*arguments, "--output", "out.csv"], capsys)
    assert code == 2
    assert err
    assert contents(folder) == before


def other(name):
    """A value other than the default of a setting, made from its type and limits."""
    field, default = FitConfig.model_fields[name], FitConfig.model_fields[name].default
    text = str(field.annotation)
    if "Literal" in text:
        words = re.findall(r"'([^']+)'", text)
        return tuple(words[:2]) if "tuple" in text else next(word for word in words if word != default)
    if "tuple" in text:
        return ("--one", "two") if name == "vllm_args" else ("one", "two words")
    if "bool" in text:
        return not default
    if "int" in text:
        return 11 if default == 10 else 16 if name == "micro_batch_size" else 64 if name == "batch_size" else 12
    return 'Is it "kind", and 100 % true?' if "str" in text else 0.125


def understood(arguments, monkeypatch, capsys):
    """The configuration that the command line hands on."""
    found = []

    def stop(config, output):
        found.append(config)
        raise RationemError("stopped")

    monkeypatch.setattr(launching, "start", stop)
    assert run(arguments, capsys)[0] == 2
    assert len(found) == 1
    return found[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", FitConfig.model_fields)
def test_a_flag_and_a_line_of_toml_are_the_same_setting(folder, monkeypatch, capsys, name):
    value = other(name)
    expected = FitConfig(**{name: value})
    assert expected != FitConfig()
    Path("c.toml").write_text(f"{name} = {json.dumps(value)}\n")
    by_file = understood(["fit", "--config", "c.toml", "--output", "run"], monkeypatch, capsys)
    words = [str(word) for word in value] if isinstance(value, tuple) else [str(value)]
    flag = f"--{name.replace('_', '-')}"
    typed = words if name == "data" else [flag, *words]
    if isinstance(value, bool):
        typed = [flag if value else flag.replace("--", "--no-", 1)]
    if Mark.ONE_TEXT in marks_of(name):
        typed = [f"{flag}={shlex.join(words)}"]
    by_flag = understood(["fit", *typed, "--output", "run"], monkeypatch, capsys)
    assert by_file == by_flag == expected


def test_a_flag_of_several_values_may_be_repeated():
    from rationem.cli import check, settings
    from rationem.cli.parser import Parser

    parser = Parser(prog="rationem")
    check.arguments(parser)
    options = parser.parse_args(["a.csv", "--where", "a=1", "b=2", "--where", "c=3"])
    assert settings.given(options)["where"] == ["a=1", "b=2", "c=3"]


def test_flags_win_over_the_file(folder, monkeypatch, capsys):
    Path("c.toml").write_text('steps = 5\nelide = true\nscheme = "pps"\ndata = ["c.csv"]\n')
    flags = ["good.csv", "--steps", "6", "--no-elide", "--config", "c.toml", "--output", "run"]
    found = understood(["fit", *flags], monkeypatch, capsys)
    assert found == FitConfig(steps=6, elide=False, scheme="pps", data=("good.csv",))


def test_every_setting_has_a_flag_a_help_and_a_description(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "1000")
    code, out, _ = run(["fit", "--help-all"], capsys)
    assert code == 0
    text = " ".join(out[out.index("positional arguments") :].split())
    for name, field in FitConfig.model_fields.items():
        assert field.description, name
        explained = text.index(field.description)
        flags = [word for word in text[:explained].split() if word.startswith("--") and not word.startswith("--no-")]
        assert name == "data" or flags[-1].strip(",") == f"--{name.replace('_', '-')}"
        if field.default not in (None, (), "", False):
            assert text[explained + len(field.description) :].startswith(f" (default: {field.default})")


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_traceback(tmp_path):
    """As in ``rationem ... | head -1``: the pipe is closed before all is written."""
    code = "import sys\nfrom rationem.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "fit", "world", "--dry-run", "--output", str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    process.stdout.close()
    with process.stderr as said:
        assert said.read().decode() == "reading world\n"
    assert process.wait() == 0


def test_every_command_explains_itself(capsys):
    code, out, _ = run(["--help"], capsys)
    assert code == 0
    commands = re.findall(r"^    ([a-z]+)", out, re.M)
    assert len(commands) >= 15
    for command in commands:
        code, out, _ = run([command, "--help"], capsys)
        assert code == 0
        assert f"  rationem {command}" in out[out.index("examples:") :]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAME = TEXT.filter(bool)


@pytest.mark.slow
@given(
    config=st.builds(
        FitConfig,
        data=st.lists(NAME, max_size=3).map(tuple),
        test=st.lists(NAME, max_size=2).map(tuple),
        criterion=TEXT,
        rating_col=st.none() | TEXT,
        model=st.none() | TEXT,
        scale=st.none() | TEXT,
        elide=st.booleans(),
        seed=st.integers(0, 2**80),
        learning_rate=st.none() | st.floats(1e-320, 1e300, exclude_min=True),
        temperature=st.floats(0, 1e6),
        steps=st.none() | st.integers(1, 10**9),
        raters=st.sampled_from(["each", "mean"]),
    )
)
@settings(max_examples=300, deadline=None)
def test_config_toml_reads_back_to_the_same_settings(config):
    assert FitConfig(**tomllib.loads(to_toml(config))) == config


@pytest.mark.parametrize(
    "character", [chr(code) for code in (0, 9, 10, 13, 27, 34, 39, 92, 127, 128, 0x85, 0x2028, 0xFEFF)]
)
def test_config_toml_holds_any_character(tmp_path, character):
    config = FitConfig(criterion=f"a{character}b", data=(f"{character}.csv",))
    path = tmp_path / "config.toml"
    path.write_bytes(to_toml(config).encode())
    assert read_config(path, {}) == config


def test_a_setting_that_no_file_can_hold_is_refused():
    """Half a character from a terminal (a surrogate) can be neither written nor encoded for a model."""
    with pytest.raises(RationemError):
        read_config(None, {"criterion": "half \ud800"})


# With a model that writes verdicts ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grader(tmp_path_factory):
    import checkpoints

    return checkpoints.grader(tmp_path_factory.mktemp("model"))


SMALL = (
    "--scheme", "star", "--iterations", "1", "--steps", "2", "--batch-size", "4", "--micro-batch-size", "4",
    "--max-new-tokens", "24", "--max-prompt-tokens", "600", "--draws", "2", "--device", "cpu",
)  # fmt: skip


def fit_grader(grader, *more, data="good.csv"):
    return ["fit", data, "--scale", "1-5", "--model", grader, "--output", "run", *SMALL, *more]


@pytest.fixture
def one_core(monkeypatch):
    """The default number of threads is the number of cores."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)


@pytest.mark.slow
def test_a_run_from_start_to_end_again_and_against_others(folder, capsys, grader, one_core, monkeypatch):
    code, out, err = run(fit_grader(grader), capsys)
    assert code == 0, err
    assert "report.html    the report, for a browser" in out
    assert "before training: score on validation" in err
    assert re.search(r"iteration 1: score on validation -[\d.]+ nats, the best", err)
    names = {path.name for path in Path("run").iterdir()}
    assert {"config.toml", "ledger.sqlite", "metrics.json", "report.md", "model", "checkpoints"} <= names
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["examples"] == {"train": 24, "validation": 3, "test": 3}
    assert sum(metrics["iterations"][1]["e_step"]["states"].values()) == 24
    assert read_config(Path("run/config.toml"), {}).steps == 2

    # Finished: it says so, exits 0 and changes nothing, by the whole command or by the directory alone, also where the
    # default number of threads is another by now.
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    done = contents("run")
    for again in (fit_grader(grader), ["fit", "--output", "run"]):
        code, _, err = run(again, capsys)
        assert code == 0
        assert dense("is finished; nothing to do") in dense(err)
        assert contents("run") == done

    # A dry run leaves a finished run alone.
    assert run([*fit_grader(grader), "--dry-run"], capsys)[0] == 0
    assert contents("run") == done

    # Other settings, other data: refused by name, and nothing is written.
    code, out, err = run(fit_grader(grader, "--steps", "3", "--scheme", "pps"), capsys)
    assert (code, out) == (2, "")
    assert "steps: 2 in the run, 3 asked" in err
    assert "scheme: 'star' in the run, 'pps' asked" in err
    assert "draws" not in err
    write("good.csv", [HEAD, *ROWS[:-1], (*ROWS[-1][:2], "1" if ROWS[-1][2] != "1" else "2")])
    code, _, err = run(fit_grader(grader), capsys)
    assert code == 2
    assert "data" in err
    assert contents("run") == done


@pytest.mark.slow
def test_report_recomputes_every_byte_from_the_ledger(folder, capsys, grader, one_core):
    assert run(fit_grader(grader), capsys)[0] == 0
    files = {name: Path("run", name).read_bytes() for name in ("metrics.json", "report.md")}
    for path in Path("run").iterdir():
        if path.name in files:
            path.unlink()
    Path("run/model").rename("elsewhere")
    Path("run/checkpoints").rename("elsewhere/checkpoints")
    code, out, _ = run(["report", "run"], capsys)
    assert code == 0
    assert {name: Path("run", name).read_bytes() for name in files} == files
    assert out.strip() == files["report.md"].decode().strip()


@pytest.mark.slow
@pytest.mark.parametrize(("raters", "trained"), [("each", 2.5), ("mean", 1)])
def test_several_raters_per_row(folder, capsys, grader, one_core, raters, trained):
    """Three rating columns, the third empty in every other row: 2.5 ratings per item."""
    rows = [(a, b, c, str((int(c) + 1) % 5 + 1), "5" if n % 2 else "") for n, (a, b, c) in enumerate(ROWS)]
    write("several.csv", [("prompt", "response", "r1", "r2", "r3"), *rows])
    more = ("--rating-col", "r1,r2,r3", "--raters", raters, "--validation-share", "0.2", "--test-share", "0.2")
    code, _, err = run(fit_grader(grader, *more, data="several.csv"), capsys)
    assert code == 0, err
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert metrics["notes"]["several_raters"] == 30
    assert metrics["notes"]["missing_ratings"] == 15
    assert metrics["examples"]["validation"] == metrics["examples"]["test"] == 6
    assert metrics["examples"]["train"] == pytest.approx(18 * trained, abs=5 if raters == "each" else 0)
    states = metrics["iterations"][1]["e_step"]["states"]
    assert sum(states.values()) == metrics["examples"]["train"]
    test = metrics["iterations"][-1]["test"]
    assert test["count"] == 6
    assert test["beside_humans"] is not None
    assert metrics["baselines"]["test"]["human_ceiling"] is not None
    assert read_config(Path("run/config.toml"), {}).rating_col == "r1,r2,r3"


@pytest.mark.slow
def test_a_model_that_is_not_there_is_named_and_nothing_is_written(folder, capsys):
    before = contents(folder)
    for name, advice in (("./no/such/directory", "hub id"), ("nobody/no-such-model", "tiny-judge")):
        code, _, err = run(changed(model=name), capsys)
        assert code == 2
        assert repr(name) in err
        assert advice in err
        assert contents(folder) == before


@pytest.mark.slow
def test_more_tokens_than_the_model_holds_are_refused_before_anything_is_written(folder, capsys, grader):
    before = contents(folder)
    code, _, err = run(fit_grader(grader, "--max-prompt-tokens", "1020"), capsys)
    assert code == 2
    assert "1024" in err
    assert contents(folder) == before


def test_patience_needs_a_validation_set(folder, capsys):
    flags = ["--model", "tiny-judge", "--scale", "1-5", "--validation-share", "0", "--patience", "2"]
    code, _, err = run(["fit", "good.csv", *flags, "--output", "run"], capsys)
    assert code == 2
    assert "--patience 2" in err
    assert not Path("run").exists()


# What people type -----------------------------------------------------------------------------------------------------


def test_the_short_help_has_the_common_flags_and_help_all_has_all(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    flags = {}
    for asked in ("--help", "--help-all"):
        code, out, err = run(["fit", asked], capsys)
        assert (code, err) == (0, "")
        assert max(map(len, out[: out.index("examples:")].splitlines())) <= 80
        flags[asked] = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", out, re.M))
    common = {f"--{name.replace('_', '-')}" for name in FitConfig.model_fields if Mark.COMMON in marks_of(name)}
    assert common < flags["--help"] < flags["--help-all"]
    assert len(flags["--help"]) <= 20
    assert len(flags["--help-all"]) > len(FitConfig.model_fields)


@pytest.mark.parametrize("command", ["fit", "check", "compare", "judge", "refit", "prompt"])
def test_long_commands_have_a_short_help_that_says_how_many_flags_it_leaves_out(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "1000")
    _, short, _ = run([command, "--help"], capsys)
    _, whole, _ = run([command, "--help-all"], capsys)
    count = int(re.search(rf"(\d+) more flags: rationem {command} --help-all", short)[1])
    assert count == whole.count("\n  -") - short.count("\n  -")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["fit", "--learning-rat", "1"], "Did you mean --learning-rate?"),
        (["fit", "--batch", "1"], "Did you mean --batch-size?"),
        (["fit", "--max-n", "1"], "Did you mean --max-new-tokens?"),
        (["fit", "--lora", "1"], "Did you mean --lora-rank, --lora-alpha, --lora-dropout or --lora-targets?"),
        (["judge", "r", "f", "--lr", "1"], "there is no flag --lr"),
        (["fti"], "Did you mean 'fit'?"),
        (["model", "instal", "smollm2"], "Did you mean 'install'?"),
        (["fit", "x.csv", "--schedule", "cosin"], "Did you mean 'cosine'?"),
    ],
)
def test_a_misspelt_name_is_an_error_with_a_suggestion_and_never_completed(folder, capsys, typed, said):
    code, out, err = run(typed, capsys)
    assert (code, out) == (2, "")
    assert said in err
    assert "--help" in err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["--lr", "0.5"], {"learning_rate": 0.5}),
        (["--lr=0.5"], {"learning_rate": 0.5}),
        (["--learning_rate", "0.5"], {"learning_rate": 0.5}),
        (["--num-train-epochs", "2"], {"epochs": 2.0}),
        (["--num_train_epochs=2"], {"epochs": 2.0}),
        (["--per_device_train_batch_size", "8"], {"micro_batch_size": 8}),
        (["--no_elide", "--lora_r", "4"], {"lora_rank": 4}),
        (["--vllm-args=--max_num_seqs 4"], {"vllm_args": ("--max_num_seqs", "4")}),
    ],
)
@pytest.mark.parametrize("output", ["--output", "--output-dir", "--output_dir", "-o"])
def test_flags_of_other_programs_mean_the_same_setting(folder, monkeypatch, capsys, typed, meant, output):
    found = understood(["fit", "good.csv", *typed, output, "run"], monkeypatch, capsys)
    assert found == FitConfig(data=("good.csv",), **meant)


def test_a_known_alias_in_a_file_is_named(folder, capsys):
    Path("c.toml").write_text("lr = 0.5\n")
    code, _, err = run(["fit", "good.csv", "--config", "c.toml", "--output", "run"], capsys)
    assert code == 2
    assert "Did you mean 'learning_rate'?" in err


def test_what_stands_behind_two_hyphens_is_no_flag(folder, monkeypatch, capsys):
    found = understood(["fit", "--output", "run", "--", "--odd_name.csv"], monkeypatch, capsys)
    assert found.data == ("--odd_name.csv",)


def test_a_quick_look_is_a_bundle_of_settings_and_other_flags_win(folder, monkeypatch, capsys):
    from rationem.config.quick import QUICK

    found = understood(["fit", "good.csv", "--quick", "--steps", "9", "--limit", "7", "-o", "run"], monkeypatch, capsys)
    assert (found.quick, found.steps, found.epochs, found.limit) == (True, 9, None, 7)
    rest = {name: value for name, value in QUICK.items() if name not in ("epochs", "limit")}
    assert {name: getattr(found, name) for name in rest} == rest
    assert FitConfig(quick=True) == FitConfig(quick=True, **QUICK) == read_config(None, {"quick": True})
    assert FitConfig(quick=False) == FitConfig()
    Path("c.toml").write_text(to_toml(found))
    assert read_config(Path("c.toml"), {}) == found


def test_the_version_is_that_of_the_package(capsys):
    import rationem

    assert run(["--version"], capsys)[:2] == (0, f"rationem {rationem.__version__}\n")
