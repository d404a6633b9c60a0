"""Provenance is stored in columns: nothing is appended to a user's id, and nothing is parsed out of one."""

import ast
import csv
import json
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import example as case
from hypothesis import given, settings
from hypothesis import strategies as st

from preferred import BEST, SEVEN, degrees, pair, three
from rationem import Example, Ledger
from rationem.cli.main import main
from rationem.data import expand_raters
from rationem.ledger import SCHEMA_VERSION, read_examples, read_manifest, read_only, read_predictions
from rationem.ledger.damage import damage
from rationem.ledger.fingerprints import data_sha256, splits_sha256
from rationem.ledger.migration import ADDED, OLDER_COLUMNS
from rationem.ledger.one_example import find_example
from rationem.ledger.seals import read_seals, write_seals
from rationem.ledger.totals import state_counts
from rationem.seeds import example_key
from rationem.tasks.pairs import every_order
from rationem.types import Draft, Finish, Kept, Outcome, Parsed, Prediction, Purpose, State, Trial
from test_structure import FILES, SOURCE, tree

#: Ids that look like the keys of other examples.
ODD = ("x", "x#2", "x~swapped", "x#2~swapped", "x~turned1", '"x"', '"x#2"', "test:x", 'test:"x', "x/tone", "#1", "")
COORDINATES = [
    (rater, turn, orders, origin)
    for rater, (turn, orders), origin in product((0, 1, 2), ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3)), ("", "test"))
]
NAMES = st.lists(st.sampled_from(["x", "#", "1", "2", "~swapped", "~turned", "test:", "/", '"', "%2F"]), max_size=5)


def all_keys(items, criteria=("",)):
    """Key -> what it is the key of, orders aside where there is one order."""
    found = {}
    for item, criterion, (rater, turn, orders, origin) in product(items, criteria, COORDINATES):
        what = (item, criterion, rater, turn and (turn, orders), origin)
        found.setdefault(example_key(item, criterion, rater, turn, orders, origin), set()).add(what)
    return found


def test_odd_ids_have_keys_of_their_own_with_criteria_and_without():
    for criteria in (("",), ("tone", "tone#2", "x/tone", "%2F", "/", "a~swapped")):
        assert [what for what in all_keys(ODD, criteria).values() if len(what) > 1] == []


@given(st.sets(NAMES.map("".join), max_size=6), st.sets(NAMES.map("".join).filter(bool), min_size=1, max_size=3))
@case({"x", "x#1", '"x#1"', '""x#1""'}, {"1", "1/1"})
@settings(max_examples=40, deadline=None)
def test_no_two_examples_of_a_run_share_a_key(items, criteria):
    for named in ({""}, criteria):
        assert [what for what in all_keys(items, named).values() if len(what) > 1] == []


def test_ordinary_ids_keep_the_keys_and_so_the_seeds_that_they_had():
    x = Example("C# 7 ~ a/b", {}, "1", "g")
    assert x.id == x.item
    assert replace(x, criterion="tone", rater=3, turn=1, orders=2, origin="test").id == "test:C# 7 ~ a/b/tone#3~swapped"
    assert [one.id for one in every_order([three("p", "A")], BEST)] == ["p", "p~turned1", "p~turned2"]


# Ledgers of version 5 -----------------------------------------------------------------------------------------------


def old_id(x):
    """The id that version 5 gave an example: everything behind one another, whatever the user's id looks like."""
    turned = "" if not x.turn else "~swapped" if x.orders == 2 else f"~turned{x.turn}"
    criterion, rated = (f"/{x.criterion}" if x.criterion else ""), (f"#{x.rater}" if x.rater else "")
    return f"{'test:' * (x.origin == 'test')}{x.item}{criterion}{rated}{turned}"


