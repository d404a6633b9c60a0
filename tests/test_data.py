"""Files -> examples, splits, and the totality of scale and parser on any text."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from rationem.data import Columns, distinct_ids, expand_raters, load, load_feedbackqa, overlap, read_rows, split
from rationem.errors import ConfigError, DataError
from rationem.tasks.judge import JudgeTask
from rationem.tasks.parse import parse_verdict
from rationem.tasks.scale import MARKER, Scale
from rationem.types import Example

# Speed is not what these properties state: no deadline on a busy machine.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

FIXTURES = Path(__file__).parent / "fixtures"
FIVE = Scale.parse("1-5")
ROWS = [
    {"prompt": "2+2?", "response": "4", "rating": "5", "explanation": "SECRET right"},
    {"prompt": "2+3?", "response": "6, or so", "rating": "2", "explanation": "SECRET wrong"},
]


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def write_any(path: Path, rows: list[dict]) -> Path:
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
        return path
    if path.suffix in {".csv", ".tsv"}:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="," if path.suffix == ".csv" else "\t")
            writer.writeheader()
            writer.writerows(rows)
        return path
    if path.suffix == ".json":
        return write(path, json.dumps(rows))
    return write(path, "\n".join(map(json.dumps, rows)) + "\n")


def message(path: Path | list[Path], **kwargs) -> str:
    kwargs.setdefault("scale", FIVE)
    with pytest.raises(DataError) as caught:
        load(path if isinstance(path, list) else [path], **kwargs)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "ndjson", "parquet"])
def test_every_format_gives_the_same_examples(tmp_path, suffix):
    loaded = load([write_any(tmp_path / f"r.{suffix}", ROWS)], scale=FIVE)
    assert [(dict(e.fields), e.answer, e.group) for e in loaded.examples] == [
        ({"prompt": "2+2?", "response": "4"}, "5", "2+2?"),
        ({"prompt": "2+3?", "response": "6, or so"}, "2", "2+3?"),
    ]
    assert loaded.notes["rows"] == 2
    assert loaded.notes["unused_columns"] == ["explanation"]
    assert loaded.preset is None


def test_a_byte_order_mark_and_a_data_wrapper_are_read(tmp_path):
    marked = write(tmp_path / "a.csv", "\ufeffprompt,response,rating\nü?,é,3\n")
    wrapped = write(tmp_path / "b.json", "\ufeff" + json.dumps({"version": 1, "data": ROWS}))
    assert load([marked], scale=FIVE).examples[0].fields == {"prompt": "ü?", "response": "é"}
    assert len(load([wrapped], scale=FIVE).examples) == 2


def test_sources_count_as_a_person_does(tmp_path):
    table = write(tmp_path / "a.csv", 'prompt,response,rating\r\n"two\r\nlines",x,1\r\n\r\ny,z,2\r\n')
    lines = write(tmp_path / "a.jsonl", '{"a": "x\u2028y"}\r\n\r\n{"a": 2}\n')
    assert [row.source for row in read_rows(table)] == [f"{table}:2", f"{table}:5"]
    assert [row.source for row in read_rows(lines)] == [f"{lines}:1", f"{lines}:3"]
    assert [row.number for row in read_rows(write_any(tmp_path / "a.json", ROWS))] == [1, 2]
    assert [e.id for e in load([table], scale=FIVE).examples] == ["a-2", "a-5"]


def test_a_cell_beyond_the_usual_limit_is_read_and_the_limit_restored(tmp_path):
    before = csv.field_size_limit()
    path = write_any(tmp_path / "a.csv", [{"prompt": "x" * 300_000, "response": "y", "rating": "1"}])
    assert len(load([path], scale=FIVE).examples[0].fields["prompt"]) == 300_000
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.csv", b"prompt,response,rating\nx,\xe9,1\n", [":2:", "byte 25", "0xe9", "UTF-8"]),
        ("a.csv", b"prompt,response,rating\nx,y\n", [":2:", "2 cells", "header 3"]),
        (
            "a.csv",
            b'prompt,response,rating\na,b,1\nx,"y,1\nz,z,2\n',
            [":3:", "quoting breaks", "1 of 4 lines"],
        ),
        ("a.csv", b"prompt,prompt,rating\nx,y,1\n", [":2:", "no column 'prompt'", "'prompt (1)', 'prompt (2)'"]),
        ("a.jsonl", b'{"prompt": 1}\n{"prompt": \n', [":2:", "JSON"]),
        ("a.jsonl", b"[1]\n", [":1:", "found int"]),
        ("a.json", b'{"prompt": 1}\n{"prompt": ', ["not well-formed JSON"]),
        ("a.json", b'{"rows": []}', ['"data"', "the keys ['rows']"]),
        ("a.json", b"[" * 100_000, ["JSON"]),
        ("a.parquet", b"not parquet", ["parquet"]),
        ("a.xlsb", b"", [".xlsb", "Save the sheet as .xlsx"]),
        ("a.numbers", b"", [".numbers", ".csv, .tsv, .txt, .json, .jsonl, .ndjson, .parquet"]),
        ("a.csv", b"", ["no row"]),
        ("a.csv", b"prompt,response,rating\n", ["no row"]),
        ("a.json", b"[]", ["no row"]),
    ],
)
def test_a_malformed_file_is_named_with_its_place(tmp_path, name, content, parts):
    path = tmp_path / name
    path.write_bytes(content)
    text = message(path)
    assert str(path) in text
    assert all(part in text for part in parts), text


def test_missing_files_directories_and_files_named_twice(tmp_path):
    path = write_any(tmp_path / "ratings.csv", ROWS)
    assert "Did you mean 'ratings.csv'?" in message(tmp_path / "rating.csv")
    assert "no such file" in message(tmp_path / "nowhere" / "rating.csv")
    (tmp_path / "hollow").mkdir()
    assert "is a directory without a readable data set" in message(tmp_path / "hollow")
    assert "given twice" in message([path, tmp_path / "." / "ratings.csv"])
    assert "No file is named" in message([])
    empty = write(tmp_path / "empty.csv", "prompt,response,rating\n")
    assert "empty.csv: no rows" in message([path, empty])


def test_no_other_column_reaches_an_example_or_a_prompt(tmp_path):
    rows = [row | {"feedback": "SECRET", "rationale": "SECRET", "answer": "SECRET"} for row in ROWS]
    for example in load([write_any(tmp_path / "r.jsonl", rows)], scale=FIVE).examples:
        assert "SECRET" not in repr(example)
        assert "SECRET" not in JudgeTask(FIVE).hint_prompt(example.fields, example.answer).text


def test_an_input_column_cannot_be_the_rating():
    for columns in ({"prompt": "rating"}, {"response": "b", "rating": "a, b"}):
        with pytest.raises(ConfigError, match="input"):
            Columns(**columns)


def test_columns_are_renamed(tmp_path):
    rows = [{"q": "a", "r": "b", "s": "4.0", "key": "k1", "topic": "t"}]
    columns = Columns(prompt="q", response="r", rating="s", id="key", group="topic")
    path = write_any(tmp_path / "r.csv", rows)
    expected = Example("k1", {"prompt": "a", "response": "b"}, "4", "t", (), f"{path}:2")
    assert load([path], scale=FIVE, columns=columns).examples == (expected,)


def test_several_raters_become_one_example(tmp_path):
    lists = write_any(tmp_path / "a.json", [ROWS[0] | {"rating": [2, 3, None]}, ROWS[1] | {"rating": [4]}])
    several = write(tmp_path / "b.csv", "prompt,response,r1,r2,r3\np,q,1,,5\n")
    loaded = load([lists], scale=FIVE)
    assert [(e.answer, e.ratings) for e in loaded.examples] == [("3", ("2", "3")), ("4", ())]
    assert (loaded.notes["missing_ratings"], loaded.notes["several_raters"]) == (1, 1)
    (example,) = load([several], scale=FIVE, columns=Columns(rating="r1, r2,r3")).examples
    assert (example.answer, example.ratings) == ("3", ("1", "5"))
    with_comma = write(tmp_path / "c.csv", 'prompt,response,"a,b"\np,q,1\n')
    assert load([with_comma], scale=FIVE, columns=Columns(rating="a,b")).examples[0].answer == "1"


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"rating": "6"}, ["'6' is not a level", "1 < 2 < 3 < 4 < 5"]),
        ({"rating": " "}, ["rating", "empty"]),
        ({"rating": None}, ["rating", "empty"]),
        ({"rating": []}, ["rating", "empty"]),
        ({"rating": ["3", "x"]}, ["'x' is not a level"]),
        ({"prompt": " \n\t"}, ["'prompt'", "empty"]),
        ({"response": None}, ["'response'", "empty"]),
        ({"response": float("nan")}, ["'response'", "empty"]),
        ({"response": ["a"]}, ["'response'", "list"]),
        ({"response": {"a": 1}}, ["'response'", "dict"]),
        ({"response": "\ud800"}, ["'response'", "surrogate"]),
    ],
)
def test_an_unusable_cell_names_file_and_row(tmp_path, changed, parts):
    path = write_any(tmp_path / "r.jsonl", [ROWS[0], ROWS[1] | changed])
    text = message(path)
    assert text.startswith(f"{path}:2: ")
    assert all(part in text for part in parts), text


def test_a_missing_column_names_the_closest_and_all(tmp_path):
    path = write_any(tmp_path / "r.csv", [{"promt": "a", "response": "b", "rating": "1"}])
    text = message(path)
    assert "Did you mean 'promt'?" in text
    assert "['promt', 'response', 'rating']" in text
    assert "`--prompt-col NAME`" in text
    rows = [ROWS[0], {"prompt": "a", "response": "b"}]
    assert ":2: the rating ('rating') is empty" in message(write_any(tmp_path / "r.jsonl", rows))


def test_numbers_are_texts_as_written(tmp_path):
    path = write_any(tmp_path / "r.jsonl", [{"prompt": 12, "response": True, "rating": 4.0}])
    (example,) = load([path], scale=FIVE).examples
    assert (example.fields, example.answer) == ({"prompt": "12", "response": "True"}, "4")


@pytest.mark.parametrize(
    ("ratings", "suggestion"),
    [
        (["2", "5", "1"], "--scale 1-5`"),
        (["-1", "1"], '--scale "-1 to 1"`'),
        (["good", "bad"], '--scale "bad < good"`'),
        (["0.5", "0.25"], '--scale "0.25-0.5 by 0.25"`'),
        (["0", "0.5", "1"], '--scale "0-1 by 0.5"`'),
        ([f"word {chr(97 + n)}" for n in range(12)], '--scale "word a | word b | '),
        ([f"word {n}" for n in range(12)], "--scale 0-11`"),
        (["1e999999999", "inf"], '--scale "1e999999999 | inf"`'),
        (["9" * 5000, "1"], '--scale "Bad < Fair < Good"`'),
    ],
)
def test_without_a_scale_the_values_are_shown(tmp_path, ratings, suggestion):
    path = write_any(tmp_path / "r.csv", [ROWS[0] | {"rating": rating} for rating in ratings])
    text = message(path, scale=None)
    assert all(repr(rating.removeprefix("word ")) in text or repr(rating) in text for rating in ratings)
    assert suggestion in text
    assert str(path) in text


def test_ids_of_files_with_one_stem_differ(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    paths = [
        tmp_path / "a" / "r.csv",
        tmp_path / "b" / "r.csv",
        tmp_path / "b" / "r.jsonl",
        tmp_path / "z.csv",
    ]
    loaded = load([write_any(path, ROWS[:1]) for path in paths], scale=FIVE)
    assert [e.id for e in loaded.examples] == ["a/r.csv-2", "b/r.csv-2", "r.jsonl-1", "z-2"]


def test_a_repeated_id_is_an_error_unless_the_rows_are_identical(tmp_path):
    first = {"id": "k", "note": "a"} | ROWS[0]
    columns = Columns(id="id")
    same = write_any(tmp_path / "same.csv", [first, first | {"note": "b"}])
    loaded = load([same], scale=FIVE, columns=columns)
    assert [e.id for e in loaded.examples] == ["k"]
    assert loaded.notes["identical_duplicates"] == 1
    label = write_any(tmp_path / "label.csv", [first, first | {"rating": "1"}])
    text = message(label, columns=columns)
    assert f"{label}:2" in text
    assert f"{label}:3" in text
    assert "two labels" in text
    content = write_any(tmp_path / "content.csv", [first, first | {"response": "else"}])
    assert "two contents" in message(content, columns=columns)


def test_feedbackqa_is_recognised_and_its_explanations_never_read():
    path = FIXTURES / "feedbackqa_like.json"
    loaded = load([path])
    assert loaded.preset == "feedbackqa"
    assert loaded == load_feedbackqa(path)
    assert loaded.scale.levels == ("Bad", "Could be Improved", "Acceptable", "Excellent")
    assert [e.answer for e in loaded.examples] == ["Excellent", "Could be Improved", "Acceptable"]
    assert [e.id for e in loaded.examples] == [f"feedbackqa_like-{number}" for number in (1, 2, 3)]
    first, second, third = loaded.examples
    assert first.fields == {
        "prompt": "May I keep a goat on the roof?",
        "response": "Animals\nGoats\nGoats need the leave of the mayor.",
    }
    assert second.fields["response"] == "Tiles are red."
    assert first.group == second.group == first.fields["prompt"] != third.group
    assert third.ratings == ("Bad", "Excellent", "Excellent")
    assert all("EXPLANATION" not in repr(example) for example in loaded.examples)
    assert loaded.notes["unused_columns"] == ["feedback"]


def test_a_preset_refuses_what_it_does_not_know(tmp_path):
    foreign = write_any(tmp_path / "r.jsonl", ROWS)
    assert "not a row of feedbackqa" in message(foreign, preset="feedbackqa", scale=None)
    assert "not a row of feedbackqa" in message([FIXTURES / "feedbackqa_like.json", foreign], scale=None)
    with pytest.raises(ConfigError, match="Did you mean 'feedbackqa'"):
        load([foreign], preset="feedbackqs")
    with pytest.raises(ConfigError, match="not both"):
        load([foreign], preset="feedbackqa", columns=Columns())


def example(number: int, group: str, ratings: tuple[str, ...] = ()) -> Example:
    answer = FIVE.mean(ratings) if ratings else "3"
    return Example(f"e{number}", {"prompt": group, "response": str(number)}, answer, group, ratings, f"f:{number}")


def test_expand_raters():
    items = [example(1, "g", ("1", "4")), example(2, "h")]
    each = expand_raters(items, "each")
    assert [(e.id, e.answer, e.ratings, e.group) for e in each] == [
        ("e1#1", "1", (), "g"),
        ("e1#2", "4", (), "g"),
        ("e2", "3", (), "h"),
    ]
    assert expand_raters(items, "mean") == tuple(items)
    looks_so = Example("e1#2", items[0].fields, "3", "g")
    assert len({e.id for e in expand_raters([*items, looks_so], "each")}) == 4
    with pytest.raises(ConfigError, match="'each', 'mean', 'median' or 'majority'"):
        expand_raters(items, "best")


def test_ids_of_the_test_set_give_way():
    train = [example(1, "a"), example(2, "b")]
    assert [e.id for e in distinct_ids(train, [example(2, "c"), example(3, "d")])] == ["test:e2", "e3"]
    assert [e.item for e in distinct_ids(train, [example(2, "c")])] == ["e2"]
    looks_so = (*train, Example("test:e2", {}, "1", "x"))
    assert len({e.id for e in (*looks_so, *distinct_ids(looks_so, [example(2, "c")]))}) == 4


def test_split_cuts_at_the_shares_of_the_examples():
    items = [example(number, f"g{number // 2}") for number in range(200)]
    train, validation, test = split(items, seed=0)
    assert (len(train), len(validation), len(test)) == (160, 20, 20)
    assert split(items, seed=0) == (train, validation, test)
    assert overlap(train, test) == 0
    assert overlap([example(1, "a"), example(2, "b")], [example(3, "b"), example(4, "b"), example(5, "c")]) == 2
    assert split(items, seed=1)[2] != test
    assert [len(part) for part in split(items, seed=0, test=0)] == [180, 20, 0]
    assert [len(part) for part in split(items, seed=0, validation=0, test=0)] == [200, 0, 0]


def test_a_split_needs_a_group_for_each_set():
    two = [example(1, "a"), example(2, "a"), example(3, "b")]
    with pytest.raises(DataError, match=r"2 group\(s\) cannot fill 3 sets"):
        split(two, seed=0)
    assert all(split(two, seed=0, test=0)[:2])
    for shares in ({"validation": 0.5, "test": 0.5}, {"validation": -0.1}, {"test": float("nan")}):
        with pytest.raises(ConfigError):
            split(two, seed=0, **shares)


@given(
    groups=st.lists(st.text(max_size=3), max_size=40),
    seed=st.integers(0, 2**31),
    validation=st.sampled_from([0.0, 0.1, 0.3]),
    test=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_split_parts_no_group_and_loses_no_example(groups, seed, validation, test):
    items = [example(number, group) for number, group in enumerate(groups)]
    wanted = 1 + (validation > 0) + (test > 0)
    if len(set(groups)) < wanted:
        with pytest.raises(DataError):
            split(items, seed=seed, validation=validation, test=test)
        return
    parts = split(items, seed=seed, validation=validation, test=test)
    assert sorted(e.id for part in parts for e in part) == sorted(e.id for e in items)
    names = [{e.group for e in part} for part in parts]
    assert sum(map(len, names)) == len(set.union(*names))
    assert [bool(part) for part in parts] == [True, validation > 0, test > 0]
    backwards = split(items[::-1], seed=seed, validation=validation, test=test)
    assert [{e.id for e in part} for part in backwards] == [{e.id for e in part} for part in parts]


# As Scale.parse leaves them: no blank at either end, not even a no-break space.
_LEVEL = (
    st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=8).map(str.strip).filter(bool)
)


@st.composite
def scales(draw):
    levels = draw(st.lists(_LEVEL, min_size=2, max_size=6, unique_by=str.casefold))
    try:
        return Scale(tuple(levels))
    except ConfigError:
        return Scale.parse("1-5")


@pytest.mark.slow
@given(text=st.text(), marked=st.booleans(), scale=scales())
def test_the_parser_is_total_and_never_invents_a_level(text, marked, scale):
    parsed = parse_verdict(f"{MARKER}{text}" if marked else text, MARKER, scale.levels)
    assert (parsed.answer is None) == (parsed.problem is not None)
    if parsed.answer is not None:
        assert parsed.answer in scale.levels
        assert parsed.answer.casefold() in text.casefold()


@pytest.mark.slow
@given(scale=scales(), rationale=st.text(), data=st.data())
def test_every_level_of_every_scale_is_read_back(scale, rationale, data):
    level = data.draw(st.sampled_from(scale.levels))
    plain = "\n".join(line for line in rationale.splitlines() if MARKER not in line)
    parsed = scale.read(JudgeTask(scale).format(plain, level))
    assert (parsed.answer, parsed.problem) == (level, None)
    assert scale.level(level) == level
    assert scale.mean([level] * 3) == level


@given(ranks=st.lists(st.integers(0, 4), min_size=1, max_size=9))
def test_the_mean_of_ratings_is_rounded_half_up(ranks):
    exact = sum(ranks) / len(ranks)
    assert FIVE.rank(FIVE.mean([FIVE.levels[rank] for rank in ranks])) == int(exact + 0.5)
