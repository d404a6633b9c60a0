"""A run directory per arm and seed: the same data, base model, steps and evaluation, what they share computed once.

Every run is an ordinary one (``rationem fit`` would write the same rows): a comparison that was killed goes on in the
run that it was in, and a run can be looked at alone. What is measured of the base model depends on the seed and not on
the scheme: it is measured once per seed and taken over.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rationem import progress
from rationem.comparing.design import Arm, Design, write_design
from rationem.config import FitConfig
from rationem.engines.opening import opening
from rationem.errors import ConfigError
from rationem.evaluate import SHOTS
from rationem.launch import Resolved, carry_out, engine_choice, measure_base, resolve
from rationem.ledger import read_only
from rationem.ledger.reading import read_record
from rationem.preflight import check_engine
from rationem.prepare import split_seed
from rationem.schemes import check_sampling, parse_scheme
from rationem.types import Engine, Sampling

if TYPE_CHECKING:
    from rationem.em import Problem

#: What iteration 0 is measured by; see the phases in docs/run-directory.md.
_BASE = ("validation", "evidence", "difficulty", "test", "exact", SHOTS)
#: With equal tokens an arm has at most so many times the iterations asked for.
_MORE = 8


def check_design(design: Design) -> None:
    """Find what is wrong with any of the arms before the first one runs.

    Raises:
        ConfigError: says what.
    """
    for arm in design.arms:
        config = _settings(design, arm, design.seeds[0])
        scheme = parse_scheme(arm.scheme, arm.selector, config.reward_as)
        check_sampling(scheme, Sampling(config.temperature, config.top_p, config.top_k))
        check_engine(config, scheme)
    if design.config.teacher and not any(_asks_teacher(arm) for arm in design.arms):
        raise ConfigError("--teacher is named, and no arm asks it. Write one: --schemes ...,rationalize@teacher.")


def compare(design: Design, output: Path) -> Path:
    """Run every arm with every seed, or go on with it; return the directory.

    Raises:
        RationemError: a setting, a file, a model or the directory cannot be used as asked.
    """
    output = Path(output).resolve()
    check_design(design)
    first = design.in_order[0]
    run, _ = resolve(_settings(design, first, design.seeds[0]), design.base(output, design.seeds[0]))
    design = replace(design, config=_shared(design, run.config))
    write_design(design, output)
    with _engine(design, run) as open_engine:
        for number, seed in enumerate(design.seeds):
            config = _settings(design, first, seed)
            base = design.base(output, seed)
            progress.say(f"base model, seed {seed}")
            measure_base(*_resolved(config, base), open_engine=open_engine)
            for place, arm in enumerate(design.in_order):
                count = number * len(design.arms) + place + 1
                progress.say(f"{arm.name}, seed {seed} ({count} of {len(design.seeds) * len(design.arms)} runs)")
                _run(design, arm, seed, output, open_engine)
    return output


def _run(design: Design, arm: Arm, seed: int, output: Path, open_engine: Callable[[str], Engine] | None) -> None:
    config, directory = _settings(design, arm, seed), design.run(output, arm, seed)
    if design.equal == "tokens" and arm.name != design.reference and arm.generates:
        spent = generated_tokens(design.run(output, design[design.reference], seed))
        config = config.model_copy(
            update={"token_budget": max(spent, 1), "iterations": _MORE * design.config.iterations}
        )
    run, directory, recorded = _resolved(config, directory)
    take_over = partial(_adopt, design.base(output, seed))
    carry_out(run, directory, recorded, before=take_over, open_engine=open_engine)


def _adopt(base: Path, problem: Problem) -> None:
    """Take over what was measured of the base model with this seed."""
    db = read_only(base)
    try:
        measured = [phase for phase in _BASE if read_record(db, 0, phase) is not None]
        problem.ledger.adopt(db, 0, measured)
    finally:
        db.close()


def generated_tokens(run: Path) -> int:
    """Return how many tokens the E-steps of a run generated."""
    db = read_only(run)
    try:
        return _sum_of(db, "generated_tokens")
    finally:
        db.close()


def _sum_of(db: sqlite3.Connection, name: str) -> int:
    rows = db.execute(
        "SELECT COALESCE(SUM(json_extract(record, '$.' || ?)), 0) FROM iterations WHERE phase='e_step'", (name,)
    )
    return int(rows.fetchone()[0])


def _resolved(config: FitConfig, directory: Path) -> tuple[Resolved, Path, dict[str, Any]]:
    run, recorded = resolve(config, directory)
    return run, directory, recorded


def _shared(design: Design, resolved: FitConfig) -> FitConfig:
    """Return the settings of all runs, filled in; the seed is the first, and parts the data for all."""
    return resolved.model_copy(
        update={
            "scheme": design.config.scheme,
            "selector": design.config.selector,
            "seed": design.config.seed,
            "teacher": design.config.teacher,
            "split_seed": split_seed(design.config),
        }
    )


def _settings(design: Design, arm: Arm, seed: int) -> FitConfig:
    """Return the settings of one run: those that all share, with the arm's scheme and the seed."""
    changed: dict[str, Any] = {
        "scheme": arm.scheme,
        "selector": arm.selector,
        "seed": seed,
        "split_seed": split_seed(design.config),
    }
    if design.config.teacher and not _asks_teacher(arm):
        changed |= {"teacher": (), "teacher_model": None}
    return design.config.model_copy(update=changed)


def _asks_teacher(arm: Arm) -> bool:
    return parse_scheme(arm.scheme, arm.selector).uses_teacher


@contextmanager
def _engine(design: Design, run: Resolved) -> Iterator[Callable[[str], Engine] | None]:
    """Yield what opens engines for all runs: a server that one leaves running, the next one takes over."""
    schemes = [parse_scheme(arm.scheme, arm.selector) for arm in design.arms]
    models = 2 if any(scheme.uses_base for scheme in schemes) else 1
    with opening(replace(engine_choice(run), models=models)) as open_engine:
        yield open_engine
