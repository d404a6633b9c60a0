"""A run's chosen model for other people: a directory with weights, tokenizer, judge card and README."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rationem import progress, report
from rationem.engines import models
from rationem.errors import ConfigError, ModelError, RunError
from rationem.export.origin import StartingModel, base_of, model_of, sources
from rationem.export.page import Facts, page
from rationem.ledger.files import refuse_links_in
from rationem.run import identity
from rationem.run.card import NAME, Card, model_sha256, read_card, write_card

#: The exported files of ``model/``: data that transformers and peft read. No optimizer, no pickle, no program.
NAMES = frozenset(
    (
        *("config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json"),
        *("adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"),
        *("special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "vocab.json", "merges.txt"),
        *("vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json"),
    )
)
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_ADAPTER = "adapter_config.json"
_CLOSE = 1e-4


def stage(run: Path, target: Path, *, name: str | None, merged: bool = False, base_model: str | None = None) -> None:
    """Write the files for other people into an empty directory.

    Args:
        name: OWNER/NAME for the examples in the README.
        merged: merge an adapter into its base's weights. The calibration is bound to the merged weights, because they
            are the same function up to rounding, and the judge itself samples from merged weights.
        base_model: a public source of an adapter's base model that is a local directory here.

    Raises:
        RunError: the run is not finished, or its model was changed since.
        ConfigError: the request does not fit the model.
        ModelError: the base model of an adapter is gone, or it cannot be merged.
    """
    source = model_of(run)
    refuse_links_in(source)
    summary, card = report.summarize(run), read_card(source)
    _check_bound(source, card)
    identity.check_base(source, card.base)
    is_adapter = (source / _ADAPTER).is_file()
    if merged and not is_adapter:
        raise ConfigError(f"--merged: {source} holds full weights, not an adapter. Omit it.")
    if base_model and (merged or not is_adapter):
        raise ConfigError("--base-model says where the base of an adapter is; nothing is uploaded as an adapter here.")
    found = models.weights_of(str(source)) if is_adapter else str(summary["config"]["model"])
    base = _named(base_of(found), str(summary["config"]["model"]))
    if is_adapter and not merged:
        base = _reachable(base, source, base_model)
    if merged:
        _merge(source, target)
    else:
        _copy(source, target)
        if is_adapter:
            _rename_base(target / _ADAPTER, base.name)
    write_card(_bound(card, target), target)
    text = page(
        Facts(
            summary, card, base, name, is_adapter and not merged, merged, models.chat(str(source), str(source)),
            sources(run), version("rationem"),
        )
    )  # fmt: skip
    (target / "README.md").write_text(text, encoding="utf-8")


def _check_bound(source: Path, card: Card) -> None:
    """Refuse weights other than those that the calibration was fitted with: it must not be bound to others."""
    if card.calibration and card.calibration.model_sha256 != model_sha256(source):
        raise RunError(
            f"{source} was changed since the run wrote it: its calibration belongs to other weights or another "
            "tokenizer. Push the model/ that the run wrote."
        )


def _named(base: StartingModel, model: str) -> StartingModel:
    """Return an embedded model by its name, wherever it was built."""
    return StartingModel(model, False) if model in models.EMBEDDED else base


def _reachable(base: StartingModel, source: Path, base_model: str | None) -> StartingModel:
    """Return an adapter's base model by its public source.

    Raises:
        ConfigError: it has none.
    """
    if base_model is not None:
        given = base_of(base_model)
        if not given.on_hub:
            raise ConfigError(f"--base-model {base_model!r} is no name on the hub. Write OWNER/NAME.")
        return given
    if not base.on_hub:
        raise ConfigError(
            f"{source} is an adapter, and its base model {base.name!r} is a local directory that others do "
            "not have. Give --merged for full weights, or --base-model OWNER/NAME if the same weights are on the hub."
        )
    return base


def _copy(source: Path, target: Path) -> None:
    """Copy the files of a model by name, and report which others are left out."""
    others = []
    for path in sorted(source.iterdir()):
        if path.name in NAMES or _SHARD.fullmatch(path.name):
            shutil.copyfile(path, target / path.name, follow_symlinks=False)
        elif path.name not in (NAME, "README.md"):  # both are written again
            others.append(path.name)
    if others:
        progress.say(f"Not handed on, for they are no files of a model: {', '.join(others)}")


def _rename_base(path: Path, name: str) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["base_model_name_or_path"] != name:
        content["base_model_name_or_path"] = name
        path.write_text(json.dumps(content, indent=2, sort_keys=True), encoding="utf-8")


def _bound(card: Card, target: Path) -> Card:
    """Return the judge card with its calibration bound to the written files: the same function, other bytes."""
    bound = card.calibration and replace(card.calibration, model_sha256=model_sha256(target))
    return replace(card, calibration=bound)


def _merge(source: Path, target: Path) -> None:
    """Write an adapter merged into its base, in the base's own precision, and verify the result by reading it back.

    Raises:
        ModelError: the written weights give other outputs than the adapter.
    """
    import torch

    settings = models.settings(str(source), str(source))
    loaded = models.load(str(source), device="cpu")
    dtype = settings.dtype if settings.dtype in (torch.bfloat16, torch.float16) else torch.float32
    _cast(loaded.model, dtype)
    models.save(loaded.model, loaded.tokenizer, target)
    _cast(loaded.model, torch.float32)
    said = _said(loaded.model, loaded.tokenizer)
    del loaded
    again = models.load(str(target), device="cpu")
    difference = float((_said(again.model, again.tokenizer) - said).abs().max())
    if not difference < _CLOSE:
        raise ModelError(
            f"The adapter {source} does not survive merging: its whole weights, read back, say something else "
            f"(log-probabilities differ by up to {difference:.3g}). Push it as an adapter, without --merged."
        )


def _cast(model: Any, dtype: Any) -> None:
    """Change the precision of the weights alone: buffers, such as a rotary embedding's, are not stored."""
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)


def _said(model: Any, tokenizer: Any) -> Any:
    """Return log-probabilities after every token of a sentence."""
    import torch

    ids = tokenizer("Rate the response: 1, 2, 3?", add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return torch.log_softmax(model(input_ids=ids).logits.float(), -1)
