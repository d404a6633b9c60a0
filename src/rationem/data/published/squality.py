"""SQuALITY's human evaluation (Wang et al. 2022, arXiv 2205.11465): summaries of stories, rated 0-100 by three people.

A row is a story with its questions, each with the summaries of two systems and of a person, each with its reviews. The
reviewers' comments on spans are never read. Neither the stories nor the questions are in the file, so a summary is
rated by itself; its story and question are named, and summaries of one story stay in the same split.
"""

from __future__ import annotations

from rationem.data.columns import Columns
from rationem.data.published.preset import Cells, Preset
from rationem.tasks.rubric import Criterion

_RATED = {
    "overall": "How good is the summary overall, from 0 to 100?",
    "correctness": "How far is what the summary says correct, from 0 to 100?",
    "selection": "How well does the summary select what matters, from 0 to 100?",
}


def _flatten(cells: Cells) -> dict[str, object]:
    reviews = cells["reviews"]
    if not isinstance(reviews, list) or not all(isinstance(review, dict) for review in reviews):
        raise ValueError('"reviews" is not a list of objects.')
    return {
        "story": f"Story {cells['passage-id']}, question {cells['key']}",
        "group": cells["passage-id"],
        "id": f"{cells['passage-id']}-{cells['key']}-{cells['key2']}",
        "response": cells["response"],
        **{name: [review.get(f"{name}-rating") for review in reviews] for name in _RATED},
    }


SQUALITY = Preset(
    name="squality",
    schema='{"passage-id", "questions": {"0": {"bart": {"response", "reviews": [{"overall-rating", ...}]}}}}',
    scale=None,
    columns=Columns("story", "response", id="id", group="group", criteria=tuple((name, name) for name in _RATED)),
    records="questions[][]",
    inputs=("passage-id", "key", "key2", "response"),
    labels=("reviews",),
    flatten=_flatten,
    criteria=tuple(Criterion(name, text) for name, text in _RATED.items()),
)
