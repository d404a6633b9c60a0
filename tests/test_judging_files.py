"""A file of items: every row comes back, and a killed job ends with the very same bytes."""

import csv
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judges import CRITERIA, PAIR, TASK, Recorder, directory
from rationem import ScriptedEngine, data, progress
from rationem.cli import main as cli
from rationem.errors import ConfigError, DataError, RunError
from rationem.judging import job as jobs
from rationem.judging import judge as judging
from rationem.judging.judge import Judge
from rationem.judging.stream import rate_file
from rationem.judging.table import format_of, guarded, layout
from rationem.judging.verdicts import Rating, Status

ADDED = [
    *("rating", "expected_rating", "p_1", "p_2", "p_3", "entropy", "rationale", "status"),
    *("draws", "unparsed_draws", "problem"),
]


@pytest.fixture
def said(monkeypatch):
    """What the terminal is told."""
    lines = []
    shown = progress.Silent()
    monkeypatch.setattr(shown, "say", lines.append)
    monkeypatch.setattr(progress, "_display", shown)
    return lines


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return directory(tmp_path / "run")


def write_csv(name, rows):
    with Path(name).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t" if name.endswith("tsv") else ",").writerows(rows)


def read_csv(name):
    with Path(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t" if name.endswith("tsv") else ",", strict=True))


def read_jsonl(name):
    return [json.loads(line) for line in Path(name).read_text(encoding="utf-8").splitlines()]


def say(request):
    return f"z{request.seed % 5}\nFinal rating: {request.seed % 4}"  # one in four is on no scale


def levels(query):
    table = np.full(len(query.continuations), 0.1)
    table[int(query.draft.text[1]) % len(table)] += 1 - table.sum()
    return np.log(table)


def scripted(batch_size=8):
    return ScriptedEngine(say, levels, batch_size)


def items(count):
    return [("id", "prompt", "response"), *((f"#{n}", f"what is {n} ?", f"{n} kind") for n in range(count))]


# Columns -------------------------------------------------------------------------------------------------------

ODD = [
    ("id", "prompt", "response", "note", ""),
    ("007", "two\nlines", 'a "quoted", cell', "1.50", "x"),
    ("=1+1", "p", "\r\n tail ", "NA", ""),
    ("é", "漢字", "emoji 😀\u2028", "", "-"),
]


@pytest.mark.parametrize("name", ["items.csv", "items.tsv"])
def test_every_column_is_kept_as_it_stands_and_the_judges_stand_behind(run, name):
    write_csv(name, ODD)
    rate_file(Judge.load(run, engine=scripted()), name, f"out{name[-4:]}")
    before, after = read_csv(name), read_csv(f"out{name[-4:]}")
    assert [*after[0]] == [*ODD[0], *ADDED]
    assert [{key: row[key] for key in ODD[0]} for row in after] == before


def test_a_row_says_what_the_judge_says_in_python(run):
    write_csv("items.csv", items(9))
    rate_file(Judge.load(run, engine=scripted()), "items.csv", "out.csv", draws=4)
    ratings = Judge.load(run, engine=scripted()).rate(read_csv("items.csv"), draws=4)
    for row, rating in zip(read_csv("out.csv"), ratings, strict=True):
        assert row["rating"] == (rating.rating or "")
        assert row["status"] == rating.status
        assert row["rationale"] == rating.rationale
        assert (int(row["draws"]), int(row["unparsed_draws"])) == (rating.draws, rating.unparsed)
        if rating.rating:
            told = [float(row[name]) for name in ADDED[1:6]]
            meant = [rating.expected, *rating.probabilities.values(), rating.entropy]
            assert told == pytest.approx(meant, rel=1e-5)


def test_json_values_are_kept_with_their_types_and_stay_readable_by_every_reader(run):
    rows = [
        {"prompt": "p", "response": "r", "n": 1.10, "deep": {"a": [1, None, True]}, "id": 7},
        {"prompt": "p", "response": "r2", "extra": "é\u2028", "n": float("inf"), "half": "\ud800"},
    ]
    Path("items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    rate_file(Judge.load(run, engine=scripted()), "items.jsonl", "out.jsonl")
    lines = [line for line in Path("out.jsonl").read_text(encoding="utf-8").split("\n") if line]
    first, second = (json.loads(line, parse_constant=pytest.fail) for line in lines)
    assert {key: first[key] for key in rows[0]} == rows[0]
    assert {key: second[key] for key in rows[1]} == {**rows[1], "n": None}
    assert isinstance(first["p_1"], float)
    assert [*first][-len(ADDED) :] == ADDED


def test_a_csv_has_the_columns_of_all_json_rows(run):
    rows = [{"prompt": "p", "response": "r", "deep": {"a": 1}}, {"response": "r", "late": True, "prompt": "p"}]
    Path("items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    rate_file(Judge.load(run, engine=scripted()), "items.jsonl", "out.csv")
    first, second = read_csv("out.csv")
    assert [*first][:4] == ["prompt", "response", "deep", "late"]
    assert (first["deep"], first["late"], second["late"]) == ('{"a": 1}', "", "true")


def test_fast_adds_no_column_of_probabilities(run):
    write_csv("items.csv", items(2))
    rate_file(Judge.load(run, engine=scripted()), "items.csv", "out.csv", fast=True)
    added = [*read_csv("out.csv")[0]][3:]
    assert added == ["rating", "rationale", "status", "draws", "unparsed_draws", "problem"]


def test_a_pair_has_no_expected_rating_and_says_whether_both_orders_agree(tmp_path, run):
    write_csv("items.csv", [("prompt", "one", "two"), ("p", "short", "a longer one")])
    engine = ScriptedEngine(lambda request: f"z0\nFinal rating: {'AB'[request.seed % 2]}", levels)
    duel = Judge.load(directory(tmp_path / "duel", PAIR), engine=engine)
    rate_file(duel, "items.csv", "out.csv", columns={"response": "one,two"})
    (row,) = read_csv("out.csv")
    kinds = ["rating", "p_A", "p_B", "p_tie", "entropy", "rationale", "status", "consistent"]
    assert [*row][3:] == [*kinds, "draws", "unparsed_draws", "problem"]
    assert row["consistent"] == "false"
    with pytest.raises(ConfigError, match=r"compares two responses.*one"):
        rate_file(duel, "items.csv", "out2.csv", columns={"response": "one"})


def test_several_criteria_have_columns_of_their_own_and_one_alone_has_plain_ones(tmp_path, run):
    write_csv("items.csv", items(3))
    several = Judge.load(directory(tmp_path / "several", CRITERIA), engine=scripted())
    rate_file(several, "items.csv", "out.csv")
    assert [*read_csv("out.csv")[0]][3:] == [f"{name}_{kind}" for name in ("tone", "facts") for kind in ADDED]
    rate_file(several, "items.csv", "one.csv", criteria=["facts"])
    assert [row["rating"] for row in read_csv("one.csv")] == [row["facts_rating"] for row in read_csv("out.csv")]
    assert [*read_csv("one.csv")[0]][3:] == ADDED
    with pytest.raises(ConfigError, match=r"no criterion 'tune'.*'tone'"):
        rate_file(several, "items.csv", "no.csv", criteria=["tune"])


def test_a_column_called_like_the_judges_keeps_its_name_and_the_judges_take_another(run, said):
    write_csv("items.csv", [("prompt", "response", "rating"), ("p", "r", "mine")])
    rate_file(Judge.load(run, engine=scripted()), "items.csv", "out.csv")
    (row,) = read_csv("out.csv")
    assert row["rating"] == "mine"
    assert [*row][3:] == [f"judge_{kind}" for kind in ADDED]
    assert any("judge_" in line for line in said)
    write_csv("worse.csv", [("prompt", "response", "rating", "judge_p_2"), ("p", "r", "mine", "")])
    with pytest.raises(ConfigError, match=r"\['judge_p_2'\]"):
        rate_file(Judge.load(run, engine=scripted()), "worse.csv", "out2.csv")


def test_the_models_words_cannot_become_a_formula_in_a_spreadsheet(run):
    write_csv("items.csv", [("prompt", "response"), ("=p", "=r")])
    hostile = ScriptedEngine(lambda _: '=HYPERLINK("x")\nFinal rating: 1')
    for name in ("out.csv", "out.tsv", "out.jsonl"):
        rate_file(Judge.load(run, engine=hostile), "items.csv", name, draws=2)
    for row in (*read_csv("out.csv"), *read_csv("out.tsv")):
        assert row["rationale"] == '\'=HYPERLINK("x")'
        assert (row["prompt"], row["response"]) == ("=p", "=r")  # the user's own cells are the user's
    assert read_jsonl("out.jsonl")[0]["rationale"] == '=HYPERLINK("x")'
    assert [guarded(text)[0] for text in ("+1", "-1", "@x", "\tx", "\rx")] == ["'"] * 5


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ['"', "\r", "\n", "\r\n", ",", "\t", "'", "\x00", "\u2028", " x ", "=1", '""', "\ufeff", "null"]
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4), suffix=st.sampled_from([".csv", ".tsv"]))
def test_any_cell_comes_back_from_the_file_as_it_went_in(tmp_path_factory, rows, suffix):
    path = tmp_path_factory.mktemp("cells") / f"out{suffix}"
    table, written = layout(("a", "b"), TASK, ("",), fast=True), format_of(path)
    pairs = [({"a": a, "b": b}, table.cells([Rating("", Status.UNPARSED)])) for a, b in rows]
    path.write_bytes(written.head(table) + written.rows(table, pairs))
    assert [(row.cells["a"], row.cells["b"]) for row in data.read_rows(path)] == rows


# Rows ----------------------------------------------------------------------------------------------------------


def test_a_row_that_cannot_be_used_stays_in_its_place_and_says_why(run):
    rows = [{"prompt": "p", "response": r} for r in ("fine", "", "fine", ["a", "list"], None, 4)]
    rows += [{"prompt": "p"}, {"prompt": "p", "response": "half \ud800"}]
    Path("items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    totals = rate_file(Judge.load(run, engine=scripted()), "items.jsonl", "out.jsonl")
    out = read_jsonl("out.jsonl")
    assert [row["status"] == "unusable" for row in out] == [False, True, False, True, True, False, True, True]
    for number, row in enumerate(out, 1):
        if row["status"] == "unusable":
            assert f"items.jsonl:{number}: " in row["problem"]
            assert (row["rating"], row["p_1"], row["draws"]) == (None, None, 0)
    assert totals.counts[""].statuses["unusable"] == 5
    assert totals.rows == 8


def test_nothing_of_the_ratings_in_the_file_is_read(tmp_path, run):
    columns = {"prompt": "q", "response": "a", "rating": "human", "group": "g", "id": "name", "rater": "who"}
    trained = directory(tmp_path / "trained", TASK, columns=columns)
    head = ("q", "a", "human", "why")
    write_csv("bare.csv", [head[:2], ("what", "this")])
    write_csv("rated.csv", [head, ("what", "this", "SECRET", "SECRET")])
    for name in ("bare", "rated"):
        engine = Recorder(say, levels)
        rate_file(Judge.load(trained, engine=engine), f"{name}.csv", f"{name}.out.csv")
        assert not any("SECRET" in request.prompt.text for request in engine.requests)
    bare, rated = read_csv("bare.out.csv")[0], read_csv("rated.out.csv")[0]
    assert {key: rated[key] for key in bare} == bare


def test_a_column_that_is_not_there_is_named_before_anything_is_written(run):
    write_csv("items.csv", [("prompt", "respnse"), ("p", "r")])
    with pytest.raises(DataError, match=r"no column 'response'.*'respnse'.*--response-col"):
        rate_file(Judge.load(run, engine=scripted()), "items.csv", "out.csv")
    rate_file(Judge.load(run, engine=scripted()), "items.csv", "out.csv", columns={"response": "respnse"})
    assert sorted(path.name for path in Path().glob("out*")) == ["out.csv"]


@pytest.mark.parametrize("name", ["items.csv", "items.jsonl"])
def test_a_file_that_breaks_off_is_an_error_before_the_first_question(run, name):
    good = "prompt,response\n" + "p,r\n" * 50 if name.endswith("csv") else '{"prompt": "p", "response": "r"}\n' * 50
    Path(name).write_text(good + ('p,"r\n' if name.endswith("csv") else '{"prompt": \n'), encoding="utf-8")
    engine = Recorder(say, levels)
    with pytest.raises(DataError, match=rf"{name}:5[12]: "):
        rate_file(Judge.load(run, engine=engine), name, "out.csv")
    assert engine.requests == []
    assert list(Path().glob("out*")) == []


def test_columns_without_a_name_are_refused_where_they_could_not_be_kept(run):
    write_csv("items.csv", [("prompt", "response", "", ""), ("p", "r", "x", "y")])
    with pytest.raises(DataError, match="2 columns have no name"):
        rate_file(Judge.load(run, engine=scripted()), "items.csv", "out.csv")


def test_a_judge_of_the_embedded_world_takes_the_usual_names_and_says_so(run, said):
    write_csv("items.csv", [("Question", "answer", "score"), ("what", "this", "SECRET")])
    engine = Recorder(say, levels)
    rate_file(Judge.load(run, engine=engine), "items.csv", "out.csv")
    assert "Prompt: what\n" in engine.requests[0].prompt.text
    assert "SECRET" not in engine.requests[0].prompt.text
    assert any("the response from 'answer'" in line for line in said)


@pytest.mark.parametrize("labels", [{}, {"rating": ["Bad", "Bad"], "feedback": ["SECRET", "SECRET"]}])
def test_items_in_the_shape_of_the_training_set_are_read_by_its_preset(tmp_path, run, labels):
    passage = {"reference": {"section_headers": ["Head"], "section_content": "body"}}
    Path("items.jsonl").write_text(json.dumps({"question": "what", "passage": passage, **labels}) + "\n")
    columns = {"prompt": "question", "response": "passage", "group": "question"}
    trained = directory(tmp_path / "trained", TASK, columns=columns, preset="feedbackqa")
    for number, more in enumerate(({}, {"preset": "feedbackqa"})):
        engine = Recorder(say, levels)
        rate_file(Judge.load(trained, engine=engine), "items.jsonl", f"out{number}.jsonl", **more)
        assert "Response: Head\nbody\n" in engine.requests[0].prompt.text
        assert "SECRET" not in engine.requests[0].prompt.text
        assert read_jsonl(f"out{number}.jsonl")[0]["passage"] == passage
    # Plain columns of the same names do as well.
    write_csv("plain.csv", [("question", "passage"), ("what", "plain")])
    rate_file(Judge.load(trained, engine=engine), "plain.csv", "plain.out.csv")
    assert "Response: plain\n" in engine.requests[-1].prompt.text
    with pytest.raises(ConfigError, match="not both"):
        rate_file(Judge.load(trained, engine=engine), "plain.csv", "no.csv", preset="saf", columns={"prompt": "x"})
    with pytest.raises(ConfigError, match="no preset 'sav'"):
        rate_file(Judge.load(trained, engine=engine), "plain.csv", "no.csv", preset="sav")


def test_a_column_of_ratings_cannot_be_named_as_an_input(tmp_path, run):
    write_csv("items.csv", [("prompt", "response", "human"), ("p", "r", "1")])
    trained = directory(tmp_path / "trained", TASK, columns={"rating": "human"})
    with pytest.raises(ConfigError, match="'human' is also named as an input"):
        rate_file(Judge.load(trained, engine=scripted()), "items.csv", "out.csv", columns={"response": "human"})


def test_what_is_no_file_is_an_error(run):
    for name, what in (("run", "is a directory"), ("data/items.csv", "no such file"), ("items.docx", "no such file")):
        with pytest.raises(DataError, match=what):
            rate_file(Judge.load(run, engine=scripted()), name, "out.csv")


def test_a_file_without_rows_is_an_error(run):
    write_csv("items.csv", items(0))
    with pytest.raises(DataError, match="no rows to rate"):
        rate_file(Judge.load(run, engine=scripted()), "items.csv", "out.csv")


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("items.csv", "the input itself"),
        ("out.xlsx", r"\.xlsx; write \.csv"),
        ("no/out.csv", "no directory"),
        ("run.csv", "a directory"),
    ],
)
def test_an_output_that_cannot_be_is_refused_with_overwrite_too(run, output, what):
    write_csv("items.csv", items(2))
    Path("run.csv").mkdir()
    before = Path("items.csv").read_bytes()
    with pytest.raises((ConfigError, DataError, RunError), match=what):
        rate_file(Judge.load(run, engine=scripted()), "items.csv", output, overwrite=True)
    assert Path("items.csv").read_bytes() == before


