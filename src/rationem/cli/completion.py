"""rationem completion: a script for the shell, made from the parsers of all commands."""

from __future__ import annotations

from argparse import SUPPRESS, Action, Namespace
from collections.abc import Iterator

from rationem import progress
from rationem.cli.parser import Parser

_BASH = """# Completion of rationem. {how}
_rationem() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=
    if [ "$COMP_CWORD" -eq 1 ]; then words="{commands} --help --version"; else
    case "${{COMP_WORDS[1]}} $before" in
{values}
    *) case "${{COMP_WORDS[1]}} $word" in
{flags}
    esac ;;
    esac; fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _rationem rationem
"""
_HOW = {
    "bash": 'In ~/.bashrc: eval "$(rationem completion bash)"',
    "zsh": 'In ~/.zshrc: eval "$(rationem completion zsh)"',
}
_ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


def arguments(parser: Parser) -> None:
    """Add the shell."""
    parser.add_argument("shell", choices=tuple(_HOW), help="for which shell")
    parser.examples('eval "$(rationem completion bash)"        (now, or in ~/.bashrc)', "rationem completion zsh")


def run(options: Namespace) -> int:
    """Run the command; return its exit code."""
    from rationem.cli.main import COMMANDS
    from rationem.engines.models import EMBEDDED
    from rationem.sampling.schemes import SCHEMES

    known = {"--model": tuple(EMBEDDED), "--scheme": ("rs:4", *SCHEMES)}
    values, flags = [], []
    for name in COMMANDS:
        actions = list(_actions(name))
        for before, action in actions:
            # A value follows its flag; a word without a flag follows its command.
            if choices := action.choices or next((known[one] for one in action.option_strings if one in known), ()):
                named = action.option_strings or [before]
                values += [f'    "{name} {one}") words="{" ".join(map(str, choices))}" ;;' for one in named]
        told = sorted({one for _, action in actions for one in action.option_strings})
        flags.append(f'    "{name} -"*) words="{" ".join(told)}" ;;')
    script = _BASH.format(
        how=_HOW[options.shell], commands=" ".join(COMMANDS), values="\n".join(values), flags="\n".join(flags)
    )
    progress.out((_ZSH if options.shell == "zsh" else "") + script)
    return 0


def _actions(command: str) -> Iterator[tuple[str, Action]]:
    """Yield the arguments that the help shows of a command and of its own commands, each with its command's name."""
    from rationem.cli.main import parser_of

    subparsers = parser_of(command)._subparsers
    assert subparsers is not None
    waiting: list[tuple[str, Parser]] = [(command, subparsers._group_actions[0].choices[command])]  # type: ignore[index]
    while waiting:
        name, parser = waiting.pop()
        for action in parser._actions:
            if action.help != SUPPRESS:
                yield name, action
            if parser._subparsers is not None and isinstance(action.choices, dict):
                waiting += action.choices.items()
