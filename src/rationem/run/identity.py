"""Whether a base model is the one that it was: known by its content, whatever its directory is called.

A record has the digest of a "model", and of an adapter that of its "base", too (:func:`rationem.engines.models.check`).
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
    from rationem.em import MStep
    from rationem.types import Engine, Sample

Weights = Mapping[str, Any]


def base_name(checkpoint: str) -> str:
    """Return what the manifest calls theta_0: the directory's name, wherever it lies, or the hub id."""
    return Path(checkpoint).name if Path(checkpoint).is_dir() else checkpoint


def differences(recorded: Weights, found: Weights) -> list[str]:
    """Return the files that differ, those of an adapter's base model with "base: " before their names."""
    if recorded.keys() != found.keys():
        return ["adapter_config.json"]
    names = [(part, name) for part in sorted(recorded, reverse=True) for name in changed(recorded[part], found[part])]
    return [name if part == "model" else f"base: {name}" for part, name in names]


def refuse_changed(where: str, recorded: Weights, found: Weights, since: str = "the run began") -> None:
    """Refuse a model that is not the recorded one.

    Raises:
        RunError: names the files that differ.
    """
    if names := differences(recorded, found):
        raise RunError(
            f"The base model {where!r} changed since {since}: {listed(names)}. Put the old files back, or name the "
            "directory that has them; a run with the new ones needs another --output."
        )


def refuse_other_name(run: Path, name: str, checkpoint: str, recorded: str) -> None:
    """Refuse a model of another name than a run began with that knows its model by nothing else.

    Raises:
        RunError: says both.
    """
    if base_name(checkpoint) != recorded:
        raise RunError(
            f"{run} began with the model {recorded}; {name!r} is now {base_name(checkpoint)}, which did not draw its "
            "trials. Refit with the rationem that wrote the run."
        )


def refuse_other_base(adapter: Path, base: Path, recorded: Weights) -> None:
    """Refuse a base model under an adapter that was trained on another one; its tokenizer does not matter.

    Args:
        adapter: its directory.
        base: where its base model is now.
        recorded: of what its training began with.

    Raises:
        RunError: names the files that differ.
    """
    wanted = recorded.get("base", recorded["model"])
    differing = changed(wanted, digest(base).to_json())
    names = [name for name in differing if name == CONFIG or name.endswith(".safetensors")]
    if names:
        raise RunError(
            f"The adapter {str(adapter)!r} was trained on another base model than {str(base)!r} is now: "
            f"{listed(names)} changed. Name the base that it was trained on: --adapter-base DIR."
        )


def check_base(adapter: Path, recorded: Mapping[str, Any] | None) -> None:
    """Find that an adapter's base model is the one that it was trained on; whole weights need none.

    Args:
        adapter: a model directory.
        recorded: "weights" of what training began with; None where that is not known.

    Raises:
        RunError: names the files that differ.
        ModelError: the base model is not where the adapter says.
    """
    if adapters.is_adapter(adapter) and recorded is not None:
        refuse_other_base(adapter, models.base_place(str(adapter)), recorded["weights"])


def merged(recorded: Mapping[str, Any], found: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a run's manifest in the words of the one in its ledger, where both mean the same base model.

    Its directory may have been moved or renamed, or cut into other files. A ledger of before there were digests knows
    its base model by its directory's name alone.

    Args:
        recorded: the manifest of what is asked.
        found: the ledger's; empty where a run begins.
        where: the base model, as it is told.

    Raises:
        RunError: the base model is another one.
    """
    if not found or found.get("refit") != recorded.get("refit"):  # what else differs, the comparison says
        return dict(recorded)
    settings = known_then(recorded["config"], found["config"])
    if "weights" not in found:
        return {**{key: value for key, value in recorded.items() if key != "weights"}, "config": settings}
    refuse_changed(where, found["weights"], recorded["weights"])
    named = {**settings, "model": found["config"]["model"]}
    return {**recorded, "weights": found["weights"], "base": found["base"], "config": named}


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Looks at the base model again whenever a run loads it, for its files can be overwritten meanwhile."""

    checkpoint: str
    recorded: Weights
    read: Callable[[str], Weights]

    def opening(self, open_engine: Callable[[str], Engine]) -> Callable[[str], Engine]:
        """Return what opens engines, and refuses a base model that changed."""

        def open_unchanged(checkpoint: str) -> Engine:
            self.check(checkpoint)
            return open_engine(checkpoint)

        return open_unchanged

    def training(self, m_step: MStep) -> MStep:
        """Return the M-step that refuses to start from a base model that changed."""

        def from_unchanged(
            start: str, samples: Sequence[Sample], *, iteration: int, seed: int, output: Path
        ) -> dict[str, Any]:
            self.check(start)
            return m_step(start, samples, iteration=iteration, seed=seed, output=output)

        return from_unchanged

    def check(self, checkpoint: str) -> None:
        """Refuse the base model if it changed; other checkpoints are not looked at.

        Raises:
            RunError: names the files that differ.
        """
        if checkpoint == self.checkpoint:
            refuse_changed(checkpoint, self.recorded, self.read(checkpoint))


def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> Sequence[str]:
    """Return by what two manifests' base models differ: file names, or "base" where no digest says."""
    if "weights" in one and "weights" in other:
        return differences(one["weights"], other["weights"])
    return ["base"] if one.get("base") != other.get("base") else []
