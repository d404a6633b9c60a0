"""Published sets of every kind of task through the whole loop with the embedded model: nothing is lost on the way."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance
ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("RATIONEM_SHARED_DATA", ROOT.parent / "shared" / "data"))
SMALL = {"limit": 40, "steps": 2, "draws": 1, "evidence_draws": 1, "wrong_hints": 4, "difficulty_examples": 0}
#: Rows, unusable ones, and test examples after preparation: both orders of a pair.
SETS = {
    "SAF English, score in steps": (1476 + 636, 636),
    "LLMBar": (419, None),
    "GSM8K": (7473 + 1319, 1319),
    "OpenBookQA": (4957 + 500, 500),
}


@pytest.fixture(scope="module")
def real_files():
    spec = importlib.util.spec_from_file_location("real_files", ROOT / "studies" / "real_files.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for the names in annotations
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SETS)
def test_every_row_is_read_and_every_example_ends_in_one_counted_state(real_files, name, tmp_path):
    if not SHARED.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"There is no data in {SHARED}")
        pytest.skip(f"There is no data in {SHARED}")
    (one,) = [one for one in real_files.SETS if one.name == name]
    summary = real_files.run(one, SHARED, tmp_path / "run", **SMALL)
    assert real_files.check(summary) == []
    rows, tested = SETS[name]
    notes = summary["notes"]
    assert notes["rows"] + (notes.get("test") or {}).get("rows", 0) == rows
    if tested is not None:
        assert summary["examples"]["test"] == tested
    assert 40 <= summary["examples"]["train"] <= 80  # both orders of a pair
    assert sum(summary["iterations"][-1]["e_step"]["outcomes"].values()) >= summary["examples"]["train"] - sum(
        summary["iterations"][-1]["e_step"]["states"].get(state, 0) for state in ("too_long", "owed")
    )
