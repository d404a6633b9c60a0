"""What a disk refuses and what a damaged ledger holds is told in a sentence; every other exception stays what it is."""

import errno
import gzip
import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from rationem import Ledger
from rationem.cli.main import main
from rationem.config import read_config
from rationem.data import lines
from rationem.data.sources import read_rows
from rationem.errors import ConfigError, DataError, DiskError, disk_error, writing
from rationem.ledger.damage import damage
from rationem.ledger.files import write_text
from rationem.sampling.schemes import parse_scheme
from rationem.tasks import answer_types
from rationem.tasks.rubric import read_rubric
from rationem.tasks.scale import Scale
from rationem.types import Kept, Purpose, State
from test_ledger import EXAMPLES, MANIFEST, trial


def sqlite_full():
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript("CREATE TABLE t (x); PRAGMA max_page_count=2")
        with pytest.raises(sqlite3.OperationalError) as caught:
            db.execute("INSERT INTO t VALUES (zeroblob(100000))")
    return caught.value


FULL = {
    "python": lambda: OSError(errno.ENOSPC, "No space left on device", "/nowhere/x"),
    "a quota": lambda: OSError(errno.EDQUOT, "Disk quota exceeded"),
    "sqlite": sqlite_full,
    "copytree": lambda: shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]),
    "safetensors and tokenizers": lambda: Exception("I/O error: No space left on device (os error 28)"),
    "torch": lambda: RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 14336 vs 14228"),
    "torch, on the last bytes": lambda: RuntimeError("basic_ios::clear: iostream error"),
}


@pytest.mark.parametrize("library", FULL)
def test_a_full_disk_is_one_sentence_whatever_library_meets_it(library, tmp_path):
    error = FULL[library]()
    with (
        pytest.raises(DiskError, match=r"are free in .*Make room, and run the same") as caught,
        writing(tmp_path / "x"),
    ):
        raise error
    assert "Cannot write" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("number", "advice"), [(errno.EFBIG, "ulimit -f"), (errno.EROFS, "choose another place"), (errno.EIO, "Check the")]
)
def test_what_to_do_fits_what_the_disk_answers(number, advice, tmp_path):
    assert advice in str(disk_error(OSError(number, "no"), tmp_path / "x"))


def test_a_refusal_names_the_users_file_and_tells_of_no_work(tmp_path):
    refused = PermissionError(errno.EACCES, "no", str(tmp_path / "x.csv.partial"))
    said = str(disk_error(refused, tmp_path / "x.csv"))
    assert said.startswith(f"Cannot write {tmp_path / 'x.csv'}: Permission denied. Give this user permission")
    assert said.endswith("run the same command again.")
    assert "Finished work is kept" in str(disk_error(OSError(errno.ENOSPC, "no"), tmp_path / "x.csv"))


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("shape"), FileNotFoundError(2, "no"), ValueError("28")])
def test_any_other_exception_passes_unchanged(error, tmp_path):
    with pytest.raises(type(error)) as caught, writing(tmp_path):
        raise error
    assert caught.value is error


def test_a_ledger_without_room_says_so_and_goes_on_with_room(tmp_path):
    ledger = Ledger(tmp_path / "run")
    ledger.start(MANIFEST, EXAMPLES)
    (pages,) = ledger.db.execute("PRAGMA page_count").fetchone()
    ledger.db.execute(f"PRAGMA max_page_count={pages + 2}")
    large = [trial(f"a{n}", text="x" * 9000) for n in range(3)]
    with pytest.raises(DiskError, match=r"ledger\.sqlite: No space left"):
        ledger.append(large)
    assert not ledger.outcomes(1, Purpose.TRAIN)
    ledger.db.execute("PRAGMA max_page_count=100000")
    ledger.append(large)
    assert len(ledger.outcomes(1, Purpose.TRAIN)) == 3
    ledger.close()


@pytest.fixture
def run(tmp_path):
    ledger = Ledger(tmp_path / "run")
    ledger.start(MANIFEST, EXAMPLES)
    ledger.append([trial("a0"), trial("a1")])
    ledger.finish(1, "e_step", seconds=0.0, record={"outcomes": {"accepted": 2}}, states={"a0": State.KEPT},
                  kept=[Kept("a0", 0, 1.0, 1), Kept("a1", 0, 1.0, 1)])  # fmt: skip
    yield ledger
    ledger.close()


def edit(ledger, sql):
    with closing(sqlite3.connect(ledger.directory / "ledger.sqlite")) as db:
        db.execute(sql)
        db.commit()


