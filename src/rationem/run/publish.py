"""``model/`` of a run: the weights of the chosen iteration, with the card that says how to ask this judge."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rationem import metrics
from rationem.config import FitConfig
from rationem.engines import models, storage
from rationem.engines.chat import Conversation
from rationem.evaluation.choice import Validated
from rationem.ledger import Ledger
from rationem.ledger.files import refuse_links_in
from rationem.run.card import Calibration, Card, TrainedFrom, model_sha256, prompt_sha256, write_card
from rationem.tasks.protocol import Task
from rationem.types import MStep, Sample, Splits

if TYPE_CHECKING:
    from rationem.em import Fitted


def judge_card(
    config: FitConfig,
    task: Task,
    splits: Splits,
    calibration: Calibration | None,
    doubts: tuple[str, ...],
    base: TrainedFrom,
) -> Card:
    """Return the card of the chosen weights, with the calibration not yet bound to them.

    Args:
        base: "name" and "weights" of the model that training started from.
    """
    assert config.max_prompt_tokens is not None
    assert config.max_new_tokens is not None
    named = [criterion.name for criterion in task.criteria]
    return Card(
        task=task.describe(),
        columns=splits.notes.get("columns"),
        preset=splits.notes.get("preset"),
        marginals=task.kind.priors(metrics.marginals(splits.train, task.scale, named)),
        draws=config.measuring.draws,
        max_prompt_tokens=config.max_prompt_tokens,
        max_new_tokens=config.max_new_tokens,
        elide=config.elide,
        seed=config.seed,
        calibration=calibration,
        doubts=doubts,
        base=base,
        date=config.conversation.date,
    )


def calibration_of(config: FitConfig, task: Task, splits: Splits, fitted: Fitted, ledger: Ledger) -> Calibration | None:
    """Return the temperature, cross-fitted on validation; None if it cannot be fitted, or for open answers."""
    if not splits.validation:
        return None
    validated = _validated(config, task, splits, ledger, fitted.last)
    predictions = validated.predictions[fitted.best]
    fit = metrics.calibrate(predictions, splits.validation, task.scale, validated.crossfitted())
    if fit is None:
        return None
    described = prompt_sha256(task.describe())
    sets = validated.conformal() or metrics.Thresholds(0, ())
    return Calibration(
        fit.temperature, config.measuring.draws, fit.count, fit.before, fit.after, described, "", sets.groups, sets.at
    )


def _validated(config: FitConfig, task: Task, splits: Splits, ledger: Ledger, last: int) -> Validated:
    by, within = config.choose_by, config.choose_within
    return Validated(ledger.db, splits.validation, splits.train, task.kind, by, within, last, config.seed)


def publish_model(fitted: Fitted, card: Card, ledger: Ledger, conversation: Conversation) -> None:
    """Write ``model/``: the chosen iteration, loadable by transformers or peft, with the judge card inside.

    Whole weights are stored in the base model's own type, an adapter in fp32.
    """
    with ledger.publish(ledger.directory / "model") as output:
        theta = fitted.best_theta
        if Path(theta).is_dir():
            if ledger.checkpoints in Path(theta).parents:
                refuse_links_in(Path(theta))
            shutil.copytree(theta, output, dirs_exist_ok=True, ignore=shutil.ignore_patterns("optimizer.pt"))
            conversation.written_to(output)  # if no iteration was chosen, the base model lacks it
        else:
            loaded = models.load(theta, conversation=conversation)
            models.save(loaded.model, loaded.tokenizer, output)
            storage.note(output, models.base_place(theta))
        storage.publish(output)
        bound = card.calibration and replace(card.calibration, model_sha256=model_sha256(output))
        write_card(replace(card, calibration=bound), output)


def sparing(m_step: MStep, spare: Callable[[int], None]) -> MStep:
    """Return an M-step that first removes the checkpoints which the run will not need again; see :func:`spare`."""

    def train(start: str, samples: Sequence[Sample], *, iteration: int, seed: int, output: Path) -> dict[str, Any]:
        spare(iteration - 1)
        return m_step(start, samples, iteration=iteration, seed=seed, output=output)

    return train


def spare(config: FitConfig, task: Task, splits: Splits, ledger: Ledger, last: int, *, ended: bool = False) -> None:
    """Remove the checkpoints of all iterations up to ``last``, except the last and those that can still be chosen.

    With the highest score choosing, that is the best so far. What another iteration beats is never chosen later.

    Args:
        ended: whether no iteration follows, so that only the chosen one remains.
    """
    chosen = _validated(config, task, splits, ledger, last).chosen
    able = () if chosen is None else (chosen.taken,) if ended else chosen.unbeaten
    needed = {_trained(ledger, k) for k in (*able, last)}
    for k in range(1, last + 1):
        if k not in needed and (place := ledger.checkpoint(k)).is_dir():
            gone = place.rename(place.with_name(f"{place.name}.partial"))  # under its final name it is complete
            shutil.rmtree(gone)


def _trained(ledger: Ledger, k: int) -> int:
    """Return the iteration whose training made theta_k; 0 is the base model."""
    while k > 0 and not (ledger.record(k, "m_step") or {}).get("trained"):
        k -= 1
    return k
