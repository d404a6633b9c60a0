"""What `check` says of published files equals what a few lines compute from the files themselves."""

import json
import os
from collections import Counter
from pathlib import Path
from statistics import fmean
from xml.etree import ElementTree

import krippendorff
import pytest

from rationem import FitConfig
from rationem.check.checkup import examine

pytestmark = pytest.mark.acceptance
SHARED = Path(os.environ.get("RATIONEM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def there(name):
    path = SHARED / name
    if not path.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"There is no {name} in {SHARED}")
    return path


def checked(*paths, **settings):
    found = examine(FitConfig(data=tuple(map(str, paths)), **settings))
    assert found.sections["rows"]["unusable"] == 0
    return found.sections


def rounded(value):
    """Halves go up."""
    return int(value + 0.5)


def against_the_others(items):
    """(share equal, share within one level, mean difference) of a rater and the rounded mean of the item's others."""
    gaps = [
        abs(rating - rounded(fmean(ratings[:at] + ratings[at + 1 :])))
        for ratings in items
        if len(ratings) > 1
        for at, rating in enumerate(ratings)
    ]
    return fmean(gap == 0 for gap in gaps), fmean(gap <= 1 for gap in gaps), fmean(gaps)


def alpha(items, levels, how="ordinal"):
    counts = [[Counter(ratings)[level] for level in levels] for ratings in items]
    return krippendorff.alpha(value_counts=counts, level_of_measurement=how)


def agree(found, items, levels):
    raters = found["raters"]["data"]
    assert {int(n): count for n, count in raters["per_item"].items()} == Counter(map(len, items))
    names = ("accuracy", "within_one", "mae")
    assert [raters["ceiling"][name] for name in names] == pytest.approx(against_the_others(items), abs=1e-9)
    assert raters["alpha"] == pytest.approx(alpha(items, levels), abs=1e-9)


@pytest.mark.parametrize(
    ("part", "ways", "where"),
    [
        ("beetle", "3way", ("training", "test")),
        ("sciEntsBank", "3way", ("training",)),
        ("beetle", "2way", ("test",)),
        ("sciEntsBank", "2way", ("test",)),
    ],
)
def test_semeval_is_counted_as_its_files_say(part, ways, where):
    folders = [there(f"semeval2013/{one}/{ways}/{part}") for one in where]
    expected = Counter(
        answer.get("accuracy")
        for folder in folders
        for path in folder.rglob("*.xml")
        for answer in ElementTree.parse(path).iter("studentAnswer")
    )
    found = checked(*folders)
    assert found["data"]["preset"] == {"3way": "semeval2013", "2way": "semeval2013-2way"}[ways]
    assert found["data"]["rows"] == found["data"]["items"] == expected.total()
    assert found["labels"]["data"]["pooled"] == expected


def test_squality_has_the_ratings_of_its_reviews():
    path = there("squality/all-responses.jsonl")
    reviews = [
        [int(review["overall-rating"]) for review in one["reviews"]]
        for line in path.read_text(encoding="utf-8").splitlines()
        for question in json.loads(line)["questions"].values()
        for one in question.values()
    ]
    found = checked(path, criterion="overall", scale="0-100")
    assert (found["data"]["preset"], found["data"]["rows"], len(reviews)) == ("squality", 300, 300)
    assert sum(map(len, reviews)) == 900
    histogram = Counter(str(rating) for ratings in reviews for rating in ratings)
    assert {level: count for level, count in found["labels"]["data"]["ratings"].items() if count} == histogram
    agree(found, reviews, range(101))


def test_squality_in_bins_is_counted_by_bins():
    path = there("squality/all-responses.jsonl")
    binned = [
        [min(int(review["overall-rating"]) // 20, 4) + 1 for review in one["reviews"]]
        for line in path.read_text(encoding="utf-8").splitlines()
        for question in json.loads(line)["questions"].values()
        for one in question.values()
    ]
    found = checked(path, criterion="overall", bins="5")
    assert found["labels"]["data"]["ratings"] == Counter(str(rating) for ratings in binned for rating in ratings)
    agree(found, binned, range(1, 6))


def test_feedbackqa_has_the_ratings_of_its_files():
    levels = ("Bad", "Could be Improved", "Acceptable", "Excellent")
    paths = sorted(there("feedbackqa").glob("*_feedback_*.json"))
    items = [
        [levels.index(rating) for rating in row["rating"]]
        for path in paths
        for row in json.loads(path.read_text(encoding="utf-8"))
    ]
    found = checked(*paths)
    assert found["data"]["rows"] == len(items)
    histogram = Counter(levels[rating] for ratings in items for rating in ratings)
    assert found["labels"]["data"]["ratings"] == histogram
    agree(found, items, range(4))


def test_pandalm_has_the_verdicts_of_its_annotators():
    rows = json.loads(there("pandalm/testset-v1.json").read_text(encoding="utf-8"))
    verdicts = [[row[f"annotator{n}"] for n in (1, 2, 3)] for row in rows]
    found = checked(there("pandalm/testset-v1.json"))
    assert found["data"]["rows"] == len(verdicts) == 999
    assert found["raters"]["data"]["alpha"] == pytest.approx(alpha(verdicts, (0, 1, 2), "nominal"), abs=1e-9)
