"""HelpSteer3's preferences (Wang et al. 2025, arXiv 2505.11475): how much better one of two responses is, from -3 to 3.

-3 means that the first response is much better, 3 that the second is. Several people compared each pair; their scores
are the ratings, and their comments are never read. Without their scores the overall preference is the only rating.
"""

from __future__ import annotations

from collections.abc import Mapping

from rationem.data.columns import Columns
from rationem.data.published.preset import Cells, Preset
from rationem.tasks.scale import Scale


def _flatten(cells: Cells) -> dict[str, object]:
    people = cells.get("individual_preference")
    said = [one.get("score") for one in people if isinstance(one, Mapping)] if isinstance(people, list) else []
    scores = [score for score in said if score is not None]
    return {
        "context": cells["context"],
        "response1": cells["response1"],
        "response2": cells["response2"],
        "scores": scores or cells.get("overall_preference"),
    }


HELPSTEER3 = Preset(
    name="helpsteer3",
    schema='{"context", "response1", "response2", "overall_preference", "individual_preference": [{"score"}]}',
    scale=Scale.parse("-3..3").for_pair(),
    columns=Columns("context", "response1,response2", "scores"),
    inputs=("context", "response1", "response2"),
    labels=("overall_preference",),
    flatten=_flatten,
    extras=("individual_preference",),
    empty="(empty)",
)
