"""From names to objects: a ``FitConfig`` becomes data, task, scheme, engine and M-step, and ``em.fit`` runs them.

The command line and Python use the same path: ``rationem fit ...`` is ``start(FitConfig(...), output)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rationem import progress, report
from rationem.config import FitConfig, to_toml
from rationem.data.truncate import elided
from rationem.engines import adapters, conformance, models
from rationem.engines.chat import Chat
from rationem.engines.table import ENGINES
from rationem.errors import ConfigError
from rationem.ledger import FINISHED, Ledger, confirm, is_begun, is_finished
from rationem.ledger.files import refuse_links
from rationem.ledger.fingerprints import data_sha256, splits_sha256
from rationem.run import identity, trust
from rationem.run.card import Fingerprints, TrainedFrom
from rationem.run.defaults import (
    NO_IDENTITY,
    settled,
    with_adapter,
    with_batch_size,
    with_defaults,
    with_engine,
    with_model,
    with_recorded,
    with_servers,
)
from rationem.run.demonstrations import described, showing
from rationem.run.measured import measured
from rationem.run.preflight import (
    check_chat,
    check_closing,
    check_directory,
    check_engine,
    check_lengths,
    check_levels,
    check_machine,
    check_own,
    check_reading,
    check_summed,
    check_targets,
    check_varied,
)
from rationem.run.prepare import prepare
from rationem.run.problem import Resolved, by_name, engine_choice, problem_of
from rationem.run.publish import calibration_of, judge_card, publish_model, spare
from rationem.run.rating_values import with_values
from rationem.run.task_resolution import with_reward
from rationem.run.understood import understood
from rationem.sampling.schemes import Scheme, check_sampling
from rationem.tasks.protocol import Task
from rationem.types import Engine, Splits

if TYPE_CHECKING:
    from rationem.em import Fitted, Problem


def start(config: FitConfig, output: str | Path) -> Path:
    """Run FEM as configured, or resume it, or find it finished; return the run directory.

    All errors in settings and data are found before anything is written.

    Raises:
        RationemError: a setting, a file, a model or the run directory cannot be used as requested.
    """
    directory = Path(output).resolve()
    run, recorded = resolve(config, directory)
    _tell(run.splits)
    return carry_out(run, directory, recorded)


def resolve(config: FitConfig, directory: Path) -> tuple[Resolved, dict[str, Any]]:
    """Return the fully resolved run and its manifest; write nothing.

    Args:
        config: the settings.
        directory: the run directory; values that a run there filled in and measured are kept.

    Raises:
        RationemError: see :func:`start`.
    """
    config, scheme, task, splits = check(config, directory)
    begun = is_begun(directory)
    if not begun:
        check_machine(config)
    checkpoint = models.resolve(config.model or "", config.adapter_base)
    positions = models.positions(config.model or "", checkpoint)
    config = with_adapter(config, checkpoint)
    config = with_engine(config, scheme, task, splits, checkpoint, directory)
    config = with_defaults(config, directory, positions)
    chat = models.chat(config.model or "", checkpoint, config.conversation)
    check_chat(config, scheme, chat)
    weights = models.check(config.model or "", checkpoint)
    check_targets(config, models.base_place(checkpoint))
    conformance.check_model(config.model or "", checkpoint, chat, task)
    if scheme.shows or config.shots:
        conformance.check_turns(config.model or "", chat)
    demos = showing(config, task, splits)
    if config.elide:
        splits = elided(splits, task, chat, config.max_prompt_tokens or 0)
    check_lengths(config, scheme, task, splits, chat)
    # For an existing run, no program is executed and no server is contacted before the ledger agrees, or if it is
    # finished.
    config = with_recorded(config, directory) if begun else with_servers(config)
    config = with_batch_size(config, task, splits, checkpoint)
    run = Resolved(config, scheme, task, splits, checkpoint, positions, weights, demos)
    if not begun and config.model not in models.EMBEDDED:
        check_reading(engine_choice(run), scheme, checkpoint, models.base_place(checkpoint), exact=config.exact_items)
    recorded = manifest(run, chat)
    if begun:
        agree(run, directory, recorded)
        if not is_finished(directory):
            check_machine(config)
            run = replace(run, config=with_servers(config))
    return run, recorded


def agree(run: Resolved, directory: Path, recorded: Mapping[str, Any]) -> None:
    """Check, only reading, that a directory holds the resolved run, or none yet.

    Raises:
        RunError: it holds another run.
    """
    confirm(directory, lambda found: identity.merged(recorded, found, run.config.model or run.checkpoint))


def carry_out(
    run: Resolved,
    directory: Path,
    recorded: Mapping[str, Any],
    *,
    settings: str | None = None,
    before: Callable[[Problem], None] | None = None,
    open_engine: Callable[[str], Engine] | None = None,
) -> Path:
    """Run what is resolved, or resume it, or find it finished; return the run directory.

    Args:
        run: everything that decides the result.
        directory: the run directory.
        recorded: the manifest; a directory that holds a run with another manifest is refused.
        settings: the text of ``config.toml``, if it differs from the configuration's own.
        before: writes what the first iteration must find in the ledger; called again when a run is resumed.
        open_engine: opens engines, if several runs share them; by default the run opens its own.

    Raises:
        RationemError: the device is missing, or the run directory cannot be used as requested.
    """
    with _recording(run, directory, recorded, settings) as ledger:
        if ledger.reached(FINISHED):
            progress.say(f"{directory} is finished; nothing to do. rationem report {directory} shows it.")
            return directory
        fitted = _fit(run, ledger, before, open_engine, run.config.iterations)
        if not ledger.reached("fitted"):
            ledger.finish(fitted.last, "fitted", seconds=0.0)
        progress.doing("writing the report")
        summary = report.summarize(directory)
        doubts = tuple(report.doubts(summary))
        calibration = calibration_of(run.config, run.task, run.splits, fitted, ledger)
        weights = cast("Fingerprints", run.weights)
        base = TrainedFrom(name=identity.base_name(run.checkpoint), weights=weights)
        card = judge_card(run.config, run.task, run.splits, calibration, doubts, base)
        publish_model(fitted, card, ledger, run.config.conversation)
        if run.config.keep_checkpoints != "all":
            spare(run.config, run.task, run.splits, ledger, fitted.last, ended=True)
        report.write(directory, summary)
        ledger.finish(fitted.last, FINISHED, seconds=0.0, record={"best": fitted.best, "last": fitted.last})
    return directory


def measure_base(
    run: Resolved,
    directory: Path,
    recorded: Mapping[str, Any],
    *,
    open_engine: Callable[[str], Engine] | None = None,
) -> Path:
    """Measure the base model as iteration 0 of a run does, and train nothing; return the run directory.

    Args:
        run: everything that decides the result.
        directory: the run directory, which holds only iteration 0 and no ``model/``.
        recorded: see :func:`carry_out`.
        open_engine: as there.
    """
    with _recording(run, directory, recorded, None) as ledger:
        if not ledger.reached(FINISHED):
            _fit(run, ledger, None, open_engine, 0)
            ledger.finish(0, FINISHED, seconds=0.0, record={"best": 0, "last": 0})
    return directory


@contextmanager
def _recording(run: Resolved, directory: Path, recorded: Mapping[str, Any], settings: str | None) -> Iterator[Ledger]:
    """Yield the ledger of a new run, or of the recorded one; resuming a run vouches for it."""
    check_directory(directory)
    ledger = Ledger(directory)
    try:
        asked = identity.merged(recorded, ledger.manifest(), run.config.model or run.checkpoint)
        ledger.start(asked, by_name(run.splits))
        trust.remember(run.config, ledger.manifest(), directory)
        for adapter in filter(adapters.is_adapter, ledger.complete_checkpoints()):
            refuse_links(directory, adapter)
            adapters.rename_base(adapter, models.weights_of(run.checkpoint))  # it may have been moved meanwhile
        ledger.write_text("config.toml", settings or to_toml(run.config))
        yield ledger
    finally:
        ledger.close()


def check(config: FitConfig, directory: Path) -> tuple[FitConfig, Scheme, Task, Splits]:
    """Check directory, settings and data before a model is read; write nothing.

    Raises:
        RationemError: see :func:`start`.
    """
    check_directory(directory)
    config = with_model(config)
    scheme = config.planned
    check_sampling(scheme, config.sampling)
    check_engine(config, scheme)
    check_summed(config, scheme)
    confirm(directory, partial(settled, config))
    task, splits = prepare(config)
    splits = measured(splits, config)
    config = with_values(with_reward(config, task), splits)
    check_levels(config, scheme, task)
    check_closing(config, scheme, task)
    check_own(task, splits.train)
    if not config.go_on:
        check_varied(splits)
    if config.patience and not splits.validation:
        raise ConfigError(
            f"--patience {config.patience} waits for a better validation score, but there is no validation set. Omit "
            "it, or set --validation-share above 0."
        )
    return config, scheme, task, splits


def _fit(
    run: Resolved,
    ledger: Ledger,
    before: Callable[[Problem], None] | None,
    shared: Callable[[str], Engine] | None,
    iterations: int,
) -> Fitted:
    from rationem.em import fit
    from rationem.run.stages import stages

    with problem_of(run, ledger, shared) as problem:
        if before is not None:
            before(problem)
        with progress.whole(stages(problem, iterations)):
            return fit(problem, iterations)


def _tell(splits: Splits) -> None:
    """Report how the data was read, and what may mislead."""
    for line in understood(splits):
        progress.say(line)
    if count := splits.notes.get("test_examples_whose_group_is_trained_on"):
        progress.say(
            f"Warning: {count} test examples have the same inputs as training examples, so the test numbers are too "
            "optimistic."
        )


def manifest(run: Resolved, chat: Chat) -> dict[str, Any]:
    """Return what identifies this run: settings, base model and data, but not the paths of the files."""
    sets = by_name(run.splits)
    seeds = ENGINES[run.config.engine].honours_seeds and not run.scheme.uses_teacher
    return {
        "config": {
            **run.config.model_dump(mode="json", exclude=set(NO_IDENTITY)),
            "task": run.task.name,
        },
        "base": identity.base_name(run.checkpoint),
        "weights": dict(run.weights),
        "prompt_token_ids": list(chat.encode(run.task.prompt(run.splits.train[0].fields))),
        "task": run.task.describe(),
        "demonstrations": described(run.demos),
        "engine": {"name": run.config.engine, "honours_seeds": seeds},
        "data_sha256": data_sha256(sets),
        "splits_sha256": splits_sha256(sets),
        "notes": dict(run.splits.notes),
    }