def test_the_totals_count_every_row_once(run):
    write_csv("items.csv", items(30))
    totals = rate_file(Judge.load(run, engine=scripted()), "items.csv", "out.csv", draws=1)
    (count,) = totals.counts.values()
    rows = read_csv("out.csv")
    assert totals.rows == len(rows) == sum(count.statuses.values()) == 30
    assert {level: sum(row["rating"] == level for row in rows) for level in TASK.levels} == dict(count.levels)
    means = [float(row["expected_rating"]) for row in rows if row["rating"]]
    assert count.expected / count.with_expected == pytest.approx(np.mean(means), rel=1e-5)
    told = "\n".join(totals.lines(TASK.kind))
    assert f"{count.statuses['rated']} rated" in told
    assert f"{count.statuses['unparsed']} unparsed" in told
    assert "rows per second" in told


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(run):
    peaks = []
    for count in (200, 2000):
        write_csv("items.csv", items(count))
        judge = Judge.load(run, engine=scripted(64))
        tracemalloc.start()
        rate_file(judge, "items.csv", f"out{count}.csv", draws=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


# Killed --------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """As sudden as a kill."""


class Mortal(ScriptedEngine):
    """Dies at its n-th call."""

    def __init__(self, at):
        super().__init__(say, levels, 8)
        self.left = at

    def sample(self, requests):
        self.left -= 1
        if self.left < 0:
            raise Killed
        return super().sample(requests)


def rate(run, engine, **more):
    return rate_file(Judge.load(run, engine=engine), "items.csv", "out.csv", draws=4, **more)


@pytest.fixture
def whole(run):
    """The bytes of a job that is never killed: 20 rows, 8 rows a chunk."""
    write_csv("items.csv", items(20))
    rate(run, scripted())
    return Path("out.csv").read_bytes(), Path("out.csv").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("tail", [b"", b'"half a row, and no'])
@pytest.mark.parametrize("at", range(10))
def test_killed_at_any_batch_and_started_again_it_ends_with_the_same_bytes(run, whole, at, tail):
    with pytest.raises(Killed):
        rate(run, Mortal(at))
    assert not Path("out.csv").exists()
    with jobs.partial(Path("out.csv")).open("ab") as file:
        file.write(tail)  # written, but never noted
    totals = rate(run, scripted())
    assert Path("out.csv").read_bytes() == whole[0]
    assert totals.rows == 20
    assert sum(totals.counts[""].statuses.values()) == 20
    assert totals.fresh == 20 - at // 4 * 8
    assert [path.name for path in Path().glob("out*")] == ["out.csv"]


def test_killed_again_and_again_it_still_ends_the_same(run, whole):
    for _ in range(2):
        with pytest.raises(Killed):
            rate(run, Mortal(5))
    rate(run, Mortal(5))
    assert Path("out.csv").read_bytes() == whole[0]


@pytest.mark.slow
@pytest.mark.parametrize("step", ["_fresh", "_sync", "forget"])
@pytest.mark.parametrize("at", range(8))
def test_killed_between_any_two_writes_it_ends_with_the_same_bytes(run, whole, monkeypatch, step, at):
    real, left = getattr(jobs, step), [at]

    def dying(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return real(*arguments)

    monkeypatch.setattr(jobs, step, dying)
    try:
        rate(run, scripted())
    except Killed:
        monkeypatch.undo()
        monkeypatch.chdir(run.parent)
        assert rate(run, scripted()).rows == 20
    assert Path("out.csv").read_bytes() == whole[0]
    assert [path.name for path in Path().glob("out*")] == ["out.csv"]


@pytest.mark.parametrize("change", ["input", "seed", "weights"])
def test_a_job_of_other_settings_is_not_gone_on_with(run, whole, change):
    with pytest.raises(Killed):
        rate(run, Mortal(5))
    if change == "input":
        write_csv("items.csv", items(21))
    if change == "weights":
        (run / "model" / "model.safetensors").write_bytes(b"others")
    more = {"seed": 1} if change == "seed" else {}
    left = jobs.partial(Path("out.csv")).read_bytes()
    named = {
        "input": r"the content of the input file items.csv\.",
        "seed": r"the seed \(was 7, is 1\)\.",
        "weights": r"the model \(other weights\)\.",
    }
    with pytest.raises(RunError, match=rf"8 rows. Different now: {named[change]} .*--overwrite"):
        rate(run, scripted(), **more)
    assert jobs.partial(Path("out.csv")).read_bytes() == left
    rate(run, scripted(), overwrite=True, **more)
    assert len(read_csv("out.csv")) == (21 if change == "input" else 20)


def test_with_overwrite_a_killed_job_is_gone_on_with_and_the_old_file_stays_until_the_end(run, whole):
    Path("out.csv").write_text("old")
    with pytest.raises(RunError, match=r"already exists.*--overwrite"):
        rate(run, scripted())
    with pytest.raises(Killed):
        rate(run, Mortal(5), overwrite=True)
    assert Path("out.csv").read_text() == "old"
    assert rate(run, scripted(), overwrite=True).fresh == 12
    assert Path("out.csv").read_bytes() == whole[0]


def test_a_partial_file_that_no_job_has_left_is_not_written_over(run, whole):
    Path("out.csv.partial").write_text("mine")
    with pytest.raises(RunError, match="in the way"):
        rate(run, scripted())
    assert Path("out.csv.partial").read_text() == "mine"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 0}', '{"version": 1, "fingerprint": {}, "rows": "x"}']
)
def test_a_note_that_cannot_be_read_is_an_error(run, whole, content):
    Path("out.csv.job.json").write_text(content)
    with pytest.raises(RunError, match="not a valid job file"):
        rate(run, scripted())


