"""HelpSteer2 (Wang et al. 2024, arXiv 2406.08673): five criteria from 0 to 4.

Rows 2k and 2k+1 are two responses to one prompt; the prompt is the group, so they stay together. The file of
disagreements has the same keys, each with a list of ratings.
"""

from __future__ import annotations

from rationem.data.columns import Columns
from rationem.data.published.preset import Cells, Preset
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale

_CRITERIA = (
    Criterion("helpfulness", "How much does the response help with what was asked?"),
    Criterion("correctness", "Is what the response says true, and does it cover all that was asked?"),
    Criterion("coherence", "Is the response clear, and does it hang together?"),
    Criterion("complexity", "How much knowledge does it take to write the response, from anyone's to a specialist's?"),
    Criterion("verbosity", "How much does the response say, measured by what was asked?"),
)
_NAMES = tuple(criterion.name for criterion in _CRITERIA)


def _flatten(cells: Cells) -> dict[str, object]:
    return {key: cells.get(key) for key in ("prompt", "response", *_NAMES)}


HELPSTEER2 = Preset(
    name="helpsteer2",
    schema='{"prompt", "response", "helpfulness", "correctness", "coherence", "complexity", "verbosity"}',
    scale=Scale.parse("0-4"),
    columns=Columns(criteria=tuple((name, name) for name in _NAMES)),
    inputs=("prompt", "response"),
    labels=_NAMES,
    flatten=_flatten,
    criteria=_CRITERIA,
    empty="(empty)",
)
