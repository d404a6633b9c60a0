r"""Your own task: a class of twenty lines, or a TOML file.

A Python file, ``--task my_task.py:Units``::

    class Units:
        name = "units"
        inputs = ("question",)                       # columns of the file; nothing else of a row can reach a prompt

        def prompt(self, fields):                    # x -> text; ask for a last line that begins with the marker
            return f"{fields['question']}\nReason first, then end with one line: Answer: NUMBER UNIT"

        def hint(self, fields, answer):              # the text after the prompt when y* is shown
            return f"The answer is {answer}. Explain why."

        def read(self, line):                        # the text after the marker -> canonical answer, or None
            return " ".join(line.lower().split()) or None

        def reward(self, predicted, answer):         # r(y_hat, y*) in [0, 1]
            return float(predicted == answer)

Only ``inputs`` and ``prompt`` are needed. By default the hint states the answer, a line is read unchanged, and the
reward is 1 for equal answers. ``scale = "Bad < Fair < Good"`` (or ``"1-5"``, ``"A | B | neither"``) makes the answer
one of these levels; then each of them has a probability. ``optional = ("context",)`` names inputs that a row can lack,
``marker = "Answer:"`` sets the text that opens the answer's line.

A TOML file, ``--task my_task.toml``, has the keys ``prompt`` (or ``template``, a file), ``inputs``, and if needed
``name``, ``optional``, ``hint``, ``answer`` (number, text or pattern:REGEX), ``reward`` (exact or rouge-l), ``marker``
and ``instruction``.

A task from a Python file is a program: it is run only if a command or a configuration names it, never because a run
directory mentions it.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from rationem.errors import ConfigError, closest
from rationem.tasks import answer_types
from rationem.tasks.answer import NO_ANSWER, AnswerTask
from rationem.tasks.base import TaskBase
from rationem.tasks.kinds import Kind, own_kind
from rationem.tasks.own_toml import read_toml_task
from rationem.tasks.parse import bare, parse_line
from rationem.tasks.scale import ANSWER, OPEN, Scale
from rationem.tasks.template import packaged
from rationem.types import Fields, Parsed, Prompt

_SHOWN = 80

#: Tasks of Python files that this process was told to run: sha256 of file and class -> task.
_NAMED: dict[str, OwnTask] = {}


def is_own(name: str | None) -> bool:
    """Return whether ``--task`` names a user's file."""
    return name is not None and (name.endswith(".toml") or _parts(name) is not None)


def whole(name: str) -> str | None:
    """Return the absolute path of a user's file that ``--task`` names, followed by its class; None if it names none."""
    return str(Path(name).resolve()) if is_own(name) else None


def is_program(description: Mapping[str, Any]) -> bool:
    """Return whether a description is of a task that is a program, which is restored only if its file is named."""
    return "own" in description


def is_python(name: str) -> bool:
    """Return whether a task's name is that of a Python file, with or without its class."""
    return name.endswith(".py") or ".py:" in name


def file_of(name: str) -> Path | None:
    """Return the Python file that a task's name would run; None if it names none."""
    parts = _parts(name)
    return parts[0] if parts else Path(name[: name.rindex(".py") + 3]) if is_python(name) else None


def fingerprint(name: str) -> dict[str, str]:
    """Return what identifies the task of a Python file, without running it; empty if there is none.

    Raises:
        ConfigError: the file cannot be read.
    """
    parts = _parts(name)
    return {"own": parts[1], "sha256": hashlib.sha256(_bytes(parts[0])).hexdigest()} if parts else {}


def read_task(name: str) -> AnswerTask | OwnTask:
    """Return the task of a file: ``my_task.toml`` or ``my_task.py:MyTask``; the latter runs that file.

    Raises:
        ConfigError: the file cannot be read or is not a task; the message says what is missing.
    """
    parts = _parts(name)
    if parts is None and is_python(name):
        raise _unclassed(name)
    if parts is None:
        return read_toml_task(Path(name))
    path, cls = parts
    content = _bytes(path)
    sha256 = hashlib.sha256(content).hexdigest()
    task = _made(_module(path, content, sha256), path, cls, sha256)
    _NAMED[task.sha256 + cls] = task
    return task


def named_before(description: Mapping[str, Any]) -> OwnTask:
    """Return the task of a Python file that a run was made with, if this process was told to run the same file.

    Raises:
        ConfigError: it was not.
    """
    name, own, sha256 = (str(description.get(key)) for key in ("name", "own", "sha256"))
    known = _NAMED.get(sha256 + own)
    if known is not None:
        return known
    what = f"The task {name!r} is a program, class {own} of a file with sha256 {sha256[:12]}..."
    for other in _NAMED.values():
        if other.own == own:
            raise ConfigError(
                f"{what}; the file that was named, {other.file}, has {other.sha256[:12]}...: another file is another "
                "task. Name the file in its original version, or start another run."
            )
    raise ConfigError(
        f"{what}, which is not run because a run directory mentions it. Name it: --own-task my_task.py:{own}"
    )


