"""Rows -> rated items -> examples: one per item and criterion, with all ratings and their pooled label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean

from rationem.data.cells import rating_cells, read_ratings, read_text, to_fields, weight_of
from rationem.data.columns import Columns, check_columns
from rationem.data.conversations import conversation
from rationem.data.records import Row
from rationem.data.texts import is_blank
from rationem.errors import DataError
from rationem.tasks.pairs import candidates, responses
from rationem.tasks.scale import Scale
from rationem.types import Example, Fields

#: Handles an error: raises it, or records it and leaves its row out.
Report = Callable[[DataError], None]

_SEVERAL_RATERS = (
    "If each row is one rater's rating of the same item, name the column of the rater (`--rater-col NAME`), or name "
    "the id's column as the group (`--group-col NAME`) instead of the id."
)


@dataclass(frozen=True, slots=True)
class Rated:
    """One row's ratings of one item on one criterion.

    Args:
        item: the user's own id.
        criterion: what was rated; "" where the data names no criterion.
        key: the same for the rows of one item.
        raters: the rater of each rating in the long format; else empty.
        weights: each row's weight in training; the item's weight is their mean.
    """

    item: str
    criterion: str
    key: object
    fields: Fields
    group: str
    ratings: tuple[str, ...]
    raters: tuple[str, ...]
    source: str
    weights: tuple[float, ...] = (1.0,)


def to_rated(
    row: Row, columns: Columns, scale: Scale, default_id: str, counts: Counter[str], *, nullable: bool = False
) -> list[Rated]:
    """Return a row's item for every criterion with a rating; update the counts that :func:`load` notes.

    With a single criterion a row must have a rating, unless the set is ``nullable``.

    Raises:
        DataError: a named column is missing, a text is empty, or a rating is not a level of the scale.
    """
    check_columns(row, columns.needed(row.cells))
    noted: Counter[str] = Counter()
    name = default_id if columns.id is None else read_text(row, columns.id)
    weight = 1.0 if columns.weight is None else weight_of(row, columns.weight)
    items = []
    rated = columns.rated_in(row.cells)
    noted["other_criteria"] += not rated
    for criterion in rated:
        fields = to_fields(row, columns, criterion)
        group = _group(fields) if columns.group is None else read_text(row, columns.group)
        required = not nullable and len(columns.criteria) <= 1
        ratings = read_ratings(row, columns, scale, criterion, required=required)
        if not ratings:
            noted["unrated"] += 1
            continue
        noted["missing_ratings"] += rating_cells(row, columns, criterion).count(None)
        raters = () if columns.rater is None else (read_text(row, columns.rater),) * len(ratings)
        key = (group, *fields.items()) if columns.id is None else (name, criterion)
        items.append(Rated(name, criterion, key, fields, group, ratings, raters, row.source, (weight,)))
    optional = (("reference", columns.reference), ("context", columns.context))
    texts = {column for _, column in (*columns.asks(row.cells), *optional) if column is not None}
    noted["conversations"] = sum(conversation(row.cells[column]) is not None for column in texts)
    counts.update(noted)  # only for a usable row
    return items


def _group(fields: Fields) -> str:
    """Return the default group: the prompt; without one the text, or the compared texts in any order."""
    return fields["prompt"] if "prompt" in fields else "\n\n".join(sorted(responses(fields)))


def merge_raters(
    items: Iterable[Rated], lenient: bool, report: Report, counts: Counter[str], later: Callable[[], str] = str
) -> list[Rated]:
    """Merge the rows of several raters into one item, with ratings in the order of the rows.

    Args:
        items: in the order of the file.
        lenient: leave a rater's second rating of an item out and count it (``repeated_ratings``).
        report: receives the error of a second rating otherwise, or of two contents of one id.
        counts: the counts to update.
        later: returns the flag that keeps a rater's latest rating, "" if no column says which that is.
    """
    later = cache(later)
    merged: dict[object, Rated] = {}
    places: dict[tuple[object, str], str] = {}
    for item in items:
        first = merged.setdefault(item.key, item)
        before = [places.setdefault((item.key, rater), item.source) for rater in item.raters[:1]]
        if first is item:
            continue
        if (first.fields, first.group) != (item.fields, item.group):
            report(DataError(_conflict(first, item, "with two contents")))
        elif item.raters and before != [item.source]:
            counts["repeated_ratings"] += 1
            if not lenient:
                report(_twice(item, before[0], later()))
        else:
            counts["merged_rows"] += not item.raters
            merged[item.key] = replace(
                first,
                ratings=first.ratings + item.ratings,
                raters=first.raters + item.raters,
                weights=first.weights + item.weights,
            )
    return list(merged.values())


def pooled(items: Iterable[Rated], scale: Scale, how: str, counts: Counter[str]) -> list[Example]:
    """Return the examples with the label of their ratings by the rule; count those without one (``no_majority``).

    With "each", an item without a majority keeps its first rating as the answer, because its ratings become rows.
    """
    examples = []
    # Exact means are slow, and there are few different sets of ratings.
    pool = cache(lambda criterion, ratings: scale.of(criterion).pool(ratings, "mean" if how == "each" else how))
    for item in items:
        answer = pool(item.criterion, item.ratings)
        if answer is None:
            counts["no_majority"] += 1
            if how != "each":
                continue
            answer = item.ratings[0]
        ratings = item.ratings if len(item.ratings) > 1 else ()
        weight = fmean(item.weights)
        examples.append(
            Example(
                item.item,
                item.fields,
                answer,
                item.group,
                ratings,
                item.source,
                weight=weight,
                criterion=item.criterion,
            )
        )
    return examples


def unique(
    examples: Iterable[Example], report: Report, counts: Counter[str], advice: str = _SEVERAL_RATERS
) -> tuple[Example, ...]:
    """Return the examples with every id once; count identical duplicates, and report conflicting ones.

    ``advice`` is the message's advice for one id with two contents.
    """
    seen: dict[str, Example] = {}
    for example in examples:
        first = seen.setdefault(example.id, example)
        if first is example:
            continue
        if replace(example, source=first.source) == first:
            counts["identical_duplicates"] += 1
            continue
        ratings = [list(one.ratings) or [one.answer] for one in (first, example)]
        what = f"with two labels, {ratings[0]} and {ratings[1]}" if ratings[0] != ratings[1] else "with two contents"
        report(DataError(_conflict(first, example, what, advice)))
    return tuple(seen.values())


def unify(examples: Sequence[Example], report: Report) -> tuple[Example, ...]:
    """Return the examples with as many responses as the first one; report the others."""
    kept = []
    for example in examples:
        if candidates(example.fields) == candidates(examples[0].fields):
            kept.append(example)
        else:
            report(DataError(f"{example.source}: the set mixes single responses and pairs. Read them separately."))
    return tuple(kept)


def with_id(row: Row, columns: Columns, default_id: str) -> Row:
    """Return a published row, with the default id if it has none."""
    if columns.id is None or not is_blank(row.cells[columns.id]):
        return row
    return replace(row, cells={**row.cells, columns.id: default_id})


def _conflict(first: Rated | Example, second: Rated | Example, what: str, advice: str = _SEVERAL_RATERS) -> str:
    return (
        f"{second.source}: the id {second.item!r} occurs here and in {first.source} {what}. Ids must be unique. "
        f"{advice}"
    )


def _twice(item: Rated, before: str, later: str) -> DataError:
    keep = f"If the later rating counts: `{later}`; else keep" if later else "Keep"
    return DataError(
        f"{item.source}: the rater {item.raters[0]!r} already rated the item {item.item!r} in {before}. {keep} one of "
        "the two rows, or name the column that tells two items apart as the id (`--id-col NAME`)."
    )