def test_a_partial_file_shorter_than_its_note_is_an_error(run, whole):
    with pytest.raises(Killed):
        rate(run, Mortal(5))
    Path("out.csv.partial").write_bytes(b"id")
    with pytest.raises(RunError, match="does not match"):
        rate(run, scripted())


def test_two_jobs_cannot_write_one_file(run, whole):
    class Second(ScriptedEngine):
        def sample(self, requests):
            with pytest.raises(RunError, match="Another process is writing"):
                rate(run, scripted())
            return super().sample(requests)

    rate(run, Second(say, levels, 8))
    assert Path("out.csv").read_bytes() == whole[0]


# The command ---------------------------------------------------------------------------------------------------


def command(monkeypatch, capsys, engine, *arguments):
    monkeypatch.setattr(progress, "_display", progress.Silent())
    monkeypatch.setattr(judging, "_open", lambda judge, opened: engine)
    code = cli.main(["judge", *arguments])
    return code, *capsys.readouterr()


def test_the_command_rates_a_file_and_tells_the_totals(run, monkeypatch, capsys):
    write_csv("items.csv", items(6))
    arguments = ("run", "items.csv", "-o", "out.csv", "--draws", "2", "--threads", "1")
    code, out, err = command(monkeypatch, capsys, scripted(), *arguments)
    assert (code, out) == (0, "out.csv\n")
    assert "6 rows" in err
    assert "rated" in err
    assert len(read_csv("out.csv")) == 6
    code, _, err = command(monkeypatch, capsys, scripted(), *arguments)
    assert code == 2
    assert "already exists" in err


