"""rationem judge: rate the rows of a file with a trained judge."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from rationem import progress
from rationem.cli.parser import Parser
from rationem.engines.opening import EngineConfig
from rationem.engines.remote.opening import KEY
from rationem.engines.table import DEFAULT, ENGINES, HELP, refuse_foreign
from rationem.errors import ConfigError
from rationem.tasks.scale import MARKER

_ROLES = {
    "prompt": "the prompt (the question)",
    "response": "the response to rate, or the responses to compare: 'a,b'",
    "choices": "the choices, or one column each: 'a,b,c,d'",
    "reference": "a reference answer",
    "context": "a context",
}
#: Flags that the short help leaves out, by destination.
_RARE = (
    *("choices_col", "reference_col", "context_col", "inputs_col", "preset", "no_calibration", "adapter_base"),
    *("url", "url_model", "concurrency", "vllm_python", "vllm_args", "threads"),
)


def arguments(parser: Parser) -> None:
    """Add the flags."""
    from rationem.cli.settings import add_flags
    from rationem.config import TakenBy, settings_with

    parser.description = (
        "Rate the rows of a file. All columns are kept; rating, expected_rating, p_LEVEL of each level, entropy, "
        "rationale, status, draws, unparsed_draws and problem are added. If it is interrupted, the same command "
        "resumes it."
    )
    parser.add_argument("run", help="the run directory that rationem fit wrote, or its model/")
    parser.add_argument("file", type=Path, help="the items: any file that check reads (.csv, .jsonl, .xlsx, ...)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the rated file: csv, tsv or jsonl")
    parser.add_argument(
        "--draws",
        type=int,
        metavar="N",
        help=("rationales per item (default: the number used to fit the calibration, else 8)"),
    )
    parser.add_argument("--fast", action="store_true", help="one greedy rationale: a rating without probabilities")
    parser.add_argument(
        "--criterion", action="append", metavar="NAME", help=("rate only this criterion (may be repeated)")
    )
    for role, text in _ROLES.items():
        parser.add_argument(f"--{role}-col", metavar="NAME", help=f"column of {text} (default: as in training)")
    parser.add_argument(
        "--inputs-col",
        nargs="+",
        default=[],
        metavar="INPUT=COLUMN",
        help="columns of the inputs of your own task",
    )
    add_flags(parser, settings_with(TakenBy.JUDGE), heading="the file")
    parser.add_argument("--preset", help="name of the published data set that the file comes from")
    parser.add_argument("--no-calibration", action="store_true", help="do not calibrate the probabilities")
    parser.add_argument("--overwrite", action="store_true", help="replace OUTPUT, or start again instead of resuming")
    parser.add_argument(
        "--coverage",
        type=float,
        metavar="C",
        help="add the set of levels that holds one more person's rating with this probability, such as 0.9",
    )
    parser.add_argument("--seed", type=int, help="seed of the drafts (default: the run's)")
    parser.add_argument("--batch-size", type=int, default=64, help="completions generated together (default: 64)")
    parser.add_argument(
        "--adapter-base",
        metavar="DIR",
        help="directory of the base model of a LoRA adapter, if it was moved",
    )
    parser.examples(
        "rationem judge runs/first new.csv -o rated.csv",
        "rationem judge runs/first new.csv -o rated.csv --draws 16 --coverage 0.9",
        "rationem judge runs/first new.csv -o quick.csv --fast",
    )
    engine = parser.add_argument_group("engine")
    engine.add_argument(
        "--engine",
        choices=tuple(ENGINES),
        default=DEFAULT,
        help=HELP,
    )
    engine.add_argument(
        "--url", nargs="+", default=[], help=f"endpoint: servers (vLLM) of the judge's weights; key: {KEY}"
    )
    engine.add_argument("--url-model", metavar="NAME", help="the model's name there (default: the only one served)")
    engine.add_argument("--concurrency", type=int, default=256, help="requests at the same time (default: 256)")
    engine.add_argument("--vllm-python", metavar="PATH", help="python that has vLLM (default: rationem engine install)")
    engine.add_argument("--vllm-args", type=shlex.split, default=[], metavar="FLAGS", help="--vllm-args='--flag value'")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the GPU if there is one")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all cores); resume with the same number")
    parser.hide(_RARE)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from rationem.config import TakenBy, configured, settings_with
    from rationem.judging.judge import Judge
    from rationem.judging.stream import rate_file
    from rationem.run.rating_values import shapes_of
    from rationem.run.task_resolution import inputs_of

    progress.show(progress.Rich())
    named = ((name, getattr(options, name)) for name in settings_with(TakenBy.JUDGE))
    read = {name: value for name, value in named if value is not None}
    given = {role: name for role in _ROLES if (name := getattr(options, f"{role}_col")) is not None}
    given = inputs_of(options.inputs_col, given)
    asked = configured(**read)
    with Judge.load(
        options.run,
        device=options.device,
        batch_size=options.batch_size,
        threads=(os.cpu_count() or 1) if options.threads is None else options.threads,
        calibrate=not options.no_calibration,
        choice=_choice(options),
        adapter_base=options.adapter_base,
    ) as judge:
        for doubt in judge.doubts:
            progress.say(f"Warning: {doubt}")
        totals = rate_file(
            judge,
            options.file,
            options.output,
            draws=options.draws,
            fast=options.fast,
            seed=options.seed,
            coverage=options.coverage,
            criteria=options.criterion,
            columns=given,
            preset=options.preset,
            overwrite=options.overwrite,
            form=asked.form,
            shapes=shapes_of(asked),
        )
        for line in totals.lines(judge.task.kind):
            progress.say(line)
    progress.out(options.output)
    return 0


def _choice(options: argparse.Namespace) -> EngineConfig:
    """Return which engine generates.

    Raises:
        ConfigError: flags contradict each other.
    """
    refuse_foreign(options.engine, [name for name, value in vars(options).items() if value])
    if options.concurrency < 1:
        raise ConfigError(f"A concurrency of {options.concurrency}: give at least 1.")
    return EngineConfig(
        MARKER,
        engine=options.engine,
        device=options.device,
        batch_size=options.batch_size,
        concurrency=options.concurrency,
        handover="restart",  # there is one checkpoint to serve
        vllm_python=options.vllm_python,
        vllm_args=tuple(options.vllm_args),
        urls=tuple(options.url),
        model=options.url_model,
    )