def test_a_ledger_is_whole_before_between_and_after_phases(run):
    assert damage(run.directory) is None
    run.append([trial("a0", attempt=1)])
    assert damage(run.directory) is None
    run.finish(1, "m_step", seconds=0.0, states={"a0": State.DROPPED_AT_TRAINING})
    assert damage(run.directory) is None
    assert damage(run.directory / "elsewhere") is None


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("UPDATE trials SET text = text || ' '", "the rows of 'trials' of iteration 1"),
        ("DELETE FROM states", "the rows of 'states' of iteration 1"),
        ("UPDATE iterations SET record = '{}'", "the rows of 'iterations' of iteration 1"),
        ("UPDATE examples SET answer = '3' WHERE id = 'b'", "the rows of 'examples' are not"),
        ("DELETE FROM manifest WHERE key = 'task'", "the rows of 'manifest' are not"),
        ("DROP TABLE predictions", "the table 'predictions' has other columns"),
        ("ALTER TABLE kept RENAME COLUMN weight TO w", "the table 'kept' has other columns"),
    ],
)
def test_what_was_edited_is_named_and_what_is_left(run, sql, told):
    edit(run, sql)
    found = str(damage(run.directory))
    assert told in found
    assert "checkpoints" in found
    (run.directory / "model").mkdir()
    (run.directory / "model" / "rationem.json").touch()
    assert "rationem judge" in str(damage(run.directory))


def test_the_damaged_run_of_a_comparison_is_named(run, tmp_path):
    place = tmp_path / "comparison" / "star"
    shutil.copytree(run.directory, place / "seed-0")
    shutil.copytree(run.directory, place / "seed-1")
    assert damage(tmp_path / "comparison") is None
    with closing(sqlite3.connect(place / "seed-1" / "ledger.sqlite")) as db:
        db.execute("DELETE FROM trials")
        db.commit()
    assert "seed-1" in str(damage(tmp_path / "comparison"))


def test_a_ledger_without_seals_is_not_called_damaged(run):
    edit(run, "DROP TABLE seals")
    assert damage(run.directory) is None


def test_a_command_on_a_damaged_ledger_says_so_and_one_on_a_whole_ledger_keeps_its_traceback(run, capsys):
    with pytest.raises(KeyError):  # the manifest of these tests is too small for a report: no fault of the ledger's
        main(["report", str(run.directory)])
    edit(run, "UPDATE manifest SET value = '[' WHERE key = 'task'")
    assert main(["report", str(run.directory)]) == 2
    assert "is damaged, or was edited: the rows of 'manifest'" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["x-unknown", "cp037-none", "shift_jis", "utf-7", "GB18030"])
def test_an_xml_of_an_encoding_that_cannot_be_read_is_refused(tmp_path, encoding):
    path = tmp_path / "a.xml"
    path.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?><question></question>'.encode())
    with pytest.raises(DataError, match="encoding"):
        read_rows(path)


def test_a_parquet_of_texts_that_are_not_utf8_is_refused(tmp_path):
    import pyarrow
    from pyarrow import parquet

    broken = pyarrow.Array.from_buffers(
        pyarrow.string(), 1, [None, pyarrow.array([0, 2], pyarrow.int32()).buffers()[1], pyarrow.py_buffer(b"\xff\xfe")]
    )
    parquet.write_table(pyarrow.table({"prompt": broken}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        read_rows(tmp_path / "a.parquet")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".xml"])
def test_a_gzip_bomb_is_refused_before_it_fills_the_memory(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST", 1 << 16)
    monkeypatch.setattr(lines, "MOST", 1 << 17)
    path = tmp_path / f"a{suffix}.gz"
    path.write_bytes(gzip.compress(b'{"prompt": "' + b"a" * (1 << 20)))
    with pytest.raises(DataError, match="more than"):
        read_rows(path)


def test_a_json_of_one_long_line_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST", 1 << 10)
    (tmp_path / "a.json").write_text(json.dumps([{"prompt": "a" * 5000}]))
    assert read_rows(tmp_path / "a.json")[0].cells["prompt"] == "a" * 5000


DIGITS = "9" * 5000


def test_digits_without_end_are_refused_everywhere(tmp_path):
    for parse, text in (
        (Scale.parse, f"1-{DIGITS}"),
        (Scale.parse, f"1-5 by 0.{DIGITS}"),
        (parse_scheme, f"rs:{DIGITS}"),
    ):
        with pytest.raises(ConfigError):
            parse(text)
    (tmp_path / "a.toml").write_text(f"seed = {DIGITS}")
    for read in (lambda path: read_config(path, {}), read_rubric):
        with pytest.raises(ConfigError, match="not valid TOML"):
            read(tmp_path / "a.toml")


def test_a_pattern_of_thousands_of_characters_is_refused():
    with pytest.raises(ConfigError, match="4000 characters; the limit is 2000"):
        answer_types.reader(f"pattern:{'is' * 2000}")


def test_a_directory_where_a_file_of_the_run_belongs_is_one_sentence(tmp_path):
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(DiskError, match=r"config\.toml: Is a directory\. Something else is in its place\. Move"):
        write_text(tmp_path / "config.toml", "x = 1\n")
    assert (tmp_path / "config.toml").is_dir()
