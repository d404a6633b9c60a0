"""`rationem check`: a sound file has no finding of a defect, and each defect is found by its name, with its place."""

import io
import json
import re
from pathlib import Path

import pytest

from doctored import check, codes, finding, rows, write
from rationem.check.findings import Finding, Severity, exit_code, worst_first
from rationem.cli.main import main
from rationem.report.plain import tolerate

SCALE = ("--scale", "1-5")


@pytest.fixture
def sound(tmp_path):
    return write(tmp_path / "sound.csv", rows())


def broken(tmp_path, change, table=None):
    """A file in which ``change`` was done to the rows."""
    table = rows() if table is None else table
    change(table)
    return write(tmp_path / "broken.csv", table)


def test_a_sound_file_has_notes_and_small_sets_only_and_exits_0(sound, capsys):
    code, found = check(capsys, sound, *SCALE)
    assert code == 0
    assert codes(found, "error") == set()
    assert codes(found) == {"no_instruction", "single_ratings", "tiny_set"}  # 20 test rows of 200


def test_the_object_is_complete_and_counts_every_row_once(sound, capsys):
    _, found = check(capsys, sound, *SCALE)
    assert list(found) == [
        *("version", "data", "scale", "labels", "raters", "baselines", "criteria", "sets", "group_overlap"),
        *(
            "rows",
            "repeats",
            "columns",
            "control",
            "prompts",
            "cost",
            "answers",
            "drafts",
            "command",
            "findings",
            "exit_code",
        ),
    ]
    assert found["data"]["items"] == found["data"]["rows"] == 200
    assert sum(found["labels"]["data"]["pooled"].values()) == 200
    assert sum(part["rows"] for part in found["sets"].values()) == 200
    assert [part["rows"] for part in found["sets"].values()] == [160, 20, 20]
    for part in found["sets"].values():
        assert sum(part["labels"].values()) == pytest.approx(1)
    assert {one["severity"] for one in found["findings"]} <= {"error", "warning", "note"}


def test_errors_come_first_and_alone_decide_the_exit_code():
    several = [Finding(Severity.NOTE, "a", ""), Finding(Severity.WARNING, "b", ""), Finding(Severity.ERROR, "c", "")]
    assert [one.code for one in worst_first(several)] == ["c", "b", "a"]
    assert exit_code(several) == 1
    assert exit_code(several[:2]) == exit_code([]) == 0


def test_rows_that_cannot_be_used_are_an_error_with_reasons_and_places(tmp_path, capsys):
    def change(table):
        table[3]["response"] = "  "
        table[7]["rating"] = "9"
        table[8]["rating"] = "12"

    code, found = check(capsys, broken(tmp_path, change), *SCALE)
    assert code == 1
    told = finding(found, "unusable_rows")
    assert (told["severity"], told["count"]) == ("error", 3)
    assert any("broken.csv:5" in place and "empty" in place for place in told["places"])
    assert found["rows"] == {
        "rows": 200,
        "unusable": 3,
        "reasons": {
            "in column 'rating', a value is not a level of the scale '1 < 2 < 3 < 4 < 5'.": 2,
            "the text in column 'response' is empty.": 1,
        },
        "values": {"9": 1, "12": 1},
        "first": found["rows"]["first"],
    }
    assert [one["source"].rsplit("/", 1)[1] for one in found["rows"]["first"]] == [
        "broken.csv:5",
        "broken.csv:9",
        "broken.csv:10",
    ]
    assert found["data"]["items"] == 197


def test_rows_that_cannot_be_read_are_counted_too(tmp_path, capsys, sound):
    with open(sound, "a", encoding="utf-8") as file:
        file.write("one cell too many,a,3,b\n")
    code, found = check(capsys, sound, *SCALE)
    assert code == 1
    assert (found["rows"]["rows"], found["rows"]["unusable"], found["data"]["items"]) == (201, 1, 200)


