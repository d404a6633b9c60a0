"""`rationem check --json` on the published sets: the known numbers of FeedbackQA come out, to two decimals."""

import os
from pathlib import Path

import pytest

from doctored import check, codes

pytestmark = pytest.mark.acceptance
SHARED = Path(os.environ.get("RATIONEM_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
TRAIN = ("WHO_feedback_train", "CDC_feedback_valid", "UK_feedback_valid", "Australia_feedback_valid")


@pytest.fixture(scope="module")
def folder():
    if not (SHARED / "feedbackqa").is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail(f"FeedbackQA is not in {SHARED}")
        pytest.skip(f"FeedbackQA is not in {SHARED}")
    return SHARED / "feedbackqa"


def known(accuracy, within_one, mae, pearson, unrounded, kappa):
    """Two decimals each, as written down: half a hundredth of room, and the rounding of a half to either side."""
    values = {
        "accuracy": accuracy, "within_one": within_one, "mae": mae, "pearson": pearson,
        "pearson_unrounded": unrounded, "quadratic_kappa": kappa,
    }  # fmt: skip
    return {name: pytest.approx(value, abs=5.1e-3) for name, value in values.items()}


def test_the_ceiling_of_all_files_pooled(folder, capsys):
    code, found = check(capsys, *sorted(folder.glob("*.json")))
    assert code == 0
    assert found["data"]["items"] == 3924
    assert found["data"]["preset"] == "feedbackqa"
    assert found["raters"]["data"]["per_item"] == {"2": 1929, "3": 1995}
    ceiling = found["raters"]["data"]["ceiling"]
    expected = known(0.45, 0.80, 0.80, 0.54, 0.55, 0.54)
    assert {name: ceiling[name] for name in expected} == expected
    assert found["raters"]["data"]["alpha"] == pytest.approx(0.50, abs=5e-3)
    assert found["baselines"]["data"]["constant"]["accuracy"] == pytest.approx(0.27, abs=5e-3)


def test_the_ceiling_of_the_test_files_and_the_training_labels_on_them(folder, capsys):
    test = sorted(folder.glob("*_test.json"))
    _, alone = check(capsys, *test)
    code, found = check(capsys, *(folder / f"{name}.json" for name in TRAIN), "--test", *test)
    assert code == 0
    assert alone["raters"]["data"] == found["raters"]["test"]
    ceiling = found["raters"]["test"]["ceiling"]
    expected = known(0.42, 0.79, 0.83, 0.52, 0.53, 0.51)
    assert {name: ceiling[name] for name in expected} == expected
    assert found["raters"]["test"]["alpha"] == pytest.approx(0.455, abs=5e-4)
    said = found["baselines"]["test"]
    assert said["constant"]["accuracy"] == pytest.approx(0.271, abs=5e-4)  # the most frequent training label: .202
    assert said["marginal_log_likelihood"] == pytest.approx(-1.318, abs=5e-4)
    assert said["marginal_log_likelihood_pooled"] == pytest.approx(-1.425, abs=5e-4)
    assert found["baselines"]["uniform_log_likelihood"] == pytest.approx(-1.386, abs=5e-4)
    shares = {
        (name, kind): [round(count / sum(counts.values()), 2) for count in counts.values()]
        for name, both in found["labels"].items()
        for kind, counts in both.items()
    }
    assert shares["data", "pooled"] == [0.21, 0.23, 0.23, 0.34]
    assert shares["test", "pooled"] == [0.27, 0.27, 0.26, 0.20]
    assert shares["data", "ratings"] == [0.33, 0.17, 0.17, 0.33]
    assert shares["test", "ratings"] == [0.38, 0.16, 0.16, 0.31]
    assert "raters" in codes(found, "warning")  # the shift made by rounding
    assert found["data"]["unused_columns"] == ["feedback"]
    assert "unused_answer" in codes(found, "note")


@pytest.mark.parametrize(
    ("names", "items", "pair"),
    [
        (["saf/data/training/english"], 1476, False),
        (["saf/data/training/german"], 1534, False),
        (["pandalm/testset-v1.json"], 999, True),
        (["llmbar/Natural.json", "llmbar/Adversarial_Manual.json"], 146, True),
    ],
)
def test_the_other_published_sets_are_sound_and_their_explanations_noted(names, items, pair, folder, capsys):
    code, found = check(capsys, *(folder.parent / name for name in names))
    assert code == 0
    assert (found["data"]["items"], found["data"]["pair"]) == (items, pair)
    assert codes(found, "error") == set()
    if names[0].startswith("saf"):
        unused = {one["column"]: one["holds_label"] for one in found["columns"] if one["role"] is None}
        assert unused["score"] is True
