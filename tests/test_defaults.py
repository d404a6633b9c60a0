"""The table of defaults in docs/training.md is what a run gets."""

from pathlib import Path

import pytest

from rationem import FitConfig
from rationem.engines import models
from rationem.run.defaults import with_defaults

_PAGE = Path(__file__).parent.parent / "docs" / "training.md"
#: The columns of the table between the model and what supports it, in order.
_SETTINGS = ("learning_rate", "steps", "batch_size", "max_new_tokens", "temperature", "draws")
#: How a row's model is asked for, where it has no name of ours.
_ASKED = {
    "any other, all weights": {"model": "someone/a-model"},
    "a LoRA adapter of any other": {"model": "someone/a-model", "lora_rank": 8},
}


def rows():
    """Model -> its cells, of the table under the heading on defaults."""
    section = _PAGE.read_text().split("## Defaults, and what supports them")[1].split("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:] for cells in lines[1:]}


@pytest.mark.parametrize("row", rows())
def test_a_run_gets_the_defaults_of_the_table(row, tmp_path):
    name = row.split("`")[1] if "`" in row else ""
    asked = _ASKED.get(row) or {"model": name}
    config = with_defaults(FitConfig(**asked, sampling_batch=8, threads=1), tmp_path, None)
    told = [float(cell.removesuffix(" (*)")) for cell in rows()[row][: len(_SETTINGS)]]
    assert dict(zip(_SETTINGS, told, strict=True)) == {one: getattr(config, one) for one in _SETTINGS}


def test_every_named_model_has_a_row_and_every_row_without_a_run_says_so():
    named = {row.split("`")[1] for row in rows() if "`" in row}
    assert named == set(models.EMBEDDED)
    for row, cells in rows().items():
        unsupported = [cell.endswith("(*)") for cell in cells[: len(_SETTINGS)]]
        assert all(unsupported) == (cells[-1] == "no run"), row
