"""Terminal output: results on standard output, progress and errors on standard error.

``out`` prints a result, ``say`` a status line, ``fail`` an error. Code reports its progress by ``with
track("sampling", total) as advance: advance(n)``, which shows nothing until the command line sets a display. Each
process has one display, and no computation reads it.

Printed text may come from a stranger: names of files, levels and models, a server's message. So all of it goes through
``plain``, which escapes control sequences (test_structure.py looks for other places that print).
"""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from io import TextIOWrapper
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

#: Control, format (direction marks, zero widths), surrogate and private characters.
_UNSEEN = {"Cc", "Cf", "Cs", "Co"}
#: Seconds between two progress lines when there is no terminal.
EVERY = 30.0
#: Columns of a bar, and of the numbers behind it with the blanks between.
_BAR, _BEHIND = 10, 28


def plain(text: str, *, breaks: bool = False) -> str:
    r"""Return the text with every control or invisible character written as an escape.

    Args:
        text: any text.
        breaks: keep line breaks and tabs as they are.

    >>> plain("a\x1b[31mred\n")
    'a\\x1b[31mred\\n'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if _shown(character, breaks) else _escape(character) for character in text)


def _shown(character: str, breaks: bool) -> bool:
    return unicodedata.category(character) not in _UNSEEN or (breaks and character in "\n\t")


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def tolerate(stream: TextIO) -> None:
    """Let a stream that cannot encode a character write its escape instead of failing."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def out(*texts: object) -> None:
    """Print a result on standard output, its parts separated by spaces."""
    tolerate(sys.stdout)
    print(*(plain(str(text), breaks=True) for text in texts))


def fail(text: object) -> None:
    """Print an error on standard error."""
    tolerate(sys.stderr)
    print(f"rationem: {plain(str(text), breaks=True)}", file=sys.stderr)


class Whole(Protocol):
    """Everything that a process has to do, in stages."""

    def told(self) -> tuple[str, float, float | None]:
        """Return the stage at work, the share that is done, and the seconds left, if known."""
        ...

    def finished(self, iteration: int, phase: str, seconds: float) -> str:
        """Count a finished stage; return a line for a log, or ""."""
        ...


