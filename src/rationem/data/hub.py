"""Data sets by name: ``owner/name[@revision][:config][#split]`` on the Hugging Face hub, and folders on disk.

A data set's own code is never run: if the hub has only a script, its parquet revision is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rationem import progress
from rationem.data.file_format import FOUND, FileFormat
from rationem.data.lines import kind_of
from rationem.data.readers import READERS, scan_file
from rationem.data.records import Row
from rationem.errors import DataError, closest

#: The revision that the hub generates for every public data set, one folder per config.
PARQUET = "refs/convert/parquet"
#: Data sets with a script instead of data, and the revision that has their data.
REVISIONS = {"openai/summarize_from_feedback": PARQUET}

_NAME = re.compile(
    r"(?P<id>[\w-][\w.-]*/[\w-][\w.-]*)(?:@(?P<revision>[^:#]+))?(?::(?P<config>[^#]+))?(?:#(?P<split>.+))?"
)
#: Files of ``save_to_disk``: one table, or one per split.
_SAVED = ("dataset_info.json", "state.json", "dataset_dict.json")


@dataclass(frozen=True, slots=True)
class HubName:
    """The parts of a hub data set's name; unnamed parts are None."""

    id: str
    revision: str | None = None
    config: str | None = None
    split: str | None = None

    def __str__(self) -> str:
        parts = (("@", self.revision), (":", self.config), ("#", self.split))
        return self.id + "".join(mark + part for mark, part in parts if part is not None)

    def place(self) -> tuple[str, ...]:
        """Return the parts that distinguish it from others, the most specific last."""
        owner, name = self.id.split("/")
        last = "-".join(part for part in (name, self.config, self.split) if part is not None)
        return (owner, *([self.revision] if self.revision is not None else []), last)


def is_hub_name(name: str) -> bool:
    """Say whether this is a hub data set's name: right form, no such local file or folder, no data file's suffix.

    >>> is_hub_name("nvidia/HelpSteer2#validation"), is_hub_name("ratings/all.csv"), is_hub_name("ratings.csv")
    (True, False, False)
    """
    match = _NAME.fullmatch(name)
    if match is None or Path(name).exists() or is_folder_name(name):
        return False
    return kind_of(Path(match["id"])) not in READERS


def is_folder_name(name: str) -> bool:
    """Say whether this names a folder, with or without ``#split``."""
    return Path(name).is_dir() or (not Path(name).exists() and "#" in name and Path(name.rpartition("#")[0]).is_dir())


