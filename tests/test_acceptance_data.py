"""Published sets as their authors published them: every row is read or counted, the classes are those published."""

import json
import os
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from rationem import FitConfig
from rationem.data import load, split
from rationem.run.prepare import prepare
from rationem.tasks import choices

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
    assert (found.preset, found.candidates) == ("pandalm", 2)
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
    assert (found.preset, found.candidates) == ("llmbar", 2)
    assert Counter(x.answer for x in found.examples) == {"A": 206, "B": 213}
    assert len({x.id for x in found.examples}) == 419


@pytest.mark.parametrize(
    ("name", "letters", "counts"),
    [
        ("ARC-Challenge_train", 5, {"A": 239, "B": 296, "C": 291, "D": 293}),
        ("ARC-Challenge_test", 5, {"A": 266, "B": 311, "C": 310, "D": 285}),
        ("ARC-Easy_train", 5, {"A": 548, "B": 588, "C": 578, "D": 535, "E": 2}),
        ("ARC-Easy_test", 5, {"A": 596, "B": 585, "C": 633, "D": 561, "E": 1}),
        ("openbookqa_train", 4, {"A": 1378, "B": 1212, "C": 1146, "D": 1221}),
        ("openbookqa_test", 4, {"A": 138, "B": 126, "C": 132, "D": 104}),
    ],
)
def test_the_flattened_sets_of_llm_adapters_are_read_whole(name, letters, counts):
    (path,) = files(f"arc_obqa/{name}.json")
    rows = json.loads(path.read_text(encoding="utf-8"))
    found = load([path])
    assert (found.preset, found.items) == ("llm-adapters", "choices")
    assert len(found.examples) == found.notes["rows"] == len(rows) == sum(counts.values())
    assert Counter(x.answer for x in found.examples) == counts == _by_letter(rows)
    assert len(found.scale.levels) == letters
    assert found.notes["empty_responses"] == 0
    for x, row in zip(found.examples, rows, strict=True):
        own, published = choices.letters(x.fields), json.loads(x.fields["labels"])
        assert published == [f"answer{n}" for n in range(1, len(own) + 1)]
        texts = [f"Answer{n}: {x.fields[choices.field_of(letter)]}" for n, letter in enumerate(own, 1)]
        format_ = "/".join(published)
        said = f"Please choose the correct answer to the question: {x.fields['prompt']}"
        assert row["instruction"].strip() == f"{said}\n\n{' '.join(texts)}\n\nAnswer format: {format_}"


def _by_letter(rows):
    return Counter("ABCDE"[int(row["answer"].removeprefix("answer")) - 1] for row in rows)


def test_arc_becomes_three_sets_in_which_the_place_of_the_answer_says_nothing():
    train, test = (files(f"arc_obqa/ARC-Challenge_{part}.json") for part in ("train", "test"))
    task, splits = prepare(FitConfig(data=tuple(map(str, train)), test=tuple(map(str, test))))
    assert (task.name, task.levels) == ("choice", tuple("ABCDE"))
    assert len(splits.train) + len(splits.validation) == 1119
    assert len(splits.test) == 1172
    counts = Counter(x.answer for x in splits.test)
    assert all(abs(counts[letter] - 293) < 5 * (1172 * 3 / 16) ** 0.5 for letter in "ABCD")


@pytest.mark.parametrize(("name", "rows", "distinct"), [("train", 7473, 866), ("test", 1319, 351)])
def test_gsm8k_is_read_whole(name, rows, distinct):
    (path,) = files(f"gsm8k/{name}.jsonl")
    published = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    skipped = []
    found = load([path], skipped=skipped)
    assert (found.preset, found.items, skipped) == ("gsm8k", "inputs", [])
    assert len(found.examples) == found.notes["rows"] == len(published) == rows
    assert len({x.answer for x in found.examples}) == distinct
    for x, row in zip(found.examples, published, strict=True):
        solution, _, final = row["answer"].rpartition("####")
        assert dict(x.fields) == {"prompt": row["question"]}
        assert Fraction(x.answer) == Fraction(final.strip().replace(",", "").replace("$", ""))
        assert solution.strip() not in x.fields["prompt"]


def test_feedbackqa_is_read_whole():
    found = load(files("feedbackqa/*.json"))
    assert found.preset == "feedbackqa"
    assert len(found.examples) == found.notes["several_raters"] == 3924
