"""A model's files without loading its weights: the relevant files, their headers, and a digest that identifies a model.

A digest reads little: whole tokenizer and configuration files, and each weight tensor's name, type, shape and sampled
blocks. A checkpoint of 64 MB or less is read completely. So the digest detects training, a merge or another version; it
can miss a single edited number in a file of many gigabytes.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rationem.errors import ModelError, RationemError

CONFIG, ADAPTER = "config.json", "adapter_config.json"
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
#: Files beside the weights that affect what a model reads, generates and stops at.
_BESIDE = (
    *(
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "tokenizer.model",
        "special_tokens_map.json",
    ),
    *("added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json"),
)
#: Keys of a configuration that do not affect the model: who wrote it, where, and the stored precision.
_INCIDENTAL = {"_name_or_path", "transformers_version", "use_cache", "dtype", "torch_dtype"}
_WHOLE = 64 * 2**20
#: Sampled blocks: bytes per block, blocks per tensor, and most blocks of all tensors together.
_BLOCK, _PLACES, _BLOCKS = 4096, 4, 8192
_LONGEST_HEADER = 100 * 2**20  # the format's own limit
#: Bits per number of the types that weights are stored in.
_BITS = (
    dict.fromkeys(("F64", "I64", "U64"), 64)
    | dict.fromkeys(("F32", "I32", "U32"), 32)
    | dict.fromkeys(("F16", "BF16", "I16", "U16"), 16)
    | dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "I8", "U8", "BOOL"), 8)
)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor as described in a header: ``start`` and ``end`` are byte offsets in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Digest:
    """Identifies a model by its content, independent of its directory's name and place.

    Args:
        weights: hash of all tensors by name, independent of their distribution over files.
        files: file name -> hash, to name what changed.
    """

    weights: str
    files: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the digest as JSON."""
        return {"weights": self.weights, "files": dict(self.files)}


def changed(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return the files by which two digests differ; weights distributed over other files are equal."""
    before, now = dict(recorded["files"]), dict(found["files"])
    differing = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if recorded["weights"] == found["weights"]:
        differing = [name for name in differing if not name.endswith(".safetensors")]
    return differing


def digest(directory: Path) -> Digest:
    """Return the digest of a checkpoint or an adapter; an adapter's base has a separate digest.

    Raises:
        ModelError: weights are missing or damaged.
    """
    files = weight_files(directory)
    known = {path.name: header(path) for path in files}
    total = sum(one.end - one.start for tensors in known.values() for one in tensors.values())
    count = sum(map(len, known.values()))
    places = None if total <= _WHOLE else max(1, min(_PLACES, _BLOCKS // max(1, count)))
    hashes: dict[str, str] = {}
    every: dict[str, str] = {}
    for path in files:
        with path.open("rb") as file:
            own = {name: _tensor(file, one, places) for name, one in known[path.name].items()}
        every |= own
        hashes[path.name] = _of_json(sorted(own.items()))
    for name in (CONFIG, ADAPTER):
        if (directory / name).is_file():
            hashes[name] = _of_json(_decisive(read_json(directory / name)))
    for name in _BESIDE:
        if (directory / name).is_file():
            hashes[name] = hashlib.sha256((directory / name).read_bytes()).hexdigest()
    return Digest(_of_json(sorted(every.items())), dict(sorted(hashes.items())))


def tensor_digest(directory: Path, name: str) -> str:
    """Return the hash of one complete tensor.

    Raises:
        ModelError: no file holds it.
    """
    for path in weight_files(directory):
        if (one := header(path).get(name)) is not None:
            with path.open("rb") as file:
                return _tensor(file, one, None)
    raise ModelError(f"The directory {str(directory)!r} holds no tensor {name}.")


def weight_files(directory: Path) -> list[Path]:
    """Return the safetensors files that a loader reads from a directory, sorted by name.

    Raises:
        ModelError: there are none, or the index names files that are missing.
    """
    if (directory / ADAPTER).is_file():
        names = [ADAPTER_WEIGHTS]
    elif (directory / SINGLE).is_file():  # transformers looks for it first
        names = [SINGLE]
    elif (directory / INDEX).is_file():
        names = sorted({str(name) for name in _weight_map(directory).values()})
    else:
        raise ModelError(f"The directory {str(directory)!r} holds no weights: no {SINGLE} and no {INDEX}.")
    missing = [name for name in names if not (directory / name).is_file()]
    if missing:
        raise ModelError(
            f"Weights are missing in {str(directory)!r}: {listed(missing)} of {len(names)} files. Get the whole "
            "checkpoint again; a download may have been cut short."
        )
    return [directory / name for name in names]


def tensors(directory: Path) -> dict[str, Tensor]:
    """Return all tensors of a checkpoint or an adapter by name, from the headers only.

    Raises:
        ModelError: weights are missing or damaged, or the index names tensors that no file holds.
    """
    files = weight_files(directory)
    found: dict[str, Tensor] = {}
    for path in files:
        found |= header(path)
    if files[0].name not in (SINGLE, ADAPTER_WEIGHTS) and (lost := sorted(set(_weight_map(directory)) - set(found))):
        raise ModelError(f"{directory / INDEX} names tensors that no file holds: {listed(lost)}.")
    return found


def header(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, after checking that they lie inside it.

    Raises:
        ModelError: the file is shorter or longer than its header says, or is not safetensors.
    """
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size, _LONGEST_HEADER):
                raise ValueError("its header is longer than the file")
            content = json.loads(file.read(length))
        content.pop("__metadata__", None)
        begin = 8 + length
        found = {name: _described(one, begin) for name, one in content.items()}
    except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is not a safetensors file, or it is damaged: {error}.") from error
    end = max((one.end for one in found.values()), default=begin)
    if end != size:
        what = "cut short" if size < end else "longer than its header says"
        raise ModelError(f"{path} is {what}: {size:,} bytes, and its tensors need {end:,}. Get the file again.")
    return found


