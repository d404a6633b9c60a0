"""A run directory per arm and seed: the same data, base model, steps and evaluation, with shared parts computed once.

Every run is an ordinary one (``rationem fit`` would write the same rows). A killed comparison resumes in the run that
was active, and each run can be inspected alone. Measurements of the base model depend on the seed and not on the
scheme: they are made once per seed and copied.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rationem import progress
from rationem.compare.design import Arm, Design, shared_settings, write_design
from rationem.compare.processes import ArmJob, run_all
from rationem.config import FitConfig
from rationem.engines.opening import opening
from rationem.engines.table import ENGINES_OR_AUTO
from rationem.errors import ConfigError, RunError
from rationem.evaluation.diagnostics.cost import mean_passes
from rationem.evaluation.evaluate import SHOTS
from rationem.ledger import is_finished, read_manifest, read_only
from rationem.ledger.files import refuse_links
from rationem.ledger.phases import read_record, read_records
from rationem.run import identity
from rationem.run.launch import carry_out, measure_base, resolve
from rationem.run.preflight import check_engine, check_summed
from rationem.run.prepare import embedded, split_seed
from rationem.run.problem import Resolved, engine_choice
from rationem.sampling.schemes import check_sampling, parse_scheme
from rationem.types import Engine

if TYPE_CHECKING:
    from rationem.em import Problem

#: The measurements of iteration 0; see the phases in docs/run-directory.md.
_BASE = ("validation", "evidence", "difficulty", "test", "test_evidence", "exact", SHOTS)
#: The parts of a manifest that all runs of a comparison share, besides the shared settings.
_SAME = ("data_sha256", "splits_sha256", "task", "prompt_token_ids")
#: With equal tokens, the maximum number of iterations of an arm as a multiple of the requested number.
_MORE = 8


def check_design(design: Design) -> None:
    """Check all arms before the first one runs.

    Raises:
        ConfigError: says what is wrong.
    """
    for arm in design.arms:
        config = _settings(design, arm, design.seeds[0])
        scheme = config.planned
        check_sampling(scheme, config.sampling)
        check_engine(config, scheme)
        check_summed(config, scheme)
    if design.config.teacher and not any(_asks_teacher(arm) for arm in design.arms):
        raise ConfigError("--teacher is given, but no arm uses it. Add one, such as --schemes ...,rationalize@teacher.")


def compare(design: Design, output: Path, *, workers: int = 1) -> Path:
    """Run every arm with every seed, or resume; return the directory.

    Args:
        design: the comparison.
        output: the directory.
        workers: the number of runs at once, each in its own process; on a CPU they share the threads.

    Raises:
        RationemError: a setting, a file, a model or the directory cannot be used as requested.
    """
    output = Path(output).resolve()
    check_design(design)
    if workers < 1:
        raise ConfigError(f"--workers {workers}: give at least 1.")
    if workers > 1:
        _check_workers(design.config, workers)
        threads = design.config.threads or max(1, (os.cpu_count() or 1) // workers)
        design = replace(design, config=design.config.replace(threads=threads))
    first = design.in_order[0]
    run, _ = resolve(_settings(design, first, design.seeds[0]), design.base(output, design.seeds[0]))
    design = replace(design, config=_shared(design, run.config))
    write_design(design, output)
    if workers > 1:
        run_all(design, output, workers, partial(_finish_here, design, output))
        return output
    with _engine(design, run) as open_engine:
        for number, seed in enumerate(design.seeds):
            progress.say(f"base model, seed {seed}")
            run_base(design, seed, output, open_engine)
            for place, arm in enumerate(design.in_order):
                count = number * len(design.arms) + place + 1
                progress.say(f"{arm.name}, seed {seed} ({count} of {len(design.seeds) * len(design.arms)} runs)")
                run_arm(design, arm, seed, output, open_engine)
    return output


def default_workers(config: FitConfig) -> int:
    """Return the default number of runs at once: the embedded model is too small for two threads."""
    if embedded(config) is None or not ENGINES_OR_AUTO[config.engine].in_process or _on_gpu(config):
        return 1
    return max(1, (os.cpu_count() or 1) // (config.threads or 1))


def _on_gpu(config: FitConfig) -> bool:
    import torch

    return config.device != "cpu" and torch.cuda.is_available()


def _check_workers(config: FitConfig, workers: int) -> None:
    if ENGINES_OR_AUTO[config.engine].serves_all_runs:
        raise ConfigError(
            f"--workers {workers}: with --engine {config.engine} one server serves all runs, one after another."
        )
    if _on_gpu(config):
        raise ConfigError(f"--workers {workers}: the workers would share one GPU. Omit it, or add --device cpu.")


def _finish_here(design: Design, output: Path, job: ArmJob) -> bool:
    """Check in this process whether a run is finished, with the requested settings; return whether it is."""
    arm = design[job.arm] if job.arm else None
    directory = design.run(output, arm, job.seed) if arm else design.base(output, job.seed)
    if not is_finished(directory):
        return False
    if arm:
        run_arm(design, arm, job.seed, output)
    else:
        run_base(design, job.seed, output)
    return True


def check_alike(one: Mapping[str, Any], other: Mapping[str, Any], where: Path) -> None:
    """Check that two runs have the same data, base model, task and shared settings.

    Args:
        one: a manifest.
        other: another.
        where: the directory of one of them.

    Raises:
        RunError: something differs, such as a data file that was changed between two runs.
    """
    different = [key for key in _SAME if one.get(key) != other.get(key)] + [*identity.alike(one, other)]
    here, there = (shared_settings(manifest["config"]) for manifest in (one, other))
    moved = {"model"} if "weights" in one and "weights" in other else set()
    different += sorted(name for name in {*here, *there} - moved if here.get(name) != there.get(name))
    if different:
        raise RunError(
            f"{where} was made with another {', '.join(different)} than other runs of this comparison, so they cannot "
            "be compared. Was a file or the model changed in between? Restore it, or start again with another "
            "--output."
        )


def run_base(design: Design, seed: int, output: Path, open_engine: Callable[[str], Engine] | None = None) -> None:
    """Measure the base model with one seed, unless it is measured."""
    config, directory = _settings(design, design.in_order[0], seed), design.base(output, seed)
    refuse_links(output, directory)
    run, recorded = resolve(config, directory)
    measure_base(run, directory, recorded, open_engine=open_engine)


def run_arm(
    design: Design, arm: Arm, seed: int, output: Path, open_engine: Callable[[str], Engine] | None = None
) -> None:
    """Run one arm with one seed, or resume it, or find it finished; its base model is already measured.

    Args:
        design: as stored in the directory, with its settings filled in.
        arm: the arm.
        seed: the seed.
        output: the comparison's directory.
        open_engine: opens engines, if all runs share them.
    """
    config, directory = _settings(design, arm, seed), design.run(output, arm, seed)
    refuse_links(output, directory)
    if design.equal == "tokens" and arm.name != design.reference and arm.generates:
        spent = generated_tokens(design.run(output, design[design.reference], seed))
        config = config.replace(token_budget=max(spent, 1), iterations=_MORE * design.config.iterations)
    elif design.equal == "passes" and arm.name != design.reference:
        passes = passes_made(design.run(output, design[design.reference], seed))
        config = config.replace(steps=None, epochs=passes) if passes else config
    run, recorded = resolve(config, directory)
    take_over = partial(_adopt, design.base(output, seed))
    carry_out(run, directory, recorded, before=take_over, open_engine=open_engine)


def _adopt(base: Path, problem: Problem) -> None:
    """Copy the base model's measurements with this seed."""
    db = read_only(base)
    try:
        check_alike(read_manifest(db), problem.ledger.manifest(), base)
        measured = [phase for phase in _BASE if read_record(db, 0, phase) is not None]
        problem.ledger.adopt(db, 0, measured)
    finally:
        db.close()


