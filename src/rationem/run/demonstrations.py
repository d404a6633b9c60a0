"""The demonstrations that a configuration asks for: how many, and the user's own from a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rationem import data, progress
from rationem.config import FitConfig
from rationem.data.sources import scan_rows
from rationem.errors import ConfigError, DataError
from rationem.run.prepare import columns_of, criteria_of
from rationem.sampling.demonstrations import Relatives, Showing, demonstration
from rationem.tasks.demonstration import Demonstration
from rationem.tasks.protocol import Task
from rationem.tasks.rubric import read_rubric
from rationem.types import Example, Splits

#: Shown where a plan says ``~demos`` and no number is given.
USUAL = 4
#: Most demonstrations that can be asked for, as for --shots.
MOST = 64
#: The column of a file with the reasons.
RATIONALE = "rationale"
#: How a file is read, by the layout of the task's items (``Task.items``).
_AS = {
    "responses": lambda task: {"scale": task.scale, "items": "responses"},
    "choices": lambda task: {"scale": task.scale, "items": "choices"},
    "inputs": lambda task: {"task": task},
}


def showing(config: FitConfig, task: Task, splits: Splits) -> Showing:
    """Return the demonstrations that a configuration asks for; none if no proposal shows any.

    Those of a file that are related to validation or test items are left out, with a message.

    Raises:
        ConfigError: the number or the share makes no sense, or none of the file can be shown.
        DataError: the file cannot be read, or a row cannot be shown.
    """
    if not config.planned.shows:
        if config.demos_until is not None or config.demos:
            what = f"--demos {config.demos}" if config.demos else f"--demos-until {config.demos_until:g}"
            raise ConfigError(f"{what}: the scheme {config.scheme!r} samples nothing that could show demonstrations.")
        return Showing()
    if config.demos_until is not None and not splits.validation:
        raise ConfigError(
            f"--demos-until {config.demos_until:g} looks at validation drafts, and there is no validation set. Leave "
            "it out, or set --validation-share above 0."
        )
    asked = config.demos or str(USUAL)
    if asked.isdecimal():
        return _counted(int(asked), config, task, splits)
    given = read(config, Path(asked), task)
    hidden = Relatives.of((*splits.validation, *splits.test))
    free = tuple(one for one in given if not hidden.has(one))
    if len(free) < len(given):
        related = ", ".join(one.name for one in given if hidden.has(one))
        told = f"{len(given) - len(free)} of {len(given)} share inputs, item or group with validation or test items"
        if not free:
            raise ConfigError(f"--demos {asked}: {told}, so none can be shown. Write some about other items.")
        progress.say(f"Demonstrations: {told} and are not shown: {related}.")
    return Showing(len(free), free, hidden=hidden, until=config.demos_until)


def _counted(count: int, config: FitConfig, task: Task, splits: Splits) -> Showing:
    if not 1 <= count <= MOST:
        raise ConfigError(f"--demos {count}: show between 1 and {MOST}, or name a file.")
    own = len(task.demonstrations(splits.train[0].fields)) if splits.train else 0
    if own < count:
        has = f"has {own} demonstrations of its own" if own else "has no demonstrations of its own"
        progress.say(
            f"Demonstrations: the task {task.name!r} {has}, so iteration 1 shows {own or 'none'}; later ones show "
            "accepted drafts. For your own: --demos FILE (docs/demonstrations.md)."
        )
    hidden = Relatives.of((*splits.validation, *splits.test))
    return Showing(count, fills=True, hidden=hidden, until=config.demos_until)


def read(config: FitConfig, path: Path, task: Task) -> tuple[Demonstration, ...]:
    """Return the demonstrations of a file, which is read as the data is, and has a column of rationales too.

    Raises:
        DataError: the file cannot be read, a rationale is missing, or a completion would be read differently.
    """
    if not path.is_file():
        raise ConfigError(f"--demos {path}: give a number, or a file that is there.")
    rows = [row for row in scan_rows(path) if not isinstance(row, DataError)]
    if not rows or RATIONALE not in rows[0].cells:
        has = ", ".join(rows[0].cells) if rows else "no rows"
        raise DataError(f"{path} has no column {RATIONALE!r}: it has {has}. Write the reasons for each answer there.")
    rationales = {row.source: row.cells[RATIONALE] for row in rows}
    as_data = config.replace(preset=None, **dict.fromkeys(_lacking(config, set(rows[0].cells))))
    rubric = read_rubric(Path(config.rubric)) if config.rubric else None
    loaded = data.load(
        (path,),
        columns=columns_of(as_data),
        criteria=criteria_of(as_data, rubric),
        **_AS[task.items](task),
    )
    return tuple(_checked(x, rationales.get(x.source), task) for x in loaded.examples)


def _lacking(config: FitConfig, names: set[str]) -> Iterator[str]:
    """Yield the settings whose column the file does not have: it then has the usual name, or none."""
    for name, column in config:
        if name.endswith("_col") and isinstance(column, str) and not {column, *column.split(",")} & names:
            yield name


def _checked(x: Example, said: object, task: Task) -> Demonstration:
    """Return an example with its rationale as a demonstration.

    Raises:
        DataError: there is no rationale, the item cannot be asked, or a completion with it is read differently.
    """
    rationale = said.strip() if isinstance(said, str) else ""
    if not rationale:
        raise DataError(f"{x.source}: the rationale is empty. A demonstration shows the reasons for its answer.")
    completion = task.format(rationale, x.answer)
    parsed = task.parse(completion)
    if (parsed.rationale.strip(), parsed.answer) != (rationale, x.answer):
        raise DataError(
            f"{x.source}: a draft with this rationale would be read as {parsed.answer!r} behind "
            f"{parsed.rationale[:60]!r}. Leave {task.marker!r} out of the rationale: the answer's line is added."
        )
    task.prompt(x.fields)
    return replace(demonstration(x, rationale), name=x.source)


def described(showing: Showing) -> dict[str, Any] | None:
    """Return what identifies a run's demonstrations, for its manifest; None without."""
    if not showing.count:
        return None
    given = json.dumps([asdict(one) | {"name": ""} for one in showing.chosen], ensure_ascii=False, sort_keys=True)
    sha256 = hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest() if showing.chosen else None
    return {"count": showing.count, "given_sha256": sha256, "until": showing.until}
