"""From a resolved run to the problem that ``em.fit`` solves: engines, M-step, measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rationem.config import EngineSettings, FitConfig
from rationem.engines import models
from rationem.engines.opening import BATCH, EngineConfig, closings, longest_text, opening
from rationem.engines.pool import EnginePool, recording
from rationem.engines.remote.opening import open_teacher
from rationem.ledger import Ledger
from rationem.run import identity
from rationem.run.publish import spare, sparing
from rationem.sampling.demonstrations import Showing
from rationem.sampling.schemes import Scheme
from rationem.sampling.trials import SamplingContext
from rationem.tasks.protocol import Task
from rationem.types import Engine, Example, MStep, Splits

if TYPE_CHECKING:
    from rationem.em import Problem
    from rationem.sft import Training

#: The longest prompt of the control with solved examples if the model does not state its context length.
_SHOTS_TOKENS = 32_768


@dataclass(frozen=True, slots=True)
class Resolved:
    """A fully resolved run: settings filled in, data read.

    Args:
        checkpoint: theta_0, what ``models.load`` takes.
        positions: the number of tokens that the model can hold; None if it does not say.
        weights: the fingerprints of the checkpoint, from ``models.check``.
        demos: the demonstrations that the scheme shows.
    """

    config: FitConfig
    scheme: Scheme
    task: Task
    splits: Splits
    checkpoint: str
    positions: int | None
    weights: Mapping[str, Any] = field(default_factory=dict)
    demos: Showing = field(default_factory=Showing)


def engine_choice(run: Resolved) -> EngineConfig:
    """Return which engine generates, and its settings."""
    config = run.config
    return EngineConfig(
        run.task.marker,
        closings(run.task),
        **config.of(EngineSettings),
        device=config.device,
        batch_size=config.sampling_batch if isinstance(config.sampling_batch, int) else BATCH,
        length=longest_text(
            (config.max_prompt_tokens or 0, config.max_new_tokens or 0),
            run.positions,
            all_of=models.weights_of(run.checkpoint) if config.shots else None,
        ),
        models=2 if run.scheme.uses_base else 1,
        conversation=config.conversation,
    )


def by_name(splits: Splits) -> dict[str, Sequence[Example]]:
    """Return split name -> examples."""
    return {"train": splits.train, "validation": splits.validation, "test": splits.test}


@contextmanager
def problem_of(run: Resolved, ledger: Ledger, shared: Callable[[str], Engine] | None = None) -> Iterator[Problem]:
    """Yield what is fixed over a resolved run, with engines that can be opened.

    Args:
        run: everything that decides the result.
        ledger: of the run.
        shared: opens engines, if several runs share them.
    """
    import torch

    from rationem import world
    from rationem.em import Problem
    from rationem.evaluation.measurements import Control, Diagnostics, Evaluation
    from rationem.evaluation.stopping import Stopping
    from rationem.sft import Training

    config, positions, measuring = run.config, run.positions, run.config.measuring
    torch.set_num_threads(config.threads or 1)
    assert config.max_new_tokens is not None  # resolved, like the next one
    assert config.max_prompt_tokens is not None
    choice = engine_choice(run)
    training = Training.configured(config, len(run.splits.train), choice.length)
    unchanged = identity.Unchanged(run.checkpoint, run.weights, models.digests)
    teacher = replace(choice, urls=config.teacher, model=config.teacher_model)
    with nullcontext(shared) if shared else opening(choice) as open_engine:
        yield Problem(
            data=run.splits,
            scheme=run.scheme,
            base=run.checkpoint,
            engines=EnginePool(
                recording(unchanged.opening(open_engine), ledger, run.checkpoint),
                partial(open_teacher, teacher, run.checkpoint) if config.teacher else None,
            ),
            m_step=unchanged.training(_m_step(run, training, ledger)),
            context=SamplingContext(
                run.task,
                ledger,
                config.seed,
                config.sampling,
                config.threshold or 1.0,
                max_prompt_tokens=config.max_prompt_tokens,
                leaks=config.leaks,
                enumerate_above=config.enumerate_above,
                close=config.close,
                demos=run.demos,
            ),
            init=config.init,
            stopping=Stopping(config.patience, config.token_budget, cold=not config.go_on),
            evaluation=Evaluation(measuring.draws, config.choose_by, config.choose_within, last=measuring.test_last),
            diagnostics=Diagnostics(
                measuring.evidence_draws,
                measuring.evidence_items,
                measuring.wrong_hints,
                measuring.difficulty_examples,
                config.start_examples,
                config.exact_items,
                world.faithful_of(run.splits.notes),
            ),
            control=Control(
                config.shots, (choice.length or positions) - config.max_new_tokens if positions else _SHOTS_TOKENS
            ),
        )


def _m_step(run: Resolved, training: Training, ledger: Ledger) -> MStep:
    """Return the M-step, in this process or in its own processes; it keeps the requested checkpoints."""
    trains = _trains(run, training, ledger.directory)
    if run.config.keep_checkpoints == "all":
        return trains
    return sparing(trains, partial(spare, run.config, run.task, run.splits, ledger))


def _trains(run: Resolved, training: Training, directory: Path) -> MStep:
    from rationem.sft.launcher import Apart
    from rationem.sft.m_step import SupervisedMStep
    from rationem.sft.nodes import Meeting, SharedPlace

    config = run.config
    if config.processes is None and config.nodes == 1:
        return SupervisedMStep(training, config.device)
    processes = config.processes or 1
    shared = None
    if config.nodes > 1:
        meeting = Meeting(config.nodes, processes, config.rendezvous or "")
        shared = SharedPlace(Path(config.node_directory or "").resolve(), meeting)
    # The program that this process was told to run, never one that a stored configuration mentions.
    return Apart(training, config.device, processes, config.threads or 1, directory, run.task.program, shared)
