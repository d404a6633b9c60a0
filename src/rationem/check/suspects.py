"""What may be read otherwise than it was meant: inputs, instruction, order of labels, sides."""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from operator import itemgetter

from rationem.check.criteria import each
from rationem.check.findings import Finding, note, warning
from rationem.check.reading import Material
from rationem.data import LoadedData
from rationem.report.plain import counted, plain
from rationem.tasks import pairs
from rationem.tasks.ranges import are_numbers
from rationem.tasks.scale import Scale
from rationem.types import Example

#: A 0 in fewer ratings than this share, on a scale of more levels than that, is suspected.
_RARE, _FEW = 0.15, 4
#: A response that is better in at least this share of so many comparisons is suspected.
_ONE_SIDE, _ENOUGH = 0.85, 30
#: A warning from this share of texts that occur in several comparisons.
_REUSED = 0.05
#: Role, its flag, usual names of its column, and what the column says.
_ROLES = (
    (
        "criterion",
        "--criterion-col",
        ("criterion", "criteria", "dimension", "aspect", "attribute", "metric", "measure", "quality dimension"),
        "what was rated",
    ),
    (
        "rater",
        "--rater-col",
        ("rater", "rater id", "annotator", "annotator id", "worker", "worker id", "workerid", "labeler", "reviewer"),
        "who rated",
    ),
)
#: Share of the sets of equal inputs that such a column tells apart.
_MOSTLY = 0.8
#: What stands before the sum or the mean below a table, in the languages of ``data.ladders_elsewhere`` too.
_TOTAL = re.compile(
    r"(?:grand |sub-?)?(?:total|sum|average|mean|avg\.?|count)|n\s*=.*|(?:gesamt)?summe|gesamt(?:ergebnis)?|mittelwert|"
    r"durchschnitt|somme|total général|moyenne|suma|total general|promedio|media|somma|totale|soma|total geral|média|"
    r"totaal|som|eindtotaal|gemiddelde",
    re.I,
)
#: Items are sorted by label if the labels change at most so often, relative to the expected number of changes,
#: and at least so many are expected.
_SORTED, _CHANGES = 0.25, 12


def suspects(material: Material) -> list[Finding]:
    """Return the findings on what the judge is shown and told; none of other layouts of items."""
    looks = _LOOKS.get(material.task.items, ())
    return [finding for look in looks if material.loaded is not None for finding in look(material, material.loaded)]


def inputs(material: Material, loaded: LoadedData) -> Iterator[Finding]:
    """Yield findings on what is shown to the judge: no prompt, or one column twice."""
    columns = loaded.columns
    if not columns.prompt:
        unread = ", ".join(map(plain, list(material.unused)[:5]))
        more = f" If a column that is not read is the prompt, name it with --prompt-col: {unread}." if unread else ""
        what = "One text is rated" if material.orders == 1 else "Texts are compared"
        text = f"{what}, without a prompt: the judge reads {plain(columns.response)!r} alone.{more}"
        yield note("no_prompt", text)
    elif columns.prompt == columns.response:
        text = (
            f"Prompt and response are read from one column, {plain(columns.prompt)!r}: the judge reads it twice. "
            "If a text is rated alone: --prompt-col none."
        )
        yield warning("same_column", text)


def total_row(material: Material, loaded: LoadedData) -> Iterator[Finding]:
    """Yield a warning if the last item is the sum or the mean below a table."""
    if (
        not material.known
        or (column := loaded.columns.prompt or loaded.columns.response) not in material.inputs.values()
    ):
        return
    last = material.known[-1]
    names = {name: field for field, name in material.inputs.items()}
    text = last.fields.get(names[column], "").strip()
    if _TOTAL.fullmatch(text):
        told = (
            f"The last row begins with {plain(text)!r}: is it the sum or the mean below a table, and no item? Leave it "
            f"out: --where {shlex.quote(f'{plain(column)}!={plain(text)}')}."
        )
        yield warning("total_row", told, 1, [last.source])