def parse_name(name: str) -> HubName:
    """Return the parts of a hub name, with the known revision that has the data, if any."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise DataError(
            f"{name!r} is not the name of a hub data set. Write owner/name, optionally followed by @revision :config "
            "#split."
        )
    return HubName(match["id"], match["revision"] or REVISIONS.get(match["id"]), match["config"], match["split"])


def scan_hub(name: str) -> Iterator[Row | DataError]:
    """Yield the rows of a hub data set, with texts and numbers only.

    Raises:
        DataError: immediately, if it cannot be reached or found, or has no such config or split.
    """
    import datasets

    asked = parse_name(name)
    if asked.revision == PARQUET and asked.config is None:
        raise DataError(f"{name} has several configs, each a folder in {PARQUET}. Name one: {asked.id}:NAME")
    # In the parquet revision a config is a folder; elsewhere the data set's card defines it.
    folder, config = (asked.config, None) if asked.revision == PARQUET else (None, asked.config)
    split, bracket, part = (asked.split or "").partition("[")  # datasets reads "train[:100]"
    with _quiet(), _taught(name, asked):
        known = datasets.get_dataset_split_names(asked.id, config, revision=asked.revision, data_dir=folder)
        split = _choose_split(name, known, split or None) + bracket + part
        table = datasets.load_dataset(asked.id, config, revision=asked.revision, data_dir=folder, split=split)
    return _table_rows(table, name if asked.split else f"{name}#{split}")


def scan_folder(name: str, given: FileFormat = FOUND) -> Iterator[Row | DataError]:
    """Yield the rows of a folder: one saved by ``datasets``, or one of data files whose names give the split.

    Raises:
        DataError: immediately, if the folder has no data or no such split.
    """
    path, split = (Path(name), None) if Path(name).is_dir() else _folder_and_split(name)
    if any((path / file).is_file() for file in _SAVED):
        return _saved(name, path, split)
    return _files(name, path, split, given)


def _folder_and_split(name: str) -> tuple[Path, str]:
    folder, _, split = name.rpartition("#")
    return Path(folder), split


def _saved(name: str, path: Path, split: str | None) -> Iterator[Row | DataError]:
    import datasets

    with _quiet():
        try:
            saved = datasets.load_from_disk(str(path))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: cannot be read as a saved data set: {error}") from error
    if isinstance(saved, Mapping):
        split = _choose_split(name, list(saved), split)
        return _table_rows(saved[split], f"{path}#{split}")
    if split is not None:
        raise DataError(f"{path} is one table without splits; omit #{split}.")
    return _table_rows(saved, str(path))


def _files(name: str, path: Path, split: str | None, given: FileFormat) -> Iterator[Row | DataError]:
    """Read the files that ``datasets`` finds in a folder with our own readers, so every row keeps its file and line.

    A folder of one question per file (XML) has no splits; its files may lie in folders inside.
    """
    questions = sorted(path.rglob("*.xml"))
    if (
        questions
        and split is None
        and not any(kind_of(file) in READERS for file in path.iterdir() if file not in questions)
    ):
        return _numbered(row for file in questions for row in scan_file(file, given))
    import datasets

    # Nothing is converted, so nothing is left in the cache of the hub's data sets.
    with _quiet(), TemporaryDirectory() as cache:
        try:
            found = datasets.load_dataset_builder(str(path.resolve()), cache_dir=cache).config.data_files
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            raise DataError(
                f"{path} is a directory without a readable data set: {_first_line(error)}. rationem reads "
                f"{', '.join(READERS)}; name the files."
            ) from error
    by_split = {str(key): [Path(str(file)) for file in files] for key, files in (found or {}).items()}
    _check_all(path, [file for files in by_split.values() for file in files])
    chosen = by_split[_choose_split(name, list(by_split), split)]
    return _numbered(row for file in chosen for row in scan_file(file, given))


def _numbered(rows: Iterable[Row | DataError]) -> Iterator[Row | DataError]:
    """Number the rows through all files of a folder, so that numbers are unique; the source keeps file and line."""
    for number, row in enumerate(rows, 1):
        yield row if isinstance(row, DataError) else replace(row, number=number)


def _check_all(path: Path, read: Sequence[Path]) -> None:
    """Reject a folder if ``datasets`` would ignore some files, such as those of another kind or without a split."""
    here = [file for file in sorted(path.iterdir()) if kind_of(file) in READERS]
    taken = {file.resolve() for file in read}
    left = [file.name for file in here if file.resolve() not in taken and not file.name.startswith("dataset_info")]
    if left:
        raise DataError(
            f"{path}: its files {left} would be ignored, because others are named for splits (train, test) or are of a "
            "more frequent kind. Name the files to read."
        )


def _choose_split(name: str, known: Sequence[str], asked: str | None) -> str:
    """Return the requested split, else the only one or ``train``."""
    base = name.rpartition("#")[0] if asked is not None else name
    if asked is None:
        if len(known) == 1:
            return str(known[0])
        if "train" in known:
            others = [one for one in known if one != "train"]
            progress.say(f"{name}: read is the split 'train', and not {others}. To read one: {base}#{others[0]}")
            return "train"
        raise DataError(f"{name} has the splits {list(known)} and no 'train'. Name one: {base}#{known[0]}")
    if asked not in known:
        raise DataError(f"{base}: there is no split {asked!r}.{closest(asked, known)} The splits are {list(known)}.")
    return asked


def _table_rows(table: Any, source: str) -> Iterator[Row | DataError]:
    texts = [name for name, feature in table.features.items() if _is_text(feature)]
    for number, cells in enumerate(table.select_columns(texts), 1):
        yield Row(cells, f"{source}:{number}", number)


def _is_text(feature: Any) -> bool:
    """Say whether a column holds texts, numbers, or lists and objects of them, not images, sounds or bytes."""
    if isinstance(feature, Mapping):
        return all(map(_is_text, feature.values()))
    if isinstance(feature, list):
        return all(map(_is_text, feature))
    inner = getattr(feature, "feature", None)
    if inner is not None:
        return _is_text(inner)
    return type(feature).__name__ in {"Value", "ClassLabel"} and "binary" not in str(feature.dtype)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the library's progress bars."""
    import datasets
    from huggingface_hub import utils

    shown = [bars for bars in (datasets, utils) if not bars.are_progress_bars_disabled()]
    for bars in shown:
        bars.disable_progress_bars()
    try:
        yield
    finally:
        for bars in shown:
            bars.enable_progress_bars()


@contextmanager
def _taught(name: str, asked: HubName) -> Iterator[None]:
    """Turn the errors of ``datasets`` into one readable error with advice."""
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    # The HTTP client's own error and OSError, for any client of this version of the hub's library.
    unreachable = HfHubHTTPError.__bases__
    path = Path(name)
    meant = closest(path.name, [entry.name for entry in path.parent.glob("*")])
    nothing_here = f"There is no file or folder of this name either.{meant}"
    try:
        yield
    except DatasetNotFoundError as error:
        raise DataError(
            f"{name}: {_first_line(error)} {nothing_here} Check the spelling, and log in if it is private."
        ) from error
    except ConnectionError as error:
        raise DataError(
            f"{name}: the Hugging Face hub cannot be reached ({_first_line(error)}). {nothing_here} Check the spelling "
            "and the connection (HF_HUB_OFFLINE forbids it), or name a file."
        ) from error
    except RuntimeError as error:
        raise DataError(
            f"{name}: {_first_line(error)}. A data set's code is never run; read its parquet revision: "
            f"{HubName(asked.id, PARQUET, asked.config or 'CONFIG', asked.split)}"
        ) from error
    except (ValueError, DatasetsError, *unreachable) as error:
        raise DataError(
            f"{name}: {_first_line(error)} (config {asked.config!r}, revision {asked.revision!r})."
        ) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
