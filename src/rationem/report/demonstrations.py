"""Which demonstrations the E-steps showed, from a ledger: the records of their phase, and the drafts that saw them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rationem.errors import ConfigError
from rationem.ledger.phases import read_records
from rationem.ledger.totals import demonstrated_draws, shown_demonstrations
from rationem.report.run import Recorded
from rationem.sampling.demonstrated import PHASE
from rationem.tasks import from_description

#: What the summary has of the phase's record.
_DECIDED = ("count", "source", "candidates", "readable", "dropped")
_TEXTS = ("fields", "answer", "rationale")


def shown(run: Recorded, task: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the demonstrations of every E-step, and the texts of the last that were shown; None without any.

    Args:
        task: the manifest's description of the task, for the texts of the task's own demonstrations.
    """
    records = read_records(run.db, PHASE)
    if not records:
        return None
    steps = [
        {"iteration": k, **{key: record[key] for key in _DECIDED}, **_drawn(run, k)} for k, record in records.items()
    ]
    last = max((one["iteration"] for one in steps if one["drafts"]), default=None)
    texts = [] if last is None else _texts(run, last, records[last], task)
    return {"iterations": steps, "last_shown": last, "texts": texts}


def _drawn(run: Recorded, k: int) -> dict[str, Any]:
    drafts, mean = demonstrated_draws(run.db, k)
    return {"drafts": drafts, "per_draft": mean}


def _texts(run: Recorded, k: int, record: Mapping[str, Any], task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every demonstration that a draft of iteration k saw; without its texts where they cannot be made again."""
    known = _own(run, task) | {one["name"]: one for one in record["chosen"]}
    return [
        {"name": name, "drafts": drafts, **{key: known[name][key] if name in known else None for key in _TEXTS}}
        for name, drafts in shown_demonstrations(run.db, k).items()
    ]


def _own(run: Recorded, task: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the task's own demonstrations by name, as the first training example is shown them."""
    try:
        own = from_description(task).demonstrations(run.sets["train"][0].fields) if run.sets["train"] else ()
    except ConfigError:  # a user's program has none
        return {}
    return {one.name: {"fields": dict(one.fields), "answer": one.answer, "rationale": one.rationale} for one in own}