def test_the_command_rates_joined_and_filtered_rows_and_goes_on_with_the_same_ones_alone(run, monkeypatch, capsys):
    write_csv("ids.csv", [("id", "phase"), *((f"#{n}", "main" if n % 3 else "pilot") for n in range(30))])
    write_csv("items.csv", items(25))
    asked = ("run", "ids.csv", "-o", "out.csv", "--join", "items.csv", "--on", "id", "--where", "phase=main")
    arguments = (*asked, "--draws", "4", "--threads", "1", "--batch-size", "8")
    code, out, err = command(monkeypatch, capsys, scripted(), *arguments)
    err = " ".join(err.split())
    assert (code, out) == (0, "out.csv\n"), err
    assert "Rows of DATA without a partner in the joined file, left out: 5." in err
    assert "Rows left out by --where: 9." in err
    rated = read_csv("out.csv")
    assert [row["id"] for row in rated] == [f"#{n}" for n in range(25) if n % 3]
    assert all(row["response"] == f"{row['id'][1:]} kind" for row in rated)
    assert {row["status"] for row in rated} == {"rated"}
    whole = Path("out.csv").read_bytes()
    Path("out.csv").unlink()
    with pytest.raises(Killed):
        command(monkeypatch, capsys, Mortal(5), *arguments)
    code, _, err = command(monkeypatch, capsys, scripted(), *arguments[:-2], "--batch-size", "8", "--where", "id!=#1")
    assert code == 2
    assert "which rows are read" in " ".join(err.split())
    write_csv("items.csv", [*items(25), ("#99", "new", "row")])
    code, _, err = command(monkeypatch, capsys, scripted(), *arguments)
    assert code == 2
    assert "the joined files" in " ".join(err.split())
    write_csv("items.csv", items(25))
    assert command(monkeypatch, capsys, scripted(), *arguments)[0] == 0
    assert Path("out.csv").read_bytes() == whole