class Display(Protocol):
    """Shows phases: ``track`` opens a bar and yields a function that takes the number of newly finished units."""

    def track(self, phase: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Open a bar."""
        ...

    def say(self, text: str) -> None:
        """Show one line."""
        ...

    def busy(self, text: str) -> AbstractContextManager[None]:
        """Show that work goes on, wherever no bar does."""
        ...

    def doing(self, text: str) -> None:
        """Say what is being done while there is no progress bar."""
        ...


class Silent:
    """Shows nothing: the default in Python code and in tests."""

    @contextmanager
    def track(self, phase: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that does nothing."""
        yield lambda _count: None

    def say(self, text: str) -> None:
        """Print nothing."""

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Show nothing."""
        yield

    def doing(self, text: str) -> None:
        """Show nothing."""


class _Lines:
    """Writes a phase's progress to a log every half minute."""

    def __init__(self, phase: str, total: int, say: Callable[[str], None]) -> None:
        self.started = self._told = time.perf_counter()
        self._phase, self._total, self._say = phase, total, say
        self._done = 0

    def advance(self, count: int) -> None:
        """Count finished units; print a line if the last one is old."""
        self._done += count
        now = time.perf_counter()
        if now - self._told >= EVERY and self._done < self._total:
            self._told = now
            self._say(f"{self._phase}: {self._done} of {self._total} after {now - self.started:.0f} s")


class Rich:
    """Progress bars and lines on the terminal (standard error), by rich."""

    def __init__(self, prefix: str = "") -> None:
        from rich.console import Console

        self._console = Console(stderr=True, emoji=False)
        self.prefix = prefix
        self._idle: Progress | None = None
        self._told: set[str] = set()

    @contextmanager
    def track(self, phase: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that advances one transient bar; without a terminal, print lines instead."""
        if not self._console.is_terminal:
            lines = _Lines(phase, total, self.say)
            yield lines.advance
            self.say(f"{phase}: {total} in {time.perf_counter() - lines.started:.1f} s")
            return
        from rich.progress import Progress, Task

        def behind(task: Task) -> str:
            return f"{task.completed:.0f}/{task.total or 0:.0f}{_left(task.time_remaining)}"

        with self._paused(), Progress(*_columns(), console=self._console, transient=True) as bars:
            task = bars.add_task(
                self._named(phase), total=total, share=lambda task: task.percentage / 100, behind=behind
            )
            self._add_whole(bars)
            yield lambda count: bars.advance(task, count)

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Show a spinner wherever no bar is shown; without a terminal, what :meth:`doing` names."""
        from rich.progress import Progress, SpinnerColumn

        if not self._console.is_terminal or self._idle is not None:
            yield
            return
        columns = (SpinnerColumn(), *_columns())
        with Progress(*columns, console=self._console, transient=True, refresh_per_second=4) as self._idle:
            self.doing(text)
            try:
                yield
            finally:
                self._idle = None

    def doing(self, text: str) -> None:
        """Name the work at the spinner; without a terminal, print a line the first time."""
        if self._idle is not None:
            for task in self._idle.task_ids:
                self._idle.remove_task(task)
            self._idle.add_task(plain(text), share=lambda _: None, behind=lambda task: _clock(task.elapsed or 0))
            self._add_whole(self._idle)
        elif not self._console.is_terminal and text not in self._told:
            self._told.add(text)
            self.say(text)

    def _named(self, text: str) -> str:
        """Return what stands before a bar, shortened to one line with it."""
        told, width = plain(f"{self.prefix}{text}"), max(20, self._console.width - _BAR - _BEHIND)
        return told if len(told) <= width else f"{told[: width - 1]}…"

    def _add_whole(self, bars: Progress) -> None:
        """Add the bar of everything, below that of the phase."""
        if (whole := _whole) is None:
            return
        label, _, _ = whole.told()
        task = bars.add_task(
            self._named(label),
            share=lambda _: whole.told()[1],
            behind=lambda _: f"{whole.told()[1]:.0%}{_left(whole.told()[2])}",
        )
        bars.update(task, total=1.0)

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Hide the spinner: a terminal has one live display."""
        if self._idle is None:
            yield
            return
        idle, self._idle = self._idle, None
        idle.stop()
        try:
            yield
        finally:
            self._idle = idle
            self.doing("working")
            idle.start()

    def say(self, text: str) -> None:
        """Print one line."""
        shown = plain(f"{self.prefix}{text}", breaks=True)
        self._console.print(shown, highlight=False, markup=False, soft_wrap=not self._console.is_terminal)


def _columns() -> tuple[ProgressColumn, ...]:
    """Return what stands, a bar, and what the task tells; a task has ``share`` and ``behind``, functions of it."""
    from rich.progress import ProgressColumn, Task, TextColumn
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    class Bar(ProgressColumn):
        def render(self, task: Task) -> ProgressBar | Text:
            share = task.fields["share"](task)
            return Text("") if share is None else ProgressBar(total=1.0, completed=share, width=_BAR)

    class Behind(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(task.fields["behind"](task), style="progress.remaining")

    return TextColumn("{task.description}", markup=False), Bar(), Behind()


def _left(seconds: float | None) -> str:
    """Return the time left, where it is known.

    >>> _left(75.3), _left(None)
    (', 0:01:15 left', '')
    """
    return "" if seconds is None else f", {_clock(seconds)} left"


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=max(0, int(seconds))))


_display: Display = Silent()
_whole: Whole | None = None


def show(display: Display) -> None:
    """Set the display of this process."""
    global _display  # noqa: PLW0603 - one terminal, one display
    _display = display


@contextmanager
def shown(display: Display) -> Iterator[None]:
    """Set the display for a block, if this process has none yet."""
    before = _display
    if isinstance(before, Silent):
        show(display)
    try:
        yield
    finally:
        show(before)


@contextmanager
def silenced() -> Iterator[None]:
    """Show nothing of a block."""
    before = _display
    show(Silent())
    try:
        yield
    finally:
        show(before)


@contextmanager
def whole(stages: Whole) -> Iterator[None]:
    """Show how far everything is, below the bar of each phase, until the block ends."""
    global _whole  # noqa: PLW0603 - one terminal, one display
    before, _whole = _whole, stages
    try:
        yield
    finally:
        _whole = before


def finished(iteration: int, phase: str, seconds: float) -> None:
    """Count a stage that is recorded as finished."""
    if _whole is not None and (line := _whole.finished(iteration, phase, seconds)):
        _display.doing(line)


def track(phase: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """Open a bar for ``total`` units of work; yields ``advance(units)``."""
    return _display.track(phase, total)


def say(text: str) -> None:
    """Show one status line."""
    _display.say(text)


def busy(text: str) -> AbstractContextManager[None]:
    """Show that work goes on, wherever no bar does, until the block ends."""
    return _display.busy(text)


def doing(text: str) -> None:
    """Say what is being done while there is no progress bar, such as loading a model."""
    _display.doing(text)


@contextmanager
def phases(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """Adapt a callback ``report(phase, done, total)`` to bars, one after another."""
    open_bar: list[tuple[str, AbstractContextManager[Callable[[int], None]], Callable[[int], None], int]] = []

    def close() -> None:
        if open_bar:
            open_bar.pop()[1].__exit__(None, None, None)

    def report(phase: str, done: int, total: int) -> None:
        if not open_bar or open_bar[0][0] != phase:
            close()
            bar = track(f"{title}: {phase}", total)
            open_bar.append((phase, bar, bar.__enter__(), 0))
        name, bar, advance, before = open_bar[0]
        advance(done - before)
        open_bar[0] = (name, bar, advance, done)

    try:
        yield report
    finally:
        close()
