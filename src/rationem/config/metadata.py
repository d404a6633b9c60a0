"""Metadata of a setting beside its type, default and help; a section may give it for all its settings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Any


class Reach(StrEnum):
    """What a setting can make a run reach outside its own directory, and the consequences; see ``run.trust``."""

    PROGRAM = "a program that is run"
    TASK = "a Python file that is run"
    ADDRESS = "an address that is contacted"
    MODEL = "a model that is fetched from the hub"
    DATA = "a data set that is fetched from the hub"
    FILE = "a file that is read"
    NOTHING = "text that names nothing outside"


class TakenBy(Enum):
    """The commands that take only settings marked with them; ``fit`` and ``check`` take all."""

    PROMPT = auto()
    TASK_CHECK = auto()
    REFIT = auto()
    JUDGE = auto()


class TaskKind(Enum):
    """The kinds of task that take a setting, by the content of their items; without one, all kinds take it."""

    JUDGE = "responses"
    CHOICE = "choices"
    OPEN = "inputs"


class Identity(Enum):
    """How a setting distinguishes runs; without one, it does so by its value.

    Settings that name data or a file (:class:`Reach`) do so by the content, which the manifest holds.
    """

    RESOLVED = auto()  # by the value determined after data and model are read
    NOT = auto()  # it sets place and speed, and does not affect the result


class Mark(Enum):
    """Further facts about a setting."""

    CARD = auto()  # shown on the model card
    BY_ARM = auto()  # set by the arms of a comparison: compare has no flag
    BY_RUN = auto()  # the runs of a comparison need not share it
    ADAPTER = auto()  # belongs to a LoRA adapter
    OWN_DATA = auto()  # refused by embedded data with its own task
    ONE_TEXT = auto()  # values are given as one text, split as a shell would
    COMMON = auto()  # in the short help of a command
    ASKED = auto()  # asked by rationem init


@dataclass(frozen=True, slots=True)
class InRefit:
    """The value in every refit: one iteration, and no draft for a training example."""

    value: Any


@dataclass(frozen=True, slots=True)
class Reason:
    """Why ``rationem check`` proposes a value of the setting."""

    text: str


@dataclass(frozen=True, slots=True)
class Alias:
    """Another flag for the same setting, known from other programs."""

    flag: str