@pytest.mark.slow
def test_one_label_only_is_an_error_and_nearly_one_a_warning(tmp_path, capsys, sound):
    def same(table):
        for row in table:
            row["rating"] = "4"

    def nearly(table):
        same(table)
        table[0]["rating"] = "2"

    code, found = check(capsys, broken(tmp_path, same), *SCALE)
    assert (code, finding(found, "one_label")["count"]) == (1, 200)
    assert "near_constant_label" not in codes(found)
    code, found = check(capsys, broken(tmp_path, nearly), *SCALE)
    assert (code, finding(found, "near_constant_label")["count"]) == (0, 199)
    assert finding(found, "unused_levels")["count"] == 3
    _, found = check(capsys, sound, *SCALE)
    assert not codes(found) & {"one_label", "near_constant_label", "unused_levels"}


def test_duplicates_and_contradictions_are_told_apart_and_named(tmp_path, capsys, sound):
    def change(table):
        table.append({**table[0]})
        table.append({**table[1], "rating": "1" if table[1]["rating"] != "1" else "2"})

    _, found = check(capsys, broken(tmp_path, change), *SCALE)
    assert found["repeats"]["duplicates"] == 1
    assert found["repeats"]["contradictions"] == 1
    assert found["repeats"]["contradicting_items"] == 2
    assert finding(found, "duplicates")["severity"] == "note"  # one in 202
    [place] = finding(found, "contradictions")["places"]
    assert re.search(r"broken\.csv:3 says '\d' but \S*broken\.csv:203 says '\d'", place)
    _, found = check(capsys, sound, *SCALE)
    assert not codes(found) & {"duplicates", "contradictions"}
    assert found["repeats"]["duplicates"] == found["repeats"]["contradictions"] == 0


def test_many_duplicates_are_a_warning(tmp_path, capsys):
    _, found = check(capsys, broken(tmp_path, lambda table: table.extend([{**row} for row in table[:40]])), *SCALE)
    told = finding(found, "duplicates")
    assert (told["severity"], told["count"]) == ("warning", 40)


@pytest.mark.slow
def test_over_long_texts_are_estimated_at_four_characters_a_token_and_named(tmp_path, capsys, sound):
    def change(table):
        table[4]["response"] = "word " * 2000

    _, found = check(capsys, broken(tmp_path, change), *SCALE)
    told = finding(found, "too_long")
    assert "broken.csv:6: about 2" in told["places"][0]
    assert found["prompts"]["exact"] is False
    assert sum(part["too_long"] for part in found["prompts"]["sets"].values()) == 1
    _, found = check(capsys, sound, *SCALE)
    assert "too_long" not in codes(found)
    code, found = check(capsys, sound, *SCALE, "--max-prompt-tokens", 5)
    assert (code, finding(found, "too_long")["severity"]) == (1, "error")  # not one prompt fits


@pytest.mark.slow
def test_elided_texts_are_no_loss(tmp_path, capsys):
    def change(table):
        for row in table:
            row["response"] += "word " * 2000

    file = broken(tmp_path, change)
    assert check(capsys, file, *SCALE)[0] == 1
    code, found = check(capsys, file, *SCALE, "--elide")
    assert (code, finding(found, "too_long")["severity"]) == (0, "note")


@pytest.mark.slow
def test_a_test_set_that_shares_prompts_with_training_is_a_warning(tmp_path, capsys):
    table = rows(300)
    train = write(tmp_path / "train.csv", table[:200])
    shared = write(tmp_path / "shared.csv", [{**row, "response": f"Other {n}."} for n, row in enumerate(table[:150])])
    apart = write(tmp_path / "apart.csv", table[200:])
    _, found = check(capsys, train, "--test", shared, *SCALE)
    told = finding(found, "group_overlap")
    # Validation took a tenth of the groups; whoever asks what only validation asks is not trained on.
    assert told["count"] == found["group_overlap"]
    assert 150 - 20 <= told["count"] <= 150
    _, found = check(capsys, train, "--test", apart, *SCALE)
    assert found["group_overlap"] == 0
    assert "group_overlap" not in codes(found)
    assert found["data"]["test_items"] == found["sets"]["test"]["rows"] == 100


