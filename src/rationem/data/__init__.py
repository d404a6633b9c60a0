"""Files, folders and hub ids -> examples: readers, the user's columns, presets of published sets, splits by group.

    load(paths, scale=...) -> Loaded(examples, ...)    expand_raters(...)    split(...) -> three sets
    iter_rows(name) -> rows, one by one    flatten_row(row, preset)    to_fields(row, columns) -> the inputs of a row

Only the columns named by :class:`Columns` are read: an explanation or a rationale in another column cannot reach a
prompt (the first invariant).
"""

from __future__ import annotations

from rationem.data.cells import to_fields
from rationem.data.columns import CHOICE_NAMES, Columns, flag_of, guess
from rationem.data.file_format import FileFormat
from rationem.data.hub import is_hub_name
from rationem.data.lettered import read_choices
from rationem.data.load import LoadedData, load, load_feedbackqa
from rationem.data.nested import column_names
from rationem.data.no_scale import NoScale
from rationem.data.presets import PRESETS, flatten_row
from rationem.data.published.preset import Preset
from rationem.data.readers import READERS
from rationem.data.records import Row
from rationem.data.sets import distinct_ids, expand_raters, overlap, split, unweighed, weighed
from rationem.data.shapes import Condition, Shapes
from rationem.data.sources import iter_rows, read_rows
from rationem.data.values import ReadValues, Values
from rationem.data.writers import write_csv

__all__ = [
    "CHOICE_NAMES",
    "PRESETS",
    "READERS",
    "Columns",
    "Condition",
    "FileFormat",
    "LoadedData",
    "NoScale",
    "Preset",
    "ReadValues",
    "Row",
    "Shapes",
    "Values",
    "column_names",
    "distinct_ids",
    "expand_raters",
    "flag_of",
    "flatten_row",
    "guess",
    "is_hub_name",
    "iter_rows",
    "load",
    "load_feedbackqa",
    "overlap",
    "read_choices",
    "read_rows",
    "split",
    "to_fields",
    "unweighed",
    "weighed",
    "write_csv",
]
