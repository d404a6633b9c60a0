"""PandaLM's test set (Wang et al. 2023, arXiv 2306.05087): which of two responses is better, by three people.

Some responses are JSON's true and false instead of a text; some are empty but were compared.
"""

from __future__ import annotations

from rationem.data.columns import Columns
from rationem.data.published.preset import Cells, Preset, coded
from rationem.tasks.scale import Scale

_ANNOTATORS = ("annotator1", "annotator2", "annotator3")
_LEVELS = {"0": "tie", "1": "A", "2": "B"}


def _flatten(cells: Cells) -> dict[str, object]:
    parts = [str(cells[key]) for key in ("instruction", "input") if str(cells[key]).strip()]
    return {
        "instruction": "\n\n".join(parts),
        "response1": cells["response1"],
        "response2": cells["response2"],
        **{key: coded(cells.get(key), _LEVELS) for key in _ANNOTATORS},
    }


PANDALM = Preset(
    name="pandalm",
    schema='{"instruction", "input", "response1", "response2", "annotator1", "annotator2", "annotator3"}',
    scale=Scale.parse("A | B | tie"),
    columns=Columns("instruction", "response1,response2", ",".join(_ANNOTATORS)),
    inputs=("instruction", "input", "response1", "response2"),
    labels=_ANNOTATORS,
    flatten=_flatten,
    empty="(empty)",
)
