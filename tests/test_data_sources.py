"""Where rows come from: streams with flat memory, gzip, SAF's XML, folders, and the Hugging Face hub."""

import csv
import gc
import gzip
import hashlib
import json
import tracemalloc
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet

from rationem.data import Columns, hub, is_hub_name, iter_rows, load, read_rows
from rationem.errors import DataError
from rationem.tasks.scale import Scale

FIVE = Scale.parse("1-5")
ROWS = [{"prompt": f"p{n}", "response": "NA", "rating": n} for n in (1, 2, 3)]


def rows_of(name) -> list[dict]:
    return [dict(row.cells) for row in iter_rows(name)]


def refusal(name) -> str:
    with pytest.raises(DataError) as caught:
        list(iter_rows(name))
    return str(caught.value)


def noise(number: int) -> str:
    """A text of 512 characters that repeats nothing."""
    return "".join(hashlib.sha256(f"{number}.{part}".encode()).hexdigest() for part in range(8))


def write_many(path: Path, count: int) -> Path:
    """A file of rows as long as each other, whatever their count."""
    records = ({"id": f"{n:08}", "text": noise(n)} for n in range(count))
    if path.suffix == ".parquet":
        table = pa.Table.from_pylist(list(records))
        parquet.write_table(table, path)  # one row group
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["id", "text"])
            writer.writeheader()
            writer.writerows(records)
    else:
        with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
    return path


def peak(path: Path) -> tuple[int, int]:
    """Return how many rows a file has, and the bytes that Python and pyarrow held at most while they were read."""
    gc.collect()
    before, highest = pa.total_allocated_bytes(), 0
    tracemalloc.start()
    try:
        count = 0
        for count, _ in enumerate(iter_rows(path), 1):
            if count % 100 == 0:
                highest = max(highest, pa.total_allocated_bytes() - before)
        return count, tracemalloc.get_traced_memory()[1] + highest
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "jsonl.gz", "parquet"])
def test_reading_takes_no_more_memory_for_four_times_the_rows(tmp_path, suffix):
    short, long = write_many(tmp_path / f"short.{suffix}", 2_500), write_many(tmp_path / f"long.{suffix}", 10_000)
    for path in (short, long):
        peak(path)  # what is loaded on first use, and how the file is written, is no row
    count, low = peak(short)
    many, high = peak(long)
    assert (count, many) == (2_500, 10_000)
    assert high < 1.3 * low + 50_000, (low, high)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "ndjson"])
def test_gzip_holds_the_same_rows(tmp_path, suffix):
    plain = tmp_path / f"r.{suffix}"
    if suffix in {"csv", "tsv"}:
        mark = "," if suffix == "csv" else "\t"
        text = "\n".join(mark.join(map(str, row)) for row in (ROWS[0], *(row.values() for row in ROWS)))
    else:
        text = json.dumps(ROWS) if suffix == "json" else "\n".join(map(json.dumps, ROWS))
    plain.write_text("\ufeff" + text, encoding="utf-8")
    packed = tmp_path / f"r.{suffix}.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert rows_of(packed) == rows_of(plain)
    assert [row.number for row in read_rows(packed)] == [row.number for row in read_rows(plain)]
    assert load([packed], scale=FIVE).examples[0].id.startswith("r-")


@pytest.mark.parametrize(
    "content",
    [b"no gzip at all", gzip.compress(b'{"a": 1}\n' * 999)[:-20], b"\x1f\x8b\x08" + b"\0" * 40],
    ids=["no gzip", "cut off", "zeros"],
)
def test_a_broken_gzip_file_is_named(tmp_path, content):
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(content)
    assert refusal(path).startswith(f"{path}: the file cannot be read: ")


