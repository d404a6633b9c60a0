"""The file to rate: checked completely before any work, then read row by row."""

from __future__ import annotations

import hashlib
import json
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from rationem import data, progress
from rationem.data.dialects import KINDS, dialect_of
from rationem.data.file_format import FOUND, FileFormat
from rationem.data.lines import kind_of, open_bytes
from rationem.data.nested import is_path, reaches
from rationem.data.presets import named
from rationem.data.readers import scan_file
from rationem.data.shapes import AS_THEY_ARE, told
from rationem.errors import ConfigError, DataError, closest
from rationem.judging import names as naming
from rationem.run.card import Card
from rationem.tasks import from_description
from rationem.tasks.protocol import Task


@dataclass(frozen=True, slots=True)
class Source:
    """The result of the first pass over a file.

    Args:
        path: the path as given, for messages.
        sha256: the hash of its bytes.
        rows: the number of rows to rate.
        names: their columns, in order of first occurrence.
        paths: these, and the paths inside their objects.
        form: what the user says about the file.
        shapes: what the user says about its rows: unpivoted, joined, filtered.
    """

    path: Path
    sha256: str
    rows: int
    names: tuple[str, ...]
    paths: tuple[str, ...]
    form: FileFormat = FOUND
    shapes: data.Shapes = AS_THEY_ARE

    def said(self) -> dict[str, Any]:
        """Return what the user says about file and rows, with the hashes of joined files, as JSON; empty if nothing."""
        form = {} if self.form == FOUND else {"format": asdict(self.form)}
        if self.shapes == AS_THEY_ARE:
            return form
        joined = {path: _sha256(Path(path)) for path in self.shapes.join}
        return form | {"shapes": json.loads(json.dumps(asdict(self.shapes))), "joined": joined}


@dataclass(frozen=True, slots=True)
class ItemReader:
    """Converts a row to an item: by columns, after flattening by a preset if there is one."""

    columns: data.Columns
    preset: data.Preset | None

    def item(self, row: data.Row) -> Mapping[str, str]:
        """Return only the inputs of a row.

        Raises:
            DataError: an input is missing, empty, or not a text.
        """
        flat = row if self.preset is None else data.flatten_row(row, self.preset)
        return data.to_fields(flat, self.columns)


def look(path: Path, form: FileFormat = FOUND, shapes: data.Shapes = AS_THEY_ARE) -> Source:
    """Read the whole file once, to find a mistake in the last row before hours of work.

    Memory is constant, except where columns become rows, a file is joined, or rows are filtered.

    Raises:
        DataError: it cannot be read, has no rows, or is not a file.
    """
    rows, names, paths = 0, dict[str, None](), dict[str, None]()
    counts = Counter[str]()
    for row in _shaped(path, form, shapes, counts):
        rows += 1
        names.update(dict.fromkeys(row.cells))
        paths.update(dict.fromkeys(data.column_names(row.cells)))
    if not rows:
        raise DataError(f"{path}: no rows to rate.")
    _check_header(path, form)
    for sentence in told(counts):
        progress.say(sentence)
    return Source(path, _sha256(path), rows, tuple(names), tuple(paths), form, shapes)


def reading(source: Source, card: Card, given: Mapping[str, str], preset: str | None) -> ItemReader:
    """Return the reader of a file: by the named columns or preset, else as in training.

    Raises:
        ConfigError: the preset is unknown, or named together with columns.
        DataError: a column is not in the file, or two match.
    """
    if preset is not None:
        if given:
            raise ConfigError(f"The preset {preset!r} defines its columns. Give a preset or column names, not both.")
        return ItemReader(named(preset).columns, named(preset))
    task = from_description(card.task)
    trained = _trained(card, source.paths, task)
    if card.preset is not None and not given:
        (first,) = islice(_read(source), 1)
        if named(card.preset).can_be_judged(first.cells):
            return ItemReader(trained, named(card.preset))
    columns = _COLUMNS[task.items](source, trained, given, task)
    more = () if columns.inputs else ("reference", "context")
    optional = ((role, name) for role in more if (name := getattr(columns, role)) is not None)
    for role, name in (*columns.asks(source.paths), *optional):
        if name not in source.paths and not _leads(source, name):
            raise DataError(
                f"{source.path}: there is no column {name!r} for the {role}.{closest(name, source.paths)} The columns "
                f"are {list(source.paths)}. Name the column of the {role}: {data.flag_of(role)}."
            )
    return ItemReader(columns, None)


