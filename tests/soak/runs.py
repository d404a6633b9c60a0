"""Whole commands on damaged data, and on run directories, cards and models that were damaged or edited."""

import contextlib
import json
import os
import shutil
import sqlite3

from soak import mutate, small, texts
from soak.child import outcome

_CANARY = "canary-5f1d"


class Runs:
    """Draws a command, and what is wrong with the run that it works on."""

    def __init__(self, material):
        self.material = material

    def words(self, draw):
        name = draw.choices(list(_COMMANDS), [weight for weight, _ in _COMMANDS.values()])[0]
        how = draw.choices(list(_HARMS), [weight for weight, _ in _HARMS.values()])[0]
        return f"{name} on {'damaged data' if name in _ON_DATA else how}"

    def case(self, draw, place):
        name, _, how = self.words(draw).partition(" on ")
        run = place / "run"
        if name in _ON_DATA:
            argv = _COMMANDS[name][1](self.material, small.write_data(draw, place))
        else:
            shutil.copytree(self.material.folder / draw.choice(("run", "run", "lora")), run)
            what = _HARMS[how][1](draw, run, place)
            argv = _COMMANDS[name][1](self.material, run)
        ended, said = _captured(argv)
        if name not in _ON_DATA and (wrong := _let_in(place, said)):
            return f"{what}: {wrong}"
        told = f"{how if name in _ON_DATA else what}: {' '.join(map(str, argv[:2]))}: "
        if ended["raised"]:
            return told + f"raised {ended['raised']}"
        if ended["code"] not in (0, 1 if name == "check" else 2, 2):
            return told + f"exit code {ended['code']}"
        return told + "exit code 2 without a word" if ended["code"] == 2 and "rationem" not in said else ""


def _captured(argv):
    """Run a command; return how it ended and what it printed."""
    words, before = os.memfd_create("said"), [os.dup(1), os.dup(2)]
    os.dup2(words, 1)
    os.dup2(words, 2)
    try:
        ended = outcome(argv)
        size = os.fstat(words).st_size
        return ended, os.pread(words, min(size, 4 << 20), 0).decode("utf-8", "backslashreplace")
    finally:
        for number, handle in enumerate(before, 1):
            os.dup2(handle, number)
            os.close(handle)
        os.close(words)


def _let_in(place, said):
    """Return what of a stranger's came through: terminal commands, markup, or a file that is none of the run's."""
    if "\x1b" in said or "\x9b" in said:
        return "a control character on the terminal"
    page = place / "run" / "report.html"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if "<script>alert(1)" in page.read_text(encoding="utf-8"):
            return "markup in report.html"
    if (place / "secret.txt").exists() and (place / "secret.txt").read_text() != _CANARY:
        return "it wrote through a link"
    for name in ("out", "out.jsonl"):
        for path in [place / name, *(place / name).rglob("*")]:
            if path.is_file() and _CANARY.encode() in path.read_bytes():
                return f"a file outside the run stands in {path.name}"
    return ""


# Harms: (draw, run, place) -> what was done -------------------------------------------------------------------------

_VALUES = (
    None,
    "",
    "x",
    -1,
    0,
    3,
    1 << 62,
    1e308,
    -0.5,
    True,
    [],
    [[]],
    {},
    {"a": 1},
    ["x", 1, None],
    "1-5",
    b"\xff\xfe",
)


def _bytes_of_ledger(draw, run, _place):
    path = run / "ledger.sqlite"
    data = path.read_bytes()
    head = draw.choice((0, 100, 100, 100, 4096))
    path.write_bytes(data[:head] + mutate.damage(draw, data[head:]))
    return "ledger bytes"


def _rows_of_ledger(draw, run, _place):
    with contextlib.closing(sqlite3.connect(run / "ledger.sqlite")) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name")]
        table = draw.choice(tables)
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        column = draw.choice(columns)
        value = draw.choice((*_VALUES, texts.text(draw)))
        value = json.dumps(value) if isinstance(value, (list, dict)) else value
        some = draw.choice(("", " WHERE abs(random()) % 7 = 0"))
        how = draw.choice(("update", "update", "update", "delete", "drop", "rename"))
        with contextlib.suppress(sqlite3.Error, UnicodeEncodeError, OverflowError):
            if how == "update":
                db.execute(f"UPDATE OR REPLACE {table} SET {column} = ?{some}", (value,))
            elif how == "delete":
                db.execute(f"DELETE FROM {table}{some}")
            elif how == "drop":
                db.execute(f"DROP TABLE {table}")
            else:
                db.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO other")
            db.commit()
    return f"ledger {how} {table}.{column} = {value!r:.60}{some}"


