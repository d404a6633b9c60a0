"""No scale is given: what the values suggest, for each criterion, and what to ask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from rationem.data.cells import rating_cells, to_fields
from rationem.data.columns import Columns
from rationem.data.direction import turned
from rationem.data.lists import divided, either
from rationem.data.notations import plain
from rationem.data.records import Row
from rationem.data.suggest import ScaleProposal, propose, typed
from rationem.data.suggest_pair import meant, suggest_pair, unclear
from rationem.data.thousands import two_sizes
from rationem.data.unusable import notations
from rationem.errors import ConfigError, DataError
from rationem.tasks.scale import Scale

_SHOWN = 12
#: An example of a scale, for messages without a suggestion.
_ANY = "Bad < Fair < Good"

_Rows = Sequence[tuple[str, Row]]


class NoScale(DataError):
    """No scale is given or known; ``suggestion`` is the scale that the values suggest, as text, or None.

    ``settings`` are the further settings that it needs, such as ``{"round": True}``, and ``why`` says why.
    """

    def __init__(
        self, message: str, suggestion: str | None, settings: Mapping[str, Any] | None = None, why: str = ""
    ) -> None:
        super().__init__(message)
        self.suggestion = suggestion
        self.settings = dict(settings or {})
        self.why = why


def no_scale(rows: _Rows, columns: Columns, implied: Mapping[str, str], falling: Mapping[str, str]) -> NoScale:
    """Return the error with the values found and the suggested scale, if any.

    Args:
        rows: (default id, row), their rating cells read.
        columns: names the rating columns.
        implied: criterion -> the highest number that the notation of its cells names.
        falling: criterion -> why its low numbers are the better ones.
    """
    where, rows = rows[0][1].source, _usable(rows, columns)
    found = found_in(rows, columns)
    name = ", ".join(dict.fromkeys(column for _, column in columns.criteria)) or columns.rating
    shown = ", ".join(map(repr, list(found)[:_SHOWN])) + (", ..." if len(found) > _SHOWN else "")
    held = f"{where}: what are the levels of the rating? The column {name!r} holds {len(found)} different values: "
    held += f"{shown}."
    responses = compared(rows, columns)
    if responses is not None:
        scale = suggest_pair(found, responses)
        if scale is None:
            return NoScale(f"{where}: in column {name!r}: {unclear(found, responses)}", None)
        return NoScale(f"{held} {meant(scale, responses)}: `--scale {typed(scale)}`.", scale)
    proposals = {
        one: _turned(propose(found_in(rows, columns, (one,)).elements(), implied.get(one, "")), falling.get(one, ""))
        for one in columns.criterion_names
    }
    best = propose(found.elements(), max(implied.values(), key=Fraction, default=""))
    if falling.keys() >= proposals.keys():
        best = _turned(best, " ".join(dict.fromkeys(falling.values())))
    if len(proposals) > 1 and not _one_scale(list(proposals.values()), best):
        return _differ(where, proposals)
    if told := two_sizes(found):
        return NoScale(f"{held} {told}", None)
    if best is None and either(found):
        return NoScale(f"{held} {_either(found)}", None)
    if best is None and (asked := notations(found)):
        return NoScale(f"{held} {asked.strip()}", None)
    told = f"Give all levels, from worst to best in your order, for example `{flags(best)}`."
    why = f"{best.why} " if best is not None and best.why else ""
    settings = best.settings if best is not None else {}
    suggestion = best.scale if best is not None else None
    return NoScale(f"{held} {notations(found)}{why}{told}", suggestion, settings, best.why if best is not None else "")


def _usable(rows: _Rows, columns: Columns) -> _Rows:
    """Return the rows with all their texts, whose ratings alone suggest a scale; all rows if there are none."""

    def has_texts(row: Row) -> bool:
        try:
            to_fields(row, columns)
        except DataError:
            return False
        return True

    return [(name, row) for name, row in rows if has_texts(row)] or rows


def _turned(proposal: ScaleProposal | None, why: str) -> ScaleProposal | None:
    """Return a proposal with the low numbers as the better ones, if there is a reason."""
    if proposal is None or not why or "bins" in proposal.settings:
        return proposal
    return replace(proposal, scale=turned(proposal.scale), why=" ".join(filter(None, (why, proposal.why))))


def flags(proposal: ScaleProposal | None) -> str:
    """Return a proposal as flags; an example without one.

    >>> flags(ScaleProposal("1-5", {"round": True})), flags(ScaleProposal("1-5", {"bins": "5"}))
    ('--scale 1-5 --round', '--scale 1-5 --bins 5')
    """
    more = [
        f" --{name.replace('_', '-')}" + ("" if value is True else f" {value}")
        for name, value in (proposal.settings if proposal is not None else {}).items()
    ]
    return f"--scale {typed(proposal.scale if proposal is not None else _ANY)}{''.join(more)}"


def found_in(rows: _Rows, columns: Columns, criteria: Sequence[str] | None = None) -> Counter[str]:
    """Count the nonempty rating cells, as text, of rows that have the columns."""
    found: Counter[str] = Counter()
    for _, row in rows:
        for criterion in columns.rated_in(row.cells):
            wanted = criteria is None or criterion in criteria
            if wanted and set(columns.ratings(row.cells, criterion)) <= set(row.cells):
                cells = rating_cells(row, columns, criterion)
                found.update(str(cell).strip() for cell in cells if cell is not None)
    return found


def compared(rows: Iterable[tuple[str, Row]], columns: Columns) -> tuple[str, ...] | None:
    """Return the columns of the compared responses, from the first row that has them; None if there are none."""
    if columns.choices is not None:
        return None
    return next((names for _, row in rows if len(names := columns.responses(row.cells)) > 1), None)


def narrowed(scale: Scale, rows: _Rows, columns: Columns) -> Scale:
    """Return the scale of the criteria that are read.

    Raises:
        ConfigError: one has no scale, or several responses are compared, which have one scale.
    """
    if scale.parts and (columns.choices is not None or compared(rows, columns)):
        raise ConfigError(
            f"The scale {scale.sentence()!r} is one for each criterion, which is for ratings of one response; here "
            "several are compared. Give one scale, and run one fit for each criterion (--criterion NAME)."
        )
    return scale.narrowed(columns.criterion_names)


def _one_scale(proposals: Sequence[ScaleProposal | None], best: ScaleProposal | None) -> bool:
    """Say whether several criteria are rated on one scale, of which some do not use an end.

    Numbers are, if their ranges lie within the widest one and reach its ends but for one step; words, if they have one
    order.
    """
    known = [one for one in proposals if one is not None]
    if best is None or len(known) < len(proposals):
        return False
    whole = _levels(best)
    if not all(plain(level) for level in whole):
        return "<" in best.scale or len({one.scale for one in known}) == 1
    if best.scale not in {one.scale for one in known} or len({str(one.settings) for one in known}) > 1:
        return False
    parts = [_levels(one) for one in known]
    return all(set(part) <= set(whole) and part[0] in whole[:2] and part[-1] in whole[-2:] for part in parts)


def _levels(proposal: ScaleProposal) -> tuple[str, ...]:
    try:
        return Scale.parse(proposal.scale).levels
    except ConfigError:
        return ()


def _differ(where: str, proposals: Mapping[str, ScaleProposal | None]) -> NoScale:
    """Return the error of criteria with different levels: one scale each if all suggest one, else one fit each."""
    told = [f"{name!r} holds {one.scale if one else 'values without an order'}" for name, one in proposals.items()]
    differ = f"{where}: the criteria have different levels: {', '.join(told)}."
    shared = "If all are rated on one scale whose ends some do not use, name that one."
    if (joint := _joint(proposals)) is None:
        ways = [f"`--criterion {typed(name)} {flags(one)}`" for name, one in proposals.items()]
        return NoScale(f"{differ} Run one fit for each: {'; '.join(ways)}. {shared}", None)
    why = f"{joint.why} " if joint.why else ""
    return NoScale(
        f"{differ} {why}Give each its own scale, levels from worst to best: `{flags(joint)}`. {shared}",
        joint.scale,
        joint.settings,
        joint.why,
    )


def _joint(proposals: Mapping[str, ScaleProposal | None]) -> ScaleProposal | None:
    """Return one proposal for all criteria; None if one has none, or needs settings that would change another's cells.

    ``--bins`` has one set of edges, and a code for "no rating" may be another criterion's level.
    """
    known = {name: one for name, one in proposals.items() if one is not None}
    settings: dict[str, Any] = {key: value for one in known.values() for key, value in one.settings.items()}
    codes = {code for one in known.values() for code in str(one.settings.get("missing", "")).split(",") if code}
    text = "; ".join(f"{name}: {one.scale}" for name, one in known.items())
    try:
        scale = Scale.parse(text)
    except ConfigError:
        return None
    as_meant = tuple(name for name, _ in scale.parts) == tuple(proposals)
    if not as_meant or "bins" in settings or any(scale.level(code) is not None for code in codes):
        return None
    settings |= {"missing": ",".join(sorted(codes))} if codes else {}
    return ScaleProposal(text, settings, " ".join(dict.fromkeys(one.why for one in known.values() if one.why)))


def _either(found: Counter[str]) -> str:
    text = next(text for text in found if "," in text)
    one, other = divided(text, ",")
    numbers = sorted({int(part) for text in found for part in text.split(",")})
    scale = f"{numbers[0]}-{max(numbers[-1], numbers[0] + 1)}"
    return (
        f"{text!r} can be two ratings, {one} and {other}, or the number {one}.{other}. Which is it? Two ratings: "
        f"`--scale {scale}`. Numbers: `--scale {scale} --round`, or all levels with a decimal point."
    )
