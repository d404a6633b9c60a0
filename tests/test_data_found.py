"""Files as people have them: semicolons, tabs in a .csv, Latin-1, spreadsheets, ratings in other notations."""

import csv
import gzip
import subprocess
from collections import Counter

import pytest

from doctored import check, codes, finding, rows, write
from rationem.data import load
from rationem.data.dialects import delimiter_of
from rationem.data.unusable import tally
from rationem.errors import DataError
from rationem.judging import source
from rationem.tasks.scale import Scale

FIVE = Scale.parse("1-5")


def made(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def refusal(path, **kwargs):
    with pytest.raises(DataError) as error:
        load([path], **{"scale": FIVE, **kwargs})
    return str(error.value)


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_csv_file_with_another_delimiter_is_read_and_that_is_noted(tmp_path, mark):
    text = mark.join(["prompt", "response", "rating"]) + "\r\n" + mark.join(["one, two", '"three\r\n,4"', "4"]) + "\r\n"
    found = load([made(tmp_path / "r.csv", text)], scale=FIVE)
    assert [(dict(x.fields), x.answer) for x in found.examples] == [
        ({"prompt": "one, two", "response": "three\r\n,4"}, "4")
    ]
    assert found.notes["delimiter"] == {"r.csv": mark}
    commas = load([made(tmp_path / "c.csv", "prompt,response,rating\na;b,c\td,4\n")], scale=FIVE)
    assert "delimiter" not in commas.notes


def test_the_delimiter_is_noted_of_a_packed_file_and_of_one_in_a_folder_too(tmp_path):
    text = "prompt;response;rating\na;b;4\n"
    packed = tmp_path / "p.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert load([packed], scale=FIVE).notes["delimiter"] == {"p.csv.gz": ";"}
    (tmp_path / "folder").mkdir()
    made(tmp_path / "folder" / "train.csv", text)
    assert load([f"{tmp_path / 'folder'}#train"], scale=FIVE).notes["delimiter"] == {"train.csv": ";"}


@pytest.mark.parametrize(
    ("name", "header", "mark"),
    [
        ("a.csv", "a,b;c", ","),
        ("a.csv", '"a, b";c', ";"),
        ("a.csv", '"a; b",c', ","),
        ("a.csv", "\n\na;b", ";"),
        ("a.csv", "a;b\tc", ","),  # not clear
        ("a.csv", "alone", ","),
        ("a.csv", "", ","),
        ("a.csv", "\ufeffa;b", ";"),
        ("a.tsv", "a;b\tc", "\t"),
        ("a.tsv", "a;b", ";"),
        ("a.csv", "a|b", "|"),
        ("a.jsonl", "a;b", None),
    ],
)
def test_the_header_alone_decides_and_only_where_it_is_clear(tmp_path, name, header, mark):
    assert delimiter_of(made(tmp_path / name, header)) == mark


def test_a_file_to_rate_is_looked_at_with_its_own_delimiter(tmp_path):
    with pytest.raises(DataError, match="2 columns have no name"):
        source._check_header(made(tmp_path / "r.csv", "prompt;;response;\na;b;c;d\n"))


def test_a_check_of_a_file_with_semicolons_says_so(tmp_path, capsys):
    file = write(tmp_path / "r.csv", rows())
    _, commas = check(capsys, file, "--scale", "1-5")
    with open(file, "w", encoding="utf-8", newline="") as written:
        csv.writer(written, delimiter=";").writerows([list(rows()[0]), *(list(row.values()) for row in rows())])
    _, found = check(capsys, file, "--scale", "1-5")
    assert finding(found, "delimiter")["severity"] == "note"
    assert found["labels"] == commas["labels"]
    assert "delimiter" not in codes(commas)


@pytest.mark.parametrize(("encoding", "packed"), [("latin-1", False), ("latin-1", True)])
def test_the_command_that_an_error_shows_converts_the_file(tmp_path, encoding, packed):
    content = "prompt,response,rating\nà la carte,né en été,4\n".encode(encoding)
    path = tmp_path / ("it's.csv.gz" if packed else "it's.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    told = refusal(path)
    assert "is not UTF-8" in told
    command = told[told.index("`") + 1 : told.rindex("`")]
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    [example] = load([tmp_path / "utf8-it's.csv"], scale=FIVE).examples
    assert (example.fields["prompt"], example.fields["response"]) == ("à la carte", "né en été")


def test_a_spreadsheet_that_is_not_read_is_to_be_saved_as_another_one(tmp_path):
    assert "Save the sheet as .xlsx" in refusal(made(tmp_path / "r.NUMBERS", "PK"))
    assert "Save the sheet" not in refusal(made(tmp_path / "r.doc", "x"))


def rated(ratings):
    return [{**row, "rating": rating} for row, rating in zip(rows(len(ratings)), ratings, strict=True)]


def test_all_values_that_are_no_levels_are_listed_with_their_number_and_what_to_do(tmp_path):
    told = refusal(write(tmp_path / "r.csv", rated(["4", "N/A", "4/10", "N/A", "2", "six"])))
    assert "r.csv:4: in column 'rating', '4/10' is not a level" in told
    assert "Not a level: '4/10' (1), 'six' (1). Correct mistyped values" in told
    assert "--missing=six." in told


def test_a_check_lists_them_too(tmp_path, capsys):
    file = write(tmp_path / "r.csv", [*rows(100), *rated(["six", "4/10", "six"])])
    code, found = check(capsys, file, "--scale", "1-5")
    assert code == 1
    assert found["rows"]["values"] == {"six": 2, "4/10": 1}
    assert "Not a level: 'six' (2), '4/10' (1)." in finding(found, "unusable_rows")["message"]


@pytest.mark.parametrize(
    ("value", "scale", "told"),
    [
        ("4 out of 5", "1-5", "Write '4 out of 5' as '4'."),
        ("4,5", "1-5 by 0.5", "Write '4,5' as '4.5'."),
        ("4/10", "1-5", "Correct mistyped values"),  # four of ten is not four of five
        ("4,5", "1-5", "Correct mistyped values"),
        ("?", "1-5", "Leave out rows without a rating."),
        ("x" * 5000, "1-5", "Correct mistyped values"),
    ],
)
def test_the_advice_fits_the_value(value, scale, told):
    said = tally(Counter([value]), Scale.parse(scale))
    assert told in said
    assert len(said) < 200
    assert ("mistyped" in said) == ("mistyped" in told)