def test_gzip_of_parquet_and_of_nothing_known_are_refused(tmp_path):
    for name in ("r.parquet.gz", "r.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b""))
        assert "cannot read .gz" in refusal(tmp_path / name)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_bad_byte_has_its_line_and_its_place(tmp_path, mark):
    path = tmp_path / "r.jsonl"
    path.write_bytes(mark + '{"a": "ü"}\n'.encode() + b'{"a": "\xfc"}\n')
    assert refusal(path).startswith(f"{path}:2: byte {len(mark) + 12 + 7} (0xfc) is not UTF-8")


def test_rows_before_a_mistake_come_first(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text('{"a": 1}\n{"a": \n')
    rows = iter_rows(path)
    assert next(rows).cells == {"a": 1}
    with pytest.raises(DataError, match=":2:"):
        next(rows)


def test_a_missing_file_is_found_before_the_first_row_is_asked_for(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        iter_rows(tmp_path / "r.csv")


def test_a_half_read_table_leaves_the_csv_limit_as_it_was(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("a,b\n1,2\n" + "x" * 200_000 + ",4\n")
    before = csv.field_size_limit()
    rows = iter_rows(path)
    next(rows)
    assert csv.field_size_limit() == before
    assert len(next(rows).cells["a"]) == 200_000
    assert csv.field_size_limit() == before


BOMB = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>
<question><questionText>&c;</questionText></question>"""
OUTSIDE = """<!DOCTYPE q [<!ENTITY secret SYSTEM "file://{}">]>
<question><questionText>&secret;</questionText></question>"""


def test_xml_that_could_grow_or_fetch_is_refused(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("SECRET")
    for line, text in ((2, BOMB), (1, OUTSIDE.format(secret)), (1, '<!DOCTYPE q SYSTEM "http://x/y.dtd"><question/>')):
        path = tmp_path / "r.xml"
        path.write_text(text)
        told = refusal(path)
        assert told.startswith(f"{path}:{line}: the XML has a document type")
        assert "SECRET" not in told


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<question>\n<questionText>a</question>", [":2: not well-formed XML", "mismatched tag"]),
        ("<question>&nothing;</question>", [":1: not well-formed XML", "undefined entity"]),
        ("", [": not well-formed XML"]),
        ("<rows><row/></rows>", ["<rows>", "<studentAnswer>"]),
        ("<question/>", ["no row"]),
    ],
)
def test_xml_of_another_kind_is_named(tmp_path, text, parts):
    path = tmp_path / "r.xml"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        load([path])
    assert all(part in str(caught.value) for part in [str(path), *parts])


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("nvidia/HelpSteer2", ("nvidia/HelpSteer2", None, None, None)),
        ("a/b#train", ("a/b", None, None, "train")),
        ("a/b@main:axis", ("a/b", "main", "axis", None)),
        ("a/b@refs/convert/parquet:axis#validation", ("a/b", "refs/convert/parquet", "axis", "validation")),
        ("a/v-1.5#train[:10]", ("a/v-1.5", None, None, "train[:10]")),
        (
            "openai/summarize_from_feedback:axis",
            ("openai/summarize_from_feedback", "refs/convert/parquet", "axis", None),
        ),
    ],
)
def test_a_hub_name_is_taken_apart(name, parts):
    assert is_hub_name(name)
    assert hub.parse_name(name) == hub.HubName(*parts)
    assert hub.parse_name(str(hub.parse_name(name))) == hub.parse_name(name)


def test_files_and_folders_are_no_hub_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    for name in ("r.csv", "owner/r.jsonl.gz", "owner/name", "owner/name#train", "./a/b", "/a/b", "a", "a/b/c", "../a"):
        assert not is_hub_name(name), name
    assert "no such file" in refusal("owner/r.jsonl.gz")


class Hub:
    """Stands for the hub: what ``datasets`` was asked, and what it says."""

    def __init__(self, monkeypatch, splits=("train",), error=None, table=None):
        self.asked, self.splits, self.error = [], list(splits), error
        self.table = table or datasets.Dataset.from_list(ROWS)
        monkeypatch.setattr(datasets, "get_dataset_split_names", self._names)
        monkeypatch.setattr(datasets, "load_dataset", self._load)

    def _names(self, *args, **kwargs):
        if self.error is not None:
            raise self.error
        return self.splits

    def _load(self, path, config, **kwargs):
        self.asked.append((path, config, *kwargs.values()))
        assert set(kwargs) == {"revision", "data_dir", "split"}
        return self.table


def test_a_folder_with_splits_says_which_are_not_read(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr("rationem.progress.say", lines.append)
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text('{"prompt": "p", "response": "r"}\n')
    assert len(read_rows(tmp_path)) == 1
    assert lines == [f"{tmp_path}: read is the split 'train', and not ['test']. To read one: {tmp_path}#test"]
    assert len(read_rows(f"{tmp_path}#test")) == 1
    assert len(lines) == 1


def test_a_hub_data_set_is_read_by_its_only_split_or_train(monkeypatch):
    for splits, chosen in ((["validation"], "validation"), (["test", "train"], "train")):
        asked = Hub(monkeypatch, splits)
        rows = read_rows("owner/name")
        assert [row.source for row in rows] == [f"owner/name#{chosen}:{n}" for n in (1, 2, 3)]
        assert [dict(row.cells) for row in rows] == ROWS
        assert asked.asked == [("owner/name", None, None, None, chosen)]


def test_a_named_split_config_and_revision_are_asked_for(monkeypatch):
    asked = Hub(monkeypatch, ["validation", "test"])
    found = load(["owner/v1.5@abc:axis#test[:3]"], scale=FIVE)
    assert asked.asked == [("owner/v1.5", "axis", "abc", None, "test[:3]")]
    assert found.examples[0].source == "owner/v1.5@abc:axis#test[:3]:1"
    assert found.examples[0].id == "v1.5-axis-test[:3]-1"


def test_a_data_set_of_scripts_is_read_from_its_parquet_folders(monkeypatch):
    asked = Hub(monkeypatch, ["validation", "test"])
    read_rows("openai/summarize_from_feedback:axis#validation")
    assert asked.asked == [("openai/summarize_from_feedback", None, hub.PARQUET, "axis", "validation")]
    told = refusal("openai/summarize_from_feedback:axis")
    assert "['validation', 'test']" in told
    assert "openai/summarize_from_feedback:axis#validation" in told
    assert "openai/summarize_from_feedback:NAME" in refusal("openai/summarize_from_feedback")


def test_an_unknown_split_names_the_closest_and_all(monkeypatch):
    Hub(monkeypatch, ["validation", "test"])
    told = refusal("owner/name#validatoin")
    assert told.startswith("owner/name: there is no split 'validatoin'. Did you mean 'validation'?")
    assert "['validation', 'test']" in told


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (
            ConnectionError("Couldn't reach 'owner/name' on the Hub (OfflineModeIsEnabled)"),
            ["cannot be reached", "HF_HUB_OFFLINE"],
        ),
        (
            datasets.exceptions.DatasetNotFoundError("Dataset 'owner/name' doesn't exist on the Hub."),
            ["spelling", "log in"],
        ),
        (ValueError("BuilderConfig 'x' not found. Available: ['a']\nmore"), ["Available: ['a']", "config 'x'"]),
        (
            RuntimeError("Dataset scripts are no longer supported, but found n.py"),
            ["owner/name@refs/convert/parquet:x"],
        ),
        (FileNotFoundError("no data files"), ["no data files"]),
    ],
)
def test_what_the_hub_refuses_is_told_in_one_line(monkeypatch, error, parts):
    Hub(monkeypatch, error=error)
    told = refusal("owner/name:x")
    assert told.startswith("owner/name:x: ")
    assert all(part in told for part in parts), told
    assert "\n" not in told


def test_offline_a_name_is_an_error_at_once(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "ratings.csv").write_text("a\n1\n")
    for module in (datasets.config, __import__("huggingface_hub").constants):
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", True)
    told = refusal("owner/rating.cs")
    assert "cannot be reached" in told
    assert "no file or folder of this name either. Did you mean 'ratings.csv'?" in told


def test_only_columns_of_texts_and_numbers_are_read(monkeypatch):
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "picture": datasets.Image(),
            "raw": datasets.Value("binary"),
            "info": {"id": datasets.Value("string"), "axes": {"x": datasets.Value("int8")}},
            "ratings": datasets.List(datasets.Value("int64")),
            "pictures": datasets.List(datasets.Image()),
            "kind": datasets.ClassLabel(names=["a", "b"]),
        }
    )
    empty = {"picture": None, "raw": b"x", "pictures": []}
    kept = {"text": "t", "info": {"id": "i", "axes": {"x": 1}}, "ratings": [1, 2], "kind": 1}
    Hub(monkeypatch, table=datasets.Dataset.from_list([kept | empty], features=features))
    assert rows_of("owner/name") == [kept]


def test_a_saved_data_set_is_a_folder(tmp_path):
    one, several = tmp_path / "one", tmp_path / "several"
    table = datasets.Dataset.from_list(ROWS)
    table.save_to_disk(one)
    datasets.DatasetDict({"validation": table, "test": table.select([0])}).save_to_disk(several)
    assert rows_of(one) == ROWS
    assert rows_of(f"{several}#test") == ROWS[:1]
    assert [row.source for row in read_rows(one)] == [f"{one}:{n}" for n in (1, 2, 3)]
    assert f"{several}#validation" in refusal(several)
    assert "Did you mean 'test'" in refusal(f"{several}#tets")
    assert "without splits" in refusal(f"{one}#test")
    assert load([f"{several}#test", f"{several}#validation"], scale=FIVE).examples[0].id == "test-1"
    (one / "state.json").write_text("{}")
    assert "cannot be read as a saved data set" in refusal(one)


def test_a_folder_of_files_is_read_as_the_files_are(tmp_path):
    folder = tmp_path / "ratings"
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text("# Ratings\n")
    (folder / "data" / "train.csv").write_text("prompt,response,rating,id\np1,NA,1,007\n")
    (folder / "data" / "test.csv").write_text("prompt,response,rating,id\np2,None,2,008\n")
    (row,) = read_rows(folder)
    assert row.cells == {"prompt": "p1", "response": "NA", "rating": "1", "id": "007"}  # nothing is converted
    assert row.source == f"{(folder / 'data' / 'train.csv').resolve()}:2"
    assert rows_of(f"{folder}#test")[0]["response"] == "None"
    found = load([folder, f"{folder}#test"], scale=FIVE, columns=Columns(id="id"))
    assert [x.id for x in found.examples] == ["007", "008"]
    assert sorted(path.name for path in folder.rglob("*")) == ["README.md", "data", "test.csv", "train.csv"]


def test_a_folder_is_never_read_in_part(tmp_path):
    (tmp_path / "train.csv").write_text("prompt,response,rating\na,b,1\n")
    (tmp_path / "more.csv").write_text("prompt,response,rating\na,b,1\n")
    assert "['more.csv'] would be ignored" in refusal(tmp_path)
    (tmp_path / "more.csv").rename(tmp_path / "train.jsonl")
    assert "would be ignored" in refusal(tmp_path)


def test_a_folder_of_parquet_parts_is_one_table(tmp_path):
    for number, row in enumerate(ROWS):
        parquet.write_table(pa.Table.from_pylist([row]), tmp_path / f"train-{number:05}-of-00003.parquet")
    assert rows_of(tmp_path) == ROWS
    found = load([tmp_path], scale=FIVE).examples
    assert [x.answer for x in found] == ["1", "2", "3"]
    assert [x.id.rpartition("-")[2] for x in found] == ["1", "2", "3"]


def test_reading_shows_no_bar_and_leaves_the_users_setting(tmp_path, capfd):
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "one")
    capfd.readouterr()
    shown = datasets.are_progress_bars_disabled()
    rows_of(tmp_path / "one")
    assert capfd.readouterr() == ("", "")
    assert datasets.are_progress_bars_disabled() == shown