def _json_in_ledger(draw, run, _place):
    table, column = draw.choice(
        (
            *[("manifest", "value")] * 2, *[("iterations", "record")] * 2, ("examples", "fields"),
            ("predictions", "probabilities"), ("scores", "level_logps"), ("trials", "token_ids"),
        )
    )  # fmt: skip
    with contextlib.closing(sqlite3.connect(run / "ledger.sqlite")) as db:
        rows = db.execute(f"SELECT {column} FROM {table}").fetchall()
        (old,) = rows[draw.randrange(len(rows))]
        new, path = edited(draw, json.loads(old))
        with contextlib.suppress(UnicodeEncodeError):
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (json.dumps(new), old))
        db.commit()
    return f"{table}.{column} {path}"


def edited(draw, content):
    """Return a JSON value with one thing in it replaced, added or removed, and what."""
    holder, path, place = content, [], None
    while isinstance(holder, (dict, list)) and holder:
        key = draw.choice(list(holder)) if isinstance(holder, dict) else draw.randrange(len(holder))
        place, holder, path = (holder, key), holder[key], [*path, str(key)]
        if draw.random() < 0.3:
            break
    value = draw.choice([one for one in _VALUES if not isinstance(one, bytes)] + [texts.text(draw)])
    if place is None or draw.random() < 0.02:
        return value, f"= {value!r:.60}"
    inside, key = place
    if draw.random() < 0.3:
        del inside[key]
        return content, f"without {'.'.join(path)}"
    inside[key] = value
    return content, f"{'.'.join(path)} = {value!r:.60}"


def _settings(draw, run, _place):
    path = run / "config.toml"
    path.write_bytes(mutate.damage(draw, path.read_bytes()))
    return "config.toml"


def _file_of_model(draw, run, _place):
    path = draw.choice(sorted(path for path in (run / "model").iterdir() if path.is_file()))
    path.write_bytes(mutate.damage(draw, path.read_bytes()))
    return f"bytes of {path.name}"


def _json_of_model(draw, run, _place):
    names = [path for path in sorted((run / "model").glob("*.json")) if path.name != "tokenizer.json"]
    path = draw.choice([*names, run / "model" / "rationem.json", run / "model" / "rationem.json"])
    new, what = edited(draw, json.loads(path.read_text()))
    path.write_bytes(texts.written(json.dumps(new, ensure_ascii=draw.random() < 0.7)))
    return f"{path.name} {what}"


def _missing(draw, run, place):
    path = draw.choice(sorted(path for path in run.rglob("*") if path.name != ".lock"))
    (place / "secret.txt").write_text(_CANARY)
    how = draw.choice(("gone", "gone", "a directory", "empty", "a link", "a dead link"))
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if how == "a directory":
        path.mkdir()
    elif how == "empty":
        path.touch()
    elif how != "gone":
        path.symlink_to(place / ("secret.txt" if how == "a link" else "nowhere"))
    return f"{path.relative_to(run)} is {how}"


_HARMS = {
    "a ledger of other bytes": (4, _bytes_of_ledger),
    "a ledger of other rows": (6, _rows_of_ledger),
    "a ledger of other JSON": (6, _json_in_ledger),
    "other settings": (1, _settings),
    "other files in model/": (3, _file_of_model),
    "other JSON in model/": (5, _json_of_model),
    "a file that is gone": (3, _missing),
}

# Commands -----------------------------------------------------------------------------------------------------------

_ON_DATA = ("check", "prompt", "fit --dry-run")
_COMMANDS = {
    "check": (6, lambda m, path: ("check", path, "--scale", "1-5", "--model", m.model)),
    "prompt": (2, lambda m, path: ("prompt", path, "--scale", "1-5", "--model", m.model)),
    "fit --dry-run": (
        1,
        lambda m, path: ("fit", path, "--scale", "1-5", "--model", m.model, "--output", "o", "--dry-run"),
    ),
    "report": (6, lambda _, run: ("report", run)),
    "show": (4, lambda _, run: ("show", run, "--all")),
    "show --example": (3, lambda _, run: ("show", run, "--example", "ratings-7")),
    "judge": (5, lambda m, run: m.judge(str(run), "out.jsonl", "--fast")),
    "export": (4, lambda _, run: ("export", run, "--to", "trl", "-o", "out.jsonl", "--iteration", "1")),
    "push": (4, lambda _, run: ("push", run, "--directory", "out", "--merged" if run.name == "lora" else "--private")),
    "refit": (1, lambda _, run: ("refit", run, "--output", "out", "--selector", "all", "--steps", "1")),
    "fit": (3, lambda m, run: m.fit(str(run))),
    "fit --output": (3, lambda _, run: ("fit", "--output", run)),
}