def older(run):
    """Make a run's ledger one of version 5, as it was written then: examples have ids, and no coordinates."""
    with closing(read_only(run)) as db:
        sets = {split: read_examples(db, split) for split in ("train", "validation", "test")}
    ids = {x.id: old_id(x) for part in sets.values() for x in part}
    assert len(set(ids.values())) == len(ids)
    with closing(sqlite3.connect(run / "ledger.sqlite")) as db, db:
        db.execute(
            "CREATE TABLE older (id TEXT PRIMARY KEY, position INTEGER NOT NULL, split TEXT NOT NULL, "
            "grp TEXT NOT NULL, fields TEXT NOT NULL, answer TEXT NOT NULL, ratings TEXT NOT NULL, "
            "source TEXT NOT NULL, elided INTEGER NOT NULL, weight REAL NOT NULL)"
        )
        db.execute(f"INSERT INTO older SELECT {', '.join(OLDER_COLUMNS['examples'])} FROM examples ORDER BY rowid")
        db.execute("DROP TABLE examples")
        db.execute("ALTER TABLE older RENAME TO examples")
        without_added(db)
        for table in ("trials", "scores", "kept", "likelihoods", "states", "predictions"):
            rename(db, table, "example_id", ids)
        rename(db, "examples", "id", ids)
        for k, phase, text in db.execute("SELECT iteration, phase, record FROM iterations").fetchall():
            record = json.loads(text)
            if "dropped" in record:
                record["dropped"] = [ids[one] for one in record["dropped"]]
                said = (json.dumps(record), k, phase)
                db.execute("UPDATE iterations SET record=? WHERE iteration=? AND phase=?", said)
        hashes = {"data_sha256": data_sha256(sets, old_id), "splits_sha256": splits_sha256(sets, old_id)}
        values = {"schema_version": 5, **hashes}
        db.executemany("UPDATE manifest SET value=? WHERE key=?", [(json.dumps(v), k) for k, v in values.items()])
        write_seals(db, read_seals(db))


def without_added(db):
    for column in ADDED:
        db.execute(f"ALTER TABLE trials DROP COLUMN {column}")


def version_6(run):
    """Make a run's ledger one of version 6: trials do not say what demonstrations they were shown."""
    with closing(sqlite3.connect(run / "ledger.sqlite")) as db, db:
        without_added(db)
        db.execute("UPDATE manifest SET value='6' WHERE key='schema_version'")
        write_seals(db, read_seals(db))


def rename(db, table, column, ids):
    for new, old in sorted(ids.items(), key=lambda one: len(one[0])):
        if new != old:
            db.execute(f"UPDATE {table} SET {column}=? WHERE {column}=?", (old, new))


def trial(name):
    draft = Draft("it is good", (1, 2), Finish.STOP, 3)
    return Trial(1, Purpose.TRAIN, name, 0, 0, "forward", 7, draft, Parsed("it", "1"), Outcome.ACCEPTED, 1.0)


def written(run, splits, **config):
    """A run of which every example has a trial, and is kept, or is predicted."""
    keys = [x.id for x in splits["train"]]
    manifest = {
        "config": {"raters": "mean", "limit": None, **config},
        "task": {"criteria": [{"name": "tone"}]},
        "data_sha256": data_sha256(splits),
        "splits_sha256": splits_sha256(splits),
    }
    ledger = Ledger(run)
    ledger.start(manifest, splits)
    ledger.append([trial(key) for key in keys])
    ledger.finish(
        1,
        "m_step",
        seconds=0.0,
        record={"dropped": keys[:1]},
        kept=[Kept(key, 0, 1.0, 1) for key in keys],
        states=dict.fromkeys(keys, State.KEPT),
        predictions={"test": [Prediction(x.id, "1", (1.0,), 1.0, 1, 0) for x in splits["test"]]},
    )
    ledger.close()
    return manifest


