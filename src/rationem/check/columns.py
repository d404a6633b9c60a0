"""Columns that hold the answer or an explanation of it, by their names and texts.

A judge that reads its answer learns nothing. Each column is checked for three kinds of evidence: its cells *are* the
labels; they *name* the labels more often than by chance; equal cells have equal labels. Each share is compared with
chance: the share for the same cells if the labels were assigned to the rows at random.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rationem.metrics.criteria import rated_parts
from rationem.seeds import generator
from rationem.tasks.choices import LABELS, SUBJECT
from rationem.tasks.scale import Scale
from rationem.types import Example

#: Most rows to examine, evenly spaced: enough to know every share to a hundredth or two.
_SAMPLE = 5000
_EXPLAINS = re.compile(
    r"(?:^|_)(?:explanations?|rationales?|feedbacks?|reasons?|reasoning|justifications?|comments?|critiques?)(?:_|$)"
)
_ANSWERS = re.compile(r"(?:^|_)(?:labels?|ratings?|scores?|grades?|verdicts?|stars)(?:_|$)")
_ID = re.compile(r"[\w.:/-]*\d[\w.:/-]*")
_FEW = 10


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence on one column. Shares are of the nonempty examined cells.

    Args:
        column: its name.
        role: its input, e.g. "response"; None if it is not an input.
        filled: number of nonempty cells.
        distinct: number of different cells among them; of a column that is not an input, in all rows.
        name_suggests: "explanation" or "answer" if its name suggests one.
        is_label: share of cells equal to the row's label or a rating of the row.
        names_label: share of cells that name the label.
        names_by_chance: the same with randomly assigned labels (in expectation).
        repeated: share of rows whose cell also occurs in another row with other inputs.
        purity: share of these rows that have the most frequent label of their cell; None if no cell repeats.
        purity_by_chance: the same with randomly assigned labels (one seeded assignment).
        looks_like_id: every cell differs, has a digit and no spaces.
        criterion: whose labels these are, if there are several criteria.
    """

    column: str
    role: str | None
    filled: int
    distinct: int
    name_suggests: str | None
    is_label: float
    names_label: float
    names_by_chance: float
    repeated: float
    purity: float | None
    purity_by_chance: float | None
    looks_like_id: bool
    criterion: str = ""

    @property
    def holds_label(self) -> bool:
        """Whether the cells are, name or determine the labels, in nine rows of ten and far beyond chance."""
        if self.filled < _FEW:
            return False
        same = self.is_label >= 0.9 and self.names_by_chance < 0.9
        return same or self.says_label or self.determines_label

    @property
    def says_label(self) -> bool:
        """Whether nine cells of ten name the label, 30 points beyond chance."""
        return self.names_label >= 0.9 and self.names_label - self.names_by_chance >= 0.3

    @property
    def determines_label(self) -> bool:
        """Whether equal cells have equal labels in 98 of 100 rows, while chance is below nine in ten."""
        if self.purity is None or self.purity_by_chance is None or self.filled * self.repeated < 2 * _FEW:
            return False
        return self.repeated >= 0.3 and self.purity >= 0.98 and self.purity_by_chance <= 0.9

    @property
    def tends_to_name_label(self) -> bool:
        """Whether the label is named more often than chance allows: by 5 points and 5 standard errors."""
        excess = self.names_label - self.names_by_chance
        error = math.sqrt(max(self.names_by_chance * (1 - self.names_by_chance), 1e-9) / max(self.filled, 1))
        return self.filled >= 2 * _FEW and excess >= 0.05 and excess >= 5 * error

    @property
    def constant(self) -> bool:
        """Whether all cells are equal."""
        return self.distinct == 1 and self.filled > 1

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON."""
        more = {name: getattr(self, name) for name in ("holds_label", "tends_to_name_label", "constant")}
        return {**asdict(self), **more}


def look(
    examples: Sequence[Example],
    inputs: Mapping[str, str],
    unused: Mapping[str, Mapping[str, object]],
    scale: Scale,
) -> list[Evidence]:
    """Return the evidence on every input and on every unused column, inputs first.

    Args:
        examples: the labelled items.
        inputs: field -> the user's name of its column.
        unused: unused column -> (source of a row -> its cell).
        scale: the levels.
    """
    seen, order = read_in_order(examples, inputs)
    read = [
        _weigh(inputs.get(field, field), field, [example.fields.get(field, "") for example in seen], seen, scale)
        for field in order
    ]
    return read + [
        _weigh(column, None, [as_text(cells.get(example.source)) for example in seen], seen, scale)
        for column, cells in unused.items()
    ]


def in_all_rows(
    found: Sequence[Evidence], unused: Mapping[str, Mapping[str, object]], apart: Collection[str]
) -> list[Evidence]:
    """Return the evidence with what only all rows show, not an item's first: a column that varies, or is no id.

    Args:
        found: the evidence of the items.
        unused: unused column -> (source of a row -> its cell).
        apart: the columns that differ between rows of equal inputs: they are a rater's, not an item's.
    """
    return [_in_all_rows(one, unused[one.column], apart) if one.role is None else one for one in found]


def _in_all_rows(one: Evidence, cells: Mapping[str, object], apart: Collection[str]) -> Evidence:
    distinct = len({text for cell in cells.values() if (text := as_text(cell).strip())}) if one.constant else 0
    is_id = one.looks_like_id and one.column not in apart
    return replace(one, distinct=max(one.distinct, distinct), looks_like_id=is_id)


def look_at_each(
    examples: Sequence[Example],
    inputs: Mapping[str, str],
    unused: Mapping[str, Mapping[str, object]],
    scale: Scale,
) -> list[Evidence]:
    """Return :func:`look` with the labels of each criterion: of a column the strongest evidence, and for which one."""
    parts = rated_parts(examples)
    if len(parts) == 1:
        return look(examples, inputs, unused, scale)
    each = [
        [replace(one, criterion=name) for one in look(part, inputs, unused, scale.of(name))]
        for name, part in parts.items()
    ]
    order = {(one.column, one.role): None for found in each for one in found}
    by_column = [[one for found in each for one in found if (one.column, one.role) == key] for key in order]
    return [max(several, key=_strength) for several in by_column]


def _strength(one: Evidence) -> tuple[float, ...]:
    excess = one.names_label - one.names_by_chance
    return (one.holds_label, one.tends_to_name_label, one.is_label, excess, one.filled)


def read_in_order(examples: Sequence[Example], inputs: Mapping[str, str]) -> tuple[Sequence[Example], list[str]]:
    """Return the examined items, evenly spaced, and their fields, in the inputs' order."""
    seen = examples[:: max(1, -(-len(examples) // _SAMPLE))]
    fields = {name for example in seen for name in example.fields} - {"criterion", SUBJECT, LABELS}
    return seen, [name for name in inputs if name in fields] + sorted(fields - set(inputs))


def as_text(cell: object) -> str:
    """Return a cell as text: empty for null, a list as lines, an object as JSON."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, list | tuple):
        return "\n".join(as_text(part) for part in cell)
    return json.dumps(cell, default=str) if isinstance(cell, Mapping) else str(cell)


def name_suggests(column: str) -> str | None:
    """Return "explanation" or "answer" if a column's name suggests that it holds one.

    >>> name_suggests("raterComment"), name_suggests("human_score"), name_suggests("commentary")
    ('explanation', 'answer', None)
    """
    words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column).lower())
    if _EXPLAINS.search(words):
        return "explanation"
    return "answer" if _ANSWERS.search(words) else None


def _weigh(column: str, role: str | None, texts: Sequence[str], examples: Sequence[Example], scale: Scale) -> Evidence:
    pairs = [(text, x) for text, x in zip(texts, examples, strict=True) if text.strip()]
    count = max(len(pairs), 1)
    names = _naming(scale)
    named = [{level for match in names.finditer(text) if (level := scale.level(match[0]))} for text, _ in pairs]
    levels, labels = Counter(level for one in named for level in one), Counter(x.answer for _, x in pairs)
    return evidence_of(
        column,
        role,
        pairs,
        is_label=sum(scale.level(text) in (x.answer, *x.ratings) for text, x in pairs) / count,
        names_label=sum(x.answer in one for one, (_, x) in zip(named, pairs, strict=True)) / count,
        names_by_chance=sum(levels[level] * labels[level] for level in scale.levels) / count**2,
    )


def evidence_of(
    column: str,
    role: str | None,
    pairs: Sequence[tuple[str, Example]],
    *,
    is_label: float,
    names_label: float,
    names_by_chance: float,
) -> Evidence:
    """Return the evidence on one column, from (cell, item) of its nonempty cells and the shares on labels."""
    values = {text.strip() for text, _ in pairs}
    return Evidence(
        column=column,
        role=role,
        filled=len(pairs),
        distinct=len(values),
        name_suggests=name_suggests(column),
        looks_like_id=len(values) == len(pairs) >= _FEW and all(map(_ID.fullmatch, values)),
        **_repetition(pairs),
        is_label=is_label,
        names_label=names_label,
        names_by_chance=names_by_chance,
    )


def _naming(scale: Scale) -> re.Pattern[str]:
    """Return the pattern of a level as a separate word (not "4" in "24" or "4.5"); the longest of several matches."""
    words = "|".join(re.escape(level) for level in sorted(scale.levels, key=len, reverse=True))
    return re.compile(rf"(?<![\w.,-])(?:{words})(?![\w-]|[.,]\d)", re.IGNORECASE)


def _repetition(pairs: Sequence[tuple[str, Example]]) -> dict[str, Any]:
    """Return the share of rows with a repeated cell, and the purity of the labels of equal cells."""
    once = {tuple(sorted(x.fields.items())): (text.strip().casefold(), x.answer) for text, x in pairs}
    cells, labels = [text for text, _ in once.values()], [label for _, label in once.values()]
    often = Counter(cells)
    rows = [row for row, cell in enumerate(cells) if often[cell] > 1]
    if not rows:
        return {"repeated": 0.0, "purity": None, "purity_by_chance": None}
    dealt = generator(0, "doctor", "purity").permutation(len(labels))
    return {
        "repeated": len(rows) / len(cells),
        "purity": _purity([cells[row] for row in rows], [labels[row] for row in rows]),
        "purity_by_chance": _purity([cells[row] for row in rows], [labels[dealt[row]] for row in rows]),
    }


def _purity(cells: Sequence[str], labels: Sequence[str]) -> float:
    together: dict[str, Counter[str]] = defaultdict(Counter)
    for cell, label in zip(cells, labels, strict=True):
        together[cell][label] += 1
    return sum(max(counts.values()) for counts in together.values()) / len(cells)
