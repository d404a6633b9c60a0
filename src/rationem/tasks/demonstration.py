"""A solved example that can be shown before a question."""

from __future__ import annotations

from dataclasses import dataclass

from rationem.types import Fields


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A solved example with a rationale, to be shown before another one.

    Args:
        name: what the ledger calls it.
        rationale: "" shows the answer alone.
        item: the id of the item that it is about; "" for none of the data.
        group: its group; "" for none of the data.
        criterion: what was rated; it is shown only where the same is asked.
    """

    name: str
    fields: Fields
    answer: str
    rationale: str = ""
    item: str = ""
    group: str = ""
    criterion: str = ""