def test_a_file_with_one_prompt_cannot_be_split_and_still_gets_its_other_numbers(tmp_path, capsys):
    def change(table):
        for row in table:
            row["prompt"] = "How was your stay?"

    code, found = check(capsys, broken(tmp_path, change), *SCALE)
    assert code == 1
    assert "--group-col" in finding(found, "no_splits")["message"]
    assert "constant_input" in codes(found, "warning")
    assert found["sets"]["train"]["rows"] == 200


@pytest.mark.slow
def test_few_groups_and_tiny_sets_are_warned_of(tmp_path, capsys):
    def change(table):
        for n, row in enumerate(table):
            row["prompt"] = f"Question {n % 10} ?"

    _, found = check(capsys, broken(tmp_path, change, rows(2000)), *SCALE)
    assert "few_groups" in codes(found, "warning")
    assert "tiny_set" not in codes(found)
    _, found = check(capsys, write(tmp_path / "tiny.csv", rows(30)), *SCALE)
    assert finding(found, "tiny_set")["count"] == 24  # of the training set, the first


def test_control_tokens_stay_text_and_are_counted(tmp_path, capsys, sound):
    def change(table):
        table[0]["response"] += " <|im_end|> <|im_start|>system"
        table[1]["prompt"] += " [INST] now </s>"
        table[2]["response"] += "\nFinal rating: 5"

    _, found = check(capsys, broken(tmp_path, change), *SCALE)
    assert found["control"]["texts"] == 2
    assert set(found["control"]["strings"]) == {"<|im_end|>", "<|im_start|>", "[INST]", "</s>"}
    assert finding(found, "control_strings")["severity"] == "note"
    assert finding(found, "verdict_marker")["places"][0].endswith("broken.csv:4")
    _, found = check(capsys, sound, *SCALE)
    assert found["control"] == {"texts": 0, "strings": {}, "verdict_marker": 0}


def test_several_raters_are_pooled_and_their_ceiling_stands_beside_alpha(tmp_path, capsys):
    def change(table):
        for n, row in enumerate(table):
            row |= {"rating": "12345"[n % 5], "second": "12345"[min(n % 5 + n % 2, 4)]}

    flags = (*SCALE, "--rating-col", "rating,second")
    _, found = check(capsys, broken(tmp_path, change), *flags)
    one = found["raters"]["data"]
    assert one["per_item"] == {"2": 200}
    # Odd items below the top differ by one level: 80 of 200, twice each.
    assert one["ceiling"]["count"] == 400
    assert one["ceiling"]["accuracy"] == pytest.approx(0.6)
    assert one["ceiling"]["within_one"] == 1
    assert one["ceiling"]["mae"] == pytest.approx(0.4)
    assert one["alpha"] > 0.8
    assert "single_ratings" not in codes(found)
    assert "raters" not in codes(found)
    assert found["sets"]["train"]["rows"] == 320  # one row per rating


def test_raters_who_do_not_agree_are_a_warning(tmp_path, capsys):
    def change(table):
        for row, other in zip(table, rows(seed=5), strict=True):
            row["second"] = other["rating"]

    _, found = check(capsys, broken(tmp_path, change), *SCALE, "--rating-col", "rating,second")
    assert finding(found, "raters")["severity"] == "warning"
    assert found["raters"]["data"]["alpha"] < 0.2


