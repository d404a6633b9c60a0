"""Files of all shapes: how a file is written is found or refused with the way out, and paths lead into cells."""

import csv
import gzip
import io
import json
from collections import deque
from itertools import islice

import pyarrow as pa
import pytest
from pyarrow import ipc, parquet

from rationem import FitConfig
from rationem.check.checkup import examine
from rationem.cli.main import main
from rationem.data import Columns, FileFormat, load, read_rows
from rationem.data.dialects import dialect_of
from rationem.data.nested import apart, column_names, opened, spread, structure
from rationem.data.readers import notes_of
from rationem.data.records import Row
from rationem.data.sources import iter_rows
from rationem.errors import BrokenFile, ConfigError, DataError, RationemError
from rationem.tasks.scale import Scale

FIVE = Scale.parse("1-5")
ROWS = [{"prompt": f"what is {n} ?", "response": f"{n} kind", "rating": str(1 + n % 5)} for n in range(40)]


def made(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def table(rows=ROWS, delimiter=",", head=True):
    lines = [delimiter.join(rows[0])] if head else []
    return "".join(f"{line}\n" for line in [*lines, *(delimiter.join(row.values()) for row in rows)])


def changed(at, **cells):
    return [{**row, **cells} if n == at else row for n, row in enumerate(ROWS)]


def refusal(path, given=FileFormat()):  # noqa: B008 - frozen
    with pytest.raises(RationemError) as caught:
        list(iter_rows(path, given))
    return str(caught.value)


def ratings(path, columns=None, **given):
    return [(x.answer, x.ratings) for x in load([path], scale=FIVE, columns=columns, form=FileFormat(**given)).examples]


# --- quoting


def test_a_tsv_keeps_quotation_marks_that_quote_nothing(tmp_path):
    begins = made(tmp_path / "a.tsv", table(changed(5, response='"Hi" he said'), "\t"))
    assert read_rows(begins)[5].cells["response"] == '"Hi" he said'
    rows = changed(5, response='"Hi there')
    rows[15] = rows[15] | {"response": 'bye"'}
    assert [row.cells for row in read_rows(made(tmp_path / "b.tsv", table(rows, "\t")))] == rows


def test_a_tsv_that_a_program_quoted_is_read_as_quoted(tmp_path):
    rows = changed(5, response='two\nlines and a "mark"\tand a tab')
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(ROWS[0]), delimiter="\t")
    writer.writeheader()
    writer.writerows(rows)
    assert [row.cells for row in read_rows(made(tmp_path / "a.tsv", text.getvalue()))] == rows


def test_backslashes_before_marks_are_found_and_only_they_are_taken_away(tmp_path):
    path = made(tmp_path / "a.csv", table(changed(5, response=r'"say \"no\", then C:\new"')))
    rows = read_rows(path)
    assert (len(rows), rows[5].cells["response"]) == (40, r'say "no", then C:\new')
    assert notes_of(path) == {"quoting": "backslash"}


def test_a_break_in_quoting_names_its_line_and_what_lies_behind_it(tmp_path):
    path = made(tmp_path / "a.csv", table(changed(5, response='"say no')))
    with pytest.raises(BrokenFile, match=r"a\.csv:7: quoting breaks here.* 34 of 41 lines lie behind it"):
        read_rows(path)
    assert len(read_rows_as(path, quoting="none")) == 40


def read_rows_as(path, **given):
    return list(iter_rows(path, FileFormat(**given)))


def test_a_mark_that_swallows_rows_of_a_csv_is_refused_and_either_reading_can_be_named(tmp_path):
    rows = changed(5, rating='"4')
    rows[15] = rows[15] | {"rating": '4"'}
    path = made(tmp_path / "a.csv", table(rows))
    assert "a.csv:7: the quotation mark that opens here closes in line 17 only" in refusal(path)
    assert len(read_rows_as(path, quoting="none")) == 40
    assert len(read_rows_as(path, quoting="doubled")) == 30


# --- header, delimiter, encoding


def test_what_is_harmless_is_read(tmp_path):
    plain = [row.cells for row in read_rows(made(tmp_path / "plain.csv", table()))]
    assert plain == ROWS
    for name, content in {
        "sep.csv": "sep=;\n" + table(delimiter=";"),
        "trailing.csv": "prompt,response,rating\n" + "".join(",".join(row.values()) + ",\n" for row in ROWS),
        "unnamed.csv": "prompt,response,rating,\n" + "".join(",".join(row.values()) + "\n" for row in ROWS),
        "pipes.csv": table(delimiter="|"),
        "commas.tsv": table(),
        "windows.txt": table(delimiter="\t").replace("\n", "\r\n").encode("utf-16"),
    }.items():
        found = [dict(row.cells) for row in read_rows(made(tmp_path / name, content))]
        assert [{key: row[key] for key in ROWS[0]} for row in found] == ROWS, name


