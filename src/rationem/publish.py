"""``model/`` of a run: the weights of the chosen iteration, with the card that says how this judge must be asked."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rationem import metrics, models
from rationem.card import Calibration, Card, model_sha256, prompt_sha256, write_card
from rationem.chat import Conversation
from rationem.config import FitConfig
from rationem.ledger import Ledger
from rationem.ledger.files import refuse_links_in
from rationem.tasks import AnyTask
from rationem.tasks.judge import JudgeTask
from rationem.types import Splits

if TYPE_CHECKING:
    from rationem.em import Fitted


def judge_card(
    config: FitConfig,
    task: AnyTask,
    splits: Splits,
    calibration: Calibration | None,
    doubts: tuple[str, ...],
    base: Mapping[str, Any],
) -> Card:
    """Return the card of the chosen weights, the calibration not yet bound to them.

    Args:
        base: "name" and "weights" of what training began with.
    """
    assert config.max_prompt_tokens is not None
    assert config.max_new_tokens is not None
    named = [criterion.name for criterion in task.criteria] if isinstance(task, JudgeTask) else []
    return Card(
        task=task.describe(),
        columns=splits.notes.get("columns"),
        preset=splits.notes.get("preset"),
        marginals={} if task.scale.is_open else metrics.marginals(splits.train, task.scale, named),
        draws=config.draws,
        max_prompt_tokens=config.max_prompt_tokens,
        max_new_tokens=config.max_new_tokens,
        elide=config.elide,
        seed=config.seed,
        calibration=calibration,
        doubts=doubts,
        base=base,
        date=config.conversation.date,
    )


def calibration_of(
    config: FitConfig, task: AnyTask, splits: Splits, fitted: Fitted, ledger: Ledger
) -> Calibration | None:
    """Return the temperature fitted on validation; None where there is none to fit, or answers are open."""
    if not splits.validation or not isinstance(task, JudgeTask):
        return None
    predictions = ledger.predictions(fitted.best, "validation")
    fit = metrics.calibrate(predictions, splits.validation, task.scale, pair=task.pair)
    if fit is None:
        return None
    described = prompt_sha256(task.describe())
    return Calibration(fit.temperature, config.draws, fit.count, fit.before, fit.after, described, "")


def publish_model(fitted: Fitted, card: Card, ledger: Ledger, conversation: Conversation) -> None:
    """Write ``model/``: the chosen iteration, loadable by transformers or peft, with the judge's card inside."""
    with ledger.publish(ledger.directory / "model") as output:
        theta = fitted.best_theta
        if Path(theta).is_dir():
            if ledger.checkpoints in Path(theta).parents:
                refuse_links_in(Path(theta))
            shutil.copytree(theta, output, dirs_exist_ok=True, ignore=shutil.ignore_patterns("optimizer.pt"))
            conversation.written_to(output)  # where no iteration was chosen, the base model has it not
        else:
            loaded = models.load(theta, conversation=conversation)
            models.save(loaded.model, loaded.tokenizer, output)
        bound = card.calibration and replace(card.calibration, model_sha256=model_sha256(output))
        write_card(replace(card, calibration=bound), output)
