"""Workbooks: which sheet is read, what its cells become, and which files are refused."""

import datetime
import importlib
import os
import zipfile
from pathlib import Path

import pytest

from rationem.data import FileFormat, load, read_rows
from rationem.data.readers import notes_of
from rationem.data.sources import iter_rows
from rationem.data.workbooks import WORKBOOKS
from rationem.errors import ConfigError, DataError, RationemError
from rationem.tasks.scale import Scale

pytestmark = pytest.mark.slow

#: Written once with xlwt, which has not been maintained since 2017: two empty rows, an empty column, three ratings.
XLS = Path(__file__).parent / "fixtures" / "ratings.xls"
HEADER = ["prompt", "response", "rating"]
ROWS = [[f"q{n}", f"a{n}", 1 + n % 5] for n in range(20)]


def needed(name):
    return importlib.import_module(name) if os.environ.get("CI") else pytest.importorskip(name)


@pytest.fixture(autouse=True)
def library():
    return needed("python_calamine")


def workbook(path, sheets, hidden=()):
    book = needed("openpyxl").Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        sheet.sheet_state = "hidden" if name in hidden else "visible"
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def open_document(path, *rows, repeated=1):
    """Write an .ods whose rows are lists of cells, each with its attributes and its text."""
    cells = "".join(
        f'<table:table-row table:number-rows-repeated="{repeated}">'
        + "".join(f"<table:table-cell {more}><text:p>{text}</text:p></table:table-cell>" for more, text in row)
        + '<table:table-cell table:number-columns-repeated="16000"/></table:table-row>'
        for row in rows
    )
    empty = '<table:table-row table:number-rows-repeated="1048000"><table:table-cell/></table:table-row>'
    spaces = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("mimetype", kind)
        file.writestr(
            "META-INF/manifest.xml",
            f'<m:manifest xmlns:m="{manifest}"><m:file-entry m:full-path="/" m:media-type="{kind}"/></m:manifest>',
        )
        file.writestr(
            "content.xml",
            f"<office:document-content{spaces}><office:body><office:spreadsheet>"
            f'<table:table table:name="Ratings">{cells}{empty}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )
    return path


def refusal(path, **given):
    with pytest.raises(RationemError) as caught:
        list(iter_rows(path, FileFormat(**given)))
    return str(caught.value)


def as_given(path, **given):
    return list(iter_rows(path, FileFormat(**given)))


def test_a_workbook_is_read_by_its_sheet(tmp_path):
    rows = [[*HEADER, None], *ROWS]
    path = workbook(tmp_path / "a.xlsx", {"Empty": [], "Ratings": rows})
    assert [list(row.cells.values()) for row in read_rows(path)] == ROWS
    assert len(load([path], scale=Scale.parse("1-5")).examples) == 20
    two = workbook(tmp_path / "b.xlsx", {"First": [["a"], [1]], "Ratings": [["A title"], [], *rows]})
    assert "--records 'First'" in refusal(two)
    assert "there is no sheet 'Third'" in refusal(two, records="Third")
    assert "--skip-lines 2" in refusal(two, records="Ratings")
    assert len(as_given(two, records="Ratings", skip_lines=2)) == 20
    assert list(as_given(two, records="First", header=False)[0].cells) == ["1"]


def test_a_hidden_sheet_is_read_only_by_name(tmp_path):
    path = workbook(tmp_path / "a.xlsx", {"Lists": [["x"], ["y"]], "Ratings": [HEADER, *ROWS]}, hidden=["Lists"])
    assert len(read_rows(path)) == 20
    assert [row.cells for row in as_given(path, records="Lists")] == [{"x": "y"}]
    alone = workbook(tmp_path / "b.xlsx", {"Empty": [], "Ratings": [HEADER, *ROWS]}, hidden=["Ratings"])
    assert len(read_rows(alone)) == 20


def test_cells_become_what_json_has_and_rows_keep_the_numbers_of_the_sheet(tmp_path):
    when, error = datetime.datetime(2024, 5, 31, 12, 30), "#N/A"
    values = [4.0, 2.5, 0.8, True, "007", " a ", when, when.date(), when.time(), error, "=1/0"]
    path = workbook(tmp_path / "a.xlsx", {"R": [[], [], [None, "n", "x"], *([None, 1, value] for value in values)]})
    rows = read_rows(path)
    assert [row.number for row in rows] == list(range(4, 15))
    assert [row.cells["x"] for row in rows] == [
        *(4, 2.5, 0.8, True, "007", " a "),
        *("2024-05-31 12:30:00", "2024-05-31", "12:30:00", None, None),
    ]


def test_an_open_document_is_read(tmp_path):
    head = [('office:value-type="string"', name) for name in HEADER]
    cells = {
        'office:value-type="float" office:value="4"': 4,
        'office:value-type="percentage" office:value="0.8"': 0.8,
        'office:value-type="boolean" office:boolean-value="true"': True,
        'office:value-type="date" office:date-value="2024-05-31T12:30:00"': "2024-05-31 12:30:00",
        'office:value-type="string"': "as shown",
    }
    rows = [[head[0], head[1], (cell, "as shown")] for cell in cells]
    found = read_rows(open_document(tmp_path / "a.ods", head, *rows))
    assert [list(row.cells) for row in found] == [HEADER] * 5  # without the empty columns to the right
    assert [row.cells["rating"] for row in found] == list(cells.values())
    everywhere = 'table:number-columns-repeated="16384" office:value-type="float" office:value="4"'
    whole = open_document(tmp_path / "b.ods", [(everywhere, "4")], repeated=20_000)
    assert "cannot be read as a workbook: Cell limit exceeded" in refusal(whole)


def test_an_old_workbook_is_read_whatever_its_name_says(tmp_path):
    expected = {"prompt": "q2", "response": "é, yes", "rating": 3, "share": 0.8, "when": "2024-05-31 12:32:00"}
    assert (read_rows(XLS)[2].cells, read_rows(XLS)[2].number) == (expected, 6)
    named = tmp_path / "a.xlsx"
    named.write_bytes(XLS.read_bytes())
    assert read_rows(named)[2].cells == expected


def test_a_header_that_stands_again_in_a_sheet_is_no_row(tmp_path):
    path = workbook(tmp_path / "a.xlsx", {"R": [HEADER, *ROWS, HEADER, *ROWS]})
    assert len(read_rows(path)) == 40
    assert notes_of(path) == {"repeated_header": 1}


def test_what_is_no_workbook_is_refused_with_a_way_out(tmp_path):
    damaged = workbook(tmp_path / "a.xlsx", {"R": [HEADER, *ROWS]}).read_bytes()[:2000]
    contents = {
        "cut.xlsx": (damaged, "Open it in your spreadsheet program"),
        "cut.xls": (XLS.read_bytes()[:3000], "Open it in your spreadsheet program"),
        "page.xls": (b"<html><table><tr><td>prompt</td></tr></table>", "save it as .xlsx"),
        "text.xls": (b"prompt\tresponse\trating\n", "It is text"),
        "empty.ods": (b"", "cannot be read as a workbook"),
    }
    for name, (content, told) in contents.items():
        (tmp_path / name).write_bytes(content)
        assert told in refusal(tmp_path / name), name
    protected = bytearray(XLS.read_bytes())
    at, name = protected.index("Workbook".encode("utf-16-le")), "EncryptedPackage".encode("utf-16-le")
    protected[at : at + len(name)] = name
    protected[at + 64] = len(name) + 2
    (tmp_path / "locked.xlsx").write_bytes(protected)
    assert "protected by a password" in refusal(tmp_path / "locked.xlsx")


def test_a_sheet_that_needs_too_much_memory_is_refused(tmp_path, monkeypatch):
    book = needed("openpyxl").Workbook()
    book.active["A1"], book.active["XFD1048576"] = "prompt", "far away"
    book.save(tmp_path / "far.xlsx")
    assert "up to column XFD and down to row 1048576" in refusal(tmp_path / "far.xlsx")
    monkeypatch.setattr("rationem.data.workbooks.MOST", 1000)
    assert "decompressed" in refusal(workbook(tmp_path / "a.xlsx", {"R": [HEADER, *ROWS]}))


def test_a_missing_library_is_told_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "python_calamine", None)
    for kind in WORKBOOKS:
        path = tmp_path / f"a{kind}"
        path.touch()
        with pytest.raises(ConfigError, match=r"pip install 'rationem\[xlsx\]'"):
            read_rows(path)


def test_a_binary_workbook_under_another_name_is_refused(tmp_path):
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("xl/worksheets/sheet1.bin", b"")
    with pytest.raises(DataError, match=r"binary workbook .* Save it as \.xlsx"):
        read_rows(path)