def _leads(source: Source, name: str) -> bool:
    """Say whether a path with brackets leads to a value in some row."""
    return is_path(name) and any(reaches(row.cells, name) for row in _read(source))


def _trained(card: Card, names: Collection[str], task: Task) -> data.Columns:
    """Return the columns of the training files; guessed for the embedded world, which has none."""
    if card.columns is not None:
        return data.Columns.from_dict(card.columns)
    return _GUESSED[task.items](names, task)


def _own_columns(_: Collection[str], task: Task) -> data.Columns:
    inputs, optional = (tuple((name, name) for name in names) for names in (task.inputs, task.optional))
    return data.Columns(rating="answer", inputs=inputs, optional=optional)


def _guessed(names: Collection[str], _: Task) -> data.Columns:
    columns, guessed = data.guess(names)
    columns = columns if columns.prompt else replace(columns, prompt="prompt")  # this judge needs one
    told = ", ".join(f"the {role} from {name!r}" for role, name in guessed.items() if role != "rating")
    if told:
        progress.say(f"Reading {told}.")
    return columns


def _own(source: Source, trained: data.Columns, given: Mapping[str, str], task: Task) -> data.Columns:
    """Return the columns of a task's own inputs: as named, else by matching names."""
    unknown = sorted(set(given) - {*task.inputs, *task.optional})
    if unknown:
        known = [*task.inputs, *task.optional]
        raise ConfigError(
            f"The task {task.name!r} has no input {unknown[0]!r}.{closest(unknown[0], known)} Its inputs: {known}."
        )
    found = {**_matched(source, trained, given, task), **given}
    names = naming.trained(trained, task)
    inputs = tuple((field, found.get(field) or names.get(field) or field) for field in task.inputs)
    optional = tuple((field, found[field]) for field in task.optional if field in found)
    return data.Columns(rating=trained.rating, inputs=inputs, optional=optional)


def _roles(source: Source, trained: data.Columns, given: Mapping[str, str], task: Task) -> data.Columns:
    """Return the columns of responses or choices: as named, else by matching names."""
    found = _found(source, trained, given, task)
    return data.Columns.from_dict({**trained.to_dict(), **found, **given, "subject": None})


#: Which columns are read, by ``Task.items``; and which are guessed where the training files had none.
_COLUMNS = {"inputs": _own, "responses": _roles, "choices": _roles}
_GUESSED = {"inputs": _own_columns, "responses": _guessed, "choices": _guessed}


def _matched(source: Source, columns: data.Columns, given: Mapping[str, str], task: Task) -> dict[str, str]:
    """Return field -> column for unnamed inputs; report names that differ from training."""
    names = naming.trained(columns, task)
    if columns.choices is not None and columns.choice_columns(source.paths) != (columns.choices,):
        names.pop("choices")  # a column each: those of training, or those that are named
    wanted = {field: name for field, name in names.items() if _role(field) not in given}
    taken = [part for name in given.values() for part in (name, *(part.strip() for part in name.split(",")))]
    try:
        found = naming.match(source.paths, wanted, naming.hidden(columns), taken)
    except DataError as error:
        raise DataError(
            f"{source.path}: {error} Or name the correct column, for instance --prompt-col NAME."
        ) from error
    other = {field: name for field, name in found.items() if names[field] not in (name, None)}
    if other:
        told = (
            f"the {field.replace('_', ' ')} from {name!r} ({names[field]!r} in training)"
            for field, name in other.items()
        )
        progress.say(f"Reading {', '.join(told)}.")
    return found


