"""rationem fit: train from answers alone, or resume a run; README."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from rationem import progress
from rationem.cli.parser import Parser

if TYPE_CHECKING:
    from rationem.config import FitConfig


def arguments(parser: Parser) -> None:
    """Add the flags: those of the run, and one for each setting."""
    from rationem.cli.settings import add_settings
    from rationem.config import FitConfig

    parser.description = (
        "Train a model on questions with their answers. If it is interrupted, the same command resumes it."
    )
    parser.add_argument("-o", "--output", required=True, metavar="RUN", help="the run directory")
    parser.add_argument(
        "--dry-run", action="store_true", help="check settings and data, estimate the cost, write nothing"
    )
    add_settings(parser, FitConfig.model_fields)
    parser.examples(
        "rationem fit ratings.csv --scale 1-5 --rater-col rater --model smollm2 -o run",
        "rationem fit ratings.csv --scale 1-5 --model Qwen/Qwen3-0.6B --dry-run -o big",
        "rationem fit -o runs/first    (goes on with a run that was interrupted)",
    )


def run(options: Namespace) -> int:
    """Run the command; return its exit code."""
    from rationem.cli.settings import read_settings

    progress.show(progress.Rich())
    recorded = Path(options.output) / "config.toml"
    config = read_settings(options, None if options.data or not recorded.is_file() else recorded)
    progress.say(f"reading {', '.join(config.data) or 'the data'}")  # what follows takes seconds to load
    _tell_findings(config, Path(options.output))
    if options.dry_run:
        _dry(config, options.output)
        return 0

    with progress.busy("reading the data"):
        from rationem import report
        from rationem.report.terminal.console import terminal
        from rationem.report.terminal.run import show_end
        from rationem.run.launch import start

        directory = start(config, options.output)
        summary = report.summarize(directory)
    show_end(directory, summary, terminal())
    return 0


def _tell_findings(config: FitConfig, output: Path) -> None:
    """Print what the check finds in the data of a new run."""
    from rationem.ledger import is_begun
    from rationem.run.preflight import check_directory
    from rationem.run.prepare import embedded

    check_directory(output.resolve())  # before a task of the user's is run
    if is_begun(output) or not config.data or embedded(config) is not None:
        return
    from rationem.check.before import told

    for line in told(config):
        progress.say(line)


def _dry(config: FitConfig, output: str) -> None:
    """Show what would run and its cost."""
    from rationem.check import estimate
    from rationem.config import to_toml
    from rationem.errors import ConfigError
    from rationem.run.launch import check
    from rationem.run.preflight import check_machine, check_model
    from rationem.run.understood import understood

    config, scheme, task, splits = check(config, Path(output).resolve())
    config = check_model(config)
    progress.out(to_toml(config))
    for line in understood(splits):
        progress.out(line)
    progress.out(f"train {len(splits.train)}, validation {len(splits.validation)}, test {len(splits.test)} examples")
    try:
        check_machine(config)
    except ConfigError as error:
        progress.out(f"It would not run on this machine: {error}")
    for line in estimate.lines(estimate.estimate(config, scheme, task, splits)):
        progress.out(line)
