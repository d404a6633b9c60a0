"""rationem compare: several schemes at equal data, seeds and steps; docs/compare.md."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rationem import progress
from rationem.cli.parser import Parser
from rationem.engines.table import ENGINES_OR_AUTO

if TYPE_CHECKING:
    from rationem.compare import Arm, Design
    from rationem.config import FitConfig
    from rationem.tasks.protocol import Task
    from rationem.types import Splits

_SCHEMES = "rs:1,rs:4,star,pps"
_SEEDS = 3
#: Sections of the report that are printed at the end: the finding and the first table.
_FIRST = 2


def arguments(parser: Parser) -> None:
    """Add the flags of the comparison, and those of ``fit`` that its runs share."""
    from rationem.cli.settings import add_settings
    from rationem.compare.embedded import STUDIES
    from rationem.config import FitConfig, Mark, settings_with

    own = "; ".join(f"for {data} {arms}" for data, arms in STUDIES.items())
    parser.description = (
        "Train and test several sampling schemes on the same data, split, base model, gradient steps and evaluation, "
        "with several seeds; write tables, figures and tests. If it is interrupted, the same command resumes it."
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="directory of the comparison")
    parser.add_argument(
        "--schemes",
        metavar="ARM,ARM",
        help=f"arms, each [NAME=]SCHEME[/SELECTOR] (default: {_SCHEMES}; {own})",
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help=(f"number of seeds per arm, counted from --seed (default: {_SEEDS})")
    )
    parser.add_argument(
        "--reference", metavar="ARM", help=("the arm that all others are compared with (default: the first)")
    )
    parser.add_argument(
        "--equal",
        choices=("iterations", "tokens", "passes"),
        help=(
            "what is equal for all arms: iterations and steps; or, as the reference has it, about the generated "
            "tokens, or the passes over a kept example (default: iterations)"
        ),
    )
    parser.add_argument(
        "--control",
        action=argparse.BooleanOptionalAction,
        help="also train on the answer alone, without rationales (default: yes)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="runs at the same time, on a CPU (default: 1; for embedded data one per core, with one thread each)",
    )
    parser.add_argument("--dry-run", action="store_true", help="check settings and data, show the runs, write nothing")
    add_settings(parser, [name for name in FitConfig.model_fields if name not in settings_with(Mark.BY_ARM)])
    parser.examples(
        "rationem compare ratings.csv --scale 1-5 --model smollm2 -o runs/schemes",
        "rationem compare world --schemes star,pps --seeds 2 -o runs/world",
        "rationem compare -o runs/schemes          (goes on with a comparison)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from rationem import report
    from rationem.compare import compare, default_workers, page, write

    progress.show(progress.Rich())
    design = _design(options)
    if options.dry_run:
        return _show(design, options.output)
    workers = default_workers(design.config) if options.workers is None else options.workers
    with progress.busy("reading the data"):
        output = compare(design, options.output, workers=workers)
        whole = page.of_comparison(write(output))
    report.show_plain(replace(whole, parts=whole.parts[:_FIRST]))
    progress.out(f"\n{output / 'report.html'}    the report, for a browser")
    progress.out(
        f"rationem report {output}    every table; also report.md, table.tex, results.csv, results.json, figures"
    )
    return 0


def _design(options: argparse.Namespace) -> Design:
    """Return the requested design; in a directory that holds a comparison, open settings are taken from there."""
    from rationem.cli.settings import given, read_settings
    from rationem.compare import Design, parse_arms
    from rationem.compare.design import NAME, check_named, read_design
    from rationem.compare.embedded import STUDIES, embedded
    from rationem.config import read_config
    from rationem.errors import ConfigError
    from rationem.run.prepare import WORLD

    asked = given(options)
    if options.seeds is not None and options.seeds < 1:
        raise ConfigError(f"--seeds {options.seeds}: give at least 1.")
    if not options.data and options.config is None and (options.output / NAME).is_file():
        found = read_design(options.output)
        config = read_config(None, {**found.config.model_dump(mode="json"), **asked})
        check_named(config, asked, options.output)
        arms, reference, equal, count = found.arms, found.reference, found.equal, len(found.seeds)
    else:
        config = read_settings(options)
        own = config.data[0] if len(config.data) == 1 and config.data[0] in STUDIES else None
        exact = own == WORLD and ENGINES_OR_AUTO[config.engine].enumerates
        config = embedded(config, exact=exact) if own else config
        arms = parse_arms(STUDIES[own] if own else _SCHEMES, control=options.control is not False)
        reference, equal, count = "", "iterations", _SEEDS
    if options.schemes:
        arms = parse_arms(options.schemes, control=options.control is not False)
    elif options.control is False:
        arms = tuple(arm for arm in arms if not arm.control)
    reference = _named(options.reference, arms) if options.reference else reference or arms[0].name
    seeds = tuple(config.seed + n for n in range(options.seeds or count))
    return Design(config, arms, reference, seeds, options.equal or equal)


def _named(reference: str, arms: Sequence[Arm]) -> str:
    """Return the name of an arm given by its name or its scheme."""
    return next((arm.name for arm in arms if reference in (arm.name, arm.scheme)), reference)


def _show(design: Design, output: Path) -> int:
    """Show what would be run."""
    from rationem.compare import check_design
    from rationem.config import to_toml
    from rationem.errors import ConfigError
    from rationem.run.launch import check
    from rationem.run.preflight import check_machine

    check_design(design)
    config, _, task, splits = check(design.config, design.base(output.resolve(), design.seeds[0]))
    progress.out(to_toml(config, f"rationem compare --output {output}"))
    progress.out(f"train {len(splits.train)}, validation {len(splits.validation)}, test {len(splits.test)} examples")
    for arm in design.arms:
        role = "reference" if arm.name == design.reference else "control" if arm.control else ""
        progress.out(f"{arm.name}: --scheme {arm.scheme} --selector {arm.selector}{f'  ({role})' if role else ''}")
    seeds = ", ".join(map(str, design.seeds))
    count = len(design.arms) * len(design.seeds)
    progress.out(f"{count} runs: {len(design.arms)} arms with seeds {seeds}; equal: {design.equal}")
    try:
        check_machine(config)
    except ConfigError as error:
        progress.out(f"It would not run on this machine: {error}")
    for line in _costs(design, config, task, splits):
        progress.out(line)
    return 0


def _costs(design: Design, config: FitConfig, task: Task, splits: Splits) -> Iterator[str]:
    """Yield the costs of the arms, all seeds together, as if each run were alone and shared nothing."""
    from rationem.check.estimate import H100, estimate

    yield "Cost of all seeds, at most (rationem fit --dry-run lists the assumptions; the base model is measured once):"
    seeds, hours, disk = len(design.seeds), [0.0, 0.0], 0.0
    for arm in design.arms:
        of_arm = config.replace(scheme=arm.scheme, selector=arm.selector)
        found = estimate(of_arm, of_arm.planned, task, splits)
        told = f"  {arm.name}: {seeds * found.tokens.generated:,.0f} tokens generated"
        if found.hours is not None and found.disk is not None:
            ends, size = [seeds * end for end in found.hours], seeds * sum(found.disk.values())
            hours, disk = [one + other for one, other in zip(hours, ends, strict=True)], disk + size
            told += f", {ends[0]:.2g} to {ends[1]:.2g} hours of one {H100.name}, {size / 1e9:.3g} GB"
        yield told
    yield (
        f"  all: {hours[0]:.2g} to {hours[1]:.2g} hours, {disk / 1e9:.3g} GB of disk" if disk else "  hours: not known"
    )
