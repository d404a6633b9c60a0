"""The judge card: ``rationem.json`` beside the weights, everything needed to ask the judge as it was trained.

A calibration is bound to the prompt wording, the weights and the number of drafts that it was fitted with. With any
other it is invalid and is rejected.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NotRequired

from typing_extensions import TypedDict

from rationem.engines.chat import DATE
from rationem.errors import RunError

NAME = "rationem.json"
VERSION = 2

_DECISIVE = ("*.safetensors", "adapter_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature on the averaged level probabilities: p_T(y | x) proportional to p~(y | x)^(1/T).

    Args:
        temperature: T > 0, fitted on the validation split by log-likelihood; 1 changes nothing.
        draws: drafts per item that it was fitted with.
        items: validation items that it was fitted on.
        before: the mean log-likelihood without it, nats per rating; None if a rating has probability 0.
        after: the same with it.
        prompt_sha256: of the wording, :func:`prompt_sha256`.
        model_sha256: of the model's files, :func:`model_sha256`.
        groups: groups of validation items behind the thresholds; 0 without any.
        thresholds: of conformal sets (``metrics.conformal``), at coverages 1 / 200, 2 / 200, ..., as far as there are.
    """

    temperature: float
    draws: int
    items: int
    before: float | None
    after: float | None
    prompt_sha256: str
    model_sha256: str
    groups: int = 0
    thresholds: tuple[float, ...] = ()


class Fingerprint(TypedDict):
    """The hashes that identify a model's files; see :class:`rationem.engines.checkpoint.Digest`."""

    weights: str
    files: dict[str, str]


class Fingerprints(TypedDict):
    """The fingerprints of the model that training started from and, for an adapter, of its base model."""

    model: Fingerprint
    base: NotRequired[Fingerprint]


class TrainedFrom(TypedDict):
    """The model that training started from: its name and its weights."""

    name: str
    weights: Fingerprints


@dataclass(frozen=True, slots=True)
class Card:
    """The content of ``rationem.json``.

    Args:
        task: the task's ``describe()``.
        columns: the columns of the training files by role; None for the embedded world.
        preset: the published data set that was recognised or named, or None.
        marginals: criterion ("" if it has no name) -> its training marginal over the levels, which an unparsed draft
            contributes; empty for open answers.
        draws: drafts per item in the run's evaluation.
        max_prompt_tokens: longer prompts are not judged.
        max_new_tokens: the maximum length of a completion.
        elide: whether over-long responses are shortened instead.
        seed: the run's seed.
        calibration: None without a validation set, or for open answers.
        base: "name" and "weights" of the model that training started from, because an adapter works on no other base
            model; see :mod:`rationem.run.identity`. None in cards older than digests.
        doubts: reasons not to use this judge yet, as sentences; see the run's report.
        date: the date that the chat template contained in training and must contain again.
    """

    task: Mapping[str, Any]
    columns: Mapping[str, Any] | None
    preset: str | None
    marginals: Mapping[str, tuple[float, ...]]
    draws: int
    max_prompt_tokens: int
    max_new_tokens: int
    elide: bool
    seed: int
    calibration: Calibration | None
    doubts: tuple[str, ...] = ()
    base: TrainedFrom | None = None
    date: str = DATE


def write_card(card: Card, directory: Path) -> None:
    """Write the card into a model directory."""
    text = json.dumps({"version": VERSION, **asdict(card)}, indent=1, allow_nan=False)
    (directory / NAME).write_text(text + "\n", encoding="utf-8")


def read_card(directory: Path) -> Card:
    """Return the card of a model directory.

    Raises:
        RunError: there is none, its version is another, or a value has the wrong type.
    """
    from pydantic import TypeAdapter, ValidationError

    path = directory / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("version") != VERSION:
            raise RunError(
                f"{path} has another version; this rationem reads version {VERSION}. Use the rationem that wrote the "
                "file."
            )
        if unknown := sorted(set(content) - {field.name for field in fields(Card)}):
            raise RunError(f"{path} is not a valid judge card: unknown keys {unknown}.")
        return TypeAdapter(Card).validate_json(json.dumps(content), strict=True)
    except FileNotFoundError as error:
        raise RunError(f"{directory} holds no judge: {NAME} is missing. Train a judge with rationem fit.") from error
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(map(str, wrong["loc"]))
        raise RunError(f"{path} is not a valid judge card: {where}: {wrong['msg']}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path} is not a valid judge card: {error}.") from error


def prompt_sha256(task: Mapping[str, Any]) -> str:
    """Return the hash of everything that decides a prompt or a verdict: the task's description."""
    return hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()


def model_sha256(directory: Path) -> str:
    """Return the hash over the files that decide a model's output: weights, adapter, tokenizer and template.

    The base model of an adapter is bound by the card's ``base``.
    """
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _DECISIVE for path in directory.glob(pattern)):
        if not path.is_file():
            raise RunError(
                f"{path} is not a file, so the model in {directory} is incomplete. Copy it from the run again."
            )
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while chunk := file.read(2**22):
                digest.update(chunk)
    return digest.hexdigest()
