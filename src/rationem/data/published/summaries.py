"""openai/summarize_from_feedback (Stiennon et al. 2020, arXiv 2009.01325): summaries rated, and compared.

"axis": four axes from 1 to 7, any of which may be null. "comparisons": which of two summaries is better. Several
workers see the same summaries; they become the raters of one item. The workers' notes are never read.
"""

from __future__ import annotations

from rationem.data.columns import Columns
from rationem.data.published.preset import Cells, Preset, coded, inner
from rationem.rubric import Criterion
from rationem.scale import Scale

_AXES = (
    Criterion("overall", "How good is the summary, all in all?"),
    Criterion("accuracy", "Does the summary say only what the text says?"),
    Criterion("coverage", "Does the summary hold what matters in the text?"),
    Criterion("coherence", "Is the summary easy to read by itself?"),
)
_NAMES = tuple(criterion.name for criterion in _AXES)


def _text(info: Cells) -> str | None:
    """Return what was to be summarized: a post with its title and subreddit, or an article with its title."""
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
    }


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
)
