"""Weights on their way to workers: named by their digest, checked on arrival.

A parcel has one part for a whole model, two for an adapter: its base model first. Optimizer state stays behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rationem.engines import adapters, models
from rationem.errors import RunError

#: The files of a checkpoint that an engine reads, by their endings.
_READ = (".json", ".safetensors", ".jinja", ".model", ".txt")
#: Bytes per object of Ray's store.
_PIECE = 128 << 20


@dataclass(frozen=True, slots=True)
class _File:
    """A file: its name, its SHA-256, and references to its bytes in Ray's store; none if the nodes share a path."""

    name: str
    digest: str
    pieces: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """One directory of files."""

    directory: str
    files: tuple[_File, ...]


@dataclass(frozen=True, slots=True)
class Parcel:
    """A checkpoint for workers; ``digest`` is the hash of all names and contents."""

    checkpoint: str
    digest: str
    parts: tuple[_Part, ...]


def packed(checkpoint: str) -> Parcel:
    """Return the parcel of a checkpoint directory, adapter or hub id, to be read by path.

    Raises:
        ModelError: files are missing.
    """
    places = [models.base_place(checkpoint)] + ([Path(checkpoint)] if adapters.is_adapter(checkpoint) else [])
    return parcel_of(checkpoint, places)


def parcel_of(checkpoint: str, places: Sequence[Path]) -> Parcel:
    """Return the parcel of the files in these directories."""
    parts = tuple(_Part(str(place.resolve()), tuple(_files(place))) for place in places)
    told = repr([(file.name, file.digest) for part in parts for file in part.files])
    return Parcel(checkpoint, hashlib.sha256(told.encode()).hexdigest(), parts)


def stored(parcel: Parcel, put: Callable[[bytes], Any]) -> Parcel:
    """Return the parcel with its bytes in an object store, for nodes that share no path."""
    parts = []
    for part in parcel.parts:
        files = (
            replace(file, pieces=tuple(map(put, _pieces(Path(part.directory) / file.name)))) for file in part.files
        )
        parts.append(replace(part, files=tuple(files)))
    return replace(parcel, parts=tuple(parts))


def unpacked(parcel: Parcel, place: Path, get: Callable[[Any], bytes]) -> str:
    """Return the path of the checkpoint on this node, after checking every file's digest.

    Args:
        place: an empty directory for what comes through the object store.
        get: reference -> bytes.

    Raises:
        RunError: a file is missing or differs.
    """
    found = [_part(part, place / str(n), get) for n, part in enumerate(parcel.parts)]
    if len(found) > 1 and found[-1] != Path(parcel.parts[-1].directory):  # our own copy may name its base
        adapters.rename_base(found[-1], str(found[0]))
    return str(found[-1])


def _part(part: _Part, place: Path, get: Callable[[Any], bytes]) -> Path:
    by_path = not any(file.pieces for file in part.files)
    directory = Path(part.directory) if by_path else place
    for file in part.files:
        path = directory / file.name
        if not by_path:
            _write(path, file, get)
        if not path.is_file():
            raise RunError(
                f"{path} is not on this node: the nodes do not share that directory. Use --ray-weights objects."
            )
        if (seen := _digest(path)) != file.digest:
            raise RunError(f"{path} arrived with the SHA-256 {seen[:12]}; {file.digest[:12]} was sent.")
    return directory


def _write(path: Path, file: _File, get: Callable[[Any], bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        for piece in file.pieces:
            target.write(get(piece))


def _files(place: Path) -> Iterator[_File]:
    for path in sorted(place.iterdir()):
        if path.is_file() and path.suffix in _READ:
            yield _File(path.name, _digest(path))


def _pieces(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes; an empty file is one empty piece."""
    with path.open("rb") as source:
        piece = source.read(_PIECE)
        yield piece
        while piece := source.read(_PIECE):
            yield piece


def _digest(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