def reused(material: Material, loaded: LoadedData) -> Iterator[Finding]:
    """Yield a warning if texts that are compared without a prompt, and so without a group, occur in several items."""
    if loaded.columns.prompt or loaded.columns.group is not None or material.orders == 1:
        return
    seen = Counter(text for x in material.known for text in set(pairs.responses(x.fields)))
    many = sum(count > 1 for count in seen.values())
    if many > _REUSED * len(seen):
        text = (
            f"{many} of {counted(len(seen), 'text is', 'texts are')} compared in several rows, so texts of the "
            "test set are also trained on: its numbers are for new comparisons of known texts. --group-col keeps the "
            "rows of one value together."
        )
        yield warning("texts_reused", text, many)


def unread_role(material: Material, loaded: LoadedData) -> Iterator[Finding]:
    """Yield a warning if rows with equal inputs differ in a column that is not read: the criterion, or the rater."""
    several = [[x.source for x in items] for items in _equal_inputs(material)]
    named = {"criterion": loaded.columns.criterion or loaded.columns.criteria, "rater": loaded.columns.rater}
    for role, flag, names, what in _ROLES:
        for column, cells in material.unused.items():
            if named[role] or " ".join(column.casefold().replace("_", " ").split()) not in names:
                continue
            differ = sum(len({str(cells.get(source)) for source in sources}) == len(sources) for sources in several)
            apart = sum(len({str(cells.get(source)) for source in sources}) > 1 for sources in several)
            if several and (apart if role == "criterion" else differ) >= _MOSTLY * len(several):
                text = (
                    f"{counted(sum(map(len, several)), 'row', 'rows')} with equal inputs differ in the column "
                    f"{plain(column)!r}. If it says {what}: {flag} {shlex.quote(plain(column))}."
                )
                yield warning(f"unread_{role}", text, len(several))
                return


def ids_apart(material: Material, loaded: LoadedData) -> Iterator[Finding]:
    """Yield a warning if the ids keep the ratings of one item apart, although its raters are to be merged."""
    together = _equal_inputs(material)
    items = sum(map(len, together))
    if merges_but_for_ids(material) and 2 * items > len(material.known):
        how = "--rater-col" if loaded.columns.rater else "--merge-equal"
        text = (
            f"{items} of {len(material.known)} items have the inputs of another one, and only their ids "
            f"({plain(loaded.columns.id or '')!r}) differ: {how} merges rows of one id. Omit --id-col, or name a "
            "column that is the same for all raters of an item."
        )
        yield warning("ids_apart", text, items)


def merges_but_for_ids(material: Material) -> bool:
    """Say whether raters are merged by the ids that the user names."""
    columns = material.loaded.columns if material.loaded else None
    merges = columns is not None and (columns.rater is not None or material.config.merge_equal)
    return merges and columns is not None and columns.id is not None


def _equal_inputs(material: Material) -> list[list[Example]]:
    """Return the sets of several items of DATA with the same inputs."""
    together: dict[tuple[tuple[str, str], ...], list[Example]] = defaultdict(list)
    for x in material.known:
        together[tuple(sorted(x.fields.items()))].append(x)
    return [items for items in together.values() if len(items) > 1]


def instruction(material: Material, loaded: LoadedData) -> Iterator[Finding]:
    """Yield a note if nothing says what to look at."""
    config, bare = material.config, [one for one in loaded.criteria if not (one.instruction or one.meanings)]
    if config.template or config.instruction or config.rubric or len(bare) < len(loaded.criteria):
        return
    named = any(one.name for one in bare)
    told = "the levels and the name of the criterion" if named else "the levels"
    text = (
        f"No instruction is given: the judge sees only {told}. Say what your raters looked at: --instruction "
        "'Is the answer correct?', or --rubric FILE with what each level means."
    )
    yield note("no_instruction", text)


def rare_zero(material: Material, loaded: LoadedData) -> Iterator[Finding]:
    """Yield a warning if a suggested scale begins with a rare 0, which may mean "not applicable"."""
    if material.scale_from == "suggested":
        yield from each(material.known, loaded.scale, _rare_zero)


