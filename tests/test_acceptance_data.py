"""Published sets as their authors published them: every row is read or counted, the classes are those published."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from rationem.data import load, split

pytestmark = pytest.mark.acceptance
SHARED = Path(os.environ.get("RATIONEM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def files(pattern):
    found = sorted(SHARED.glob(pattern))
    if not found:
        if os.environ.get("CI") == "true":
            pytest.fail(f"There is no {pattern} in {SHARED}")
        pytest.skip(f"There is no {pattern} in {SHARED}")
    return found


@pytest.mark.parametrize(
    ("language", "counts", "groups", "empty"),
    [
        ("english", {"Incorrect": 363, "Partially correct": 603, "Correct": 1146}, 22, 1),
        ("german", {"Incorrect": 312, "Partially correct": 1010, "Correct": 1085}, 8, 0),
    ],
)
def test_saf_is_read_whole(language, counts, groups, empty):
    found = load(files(f"saf/data/*/{language}/*.xml"))
    assert found.preset == "saf"
    assert Counter(x.answer for x in found.examples) == counts
    assert found.notes["rows"] == len(found.examples) == sum(counts.values())
    assert len({x.group for x in found.examples}) == groups
    # Of the two English answers that look empty one stands inside a <p>; the other is empty, and was graded.
    assert found.notes["empty_responses"] == empty
    assert {tuple(x.fields) for x in found.examples} == {("prompt", "response", "reference")}


def test_no_written_feedback_of_saf_is_read():
    from xml.etree import ElementTree

    paths = files("saf/data/*/*/*.xml")
    feedback = {e.text.strip() for path in paths for e in ElementTree.parse(path).iter("response_feedback") if e.text}
    texts = {text for x in load(paths).examples for text in x.fields.values()}
    # A few words are both a feedback and an answer of somebody; whole sentences are not.
    assert not {text for text in feedback & texts if len(text) > 30}


def test_every_score_of_saf_is_a_level():
    found = load(files("saf/data/*/*/*.xml"), preset="saf-score")
    assert len(found.examples) == 4519
    assert {x.answer for x in found.examples} == set(found.scale.levels)


def test_pandalm_is_read_whole():
    (path,) = files("pandalm/testset-v1.json")
    found = load([path])
    assert (found.preset, found.pair) == ("pandalm", True)
    assert len(found.examples) == 999
    assert found.notes["no_majority"] == 0
    assert found.notes["empty_responses"] == 54
    rows = json.loads(path.read_text(encoding="utf-8"))
    votes = Counter("tie A B".split()[row[f"annotator{n}"]] for row in rows for n in (1, 2, 3))
    assert Counter(rating for x in found.examples for rating in x.ratings) == votes
    parts = split(found.examples, seed=0)
    assert sum(map(len, parts)) == 999
    assert sum(len({x.group for x in part}) for part in parts) == len({x.group for x in found.examples})


def test_llmbar_is_read_whole():
    found = load(files("llmbar/*.json"))
    assert (found.preset, found.pair) == ("llmbar", True)
    assert Counter(x.answer for x in found.examples) == {"A": 206, "B": 213}
    assert len({x.id for x in found.examples}) == 419


def test_feedbackqa_is_read_whole():
    found = load(files("feedbackqa/*.json"))
    assert found.preset == "feedbackqa"
    assert len(found.examples) == found.notes["several_raters"] == 3924