def _found(source: Source, columns: data.Columns, given: Mapping[str, str], task: Task) -> dict[str, str]:
    """Return role -> column for names that differ from training, and report them."""
    found, names = _matched(source, columns, given, task), naming.trained(columns, task)
    roles = {field: name for field, name in found.items() if _role(field) == field}
    several = [found[field] for field in names if field in found and field not in roles]
    return roles | ({"response": _together(source, several)} if len(several) == task.orders > 1 else {})


def _role(field: str) -> str:
    return "response" if field.startswith("response") else field


def _together(source: Source, names: Sequence[str]) -> str:
    for name in names:
        if "," in name or name != name.strip():
            raise DataError(
                f"{source.path}: rename the column {name!r}: a name among several responses must not contain a comma "
                "or begin or end with a space."
            )
    return ",".join(names)


def check_inputs(read: ItemReader, names: Collection[str], task: Task) -> None:
    """Raise ConfigError if the columns belong to another task: one response, several to compare, or choices."""
    if task.items != read.columns.items:
        read_from = f"the preset {read.preset.name}" if read.preset else "these columns"
        raise ConfigError(
            f"This run's task {task.name!r} {_DOES[task.items]}; {read_from} holds something else. Name another "
            "--preset, or columns."
        )
    found = read.columns.items_per_row(names)
    if found != task.orders:
        wanted = {1: "rates one response", 2: "compares two responses"}.get(
            task.orders, f"compares {task.orders} responses"
        )
        columns = list(read.columns.responses(names))
        raise ConfigError(f"This judge {wanted}; the response is read from {columns}. Name it: --response-col.")


_DOES = {"inputs": "reads its own inputs", "choices": "answers multiple choice", "responses": "rates responses"}


def chunks(source: Source, start: int, size: int) -> Iterator[list[data.Row]]:
    """Yield the rows from number ``start`` on, ``size`` at a time."""
    rows = islice(_read(source), start, None)
    while chunk := list(islice(rows, size)):
        yield chunk


def _check_header(path: Path, form: FileFormat = FOUND) -> None:
    """Reject several columns without a name: the output would give them names that the input does not have."""
    if kind_of(path) not in KINDS or not form.header:
        return
    header = dialect_of(path, form).header
    unnamed = sum(not name for name in header.columns) if header else 0
    if unnamed > 1:
        raise DataError(f"{path}: {unnamed} columns have no name. Name each in the header, or remove them.")


def _read(source: Source) -> Iterator[data.Row]:
    return iter(_shaped(source.path, source.form, source.shapes, Counter()))


def _shaped(path: Path, form: FileFormat, shapes: data.Shapes, counts: Counter[str]) -> Iterable[data.Row]:
    """Return the rows to rate: as ``fit`` reads them with the same flags. Rows that are not changed are streamed."""
    rows = _rows(path, form)
    if shapes == AS_THEY_ARE or not (read := list(rows)):
        return rows
    return [row for _, table in shapes.tables([(path.name, read)], counts) for row in table]


def _rows(path: Path, form: FileFormat) -> Iterator[data.Row]:
    """Yield the rows of a file, not of a folder or hub name; an unreadable row is an error."""
    if path.is_dir():
        raise DataError(f"{path} is a directory. Name one file to rate.")
    for row in scan_file(path, form):
        if isinstance(row, DataError):
            raise row
        yield row


def written(source: Source) -> tuple[str, bytes] | None:
    """Return the delimiter and the byte order mark of a csv file; None for other formats."""
    if kind_of(source.path) != ".csv":
        return None
    with open_bytes(source.path) as file:
        mark = BOM_UTF8 if file.peek(3).startswith(BOM_UTF8) else b""
    return dialect_of(source.path, source.form).delimiter, mark


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
