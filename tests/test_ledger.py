"""The run directory: whole batches or none, one writer, nothing of another run, and every text as it was."""

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rationem import Example, Ledger, Outcome, State
from rationem.errors import RunError
from rationem.ledger import (
    SCHEMA_VERSION,
    is_begun,
    opening,
    read_examples,
    read_manifest,
    read_only,
    read_predictions,
    write_text,
)
from rationem.ledger.rows import SCHEMA
from rationem.types import Draft, Finish, Kept, LevelScores, Parsed, Prediction, Purpose, Trial

TABLES = {
    "manifest": {"key", "value"},
    "examples": {"id", "split", "fields", "answer", "ratings"},
    "trials": {
        "iteration",
        "purpose",
        "example_id",
        "attempt",
        "retry",
        "seed",
        "token_ids",
        "text",
        "outcome",
        "reward",
    },
    "scores": {"iteration", "purpose", "example_id", "attempt", "level_logps"},
    "kept": {"iteration", "example_id", "attempt", "weight"},
    "states": {"iteration", "example_id", "state"},
    "predictions": {"iteration", "split", "example_id", "predicted", "probabilities", "raw"},
    "iterations": {"iteration", "phase", "record"},
    "seals": {"part", "iteration", "sha256"},
}
HOSTILE = (
    "", " ", "\x00", "before\x00after", "it's \"quoted\"; DROP TABLE trials; --", "a\nb\r\nc\u2028d\x85e",
    "\t\x1b[31m\x7f", "👩‍👩‍👧 é e\u0301 \ufeff\u200f", "<|im_end|></s><script>", "\\n %s {0} ? :name", "𝔘\U0010ffff",
    "null", "NaN", "1.0",
)  # fmt: skip
MANIFEST = {"config": {"seed": 0, "scheme": "star", "steps": 40}, "task": {"name": "judge"}, "notes": {}}
EXAMPLES = {
    "train": [
        Example(f"a{n}", {"prompt": "p", "response": str(n)}, "4", "g", ("4", "5"), f"f.csv:{n}") for n in range(3)
    ],
    "test": [Example("b", {"prompt": "q", "response": "r"}, "1", "h", elided=7)],
}


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "run")
    yield made
    made.close()


def trial(example_id="a0", attempt=0, *, text="kind\nFinal rating: 4", retry=0, iteration=1, purpose=Purpose.TRAIN):
    draft = Draft(text, (1, 2, 3), Finish.STOP, 17)
    return Trial(iteration, purpose, example_id, attempt, retry, "forward", 2**62 + 1, draft,
                 Parsed("kind", "4", None, 18), Outcome.ACCEPTED, 0.1 + 0.2)  # fmt: skip


def rows(ledger, table):
    with closing(sqlite3.connect(ledger.directory / "ledger.sqlite")) as db:
        return db.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]