def test_interrupted_the_command_says_that_it_goes_on_and_does(run, monkeypatch, capsys):
    write_csv("items.csv", items(20))
    arguments = ("run", "items.csv", "-o", "out.csv", "--draws", "4", "--threads", "1", "--batch-size", "8")

    class Interrupted(Mortal):
        def sample(self, requests):
            try:
                return super().sample(requests)
            except Killed as killed:
                raise KeyboardInterrupt from killed

    code, _, err = command(monkeypatch, capsys, Interrupted(5), *arguments)
    assert code == 130
    assert "the same command resumes from here" in err
    code, _, err = command(monkeypatch, capsys, scripted(), *arguments)
    assert code == 0
    assert "Resuming after 8 of 20 rows" in "".join(err.splitlines())
    assert "8 by an earlier start" in err


def test_a_column_inside_an_object_is_read_by_its_dotted_name_and_kept_whole(run):
    rows = [{"ask": {"text": f"q{n}"}, "response": "r", "meta": {"a": n}} for n in range(3)]
    Path("nested.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge = Judge.load(run, engine=scripted())
    rate_file(judge, "nested.jsonl", "nested.out.jsonl", columns={"prompt": "ask.text"})
    rated = [json.loads(line) for line in Path("nested.out.jsonl").read_text().splitlines()]
    assert [{name: row[name] for name in ("ask", "response", "meta")} for row in rated] == rows
    assert all(row["status"] == "rated" for row in rated)
    assert not any("." in name for name in rated[0])