def dtype(directory: Path) -> str:
    """Return the storage type of most of a checkpoint's numbers, such as "BF16"."""
    sizes: dict[str, int] = {}
    for one in tensors(directory).values():
        sizes[one.dtype] = sizes.get(one.dtype, 0) + one.end - one.start
    return max(sorted(sizes), key=sizes.__getitem__, default="F32")


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a model's JSON file.

    Raises:
        ModelError: it cannot be read, or is not a JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds no settings: a JSON object is expected.")
    return found


@contextmanager
def read_by_library(path: str | Path, *passed: type[Exception]) -> Iterator[None]:
    """Turn any error of a library on a model's files into one readable error, because the files can hold anything.

    Args:
        path: the model's directory.
        passed: errors that the caller handles itself.

    Raises:
        ModelError: names the model and quotes the library.
    """
    try:
        yield
    except RationemError:
        raise
    except Exception as error:  # a stranger's JSON can make a library raise anything, including recursion errors
        if isinstance(error, passed):
            raise
        first = next(iter(str(error).strip().splitlines()), "")
        raise ModelError(f"The model in {str(path)!r} cannot be read: {type(error).__name__}: {first}") from error


def listed(names: list[str], most: int = 6) -> str:
    """Return names separated by commas, at most ``most`` of them and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _weight_map(directory: Path) -> dict[str, str]:
    found = read_json(directory / INDEX).get("weight_map")
    if not isinstance(found, dict) or not found or any(Path(str(name)).name != name for name in found.values()):
        raise ModelError(f"{directory / INDEX} names no files of weights (weight_map).")
    return found


def _described(one: Mapping[str, Any], begin: int) -> Tensor:
    start, end = one["data_offsets"]
    shape = tuple(int(size) for size in one["shape"])
    if not 0 <= start <= end:
        raise ValueError("a tensor ends before it begins")
    numbers = 1
    for size in shape:
        numbers *= size
    bits = _BITS.get(one["dtype"])
    if bits is not None and numbers * bits != 8 * (end - start):
        raise ValueError(f"a tensor of shape {list(shape)} has {end - start} bytes")
    return Tensor(str(one["dtype"]), shape, begin + start, begin + end)


def _tensor(file: BinaryIO, one: Tensor, places: int | None) -> str:
    """Return the hash of a tensor's type, shape and bytes: all bytes, or evenly spaced blocks."""
    found = hashlib.sha256(f"{one.dtype}{list(one.shape)}".encode())
    for start, length in _blocks(one.end - one.start, places):
        file.seek(one.start + start)
        found.update(file.read(length))
    return found.hexdigest()


def _blocks(size: int, places: int | None) -> Iterator[tuple[int, int]]:
    if places is None or size <= places * _BLOCK:
        for start in range(0, size, 2**22):
            yield start, min(2**22, size - start)
        return
    for place in range(places):
        # The middle of each part, because an end may be padding.
        yield (2 * place + 1) * size // (2 * places) - _BLOCK // 2, _BLOCK


def _decisive(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without keys that do not affect the model, and an adapter's without its base's place."""
    dropped = _INCIDENTAL | {"base_model_name_or_path", "revision", "inference_mode"}
    return {key: value for key, value in settings.items() if key not in dropped}


def _of_json(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