@dataclass(frozen=True, slots=True)
class OwnTask(TaskBase):
    """A task from a user's own class; :class:`AnswerTask` provides the defaults.

    Args:
        given: an instance of the class.
        own: the name of the class.
        sha256: of its file; another file is another task.
        file: its path, as named to this process, and to other processes that must run it.
    """

    given: Any
    own: str
    sha256: str
    file: Path = field(compare=False)
    name: str = field(init=False)
    inputs: tuple[str, ...] = field(init=False)
    optional: tuple[str, ...] = field(init=False)
    marker: str = field(init=False)
    scale: Scale = field(init=False)

    def __post_init__(self) -> None:
        for key, value in {
            "name": getattr(self.given, "name", self.own),
            "inputs": _names(self.given, "inputs", self.own),
            "optional": _names(self.given, "optional", self.own),
            "marker": getattr(self.given, "marker", ANSWER),
            "scale": _scale(self.given, self.own),
        }.items():
            object.__setattr__(self, key, value)
        if not self.inputs:
            raise ConfigError(
                f"The task {self.own} needs inputs: the columns that it reads, as in inputs = ('question',)."
            )
        if not callable(getattr(self.given, "prompt", None)):
            raise ConfigError(
                f"The task {self.own} needs a method prompt(self, fields) that returns the question's text."
            )
        for what, value in (("name", self.name), ("marker", self.marker)):
            if not isinstance(value, str) or not value.strip() or "\n" in value:
                raise ConfigError(f"The task {self.own}: {what} must be a line of text; found {value!r}.")

    @property
    def kind(self) -> Kind:
        """Any text may be correct, or one of the class's levels."""
        return own_kind(self.scale, "own" if hasattr(self.given, "reward") else "exact")

    @property
    def program(self) -> str:
        """The file and the class, as ``--own-task`` names them."""
        return f"{self.file}:{self.own}"

    def read(self, cell: str) -> str | None:
        """Return the canonical answer of a line or cell, or None; the class does not see ornaments around it.

        Raises:
            ConfigError: the class's ``read`` fails, or returns something other than a line of text or None.
        """
        cell = bare(cell)
        if not hasattr(self.given, "read") or not cell:
            return self._usual(cell)
        found = self._ask("read", cell)
        if found is None:
            return None
        if self.levels and found not in self.levels:
            raise self._wrong("read", cell, f"returns {found!r}; it must be a level of {list(self.levels)}, or None")
        if not isinstance(found, str) or not found.strip() or found.splitlines() != [found]:
            raise self._wrong("read", cell, f"returns {found!r}; an answer is one line of text, or None")
        return found

    def _usual(self, line: str) -> str | None:
        """Return the default reading of a line: the level that it means, or the line."""
        return self.scale.level(line) if self.levels else answer_types.line(line)

    def prompt(self, fields: Fields) -> Prompt:
        """Return forward(x): the class receives the task's own inputs and no other field of the item."""
        return Prompt(self._text("prompt", self.shown(fields)), "forward")

    def hint_prompt(self, fields: Fields, answer: str) -> Prompt:
        """Return rationalize(x, y*): the prompt, followed by the hint on its own line."""
        asked = self.prompt(fields).text
        if hasattr(self.given, "hint"):
            hint = self._text("hint", self.shown(fields), answer)
        else:
            hint = packaged("answer_hint").render({"answer": answer})
        return Prompt(f"{asked}\n{hint}", "rationalize")

    def reworded(self, changed: Mapping[str, Any]) -> OwnTask:
        """Return the task itself: its class words the prompts and rewards answers.

        Raises:
            ConfigError: a change is requested.
        """
        more = {key: value for key, value in changed.items() if (key, value) != ("rule", self.kind.rule)}
        if more:
            flags = {"template": "template", "hint": "hint-template", "instruction": "instruction", "rule": "reward"}
            flags["marker"] = "verdict-marker"
            raise ConfigError(
                f"--{flags[next(iter(more))]}: the task {self.name!r} is a class of your own, which words its prompts "
                "and rewards itself. Change it there."
            )
        return self

    def parse(self, text: str) -> Parsed:
        """Split a completion into rationale and answer."""

        def read(
            line: str,
        ) -> str | None:  # other line breaks become blanks: no draft may end a run
            return self.read(" ".join(line.splitlines()))

        return parse_line(text, self.marker, read, NO_ANSWER)

    def reward(self, predicted: str, answer: str) -> float:
        """Return r(y_hat, y*).

        Raises:
            ConfigError: the class's ``reward`` fails, or returns something other than a number in [0, 1].
        """
        if not hasattr(self.given, "reward"):
            return float(predicted == answer)
        found = self._ask("reward", predicted, answer)
        if not isinstance(found, int | float) or not 0 <= found <= 1:
            raise self._wrong("reward", predicted, f"returns {found!r}; a reward is a number in [0, 1]")
        return float(found)

    def describe(self) -> dict[str, Any]:
        """Return what identifies this task, as JSON; see :func:`named_before`."""
        return {
            "name": self.name,
            "own": self.own,
            "sha256": self.sha256,
            "inputs": list(self.inputs),
            "optional": list(self.optional),
            "marker": self.marker,
            "scale": self.scale.describe(),
            "reward": "own" if hasattr(self.given, "reward") else "exact",
        }

    def _text(self, method: str, *given: Any) -> str:
        found = self._ask(method, *given)
        if not isinstance(found, str):
            raise self._wrong(method, given[0], f"returns {found!r}; it must be text")
        return found

    def _ask(self, method: str, *given: Any) -> Any:
        try:
            return getattr(self.given, method)(*given)
        except Exception as error:  # any exception of a user's program is reported in one sentence and ends the run
            raise self._wrong(method, given[0], f"raises {type(error).__name__}: {error}") from error

    def _wrong(self, method: str, given: object, what: str) -> ConfigError:
        text = str(given)
        shown = repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
        return ConfigError(
            f"The task {self.own}: {method} {what}. Asked with {shown}. Try: rationem task check FILE:CLASS"
        )


