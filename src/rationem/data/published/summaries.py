"""openai/summarize_from_feedback (Stiennon et al. 2020, arXiv 2009.01325): summaries rated, and compared.

"axis": four axes from 1 to 7, any of which may be null. "comparisons": which of two summaries is better. Several
workers see the same summaries; they become the raters of one item. "write": from the same rows, the post and the
preferred summary. The workers' notes are never read.

A comparison's ``extra.confidence`` can be its weight. The data's own page shows one number from 1 to 9 and does not say
whether 9 means "certain" or "certainly the second": the rows decide, see :func:`strengths`.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import cast

from rationem.data.columns import Columns
from rationem.data.published.preset import Cells, Preset, Weighed, coded, inner
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale

_AXES = (
    Criterion("overall", "How good is the summary, all in all?"),
    Criterion("accuracy", "Does the summary say only what the text says?"),
    Criterion("coverage", "Does the summary hold what matters in the text?"),
    Criterion("coherence", "Is the summary easy to read by itself?"),
)
_NAMES = tuple(criterion.name for criterion in _AXES)


def _text(info: Cells) -> str | None:
    """Return the text to be summarized: a post with its title and subreddit, or an article with its title."""
    post, article = info.get("post"), info.get("article")
    text = article if post is None else post
    if text is None:
        return None
    head = []
    if info.get("subreddit"):
        head.append(f"Subreddit: r/{info['subreddit']}")
    if info.get("title"):
        head.append(f"Title: {info['title']}")
    return "\n".join([*head, f"{'Article' if post is None else 'Post'}: {text}"])


def _is_axis(cells: Cells) -> bool:
    return "id" in inner(cells, "info") and "text" in inner(cells, "summary")


def _flat_axis(cells: Cells) -> dict[str, object]:
    info, summary = inner(cells, "info"), inner(cells, "summary")
    return {
        "group": info["id"],
        "text": _text(info),
        "summary": summary["text"],
        "worker": cells.get("worker"),
        **{name: inner(summary, "axes").get(name) for name in _NAMES},
    }


def _is_comparison(cells: Cells) -> bool:
    summaries = cells["summaries"]
    return (
        "id" in inner(cells, "info")
        and isinstance(summaries, list)
        and len(summaries) == 2
        and all("text" in inner({"summary": one}, "summary") for one in summaries)
    )


def _flat_comparison(cells: Cells) -> dict[str, object]:
    info = inner(cells, "info")
    first, second = cells["summaries"]
    return {
        "group": info["id"],
        "text": _text(info),
        "summary_a": first["text"],
        "summary_b": second["text"],
        "choice": coded(cells.get("choice"), {"0": "A", "1": "B"}),
        "worker": cells.get("worker"),
        "confidence": _confidence(cells),
    }


def _flat_write(cells: Cells) -> dict[str, object]:
    said = _said(cells)
    if said is None and cells.get("choice") is not None:
        raise ValueError(f"the choice is {cells['choice']!r}; it says which of two summaries is better, 0 or 1.")
    return {
        "group": inner(cells, "info")["id"],
        "text": _text(inner(cells, "info")),
        "summary": None if said is None else cells["summaries"][said]["text"],
        "confidence": _confidence(cells),
    }


def _said(cells: Cells) -> int | None:
    """Return the preferred summary, 0 or 1; None if the row does not say."""
    said = coded(cells.get("choice"), {"0": "0", "1": "1"})
    return int(str(said)) if said in ("0", "1") else None


def _confidence(cells: Cells) -> tuple[int | None, float | None]:
    """Return the choice, 0 or 1, and its confidence; None for a missing value."""
    said = _said(cells)
    number = inner(cells, "extra").get("confidence")
    known = isinstance(number, int | float) and not isinstance(number, bool) and -9 <= number <= 9
    return said, float(cast("float", number)) if known else None


def strengths(cells: Sequence[object]) -> Weighed:
    """Return each comparison's strength, from (choice, confidence) of all of them.

    Three interpretations: from -4 to 4 the sign is the choice, and the strength is |c| + 1. From 1 to 9, if nine of ten
    comparisons are on their choice's side of 5, it is |c - 5| + 1. Otherwise it is c. A comparison without a number
    gets the average strength, or 1 if none has a number.
    """
    pairs = [cast("tuple[int | None, float | None]", cell) for cell in cells]
    known = [(choice, number) for choice, number in pairs if number is not None]
    middle = _middle(known)
    weighed = [None if c is None else max(c, 1.0) if middle is None else abs(c - middle) + 1 for _, c in pairs]
    usual = fmean([one for one in weighed if one is not None]) if known else 1.0
    reading = {
        None: "confidence, as given",
        0.0: "from -4 to 4, the sign is the choice: |c| + 1",
        5.0: "from 1 to 9, 5 prefers neither: |c - 5| + 1",
    }[middle]
    return Weighed([usual if one is None else one for one in weighed], reading, weighed.count(None))


def _middle(known: Sequence[tuple[int | None, float]]) -> float | None:
    """Return the number that means "undecided"; None if numbers state only the confidence, not the choice."""
    if any(number < 1 for _, number in known):
        return 0.0
    sided = [(choice, number) for choice, number in known if choice is not None and number != 5]
    agreeing = sum((number > 5) == (choice == 1) for choice, number in sided)
    return 5.0 if sided and agreeing >= 0.9 * len(sided) else None


_INFO = '"info": {"id", "title", "subreddit", "post", "article"}'

SUMMARIZE_AXIS = Preset(
    name="summarize-axis",
    schema=f'{{{_INFO}, "summary": {{"text", "axes"}}, "worker"}}',
    scale=Scale.parse("1-7"),
    columns=Columns("text", "summary", group="group", rater="worker", criteria=tuple((name, name) for name in _NAMES)),
    inputs=("info", "summary"),
    labels=("worker",),
    flatten=_flat_axis,
    shaped=_is_axis,
    criteria=_AXES,
    empty="(empty)",
    nullable=True,
    lenient=True,
)

SUMMARIZE_COMPARISONS = Preset(
    name="summarize-comparisons",
    schema=f'{{{_INFO}, "summaries": [{{"text"}}, {{"text"}}], "choice", "worker"}}',
    scale=Scale.parse("A | B"),
    columns=Columns("text", "summary_a,summary_b", "choice", group="group", rater="worker"),
    inputs=("info", "summaries"),
    labels=("choice", "worker"),
    flatten=_flat_comparison,
    shaped=_is_comparison,
    criteria=(Criterion(instruction="Which summary says better what matters in the text?"),),
    empty="(empty)",
    lenient=True,
    weights={"confidence": "extra"},
    weigh=strengths,
)

SUMMARIZE_WRITE = Preset(
    name="summarize-write",
    schema=f'{{{_INFO}, "summaries": [{{"text"}}, {{"text"}}], "choice"}}',
    scale=None,
    columns=Columns(rating="summary", group="group", inputs=(("prompt", "text"),)),
    inputs=("info", "summaries"),
    labels=("choice",),
    flatten=_flat_write,
    shaped=_is_comparison,
    named_only=True,
    nullable=True,
    task="summarize",
    once=True,
    weights={"confidence": "extra"},
    weigh=strengths,
)