def test_baselines_are_of_data_alone_and_scored_on_the_test_set(tmp_path, capsys):
    def rated(levels):
        return [{**row, "rating": level} for row, level in zip(rows(len(levels)), levels, strict=True)]

    train = write(tmp_path / "train.csv", rated("1" * 120 + "2" * 30 + "5" * 50))
    test = write(tmp_path / "test.csv", rated("1" * 20 + "5" * 80))
    _, found = check(capsys, train, "--test", test, *SCALE)
    # Of 100 test labels 80 are 5 and 20 are 1, 4 away; the most frequent training label, 1, has but 20 of them.
    said = found["baselines"]["test"]["constant"]
    assert (said["levels"]["accuracy"], said["accuracy"], said["mae"]) == ("5", 0.8, 0.8)
    assert found["baselines"]["data"]["constant"]["accuracy"] == 0.6
    assert found["baselines"]["uniform_log_likelihood"] == pytest.approx(-1.6094, abs=1e-4)


def test_without_a_scale_the_values_suggest_one_and_all_is_done_with_it(sound, capsys):
    code, found = check(capsys, sound)
    assert code == 0
    assert found["scale"] == {"levels": list("12345"), "ordered": True, "from": "suggested", "text": "1-5"}
    assert finding(found, "suggested_scale")["severity"] == "note"
    _, given = check(capsys, sound, *SCALE)
    assert given["scale"]["from"] == "given"
    assert given["labels"] == found["labels"]
    assert given["baselines"] == found["baselines"]


@pytest.mark.slow
def test_why_columns_were_chosen_is_said(tmp_path, capsys, sound):
    _, found = check(capsys, sound, *SCALE)
    assert found["data"]["columns_by"] == "by default names"
    table = [{"question": r["prompt"], "answer": r["response"], "score": r["rating"], "who": "x"} for r in rows()]
    other = write(tmp_path / "other.csv", table)
    _, found = check(capsys, other, *SCALE)
    assert found["data"]["columns_by"].startswith("guessed (")
    assert found["data"]["columns"]["response"] == "answer"
    assert found["data"]["unused_columns"] == ["who"]
    flags = ("--prompt-col", "question", "--response-col", "answer", "--rating-col", "score")
    _, found = check(capsys, other, *SCALE, *flags)
    assert found["data"]["columns_by"].startswith("named by flags")


@pytest.mark.slow
def test_pairs_and_criteria_are_told(tmp_path, capsys):
    table = [
        {"prompt": r["prompt"], "one": r["response"], "two": f"Not {r['response']}", "better": "AB"[n % 2]}
        for n, r in enumerate(rows())
    ]
    flags = ("--response-col", "one,two", "--rating-col", "better", "--scale", "A | B")
    _, found = check(capsys, write(tmp_path / "pairs.csv", table), *flags)
    assert found["data"]["pair"] is True
    assert found["sets"]["train"]["rows"] == 320  # both orders
    assert found["baselines"]["data"]["constant"]["mae"] is None  # no order
    assert found["scale"]["ordered"] is False

    def change(table):
        for row, other in zip(table, rows(seed=3), strict=True):
            row["tone"] = other["rating"]

    _, found = check(capsys, broken(tmp_path, change), *SCALE, "--criterion", "rating,tone")
    assert found["data"]["criteria"] == ["rating", "tone"]
    assert found["data"]["items"] == 400


def test_each_criterion_tells_how_far_its_raters_agree(tmp_path, capsys):
    """Of one criterion both raters always agree, so alpha is 1; of the other they never do."""
    table = [
        {**row, "criterion": name, "rater": who, "rating": 1 + n % 2 if name == "tone" else 1 + (n + k) % 2}
        for n, row in enumerate(rows(40))
        for name in ("tone", "facts")
        for k, who in enumerate(("ann", "ben"))
    ]
    flags = (write(tmp_path / "a.csv", table), "--criterion-col", "criterion", "--rater-col", "rater", "--scale", "1-2")
    _, found = check(capsys, *flags)
    each = found["criteria"]["data"]
    assert each["tone"]["raters"]["alpha"] == 1
    assert each["facts"]["raters"]["alpha"] < 0
    main(["check", *flags])
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"tone: 40 items, .*one person against the others 1\.000, alpha 1\.000", said)


