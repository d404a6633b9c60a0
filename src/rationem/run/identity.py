"""Whether a base model is unchanged: it is identified by its content, whatever its directory is called.

A record has the digest of a "model", and for an adapter also that of its "base"
(:func:`rationem.engines.models.check`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rationem.config import known_then
from rationem.engines import adapters, models
from rationem.engines.checkpoint import CONFIG, changed, digest, listed
from rationem.errors import RunError

if TYPE_CHECKING:
    from rationem.types import Engine, MStep, Sample

Weights = Mapping[str, Any]


def base_name(checkpoint: str) -> str:
    """Return the name of theta_0 in the manifest: the directory's name without its path, or the hub id."""
    return Path(checkpoint).name if Path(checkpoint).is_dir() else checkpoint


def differences(recorded: Weights, found: Weights) -> list[str]:
    """Return the files that differ; those of an adapter's base model have "base: " before their names."""
    if recorded.keys() != found.keys():
        return ["adapter_config.json"]
    names = [(part, name) for part in sorted(recorded, reverse=True) for name in changed(recorded[part], found[part])]
    return [name if part == "model" else f"base: {name}" for part, name in names]


def refuse_changed(where: str, recorded: Weights, found: Weights, since: str = "the run began") -> None:
    """Reject a model that differs from the recorded one.

    Raises:
        RunError: names the files that differ.
    """
    if names := differences(recorded, found):
        raise RunError(
            f"The base model {where!r} changed since {since}: {listed(names)}. Restore the old files, or name the "
            "directory that has them. A run with the new files needs another --output."
        )


def refuse_other_name(run: Path, name: str, checkpoint: str, recorded: str) -> None:
    """Refuse a model whose name differs from the run's if the run identifies its model by name alone.

    Raises:
        RunError: gives both names.
    """
    if base_name(checkpoint) != recorded:
        raise RunError(
            f"{run} began with the model {recorded}, but {name!r} is now {base_name(checkpoint)}, which did not draw "
            "the run's trials. Refit with the rationem version that wrote the run."
        )


def refuse_other_base(adapter: Path, base: Path, recorded: Weights) -> None:
    """Refuse a base model under an adapter that was trained on another one; the tokenizer does not matter.

    Args:
        adapter: its directory.
        base: where its base model is now.
        recorded: the weights that training started from.

    Raises:
        RunError: names the files that differ.
    """
    wanted = recorded.get("base", recorded["model"])
    differing = changed(wanted, digest(base).to_json())
    names = [name for name in differing if name == CONFIG or name.endswith(".safetensors")]
    if names:
        raise RunError(
            f"The adapter {str(adapter)!r} was trained on another base model than the one now in {str(base)!r}: "
            f"{listed(names)} changed. Name the base model that it was trained on: --adapter-base DIR."
        )


def check_base(adapter: Path, recorded: Mapping[str, Any] | None) -> None:
    """Check that an adapter's base model is the one that it was trained on; whole weights need no check.

    Args:
        adapter: a model directory.
        recorded: "weights" of the model that training started from; None if unknown.

    Raises:
        RunError: names the files that differ.
        ModelError: the base model is not where the adapter says.
    """
    if adapters.is_adapter(adapter) and recorded is not None:
        refuse_other_base(adapter, models.base_place(str(adapter)), recorded["weights"])


def merged(recorded: Mapping[str, Any], found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a run's manifest in the words of the one in its ledger if both mean the same base model.

    The model's directory may have been moved or renamed, or its files split differently. A ledger older than digests
    identifies its base model by the directory's name alone.

    Args:
        recorded: the manifest of the requested run.
        found: the ledger's manifest; empty for a new run.
        where: the base model, as named in messages.

    Raises:
        RunError: the base model differs.
    """
    if not found or found.get("refit") != recorded.get("refit"):  # other differences are reported by the comparison
        return dict(recorded)
    settings = known_then(recorded["config"], found["config"])
    if "weights" not in found:
        return {**{key: value for key, value in recorded.items() if key != "weights"}, "config": settings}
    refuse_changed(where, found["weights"], recorded["weights"])
    named = {**settings, "model": found["config"]["model"]}
    return {**recorded, "weights": found["weights"], "base": found["base"], "config": named}


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Checks the base model whenever a run loads it, because its files can be overwritten meanwhile."""

    checkpoint: str
    recorded: Weights
    read: Callable[[str], Weights]

    def opening(self, open_engine: Callable[[str], Engine]) -> Callable[[str], Engine]:
        """Return a function that opens engines and refuses a changed base model."""

        def open_unchanged(checkpoint: str) -> Engine:
            self.check(checkpoint)
            return open_engine(checkpoint)

        return open_unchanged

    def training(self, m_step: MStep) -> MStep:
        """Return an M-step that refuses to start from a changed base model."""

        def from_unchanged(
            start: str, samples: Sequence[Sample], *, iteration: int, seed: int, output: Path
        ) -> dict[str, Any]:
            self.check(start)
            return m_step(start, samples, iteration=iteration, seed=seed, output=output)

        return from_unchanged

    def check(self, checkpoint: str) -> None:
        """Refuse the base model if it changed; other checkpoints are not checked.

        Raises:
            RunError: names the files that differ.
        """
        if checkpoint == self.checkpoint:
            refuse_changed(checkpoint, self.recorded, self.read(checkpoint))


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> Sequence[str]:
    """Return the differences between two manifests' base models: file names, or "base" if there is no digest."""
    if "weights" in one and "weights" in other:
        return differences(one["weights"], other["weights"])
    return ["base"] if one.get("base") != other.get("base") else []
