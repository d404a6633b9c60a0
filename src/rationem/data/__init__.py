"""Files -> examples: readers, the user's columns, presets of published sets, and splits by group.

    load(paths, scale=...) -> Loaded(examples, ...)    expand_raters(...)    split(...) -> three sets

Only the columns that :class:`Columns` names are ever looked at: an explanation or a rationale elsewhere in
the row cannot reach a prompt (the first invariant).
"""

from __future__ import annotations

from rationem.data.columns import Columns
from rationem.data.load import Loaded, load, load_feedbackqa
from rationem.data.presets import PRESETS, Preset
from rationem.data.readers import READERS, Row, read_rows
from rationem.data.sets import distinct_ids, expand_raters, overlap, split
from rationem.data.writers import write_csv
from rationem.metrics import marginal

__all__ = [
    "PRESETS",
    "READERS",
    "Columns",
    "Loaded",
    "Preset",
    "Row",
    "distinct_ids",
    "expand_raters",
    "load",
    "load_feedbackqa",
    "marginal",
    "overlap",
    "read_rows",
    "split",
    "write_csv",
]