def test_the_rows_show_the_delimiter_where_the_header_does_not(tmp_path):
    rows = [{"prompt, as shown": "a, b, c", "response": "d", "rating": "3"}] * 5
    assert dialect_of(made(tmp_path / "a.csv", table(rows, ";")), FileFormat()).delimiter == ";"


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ("Survey of 2024\n\n" + table(), "--skip-lines 2"),
        ("Survey\nby us\n" + table(), "--skip-lines 2"),
        ("prompt response rating\n" + "".join(f'"{r["prompt"]}" "x y" 3\n' for r in ROWS), "--delimiter space"),
        ("a,b\n" + "".join("1,2,3\n" for _ in ROWS), "40 of 40 rows have 3"),
        (
            '"q","answer"\n"1","a","b"\n"2","c","d"\n',
            "--no-header --skip-lines 1` and name columns",
        ),
        ("prompt, long,response,rating\n" + "".join("a,b,3\n" for _ in ROWS), "40 of 40 rows have 3"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_with_the_flag_that_helps(tmp_path, content, advice):
    assert advice in refusal(made(tmp_path / "a.csv", content))


def test_without_a_header_columns_are_numbered(tmp_path):
    rows = read_rows_as(made(tmp_path / "a.csv", table(head=False)), header=False)
    assert rows[0].cells == {"1": "what is 0 ?", "2": "0 kind", "3": "1"}
    assert len(rows) == 40


def test_flags_say_what_a_file_does_not_show(tmp_path):
    text = "a title\n" + table(delimiter="*").replace("kind", "café")
    path = made(tmp_path / "a.csv", text.encode("cp1252"))
    found = read_rows_as(path, delimiter="*", skip_lines=1, encoding="cp1252")
    assert found[0].cells == {"prompt": "what is 0 ?", "response": "0 café", "rating": "1"}
    assert "byte 0x8f" in refusal(made(tmp_path / "b.csv", b"prompt,response\n\x8f,x\n"), FileFormat(encoding="cp1252"))
    for wrong in ({"delimiter": "::"}, {"delimiter": '"'}, {"encoding": "klingon"}, {"encoding": "base64"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            FileFormat(**wrong)


def test_two_columns_of_one_name_are_read_apart_and_do_not_matter_unread(tmp_path):
    path = made(tmp_path / "a.csv", "prompt,response,rating,Comment,Comment,,\na,b,3,x,y,z,w\n")
    (row,) = read_rows(path)
    assert list(row.cells)[3:] == ["Comment (1)", "Comment (2)", "column 6", "column 7"]
    assert len(load([path], scale=FIVE).examples) == 1
    assert load([path], scale=FIVE, columns=Columns(response="Comment (2)")).examples[0].fields["response"] == "y"


def test_the_header_rows_of_qualtrics_are_no_items(tmp_path):
    ids = ",".join(f'"{{""ImportId"":""QID{n}""}}"' for n in range(3))
    path = made(tmp_path / "a.csv", table().replace("\n", f"\nThe question,The answer,Rate it\n{ids}\n", 1))
    assert len(load([path], scale=FIVE).examples) == 40
    assert notes_of(path) == {"explained_header": 2}


def test_check_and_fit_say_how_a_file_is_written_in_the_same_words(tmp_path, capsys):
    rows = "".join(f'"what is {n}?","it is \\"{n}\\"",{1 + n % 5}\n' for n in range(40))
    ids = '"{""ImportId"":""Q0""}"'
    path = made(
        tmp_path / "a.csv", f"prompt,response,rating\nThe question,The answer,Rate it\n{ids},{ids},{ids}\n{rows}"
    )
    assert notes_of(path) == {"quoting": "backslash", "explained_header": 2}
    sentences = ["are escaped by a backslash", "2 rows explain it: not read."]
    main(["check", str(path), "--scale", "1-5", "--json"])
    found = {one["code"]: one["message"] for one in json.loads(capsys.readouterr().out)["findings"]}
    assert sentences[0] in found["quoting"]
    assert sentences[1] in found["explained_header"]
    more = ("--model", "tiny-judge", "--dry-run", "-o", str(tmp_path / "run"))
    assert main(["fit", str(path), "--scale", "1-5", *more]) == 0
    said = capsys.readouterr()
    assert all(sentence in said.err + said.out for sentence in sentences)


# --- json


def test_json_in_its_usual_wrappings_is_read(tmp_path):
    lines = "\n".join(map(json.dumps, ROWS))
    columns = {name: {str(n): row[name] for n, row in enumerate(ROWS)} for name in ROWS[0]}
    for name, content in {
        "array.jsonl": json.dumps(ROWS),
        "indented.jsonl": json.dumps(ROWS, indent=1),
        "objects.jsonl": "\n".join(json.dumps(row, indent=1) for row in ROWS),
        "lines.json": lines,
        "one-list.json": json.dumps({"version": 2, "instances": ROWS, "tags": ["a"]}),
        "pandas.json": json.dumps(columns),
        "lists.json": json.dumps({name: list(cells.values()) for name, cells in columns.items()}),
        "by-id.json": json.dumps({f"id{n}": row for n, row in enumerate(ROWS)}),
    }.items():
        found = read_rows(made(tmp_path / name, content))
        assert [{key: row.cells[key] for key in ROWS[0]} for row in found] == ROWS, name


def test_records_lie_at_a_path_and_keep_what_stands_around_them(tmp_path):
    content = {"meta": [{"a": 1}], "docs": [{"q": "p", "answers": [{"response": "a"}, {"response": "b"}]}]}
    path = made(tmp_path / "a.json", json.dumps(content))
    assert "--records meta" in refusal(path)
    assert "leads to no objects" in refusal(path, FileFormat(records="docs.anwers"))
    rows = read_rows_as(path, records="docs.answers")
    assert [(row.cells["q"], row.cells["response"]) for row in rows] == [("p", "a"), ("p", "b")]
    lines = made(tmp_path / "a.jsonl", json.dumps(content["docs"][0]) + "\n")
    rows = read_rows_as(lines, records="answers")
    assert [(row.cells["response"], row.source) for row in rows] == [("a", f"{lines}:1#1"), ("b", f"{lines}:1#2")]


def test_a_key_that_a_row_lacks_is_null(tmp_path):
    rows = [{**row, "second": 3} for row in ROWS]
    del rows[4]["second"]
    lacking = made(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    null = made(tmp_path / "b.jsonl", "\n".join(json.dumps({"second": None, **row}) for row in rows))
    columns = Columns(rating="rating,second")
    assert ratings(lacking, columns) == ratings(null, columns)


# --- paths


def rating(name, value):
    return {"from": name, "value": {"rating": value}}


def test_a_path_leads_through_lists_objects_and_texts():
    cells = {
        "annotations": [
            {"by": "ann", "result": [rating("tone", 4), rating("help", 2)]},
            {"by": "bob", "result": [rating("tone", 5)]},
        ],
        "text": '{"scores": [1, 2]}',
        "python": "[{'who': 'a', 'score': None}, {'who': 'b', 'score': 3}]",
        "by_rater": {"ann": 1, "bob": 2},
        "dotted.name": {"x[]": 7},
    }
    for path, value in {
        "annotations[].result[0].value.rating": [4, 5],
        "annotations[].result[from=tone].value.rating": [4, 5],
        "annotations[].result[from=help].value.rating": [2, None],
        "annotations[1].by": "bob",
        "annotations[-1].by": "bob",
        "text.scores[1]": 2,
        "text.scores": [1, 2],
        "python[].score": [None, 3],
        "by_rater[]": [1, 2],
        "by_rater[].~key": ["ann", "bob"],
        "dotted.name.x[]": 7,
    }.items():
        assert opened(Row(cells, "r", 1), [path]).cells.get(path) == value, path
    for path in ("annotations[7].by", "annotations[].nothing", "text.scores[9]", "by_rater.cy"):
        assert path not in opened(Row(cells, "r", 1), [path]).cells


def test_a_list_of_raters_becomes_a_row_each_with_their_own_rating():
    row = Row({"marks": [{"who": "a", "score": 1}, {"who": "b"}], "names": ["x", "y"], "given": "[3, 4]"}, "r", 1)
    found = apart(row, ["marks[].score"], "marks[].who")
    assert [(one.cells["marks[].who"], one.cells["marks[].score"]) for one in found] == [("a", 1), ("b", None)]
    found = apart(row, ["given"], "names")
    assert [(one.cells["names"], one.cells["given"]) for one in found] == [("x", 3), ("y", 4)]
    with pytest.raises(DataError, match="2 raters and 'given' has 3 values"):
        apart(Row({"names": ["x", "y"], "given": [1, 2, 3]}, "r", 1), ["given"], "names")


def test_objects_are_read_as_raters_with_their_names(tmp_path):
    rows = [{**row, "votes": [{"who": "a", "score": 2}, {"who": "b", "score": 4}]} for row in ROWS]
    rows[3]["votes"] = [{"who": "a", "score": 5}, {"who": "b", "score": None}]
    path = made(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    columns = Columns(rating="votes[].score", rater="votes[].who")
    found = ratings(path, columns)
    assert (found[0], found[3]) == (("3", ("2", "4")), ("5", ()))
    text = made(tmp_path / "a.csv", "prompt,response,votes\n" + 'p,r,"[{""who"": ""a"", ""score"": 2}]"\n')
    assert ratings(text, columns) == [("2", ())]


def test_a_path_that_leads_nowhere_names_the_keys(tmp_path):
    path = made(tmp_path / "a.jsonl", json.dumps({"prompt": "p", "response": "r", "votes": [{"who": 1, "score": 3}]}))
    with pytest.raises(DataError, match=r"'votes\[\]' has the keys \['who', 'score'\]"):
        ratings(path, Columns(rating="votes[].rating"))
    assert column_names({"votes": [{"who": 1}, {"score": 3}]}) == ["votes", "votes[].who", "votes[].score"]


def test_a_text_in_brackets_stays_a_text():
    for text in ("[sic]", "[1] see there", "{not json}", "[" * 100_000 + "]", "", "()"):
        assert structure(text) == text
    assert list(spread([{"a": []}], "a")) == []


# --- other formats, and damage


@pytest.mark.slow
def test_arrow_and_parquet_are_read_alike(tmp_path):
    columns = pa.Table.from_pylist(ROWS)
    parquet.write_table(columns, tmp_path / "a.parquet")
    with ipc.new_file(tmp_path / "a.arrow", columns.schema) as file:
        file.write_table(columns, max_chunksize=7)
    with ipc.new_stream(tmp_path / "b.arrow", columns.schema) as file:
        file.write_table(columns)
    for name in ("a.parquet", "a.arrow", "b.arrow"):
        assert [row.cells for row in read_rows(tmp_path / name)] == ROWS, name
    maps = pa.array([[("by", "ann"), ("at", "1")], [], None], pa.map_(pa.string(), pa.string()))
    parquet.write_table(pa.table({"metadata": maps}), tmp_path / "b.parquet")
    cells = [row.cells["metadata"] for row in read_rows(tmp_path / "b.parquet")]
    assert cells == [{"by": "ann", "at": "1"}, {}, None]


@pytest.mark.slow
def test_damaged_binary_files_are_told_in_our_words(tmp_path):
    columns = pa.Table.from_pylist([{"prompt": "unmistakable", "response": "b", "rating": "1"}] * 3)
    parquet.write_table(columns, tmp_path / "a.parquet", compression="none", use_dictionary=False)
    with ipc.new_file(tmp_path / "a.arrow", columns.schema) as file:
        file.write_table(columns)
    for name in ("a.parquet", "a.arrow"):
        whole = (tmp_path / name).read_bytes()
        assert b"unmistakable" in whole
        for content in (whole.replace(b"unmistakable", b"\xff" * 12), whole[:-40], whole[:20], b""):
            told = refusal(made(tmp_path / f"broken-{name}", content))
            assert told.startswith(f"{tmp_path / f'broken-{name}'}:"), told


@pytest.mark.slow
def test_a_compressed_file_may_not_expand_out_of_all_proportion(tmp_path):
    line = json.dumps(ROWS[0] | {"prompt": "x" * 100_000}).encode() + b"\n"
    with gzip.open(tmp_path / "a.jsonl.gz", "wb", compresslevel=6) as file:
        for _ in range(20):
            file.write(line * 100)
    read = iter_rows(tmp_path / "a.jsonl.gz")
    assert sum(1 for _ in islice(read, 600)) == 600  # of 2000
    with pytest.raises(DataError, match="expands to more than 100 times its size"):
        deque(islice(read, 100), maxlen=0)  # 64 MiB are about 671 lines
    assert len(read_rows(made(tmp_path / "b.jsonl.gz", gzip.compress(line * 100)))) == 100


# --- one verdict


@pytest.mark.slow
def test_what_breaks_a_file_is_an_error_of_check_whatever_may_be_left_out(tmp_path):
    path = made(tmp_path / "a.csv", table(changed(5, response='"say no')))
    found = examine(FitConfig(data=(str(path),), scale="1-5", skip_unusable=True))
    assert [one.severity for one in found.findings if one.code == "unusable_rows"] == ["error"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_byte_order_marks_belong_to_no_name_and_no_text(tmp_path, encoding):
    mark, given = "\ufeff", FileFormat(encoding="" if encoding == "utf-8" else encoding)
    path = made(tmp_path / "a.csv", (mark * 2 + table() + mark + table()).encode(encoding))
    rows = list(iter_rows(path, given))
    assert [row.cells["prompt"] for row in rows] == [row["prompt"] for row in ROWS] * 2
    quoted = made(
        tmp_path / "b.csv", f'{mark * 2}"prompt","response","rating"\n{mark}"a","b","3"\n'.replace(f"\n{mark}", "\n")
    )
    assert [row.cells for row in read_rows(quoted)] == [{"prompt": "a", "response": "b", "rating": "3"}]
    lines = made(tmp_path / "c.jsonl", f'{mark * 2}{{"a": 1}}\n{mark}{{"a": 2}}\n')
    assert [row.cells["a"] for row in read_rows(lines)] == [1, 2]


def test_a_byte_order_mark_in_a_key_hides_no_column(tmp_path):
    rows = [{"\ufeffquestion": row["prompt"], "answer": row["response"], "rating": row["rating"]} for row in ROWS]
    path = made(tmp_path / "a.json", json.dumps(rows))
    assert load([path], scale=FIVE).examples[0].fields["prompt"] == ROWS[0]["prompt"]


def test_a_last_column_that_no_row_has_a_cell_for_is_not_read_and_that_is_told(tmp_path):
    path = made(tmp_path / "a.csv", table().replace("rating", "rating,remark,page", 1))
    assert read_rows(path)[7].cells == ROWS[7]
    assert notes_of(path) == {"short_rows": ["remark", "page"]}
    (told,) = [
        one.message for one in examine(FitConfig(data=(str(path),), scale="1-5")).findings if one.code == "short_rows"
    ]
    assert told == "No row of `a.csv` has a cell for the last columns of its header, `remark`, `page`: not read."
    some = made(tmp_path / "b.csv", table(changed(5, rating="3,good")).replace("rating", "rating,remark", 1))
    assert "39 of 40 rows have 3" in refusal(some)


def unusable(path):
    return [
        place
        for one in examine(FitConfig(data=(str(path),), scale="1-5")).findings
        for place in one.places
        if one.code == "unusable_rows"
    ]


@pytest.mark.parametrize("note", ["Exported on 1 May\n(c) us\n", "Exported on 1 May,,\n(c) us,,\n"])
def test_notes_below_a_table_are_told_from_rows_that_were_cut(tmp_path, note):
    first, second = unusable(made(tmp_path / "a.csv", table() + note))
    assert "a.csv:42: the row has" in first
    assert "a.csv:43: the row has" in second
    assert "a note below the table" in second
    (cut,) = unusable(made(tmp_path / "b.csv", table(ROWS[:20]) + "what is\n" + table(ROWS[20:], head=False)))
    assert "b.csv:22: the row has 1 cell, the header 3. A line break" in cut


def test_a_column_filled_only_where_a_block_begins_is_told(tmp_path):
    rows = [{**row, "prompt": row["prompt"] if n % 4 == 0 else ""} for n, row in enumerate(ROWS)]
    told = unusable(made(tmp_path / "a.csv", table(rows)))
    assert "is empty, as in 30 of 40 rows, each below a filled one" in told[0]
    assert "fill it down" in told[0]
    (once,) = unusable(made(tmp_path / "b.csv", table(changed(5, prompt=""))))
    assert "is empty. Fill it in" in once


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_two_bytes_a_character_without_a_mark_are_recognised(tmp_path, encoding):
    for name, content in (
        ("a.csv", table()),
        ("a.csv", table(changed(5, response="grün"))),
        ("a.json", json.dumps(ROWS)),
    ):
        path = made(tmp_path / name, content.encode(encoding))
        assert f"Add --encoding {encoding}" in refusal(path)
        assert len(read_rows_as(path, encoding=encoding)) == 40


def test_of_an_object_the_key_with_the_text_is_named(tmp_path):
    rows = [{"prompt": "q", "reply": {"role": "assistant", "content": "a"}, "rating": 1}]
    path = made(tmp_path / "a.json", json.dumps(rows))
    with pytest.raises(DataError, match=r"column 'reply' holds a dict.* name one: 'reply\.content'"):
        load([path], scale=FIVE, columns=Columns(response="reply"))
