"""What can be known of a setting beside its type, default and help; a section may say it of all its settings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Any


class Reach(StrEnum):
    """What a setting can make a run reach outside its own directory, and what then happens; see ``run.trust``."""

    PROGRAM = "a program that is run"
    TASK = "a Python file that is run"
    ADDRESS = "an address that is contacted"
    MODEL = "a model that is fetched from the hub"
    DATA = "a data set that is fetched from the hub"
    FILE = "a file that is read"
    NOTHING = "words that name nothing outside"


class TakenBy(Enum):
    """The commands that take only settings marked with them; ``fit`` and ``check`` take all."""

    PROMPT = auto()
    TASK_CHECK = auto()
    REFIT = auto()


class TaskKind(Enum):
    """The kinds of task that take a setting, by what their items hold; a setting without one is for all kinds."""

    JUDGE = "responses"
    CHOICE = "choices"
    OPEN = "inputs"


class Identity(Enum):
    """How a setting tells one run from another; a setting without one does so by its value.

    What names data or a file (:class:`Reach`) does so by the content, which the manifest holds.
    """

    RESOLVED = auto()  # by the value that is found once data and model are looked at
    NOT = auto()  # it says where and how fast, and nothing of the result


class Mark(Enum):
    """Further facts about a setting."""

    CARD = auto()  # told on the model card
    BY_ARM = auto()  # the arms of a comparison decide it: compare has no flag
    BY_RUN = auto()  # the runs of a comparison need not share it
    ADAPTER = auto()  # of a LoRA adapter
    OWN_DATA = auto()  # embedded data with a task of its own refuses it
    ONE_TEXT = auto()  # its values are given as one text, as a shell would split it


@dataclass(frozen=True, slots=True)
class InRefit:
    """The value that holds in every refit: one iteration, and no draw for a training example."""

    value: Any
