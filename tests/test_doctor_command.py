"""`rationem check` proposes one command that can be copied, says why, and asks one question at a time."""

import shlex

import pytest

from doctored import check, codes, finding, rows, write
from rationem.check.command import typed
from rationem.cli.main import main
from rationem.cli.parser import Parser
from rationem.cli.settings import add_settings, read_settings
from rationem.config import FitConfig, configured
from rationem.errors import DataError
from rationem.run.preflight import check_varied
from rationem.run.prepare import prepare


def proposed(tmp_path, capsys, table, *flags):
    _, found = check(capsys, write(tmp_path / "r.csv", table), *flags)
    return found["command"], found


def without_model(words):
    """The arguments of a proposed fit; its model may not be installed here."""
    at = words.index("--model")
    return [*words[2:at], *words[at + 2 : -2]]


def with_ratings(cells):
    return [{**row, "rating": cell} for row, cell in zip(rows(len(cells)), cells, strict=True)]


@pytest.mark.parametrize(
    ("cells", "flags"),
    [
        (["1", "2", "3", "N/A", "4"] * 30, ["--scale", "1-4", "--missing", "N/A"]),
        (["1", "2", "3", "99", "4", "1", "2", "3", "4"] * 20, ["--scale", "1-4", "--missing", "99"]),
        (["3.33", "3.67", "2", "1.33", "5"] * 30, ["--scale", "1-5", "--round"]),
        ([f"{n * 0.37:.2f}" for n in range(150)], ["--scale", "1-5", "--bins", "5"]),
        (["[1, 1]", "[2, 2]", "[3, 3]"] * 50, ["--scale", "1-3"]),
        (["bad", "good", "excellent"] * 50, ["--scale", "bad < good < excellent"]),
    ],
)
def test_the_command_has_the_flags_that_the_values_need_and_a_check_with_them_is_sound(tmp_path, capsys, cells, flags):
    found, _ = proposed(tmp_path, capsys, with_ratings(cells))
    words = shlex.split(found["text"])
    flags = [*flags, "--model", "smollm2"]
    assert words == ["rationem", "fit", str(tmp_path / "r.csv"), *flags, "--output", "run"]
    assert set(found["because"]) == {flag for flag in flags if flag.startswith("--")}
    code, again = check(capsys, *without_model(words))
    assert code == 0
    assert again["scale"]["from"] == "given"


def test_guessed_columns_and_codes_of_a_given_scale_are_named(tmp_path, capsys):
    table = [{"question": r["prompt"], "answer": r["response"], "label": r["rating"], "x": "1"} for r in rows(120)]
    table[3]["label"] = "n/a"
    found, told = proposed(tmp_path, capsys, table, "--scale", "1-5", "--rating-col", "label")
    assert "unusable_rows" not in codes(told)
    assert told["data"]["notes"]["values"] == ["Read as no rating: 'n/a' (1)."]
    words = shlex.split(found["text"])
    assert {*words} >= {"--prompt-col", "question", "--response-col", "answer"}
    assert check(capsys, *without_model(words))[0] == 0


def test_an_error_that_no_flag_settles_leaves_no_command_but_the_question(tmp_path, capsys):
    table = with_ratings(["1", "2", "six"] * 40)
    found, _ = proposed(tmp_path, capsys, table, "--scale", "1-5")
    assert found["text"] is None
    assert "cannot be used" in found["question"]


def test_a_rare_zero_is_asked_about_before_anything_else(tmp_path, capsys):
    found, told = proposed(tmp_path, capsys, with_ratings(["1", "2", "3", "4"] * 30 + ["0"] * 5))
    assert finding(told, "rare_zero")["count"] == 5
    assert "--missing 0" in found["question"]
    found, told = proposed(tmp_path, capsys, with_ratings(["1", "2", "3", "4", "0"] * 30))
    assert "rare_zero" not in codes(told)
    assert "--instruction" in found["question"]


def test_nothing_is_asked_where_everything_is_said(tmp_path, capsys):
    found, _ = proposed(tmp_path, capsys, rows(200), "--scale", "1-5", "--instruction", "Is it right?")
    assert found["question"] is None
    assert set(found["because"]) == {"--model"}
    found, _ = proposed(tmp_path, capsys, rows(200), "--scale", "1-5", "--model", "tiny-judge")
    assert found["because"] == {}
    assert "--model tiny-judge" in found["text"]


def test_the_printed_command_is_one_command_for_a_shell(tmp_path, capsys):
    file = write(tmp_path / "r.csv", with_ratings(["a bit bad", "very bad indeed", "fairly good"] * 50))
    main(["check", file, "--scale", "very bad indeed < a bit bad < fairly good", "--instruction", "Is it good?"])
    lines = capsys.readouterr().out.splitlines()
    start = next(n for n, line in enumerate(lines) if line.strip().startswith("rationem fit"))
    end = next(n for n in range(start, len(lines)) if not lines[n].endswith("\\"))
    words = shlex.split(" ".join(line.rstrip("\\") for line in lines[start : end + 1]))
    assert words[-4:] == ["--instruction", "Is it good?", "--output", "run"]
    assert words[3:5] == ["--scale", "very bad indeed < a bit bad < fairly good"]


@pytest.mark.parametrize("settings", [{"missing": "-1"}, {"where": ("a=b c", "n>3")}, {"round": True, "elide": True}])
def test_every_setting_is_typed_as_the_command_line_reads_it(settings):
    config = configured(data=("r.csv",), **settings)
    parser = Parser()
    add_settings(parser, FitConfig.model_fields)
    parser.add_argument("--output")
    options = parser.parse_args(shlex.split(typed(config))[2:])
    assert read_settings(options) == config


def test_findings_name_their_criterion(tmp_path, capsys):
    table = [{**row, "help": 1 + n % 5, "tone": 5} for n, row in enumerate(rows(100))]
    _, found = check(capsys, write(tmp_path / "r.csv", table), "--criterion", "help,tone", "--scale", "1-5")
    assert finding(found, "one_label")["message"].startswith("Criterion 'tone': every item has the label '5'")
    assert finding(found, "one_label")["severity"] == "warning"


def test_one_label_everywhere_is_refused_before_training(tmp_path):
    config = configured(data=(write(tmp_path / "r.csv", with_ratings(["5"] * 60)),), scale="1-5")
    with pytest.raises(DataError, match="Every answer is '5': there is nothing to learn"):
        check_varied(prepare(config)[1])


def test_one_response_that_is_always_better_is_suspected(tmp_path, capsys):
    table = [
        {"prompt": r["prompt"], "chosen": r["response"], "rejected": r["response"][::-1], "better": "A"}
        for r in rows(80)
    ]
    file = write(tmp_path / "r.csv", table)
    _, found = check(capsys, file, "--response-col", "chosen,rejected", "--rating-col", "better", "--scale", "A | B")
    assert "'chosen' is better" in finding(found, "one_side")["message"]
