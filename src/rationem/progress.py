"""Progress, seen from the work: ``with track("sampling", total) as advance: advance(n)``. Silent unless shown.

One display per process, set by the command line; nothing that computes ever reads it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

#: Seconds between two lines of a phase where there is no terminal.
EVERY = 30.0


class Display(Protocol):
    """Shows phases: ``track`` opens a bar and yields a function that takes the number of units done since."""

    def track(self, phase: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Open a bar."""
        ...

    def say(self, text: str) -> None:
        """Show one line."""
        ...


class Silent:
    """Shows nothing: the default in Python code and in tests."""

    @contextmanager
    def track(self, phase: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that does nothing."""
        yield lambda _count: None

    def say(self, text: str) -> None:
        """Print nothing."""


class _Lines:
    """Says in a log, every half minute, how far a phase has come."""

    def __init__(self, phase: str, total: int, say: Callable[[str], None]) -> None:
        self.started = self._told = time.perf_counter()
        self._phase, self._total, self._say = phase, total, say
        self._done = 0

    def advance(self, count: int) -> None:
        """Count units done; say so where the last line is old."""
        self._done += count
        now = time.perf_counter()
        if now - self._told >= EVERY and self._done < self._total:
            self._told = now
            self._say(f"{self._phase}: {self._done} of {self._total} after {now - self.started:.0f} s")


class Rich:
    """Progress bars and lines on the terminal (standard error), by rich."""

    def __init__(self, prefix: str = "") -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self.prefix = prefix

    @contextmanager
    def track(self, phase: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that advances one transient bar; where there is no terminal, print a line at the end."""
        if not self._console.is_terminal:
            lines = _Lines(phase, total, self.say)
            yield lines.advance
            self.say(f"{phase}: {total} in {time.perf_counter() - lines.started:.1f} s")
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as bars:
            task = bars.add_task(f"{self.prefix}{phase}", total=total)
            yield lambda count: bars.advance(task, count)

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(f"{self.prefix}{text}", highlight=False, markup=False)


_display: Display = Silent()


def show(display: Display) -> None:
    """Set the display of this process."""
    global _display  # noqa: PLW0603 - one terminal, one display
    _display = display


def track(phase: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    """Open a bar for ``total`` units of work; yields ``advance(units)``."""
    return _display.track(phase, total)


def say(text: str) -> None:
    """Tell the person at the terminal one line."""
    _display.say(text)


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