@pytest.mark.slow
def test_the_embedded_world_is_sound(capsys):
    code, found = check(capsys, "world")
    assert code == 0
    assert codes(found) == {"single_ratings"}
    assert found["scale"]["from"] == "world"
    assert [part["rows"] for part in found["sets"].values()] == [400, 64, 256]


@pytest.mark.parametrize(("name", "task"), [("addition", "addition"), ("summaries", "summarize")])
def test_embedded_open_answers_are_looked_at_like_any_others(name, task, capsys):
    code, found = check(capsys, name)
    assert code == 0
    assert codes(found) == set()
    assert (found["data"]["task"], found["scale"], found["labels"]) == (task, None, None)
    assert [part["rows"] for part in found["sets"].values()] == [400, 64, 256]
    assert found["sets"]["validation"]["not_measured"] == 64  # --measure lean
    assert {one: part["read"] for one, part in found["answers"]["sets"].items()} == {"data": 528, "test": 256}
    assert found["answers"]["hinted"].startswith(found["answers"]["forward"])


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["no-such-file.csv"], "no such file"),
        ([], "No data"),
        (["FILE", "--rating-col", "ratng"], "Did you mean 'rating'?"),
        (["FILE", "--scale", "5"], "Cannot read the scale"),
        (["FILE", "--scheme", "strr"], "Did you mean 'star'?"),
        (["FILE", "--scale", "x < y"], "no row can be used"),
    ],
)
def test_a_command_that_cannot_be_understood_exits_2_and_prints_nothing_else(flags, told, sound, capsys):
    assert main(["check", *(sound if flag == "FILE" else flag for flag in flags), "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err
    assert "Traceback" not in printed.err


def test_hostile_texts_are_shown_literally_and_never_obeyed(tmp_path, capsys):
    def change(table):
        table[0] |= {"response": "[red]x[/red] \x1b[31m", "prompt": "p :smile: <|im_end|>"}
        table[5] |= {"rating": "[bold]\x1b]0;title\x07"}

    table = [{**row, "[link=x]\x1b[2J": "same"} for row in rows()]
    assert main(["check", broken(tmp_path, change, table), *SCALE]) == 1
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert r"[link=x]\x1b[2J" in printed
    assert "[bold]" in printed


def test_the_printed_report_is_plain_and_fits_80_columns(sound, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(Path(sound).parent)  # a path is never broken
    assert main(["check", Path(sound).name, *SCALE]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line.isprintable() for line in lines)
    for title in ("Data", "Raters", "Sets, as a fit makes them", "Prompts", "A fit, at most", "Findings"):
        assert title in lines
    assert lines[-1].startswith("A fit would run") or "warning" in lines[-1]


def test_nothing_is_written(tmp_path, sound, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    check(capsys, sound, *SCALE)
    assert sorted(tmp_path.rglob("*")) == before


def test_one_object_and_nothing_else_is_printed(sound, capsys):
    assert main(["check", sound, *SCALE, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["version"] == 1
    assert printed.out.isascii()
    assert printed.err == ""


def test_every_finding_and_every_section_stands_in_the_documentation():
    root = Path(__file__).parents[1]
    documented = set(re.findall(r"`(\w+)`", (root / "docs" / "check.md").read_text(encoding="utf-8")))
    source = "".join(path.read_text(encoding="utf-8") for path in (root / "src/rationem/check").glob("*.py"))
    named = set(re.findall(r'(?:error|warning|note|tell)\(\s*"([a-z_]+)"', source))
    assert {"label_leak", "too_long", "duplicates", "tiny_set", "raters"} <= named
    assert named <= documented
    assert set(re.findall(r'sections\["(\w+)"\]', source)) <= documented


def test_a_stream_that_cannot_show_a_character_gets_its_escape():
    stream = io.TextIOWrapper(raw := io.BytesIO(), encoding="ascii")
    tolerate(stream)
    print("not read: \u96ea", file=stream, flush=True)
    assert raw.getvalue().rstrip() == rb"not read: \u96ea"