def held(db, *, times=True):
    """All that a ledger holds of examples, by key."""
    tables = ("trials", "scores", "kept", "likelihoods", "states", "predictions", *(("iterations", "manifest") * times))
    rows = {table: sorted(db.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}
    return rows | {split: read_examples(db, split) for split in ("train", "test")}


def pairs_of_several_raters(*items):
    given = [replace(pair(item, "-2", ("-2", "3")), group=f"g{n}") for n, item in enumerate(items)]
    train = every_order(expand_raters(given[:-1], "each"), SEVEN)
    return {"train": train, "test": every_order(given[-1:], SEVEN)}


def about(x, criterion="tone"):
    return replace(x, criterion=criterion, fields={**x.fields, "criterion": criterion})


OLD_RUNS = {
    "pairs of several raters": (pairs_of_several_raters("p", "q", "r"), {"raters": "each"}),
    "ids like copies": (pairs_of_several_raters("p~swapped", "q", "q~swapped#1", "r"), {"raters": "each"}),
    "ids like ratings": (
        {"train": (Example("doc#1", {"prompt": "a"}, "1", "g"), Example("doc#2", {"prompt": "a"}, "1", "g")),
         "test": (Example('"doc#1"', {"prompt": "b"}, "1", "h"),)},
        {"raters": "mean"},
    ),
    "ids like ratings, each with one": (
        {"train": (Example("doc#1", {"prompt": "a"}, "1", "g"), Example("doc#2", {"prompt": "c"}, "1", "g")),
         "test": (Example("test:y", {"prompt": "b"}, "1", "h"),)},
        {"raters": "each"},
    ),
    "a rating that a limit left": (
        {"train": (Example("a", {}, "1", "g", rater=2),), "test": ()}, {"raters": "each", "limit": 1},
    ),
    "best of three": (
        {"train": every_order([three("p", "A")], BEST), "test": every_order([three("t", "B")], BEST)}, {},
    ),
    "criteria, and an id in both files": (
        {"train": (about(Example("a", {}, "1", "g")),), "test": (about(Example("a", {}, "1", "h", origin="test")),)},
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("older", [older, version_6])
@pytest.mark.parametrize("name", OLD_RUNS)
def test_an_older_ledger_is_read_and_migrated_into_what_is_written_today(tmp_path, name, older):
    splits, config = OLD_RUNS[name]
    written(tmp_path, splits, **config)
    with closing(read_only(tmp_path)) as db:
        today = held(db)
    older(tmp_path)
    assert damage(tmp_path) is None
    before = (tmp_path / "ledger.sqlite").read_bytes()
    with closing(read_only(tmp_path)) as db:
        assert held(db) == today
        assert [one.example_id for one in read_predictions(db, 1, "test")] == [x.id for x in splits["test"]]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("DELETE FROM trials")
    assert (tmp_path / "ledger.sqlite").read_bytes() == before
    Ledger(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        assert held(db) == today
        assert read_manifest(db)["schema_version"] == SCHEMA_VERSION
        assert state_counts(db, 1) == {"kept": len(splits["train"])}
    assert damage(tmp_path) is None
    Ledger(tmp_path).close()  # and again: there is nothing left to do


def test_a_run_that_was_begun_and_not_recorded_is_migrated_too(tmp_path):
    Ledger(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db, db:
        db.execute("DROP TABLE examples")
        db.execute(f"CREATE TABLE examples ({', '.join(OLDER_COLUMNS['examples'])})")
    ledger = Ledger(tmp_path)
    ledger.start({}, {"train": [Example("a", {}, "1", "g", rater=1)]})
    ledger.close()
    with closing(read_only(tmp_path)) as db:
        assert [x.rater for x in read_examples(db, "train")] == [1]


def test_a_version_6_run_that_was_begun_and_not_recorded_gets_the_columns_too(tmp_path):
    Ledger(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db, db:
        without_added(db)
    ledger = Ledger(tmp_path)
    ledger.start({}, {"train": [Example("a", {}, "1", "g")]})
    ledger.append([replace(trial("a"), demos=("own 1", "b/tone"))])
    assert [one.demos for one in ledger.trials(1, Purpose.TRAIN)] == [("own 1", "b/tone")]
    ledger.close()


def test_what_was_edited_before_a_migration_is_still_told(tmp_path):
    splits, config = OLD_RUNS["ids like ratings"]
    written(tmp_path, splits, **config)
    older(tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db, db:
        db.execute("UPDATE examples SET answer='2'")
        db.execute("UPDATE kept SET weight=9")
    Ledger(tmp_path).close()
    assert "'examples'" in str(damage(tmp_path))
    assert "'kept'" in str(damage(tmp_path))
    assert "'trials'" not in str(damage(tmp_path))


def test_an_example_is_found_by_its_key_or_by_the_id_of_its_item(tmp_path):
    splits = pairs_of_several_raters("x#2", "x", "y~swapped")
    written(tmp_path, splits)
    with closing(read_only(tmp_path)) as db:

        def found(name):
            one = find_example(db, name)
            return one and (one[0].item, one[0].rater, one[0].turn, one[1])

        assert found("x#2~swapped") == ("x", 2, 1, "train")
        assert found("y~swapped") == ("y~swapped", 0, 0, "test")
        assert found('"x#2"#1') == ("x#2", 1, 0, "train")
        assert found("x#2") == ("x", 2, 0, "train")  # the key is meant where there is one
        assert found("x") is None  # which of its ratings?


# From the file to the report ------------------------------------------------------------------------------------------

SMALL = (
    "--model", "tiny-judge", "--scheme", "pps", "--iterations", "2", "--steps", "2", "--draws", "2",
    "--evidence-draws", "1", "--wrong-hints", "4", "--difficulty-examples", "4", "--validation-share", "0.2",
    "--test-share", "0.2", "--threads", "1", "--device", "cpu",
)  # fmt: skip
PAIRS = ("--response-col", "left,right", "--rating-col", "r1,r2", "--scale", "-3 to 3", "--id-col", "key")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on pairs of two raters with ids that look like copies, ratings and test items."""
    folder = tmp_path_factory.mktemp("odd")
    rows = [{"key": f"{n}{('~swapped', '#2', '~turned1', '')[n % 4]}", **row} for n, row in enumerate(degrees(16))]
    data = folder / "d.csv"
    with data.open("w", newline="") as file:
        lines = csv.DictWriter(file, list(rows[0]))
        lines.writeheader()
        lines.writerows(rows)
    command = ["fit", str(data), *PAIRS, *SMALL, "--raters", "each", "--output", str(folder / "run")]
    assert main(command) == 0
    return command, folder / "run", {row["key"] for row in rows}


def numbers(run):
    """The metrics but for what takes time."""

    def clean(found):
        if isinstance(found, dict):
            return {k: clean(v) for k, v in found.items() if not re.search("second|_ms|throughput", k)}
        return [clean(one) for one in found] if isinstance(found, list) else found

    return clean(json.loads((run / "metrics.json").read_text()))


@pytest.mark.slow
def test_ids_that_look_like_copies_work_from_fit_to_export(finished, tmp_path, capsys):
    command, run, keys = finished
    with closing(read_only(run)) as db:
        sets = {split: read_examples(db, split) for split in ("train", "validation", "test")}
    assert {x.item for part in sets.values() for x in part} == keys
    assert {(x.rater, x.turn) for x in sets["train"]} == set(product((1, 2), (0, 1)))
    assert {(x.rater, x.turn) for x in sets["test"]} == {(0, 0), (0, 1)}
    assert numbers(run)["raters"]["alpha"]["train"] is not None
    assert main(["fit", *command[1:]]) == 0  # it is finished, and says so
    assert main(["report", str(run)]) == 0
    odd = next(x for x in sets["test"] if x.item != x.id)
    capsys.readouterr()
    assert main(["show", str(run), "--example", odd.item]) == 0
    assert f"item: {odd.item}\n" in capsys.readouterr().out
    assert main(["refit", str(run), "--steps", "1", "--output", str(tmp_path / "again")]) == 0
    assert main(["export", str(run), "--to", "messages", "--iteration", "1", "--output", str(tmp_path / "kept")]) == 0
    assert {json.loads(line)["item"] for line in (tmp_path / "kept").read_text().splitlines()} <= keys
    judged = tmp_path / "judged.csv"
    assert main(["judge", str(run / "model"), command[1], "--draws", "1", "--output", str(judged)]) == 0
    with judged.open(newline="") as file:
        assert {row["key"] for row in csv.DictReader(file)} == keys
    capsys.readouterr()


@pytest.mark.slow
def test_a_run_begun_before_goes_on_and_is_reported_with_the_numbers_of_today(finished, tmp_path, capsys):
    command, run, _ = finished
    whole, copy = numbers(run), tmp_path / "run"
    shutil.copytree(run, copy)
    older(copy)
    assert main(["report", str(copy)]) == 0
    assert numbers(copy) == whole
    with closing(sqlite3.connect(copy / "ledger.sqlite")) as db, db:  # as if it had been killed in the second iteration
        for table in ("trials", "scores", "likelihoods", "kept", "states", "predictions", "iterations"):
            db.execute(f"DELETE FROM {table} WHERE iteration=2")
        db.execute("DELETE FROM iterations WHERE phase IN ('test', 'fitted', 'finished')")
        db.execute("DELETE FROM predictions WHERE split='test'")
    shutil.rmtree(copy / "model")
    shutil.rmtree(copy / "checkpoints" / "iteration-002")
    assert main([*command[:-1], str(copy)]) == 0
    assert numbers(copy) == whole
    with closing(read_only(run)) as db, closing(read_only(copy)) as other:
        assert held(db, times=False) == held(other, times=False)
    capsys.readouterr()


# The house ------------------------------------------------------------------------------------------------------------

#: What takes a text apart, looks into it or makes another of it; of the names of ``re`` the text is an argument.
OF_TEXT = {
    *("partition", "rpartition", "split", "rsplit", "removeprefix", "removesuffix", "startswith", "endswith"),
    *("strip", "lstrip", "rstrip", "find", "rfind", "index", "rindex", "replace"),
}
OF_PATTERN = {"match", "fullmatch", "search", "sub", "findall", "finditer", "split"}
#: Here, what version 5 put into ids is taken out of them, once.
MIGRATION = SOURCE / "ledger" / "migration.py"


def is_id(node):
    """Say whether an expression is an example's id by its name: ``x.id``, ``example_id``, ``trial.example_id``."""
    return getattr(node, "attr", getattr(node, "id", "")) in {"id", "item", "example_id"}


def is_made(node):
    """Say whether a text is put together here."""
    return isinstance(node, ast.JoinedStr | ast.BinOp)


def of_ids(path):
    """Yield the places where an example's id is taken apart, or a text is made of it for another one."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            asked = [node.func.value] * (node.func.attr in OF_TEXT) + node.args * (node.func.attr in OF_PATTERN)
            if any(map(is_id, asked)):
                yield node
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice) and is_id(node.value):
            yield node
        elif isinstance(node, ast.keyword) and node.arg in {"id", "item", "example_id"} and is_made(node.value):
            yield node.value


def test_no_id_is_taken_apart_or_added_to():
    found = {f"{path.relative_to(SOURCE)}: {ast.unparse(node)}" for path in FILES for node in of_ids(path)}
    of_a_repository = {"data/hub.py: self.id.split('/')"}
    assert {one for one in found if not one.startswith("ledger/migration.py")} == of_a_repository
    assert len(list(of_ids(MIGRATION))) > 3  # the search finds what is there


def test_the_marks_of_keys_stand_in_one_place():
    marks = re.compile("~swapped|~turned")
    assert [path.relative_to(SOURCE).as_posix() for path in FILES if marks.search(path.read_text())] == [
        "ledger/migration.py", "seeds.py",
    ]  # fmt: skip
