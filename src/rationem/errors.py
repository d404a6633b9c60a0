"""Errors that teach: what was asked, what was found, where, and what to do.

A ``RationemError`` is the user's to mend: the command line prints it without a traceback and exits with 2.
Anything else is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RationemError(Exception):
    """A mistake that the user can mend."""

    exit_code = 2


class DataError(RationemError):
    """The user's data cannot be used as it stands."""


class BrokenFile(DataError):
    """A file breaks off: what stands behind the place cannot be read, and is not known."""


class ConfigError(RationemError):
    """A setting is unknown, malformed or contradicts another."""


class ModelError(RationemError):
    """A model cannot be found, loaded or used for what was asked."""


class RunError(RationemError):
    """A run directory is not what this command needs."""


class HubError(RationemError):
    """The hub refuses what was asked, or cannot be reached."""


def closest(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known name, or an empty string.

    >>> closest("learning_rat", ["learning_rate", "steps"])
    " Did you mean 'learning_rate'?"
    """
    found = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {found[0]!r}?" if found else ""
