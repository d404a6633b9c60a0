"""The parser of every command: a short help with examples, suggestions for misspelt names, aliases for flags."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from rationem import progress
from rationem.errors import closest

#: Flags that people know from other programs; those of settings are in ``config``.
_ALIASES = {"--output-dir": "--output"}
_MOST = 4


class _Formatter(argparse.HelpFormatter):
    """Wraps a paragraph, keeps the lines of examples, and names a flag's value once behind all its spellings."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


class Parser(argparse.ArgumentParser):
    """Arguments of one command. A flag may have underscores for hyphens; it is never abbreviated.

    Messages may contain file names chosen by somebody else: they are printed as characters.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **settings)
        self.aliases = dict(_ALIASES)
        self._rare: set[str] = set()
        self.add_argument("--help-all", action=_HelpAll, nargs=0, help="show this help with all flags, and exit")

    def examples(self, *lines: str) -> None:
        """Show these command lines at the end of the help."""
        self.epilog = "\n".join(["examples:", *(f"  {line}" for line in lines)])

    def hide(self, names: Collection[str]) -> None:
        """Leave arguments out of ``--help``; ``--help-all`` shows them.

        Args:
            names: the destinations of the arguments.
        """
        self._rare |= set(names)

    def format_help(self, *, everything: bool = False) -> str:
        """Return the help."""
        left_out = set() if everything else self._rare
        formatter = self._get_formatter()
        formatter.add_usage(self.usage or self._brief(), (), ())
        formatter.add_text(self.description)
        for group in self._action_groups:
            shown = [action for action in group._group_actions if action.dest not in left_out]
            if shown:
                formatter.start_section(group.title)
                formatter.add_arguments(shown)
                formatter.end_section()
        if left_out:
            hidden = sum(action.dest in left_out and not _secret(action) for action in self._actions)
            formatter.add_text(f"{hidden} more flags: {self.prog} --help-all")
        formatter.add_text(self.epilog)
        return formatter.format_help()

    def _brief(self) -> str:
        """Return the usage: what must be given, and that there are flags."""
        formatter = self._get_formatter()
        needed = [action for action in self._actions if action.required or not action.option_strings]
        formatter.add_usage(None, needed, (), prefix="")
        more = " [flags]" if self._subparsers is None else ""
        return (" ".join(formatter.format_help().split()) + more).replace("%", "%%")

    # argparse hands the arguments behind a command's name to the parser of that command by this method.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse the arguments, after every flag has got its own spelling."""
        return super().parse_known_args(None if args is None else self._spelt(args), namespace)

    def error(self, message: str) -> NoReturn:
        """Print the error and where the flags are explained; exit with 2."""
        self.exit(2, f"{self.prog}: error: {message}\n{self.prog} --help shows what it takes, with examples.\n")

    def _spelt(self, arguments: Sequence[str]) -> list[str]:
        if self._subparsers is not None:
            return list(arguments)
        flags = arguments.index("--") if "--" in arguments else len(arguments)
        return [*map(self._flag, arguments[:flags]), *arguments[flags:]]

    def _flag(self, argument: str) -> str:
        given, equals, value = argument.partition("=")
        if not given.startswith("--") or " " in given:
            return argument
        flag = given.replace("_", "-")
        flag = self.aliases.get(flag, flag)
        if flag not in self._option_string_actions:
            self.error(f"there is no flag {given}.{self._suggested(flag)}")
        return f"{flag}{equals}{value}"

    def _suggested(self, flag: str) -> str:
        known = [name for action in self._actions if not _secret(action) for name in action.option_strings]
        near = [name for name in known if name.startswith(flag)] or get_close_matches(flag, known, n=1)
        return f" Did you mean {_either(near[:_MOST])}?" if near else ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        names = list(map(str, action.choices))
        known = ", ".join(names)
        if isinstance(action, argparse._SubParsersAction):
            self.error(f"there is no command {value!r}.{closest(str(value), names)} Commands: {known}.")
        what = action.option_strings[-1] if action.option_strings else action.metavar or action.dest
        self.error(f"{what} {value}: there is no such choice.{closest(str(value), names)} Choose from {known}.")

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(progress.plain(message, breaks=True), file)


class _HelpAll(argparse.Action):
    """Prints the whole help and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_rest: Any) -> None:
        assert isinstance(parser, Parser)
        parser._print_message(parser.format_help(everything=True), sys.stdout)
        parser.exit()


def _secret(action: argparse.Action) -> bool:
    return action.help == argparse.SUPPRESS


def _either(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