def _parts(name: str) -> tuple[Path, str] | None:
    """Return the file and the class of ``path/my_task.py:MyTask``."""
    path, colon, cls = name.rpartition(":")
    return (Path(path), cls) if colon and path.endswith(".py") and cls.isidentifier() else None


def _unclassed(name: str) -> ConfigError:
    """Return the error for a missing class name; it lists the classes that the file defines, without running it."""
    path = Path(name[: name.rindex(".py") + 3])
    try:
        defined = [node.name for node in ast.parse(_bytes(path)).body if isinstance(node, ast.ClassDef)]
    except (SyntaxError, ValueError):  # errors in the file are reported when it is run
        defined = []
    named = " or ".join(f"{path}:{cls}" for cls in defined) or f"as in {path}:MyTask"
    return ConfigError(f"The task {name!r} is a Python file without its class. Name the class as well: {named}.")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"Cannot read the task {path}: {error.strerror}. `rationem task new {path}` writes one."
        ) from error


class _Hashed(SourceFileLoader):
    """Runs exactly the bytes that were hashed, never cached bytecode of an earlier version of the file."""

    def __init__(self, name: str, path: Path, content: bytes) -> None:
        super().__init__(name, str(path))
        self._content = content

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self._content, self.path)


def _module(path: Path, content: bytes, sha256: str) -> ModuleType:
    loader = _Hashed(f"rationem_own_{sha256}", path, content)
    module = ModuleType(loader.name)
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look up the names in annotations here
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a program may end in any way; report it in a sentence
        raise ConfigError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return module


def _made(module: ModuleType, path: Path, cls: str, sha256: str) -> OwnTask:
    made = getattr(module, cls, None)
    if not isinstance(made, type):
        known = [name for name, value in vars(module).items() if isinstance(value, type)]
        raise ConfigError(f"{path} has no class {cls!r}.{closest(cls, known)} It has {known}.")
    try:
        given = made()
    except Exception as error:
        raise ConfigError(f"{path}: {cls}() fails: {type(error).__name__}: {error}") from error
    return OwnTask(given, cls, sha256, path.resolve())


def _scale(given: Any, own: str) -> Scale:
    """Return the class's levels; none if any text may be an answer.

    Raises:
        ConfigError: its levels are invalid, or an input has a name that reports reserve for what a judge rates.
    """
    said = getattr(given, "scale", None)
    if said is None:
        return OPEN
    if not isinstance(said, str):
        raise ConfigError(f"The task {own}: scale is text, such as 'Bad < Fair < Good' or 'A | B'; found {said!r}.")
    taken = sorted({*_names(given, "inputs", own), *_names(given, "optional", own)} & {"criterion", "subject"})
    if taken:
        raise ConfigError(f"The task {own}: with a scale, no input can be called {taken[0]!r}. Call it otherwise.")
    return Scale.parse(said)


def _names(given: Any, what: str, own: str) -> tuple[str, ...]:
    found = getattr(given, what, ())
    if isinstance(found, str) or not all(isinstance(name, str) and name for name in found):
        raise ConfigError(f"The task {own}: {what} is a tuple of names, such as ('question',); found {found!r}.")
    if "answer" in found:
        raise ConfigError(f"The task {own}: 'answer' is y*, and no input: a prompt would show it. Call it otherwise.")
    return tuple(found)