def contents(directory):
    """Every file but SQLite's own shared memory, byte for byte."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }


def test_a_directory_that_cannot_be_made_is_a_clear_error():
    with pytest.raises(RunError, match="Cannot make"):
        Ledger(Path("/proc/no-such-place/run"))


def test_every_table_that_others_rely_on_is_there(ledger):
    with closing(sqlite3.connect(ledger.directory / "ledger.sqlite")) as db:
        found = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert set(TABLES) <= found
        for table, columns in TABLES.items():
            assert columns <= {row[1] for row in db.execute(f"PRAGMA table_info({table})")}, table


def test_a_batch_is_there_whole_or_not_at_all(ledger):
    ledger.append([trial("a0"), trial("a1")])
    with pytest.raises(sqlite3.IntegrityError):
        ledger.append([trial("a2"), trial("a0")])  # the second is there already, so the first must not be
    assert rows(ledger, "trials") == 2
    assert not ledger.has_trial(1, Purpose.TRAIN, "a2", 0, 0)
    ledger.append([trial("a2")])
    assert rows(ledger, "trials") == 3


def test_trials_do_not_stay_without_the_scores_of_their_batch(ledger):
    with pytest.raises(TypeError):
        ledger.append([trial("a0")], {("a0", 0): LevelScores((object(),))})
    with pytest.raises(sqlite3.IntegrityError):
        ledger.append([trial("a0")], {("a0", 0): LevelScores((-1.0,)), (None, 0): LevelScores((-1.0,))})
    assert rows(ledger, "trials") == rows(ledger, "scores") == 0


class Stop(BaseException):
    """What no handler for ordinary errors would catch."""


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, Stop])
def test_an_exception_inside_a_transaction_leaves_nothing(ledger, error):
    def write():
        with ledger.transaction() as db:
            db.execute("INSERT INTO kept VALUES (1, 0, 'a', 0, 1.0, 1)")
            raise error

    with pytest.raises(error):
        write()
    assert rows(ledger, "kept") == 0
    ledger.append([trial()])  # and the ledger can still be written
    assert rows(ledger, "trials") == 1


def test_a_phase_is_recorded_with_all_it_concluded_or_not_at_all(ledger):
    twice = [Kept("a0", 0, 1.0, 1), Kept("a0", 0, 1.0, 1)]
    with pytest.raises(sqlite3.IntegrityError):
        ledger.finish(1, "e_step", seconds=1.0, kept=twice, states={"a0": State.KEPT})
    assert ledger.record(1, "e_step") is None
    assert ledger.kept(1) == []
    assert ledger.state_counts(1) == {}
    ledger.finish(1, "e_step", seconds=1.0, kept=twice[:1], states={"a0": State.KEPT})
    with pytest.raises(sqlite3.IntegrityError):
        ledger.finish(1, "e_step", seconds=1.0)


@pytest.mark.parametrize(
    "other",
    [
        trial(text="another text"),
        trial(),
    ],
)
def test_a_trial_cannot_be_written_twice_nor_changed(ledger, other):
    ledger.append([trial()])
    with pytest.raises(sqlite3.IntegrityError):
        ledger.append([other])
    assert [t.draft.text for t in ledger.trials(1, Purpose.TRAIN)] == [trial().draft.text]


@pytest.mark.parametrize(
    "other",
    [
        trial(attempt=1),
        trial(retry=1),
        trial(iteration=2),
        trial("a1"),
        trial(purpose=Purpose.EVAL),
    ],
)
def test_other_coordinates_are_another_trial(ledger, other):
    ledger.append([trial()])
    ledger.append([other])
    assert rows(ledger, "trials") == 2


def test_a_second_handle_and_a_second_process_are_kept_out_until_the_first_is_closed(tmp_path):
    first = Ledger(tmp_path / "run")
    first.append([trial()])
    with pytest.raises(RunError, match=f"Another process is working in {re.escape(str(tmp_path / 'run'))}"):
        Ledger(tmp_path / "run")
    code = (
        "import sys; from pathlib import Path; from rationem import Ledger, RationemError\n"
        "try: Ledger(Path(sys.argv[1])).append([])\n"
        "except RationemError as error: print(type(error).__name__, error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout.startswith("RunError Another process is working in")
    first.append([trial("a1")])  # the first was not disturbed
    first.close()
    second = Ledger(tmp_path / "run")
    assert rows(second, "trials") == 2
    second.close()


def test_a_run_can_be_read_while_it_is_written(ledger):
    ledger.start(MANIFEST, EXAMPLES)
    ledger.append([trial()])
    db = read_only(ledger.directory)
    assert db.execute("SELECT COUNT(*) FROM trials").fetchone() == (1,)
    ledger.append([trial("a1")])
    assert db.execute("SELECT COUNT(*) FROM trials").fetchone() == (2,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM trials")
    db.close()


def test_no_run_to_read_is_an_error_that_says_so_and_makes_none(tmp_path):
    with pytest.raises(RunError, match=f"{tmp_path.name} holds no run: there is no ledger.sqlite"):
        read_only(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_starting_again_confirms_and_a_run_of_other_settings_is_refused_by_name(tmp_path):
    ledger = Ledger(tmp_path / "run")
    ledger.start(MANIFEST, EXAMPLES)
    ledger.start(MANIFEST, EXAMPLES)
    ledger.close()
    before = contents(tmp_path)
    ledger = Ledger(tmp_path / "run")
    other = {**MANIFEST, "config": {**MANIFEST["config"], "steps": 41, "scheme": "pps"}, "data_sha256": "abc"}
    with pytest.raises(RunError) as caught:
        ledger.start(other, {"train": []})
    ledger.close()
    message = str(caught.value)
    for part in (
        "steps: 40 in the run, 41 asked",
        "scheme: 'star' in the run, 'pps' asked",
        "data_sha256",
        str(tmp_path),
    ):
        assert part in message
    assert "seed" not in message
    assert "task" not in message
    assert contents(tmp_path) == before


def test_what_was_started_is_read_back(ledger):
    ledger.start(MANIFEST, EXAMPLES)
    db = read_only(ledger.directory)
    assert read_manifest(db) == {**MANIFEST, "schema_version": SCHEMA_VERSION}
    for split, examples in EXAMPLES.items():
        assert read_examples(db, split) == tuple(examples)
    db.close()


def test_a_doubled_example_leaves_no_run_behind(ledger):
    with pytest.raises(sqlite3.IntegrityError):
        ledger.start(MANIFEST, {"train": EXAMPLES["train"], "test": EXAMPLES["train"]})
    assert ledger.manifest() == {}
    assert rows(ledger, "examples") == 0


def test_a_ledger_of_another_version_is_refused_and_left_as_it_is(tmp_path):
    ledger = Ledger(tmp_path / "run")
    ledger.start(MANIFEST, EXAMPLES)
    ledger.close()
    with closing(sqlite3.connect(tmp_path / "run" / "ledger.sqlite")) as db, db:
        db.execute("UPDATE manifest SET value = '0' WHERE key = 'schema_version'")
        db.execute("DROP TABLE predictions")  # as an older version might not have had it
    before = contents(tmp_path)
    for _ in range(2):  # and the refusal lets go of the lock
        with pytest.raises(RunError, match=f"ledger version 0; this rationem reads {SCHEMA_VERSION}"):
            Ledger(tmp_path / "run")
    assert contents(tmp_path) == before


STATEMENTS = [one for one in SCHEMA.split(";") if one.strip()]


@pytest.mark.parametrize("made", range(len(STATEMENTS) + 1))
@pytest.mark.parametrize(
    "examples", [None, "id, position, split, grp, fields, answer, ratings, source, elided, weight"]
)
def test_a_ledger_whose_tables_were_made_in_part_can_be_started(tmp_path, made, examples):
    """Releases before made one table after the other, and a process can be killed between two."""
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        for one in STATEMENTS[:made]:
            older = examples and " examples " in one  # as version 5 had them
            db.execute(f"CREATE TABLE examples ({examples})" if older else one)
    assert not is_begun(tmp_path)
    with closing(Ledger(tmp_path)) as ledger:
        ledger.start(MANIFEST, EXAMPLES)
    with closing(read_only(tmp_path)) as db:
        assert read_examples(db, "train") == tuple(EXAMPLES["train"])


@pytest.mark.parametrize("after", range(len(STATEMENTS)))
def test_the_tables_are_there_together_or_not_at_all(tmp_path, monkeypatch, after):
    broken = ";".join([*STATEMENTS[:after], "CREATE no table"]) + ";"
    monkeypatch.setattr(opening, "SCHEMA", broken)
    with pytest.raises(RunError, match="cannot be read as a ledger"):
        Ledger(tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_a_file_that_is_no_ledger_is_a_clear_error(tmp_path):
    (tmp_path / "ledger.sqlite").write_text("this is not a database, whatever its name may say" * 100)
    with pytest.raises(RunError, match=re.escape(str(tmp_path))):
        Ledger(tmp_path)
    with pytest.raises(RunError, match=re.escape(str(tmp_path))):
        read_only(tmp_path)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_trial_is_read_back_as_it_was_whatever_its_text(ledger, text):
    draft = Draft(text, (0, 2**31, 5), Finish.LENGTH, 17)
    for attempt, (answer, problem, end) in enumerate([(text, None, 3), (None, "no_marker", None), (None, text, 0)]):
        written = Trial(3, Purpose.EVAL, f"id {text}", attempt, 2, "rationalize@base", 2**63 - 1, draft,
                        Parsed(text, answer, problem, end), Outcome.TRUNCATED, 1 / 3)  # fmt: skip
        ledger.append([written], {(f"id {text}", attempt): LevelScores((-0.1, -1e300, -5e-324), whole=False)})
        assert list(ledger.trials(3, Purpose.EVAL))[attempt] == written
        assert ledger.level_logps(3, Purpose.EVAL)[f"id {text}"][attempt] == (-0.1, -1e300, -5e-324)
        assert ledger.level_logps(3, Purpose.EVAL, whole=True) == {}
    assert ledger.outcomes(3, Purpose.EVAL) == {(f"id {text}", n): [Outcome.TRUNCATED] for n in range(3)}


@pytest.mark.slow
@given(
    texts=st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), max_size=30)] * 3),
    outcome=st.sampled_from(list(Outcome)),
    finish=st.sampled_from(list(Finish)),
    reward=st.floats(0, 1),
    seed=st.integers(0, 2**63 - 1),
    ids=st.lists(st.integers(0, 2**20)),
)
@settings(max_examples=12, deadline=None)
def test_any_trial_and_any_example_are_read_back(tmp_path_factory, texts, outcome, finish, reward, seed, ids):
    name, text, rationale = texts
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    example = Example(name, {text: rationale, "prompt": text}, rationale, text, (name, text), name)
    ledger.start({"notes": {text: [name, None, reward]}}, {"train": [example]})
    written = Trial(1, Purpose.PROBE, name, 0, 0, "forward", seed, Draft(text, tuple(ids), finish, 1),
                    Parsed(rationale, text, None, 1), outcome, reward)  # fmt: skip
    ledger.append([written])
    assert list(ledger.trials(1, Purpose.PROBE)) == [written]
    db = read_only(ledger.directory)
    assert read_examples(db, "train") == (example,)
    assert read_manifest(db)["notes"] == {text: [name, None, reward]}
    db.close()
    ledger.close()


def test_predictions_are_read_back_in_the_order_of_the_examples(ledger):
    ledger.start(MANIFEST, EXAMPLES)
    made = [Prediction(f"a{n}", None if n else "4", (0.1 + 0.2, 0.7), 1 / 3, 4, n, n == 2) for n in range(3)]
    ledger.finish(0, "validation", seconds=0.0, predictions={"train": made[::-1]})
    db = read_only(ledger.directory)
    assert read_predictions(db, 0, "train") == made
    assert read_predictions(db, 1, "train") == []
    db.close()


def test_publish_shows_a_directory_only_when_it_is_complete(ledger):
    target = ledger.checkpoint(1)
    with ledger.publish(target) as draft:
        assert draft != target
        assert draft.parent == target.parent
        (draft / "weights").write_text("half")
        assert not target.exists()
        (draft / "more").write_text("whole")
    assert {path.name for path in target.iterdir()} == {"weights", "more"}
    assert [path.name for path in ledger.checkpoints.iterdir()] == [target.name]


def fail_inside(ledger, target, error):
    with ledger.publish(target) as draft:
        (draft / "weights").write_text("half")
        raise error


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_publish_that_fails_leaves_what_was_there_and_the_next_starts_empty(ledger, error):
    target = ledger.checkpoint(1)
    with pytest.raises(type(error)):
        fail_inside(ledger, target, error)
    assert not target.exists()
    with ledger.publish(target) as draft:
        assert list(draft.iterdir()) == []
        (draft / "good").write_text("1")
    with pytest.raises(type(error)):
        fail_inside(ledger, target, error)
    assert [path.name for path in target.iterdir()] == ["good"]
    with ledger.publish(target) as draft:
        (draft / "better").write_text("2")
    assert [path.name for path in target.iterdir()] == ["better"]
    assert [path.name for path in ledger.checkpoints.iterdir()] == [target.name]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = write_text(tmp_path / "a.json", json.dumps({"é": 1}, ensure_ascii=False))
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half \ud800")
    with path.open(encoding="utf-8") as reader:
        write_text(path, "new")
        assert reader.read() == '{"é": 1}'  # who has the old file open never sees a mixture
    assert path.read_text() == "new"
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]