def _rare_zero(examples: Sequence[Example], scale: Scale) -> list[Finding]:
    counts = Counter(rating for x in examples for rating in (x.ratings or (x.answer,)))
    levels, total = scale.levels, sum(counts.values())
    if levels[:2] != ("0", "1") or len(levels) <= _FEW:
        return []
    if not 0 < counts["0"] < min(_RARE * total, min(counts[level] for level in levels[1:]) or total):
        return []
    text = f"The level 0 is rare: {counts['0']} of {total} ratings. Is it a rating, or a mark that there is none?"
    return [warning("rare_zero", f"{text} If there is none: --missing 0.", counts["0"])]


def in_order(material: Material, loaded: LoadedData) -> Iterator[Finding]:
    """Yield a note if the items are sorted by label, or nearly."""
    yield from each(material.known, loaded.scale, _in_order)


def _in_order(examples: Sequence[Example], scale: Scale) -> list[Finding]:
    """Compare the changes of the label between neighbours with their expectation in a random order.

    Of n items, n_l with label l, in a random order: E[changes] = n - sum_l n_l^2 / n.
    """
    counts, total = Counter(x.answer for x in examples), len(examples)
    expected = total - sum(count**2 for count in counts.values()) / total
    changes = sum(one.answer != other.answer for one, other in pairwise(examples))
    if expected < _CHANGES or changes > _SORTED * expected:
        return []
    text = (
        f"The items are sorted by label, or nearly: the label changes {changes} times between neighbours, in a "
        f"random order about {expected:.0f} times. Is this the whole file? Its beginning alone would lack levels. A "
        "fit is not affected: the sets and --limit are drawn at random."
    )
    return [note("label_order", text, changes)]


def one_side(material: Material, loaded: LoadedData) -> Iterator[Finding]:
    """Yield a warning if nearly always the same response of a pair is better."""
    scale, places = material.task.scale, Counter[int | None]()
    if material.orders == 1:
        return
    places.update(pairs.side(x.answer, scale, material.orders) for x in material.known)
    decided = sum(count for place, count in places.items() if place is not None)
    place, most = max(((at, n) for at, n in places.items() if at is not None), key=itemgetter(1), default=(None, 0))
    if decided >= _ENOUGH and most >= _ONE_SIDE * decided and place is not None:
        names = loaded.columns.response.split(",")
        text = (
            f"In {most} of {decided} comparisons without a tie {plain(names[place].strip())!r} is better. If the "
            "columns are sorted so (chosen, rejected), this is right; else check which level means which column."
        )
        yield warning("one_side", text, most)


def turned_name(material: Material, loaded: LoadedData) -> Iterator[Finding]:
    """Yield a warning if a rating column is called a rank or names the worse response, and is read the other way."""
    name, scale = loaded.columns.rating, loaded.scale
    if loaded.candidates > 1:
        if _WORSE.search(name):
            text = (
                f"The column {plain(name)!r} seems to name the response that is worse, and each verdict is read as the "
                "better one. If so, turn the verdicts round by --map, such as --map A=B B=A."
            )
            yield warning("direction", text)
    elif _RANK.search(name) and are_numbers(scale.levels) and scale.ordered and scale.levels[0] in ("0", "1"):
        text = (
            f"The column {plain(name)!r} seems to hold ranks, of which {scale.levels[0]} is usually the best; here it "
            f'is the worst level. If so: --scale "{" < ".join(reversed(scale.levels))}".'
        )
        yield warning("direction", text)


#: Names of columns of ranks, and of the worse one of several responses.
_RANK = re.compile(r"(?<![a-z])rank(?![a-z])|(?<![a-z])ranking", re.I)
_WORSE = re.compile(r"(?<![a-z])(?:worse|worst|loser|lost|rejected)", re.I)


#: What is looked at, by the layout of the items.
_LOOKS: dict[str, tuple[Callable[[Material, LoadedData], Iterator[Finding]], ...]] = {
    "responses": (
        *(inputs, total_row, unread_role, ids_apart, reused, instruction),
        *(rare_zero, one_side, in_order, turned_name),
    )
}
