"""What must be the same after whatever happened: every byte of an output but seconds and what records them."""

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

#: Their bytes hold seconds, or the moment of writing; what is computed from the ledger is compared in metrics.json.
_UNTIMED = {"training_args.bin", ".lock", "report.md", "report.html", "results.csv", "table.tex"}
_TABLES = {
    "manifest": "key", "examples": "id", "kept": "iteration, position", "states": "iteration, example_id",
    "trials": "iteration, purpose, example_id, attempt, retry", "scores": "iteration, purpose, example_id, attempt",
    "likelihoods": "iteration, purpose, example_id, drawn, attempt, under",
    "predictions": "iteration, split, example_id",
}  # fmt: skip


def untimed(value):
    """Return the same without anything called seconds, at whatever depth."""
    if isinstance(value, dict):
        return {key: untimed(inner) for key, inner in value.items() if "seconds" not in key}
    return [untimed(inner) for inner in value] if isinstance(value, list) else value


def rows(ledger):
    """Return a hash of each table."""
    with closing(sqlite3.connect(ledger)) as db:
        tables = {
            name: db.execute(f"SELECT * FROM {name} ORDER BY {order}").fetchall() for name, order in _TABLES.items()
        }
        phases = db.execute("SELECT iteration, phase, record FROM iterations ORDER BY iteration, phase").fetchall()
    tables["iterations"] = [(k, phase, untimed(json.loads(record))) for k, phase, record in phases]
    return {name: _sha(repr(content).encode()) for name, content in tables.items()}


def digest(place, exact=()):
    """Return name -> what a file holds, of a file or of all in a directory; ``exact`` are compared to the byte."""
    found = {}
    for path in [place] if place.is_file() else sorted(place.rglob("*")):
        name = "." if path == place else str(path.relative_to(place))
        if not path.is_file() or name.endswith(("-wal", "-shm")):
            continue
        if path.name == "ledger.sqlite":
            found[name] = rows(path)
        elif path.name in exact or not (path.suffix == ".svg" or path.name in _UNTIMED):
            found[name] = _content(path, path.name in exact)
    return found


def _content(path, exact):
    if path.suffix == ".json" and not exact:
        return _sha(json.dumps(untimed(json.loads(path.read_text()))).encode())
    return _sha(path.read_bytes())


def _sha(data):
    return hashlib.sha256(data).hexdigest()[:16]


def differences(one, other):
    """Return the names of what differs between two digests."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def leftovers(folder: Path):
    """Return what a command left that is neither input nor output."""
    names = [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if ".partial" in path.name or ".rationem-" in path.name
    ]
    return sorted(names + [f"tmp/{path.name}" for path in (folder / "tmp").glob("*")])