def generated_tokens(run: Path) -> int:
    """Return the number of tokens that the E-steps of a run generated."""
    with closing(read_only(run)) as db:
        return sum(record.get("generated_tokens") or 0 for record in read_records(db, "e_step").values())


def passes_made(run: Path) -> float | None:
    """Return how often a run trained on an example that it had kept, on average over its iterations' kept examples."""
    with closing(read_only(run)) as db:
        return mean_passes(db, max(read_records(db, "m_step"), default=0), read_manifest(db)["config"])


def _shared(design: Design, resolved: FitConfig) -> FitConfig:
    """Return the settings of all runs, filled in; the seed is the first one, and splits the data for all runs."""
    return resolved.replace(
        scheme=design.config.scheme,
        selector=design.config.selector,
        seed=design.config.seed,
        teacher=design.config.teacher,
        teacher_model=design.config.teacher_model or resolved.teacher_model,
        split_seed=split_seed(design.config),
    )


def _settings(design: Design, arm: Arm, seed: int) -> FitConfig:
    """Return the settings of one run: the shared ones, with the arm's scheme and the seed."""
    config = design.config
    if config.teacher and not _asks_teacher(arm):
        config = config.replace(teacher=(), teacher_model=None)
    config = config.replace(
        scheme=arm.scheme, selector=arm.selector, seed=seed, split_seed=split_seed(config), go_on=True, test_last=True
    )
    return config if config.planned.shows else config.replace(demos=None, demos_until=None)


def _asks_teacher(arm: Arm) -> bool:
    return parse_scheme(arm.scheme, arm.selector).uses_teacher


@contextmanager
def _engine(design: Design, run: Resolved) -> Iterator[Callable[[str], Engine] | None]:
    """Yield the function that opens engines for all runs: a server that one run leaves active serves the next."""
    schemes = [parse_scheme(arm.scheme, arm.selector) for arm in design.arms]
    models = 2 if any(scheme.uses_base for scheme in schemes) else 1
    with opening(replace(engine_choice(run), models=models)) as open_engine:
        yield open_engine
