"""rationem refit: another filter, other weights or another training on existing trials; docs/refit.md."""

from __future__ import annotations

import argparse
from pathlib import Path

from rationem import progress
from rationem.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Add RUN, the flags of changeable settings, and, hidden, those of ``fit`` that cannot change, to explain why."""
    from rationem.cli.settings import add_flags
    from rationem.config import FitConfig, Mark, TakenBy, flag_of, group_of, settings_with

    parser.description = (
        "Grade the training trials of a finished or unfinished run again, select, and train once from the weights "
        "that drew them: no new drafts are made for training examples. Settings that are not given stay as in RUN. "
        "If it is interrupted, the same command resumes it."
    )
    parser.add_argument("run", type=Path, help="the run directory that rationem fit wrote; it is only read")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="NEW", help="the new run's directory")
    parser.add_argument(
        "--iteration",
        type=int,
        default=1,
        metavar="K",
        help=("the iteration whose trials are used (default: %(default)s)"),
    )
    changeable = settings_with(TakenBy.REFIT)
    add_flags(parser, changeable, defaults=False)
    usual = {group_of("selector"), group_of("reward")}
    parser.hide({name for name in changeable if group_of(name) not in usual} - set(settings_with(Mark.COMMON)))
    parser.examples(
        "rationem refit runs/first --selector all -o runs/all",
        "rationem refit runs/first --reward ordinal --threshold 0.75 -o runs/near",
    )
    text = "the model that RUN began with; needed if you did not make RUN on this machine"
    parser.add_argument("--model", help=text)
    for name in FitConfig.model_fields:
        if name not in (*changeable, "model"):
            parser.add_argument(flag_of(name), dest=name, nargs="*", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from rationem import report
    from rationem.config import FitConfig
    from rationem.report.terminal.console import terminal
    from rationem.report.terminal.run import show_end
    from rationem.run.refit import refit

    progress.show(progress.Rich())
    changes = {name: value for name in FitConfig.model_fields if (value := getattr(options, name)) is not None}
    with progress.busy("reading the run"):
        directory = refit(options.run, options.output, changes, iteration=options.iteration)
        summary = report.summarize(directory)
    show_end(directory, summary, terminal())
    return 0
