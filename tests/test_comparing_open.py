"""A comparison of arms whose answers are open: numbers per item, the leading one in front, nothing of levels."""

import json
import re
from statistics import mean

import pytest

import opened
from rationem.compare import page
from rationem.compare.figures import figures
from rationem.compare.tables import table_of, tables
from rationem.ledger import read_only, read_predictions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["exact", "rouge-l"])
def done(request, tmp_path_factory):
    output = tmp_path_factory.mktemp("compared") / "c"
    design = opened.comparison(output, request.param, threshold=1.0 if request.param == "exact" else 0.3)
    return output, request.param, design, page.write(output)


def predictions(run, k):
    db = read_only(run)
    try:
        return read_predictions(db, k, "test")
    finally:
        db.close()


def test_every_number_is_the_mean_over_seeds_and_items(done):
    output, _, design, results = done
    for arm in results["arms"]:
        runs = [design.run(output, design[arm["name"]], seed) for seed in (0, 1)]
        each = [predictions(run, k) for run, k in zip(runs, arm["chosen_iterations"], strict=True)]
        for name in ("reward", "draw_reward"):
            by_hand = mean(mean(getattr(one, name) for one in several) for several in each)
            assert arm["chosen"][name]["value"] == pytest.approx(by_hand, abs=1e-12)
        accuracy = mean(mean(one.reward == 1 for one in several) for several in each)
        assert arm["chosen"]["accuracy"]["value"] == pytest.approx(accuracy, abs=1e-12)
        assert arm["chosen"]["log_likelihood"] is None
        assert arm["by_label"] == []
        assert sum(one["count"] for one in arm["reliability"]) == 64
        for curve in arm["curves"]:
            assert [point["iteration"] for point in curve] == [0, 1, 2]
            assert all(point["reward"] is not None and point["log_likelihood"] is None for point in curve)


def test_the_difference_is_taken_item_by_item(done):
    _, _, _, results = done
    one, other = (arm["chosen"]["reward"] for arm in results["arms"])
    assert other["difference"]["value"] == pytest.approx(other["value"] - one["value"], abs=1e-12)
    reward = other["difference"]
    if reward["low"] is not None:  # both arms may score the same
        assert reward["low"] <= reward["value"] <= reward["high"]
        assert 0 < reward["p"] <= reward["p_holm"] <= 1


def test_the_score_on_validation_stands_apart_and_untested(done):
    """It stood under "Test set, chosen weights", a maximum over iterations with an interval and a p-value."""
    output, _, _, results = done
    for arm in results["arms"]:
        assert arm["chosen"]["validation_score"].keys() == {"value", "low", "high"}
        assert arm["chosen"]["validation_score"]["low"] is None
        assert "p" not in arm["last"]["validation_score"].get("difference", {})
    shown = {one.title: one for one in tables(results)}
    assert not any("evidence" in " ".join(table_of(one).head) for title, one in shown.items() if "est set" in title)
    assert "not on test" in shown["Score (validation)"].blocks[0]
    assert [row[0] for row in table_of(shown["Score (validation)"]).rows] == ["base model", "RS(2)", "STaR"]
    assert "## Score (validation)" in (output / "report.md").read_text()


def test_what_counts_stands_in_front(done):
    _, rule, _, results = done
    first, apart = map(table_of, tables(results)[:2])
    shown = list(first.head[1:4])
    if rule == "exact":
        assert shown == ["accuracy", "reward of one draw", "squared calibration error"]
        assert "highest accuracy" in page.headline(results)
    else:
        assert shown == ["mean reward", "whole reward", "reward of one draw"]
        assert "highest mean reward" in page.headline(results)
    assert apart.head[1] == shown[0]
    assert [row[0] for row in first.rows] == ["most frequent training answer", "base model", "RS(2)", "STaR"]
    assert first.rows[0][first.head.index("squared calibration error")] == "–"


def test_the_figures_are_of_what_there_is(done):
    _, rule, _, results = done
    shown = {name.removesuffix("-by-iteration") for name in figures(results) if name.endswith("-by-iteration")}
    assert shown == {"accuracy" if rule == "exact" else "reward", "draw_reward", "evidence"}
    assert "acceptance-by-label" not in figures(results)
    assert "agreement of the draws" in figures(results)["reliability"].label


def test_gains_are_from_the_base_model_and_stand_beside_the_finding(done):
    output, rule, _, results = done
    leading = "accuracy" if rule == "exact" else "reward"
    base = results["base"][leading]["value"]
    shown = figures(results)
    assert list(shown)[:3] == ["from-base", "from-reference", "by-cost"]
    for arm in results["arms"]:
        one = arm["chosen"][leading]
        assert one["from_base"]["value"] == pytest.approx(one["value"] - base)
        assert f"{arm['name']} {one['from_base']['value']:+.3f}" in shown["from-base"].label
        assert (f"{arm['name']} " in shown["from-reference"].label) == (arm["name"] != results["reference"])
        assert f"{arm['name']}: {one['value']:.3f} for" in shown["by-cost"].label
    text = (output / "report.md").read_text()
    assert text.index("## What was found") < text.index("(from-base.svg)") < text.index("## Test set, chosen weights")


def test_an_interval_that_excludes_zero_is_in_colour():
    from rationem.report.figures import colour, forest

    light, dark = forest([("gains", 0.2, (0.1, 0.3)), ("unclear", 0.1, (-0.1, 0.3)), ("alone", 0.1, None)], "accuracy")
    assert light != dark
    assert light.count(f"stroke: {colour(0)}; stroke-width: 3") == 1
    assert light.count(f"stroke: {colour(5)}; stroke-width: 3") == 1
    assert colour(1) not in light
    assert "+0.200 [0.100, 0.300]" in light


def test_no_page_speaks_of_levels(done):
    output, _, _, results = done
    told = (
        (output / "report.md").read_text() + (output / "table.tex").read_text() + (output / "results.csv").read_text()
    )
    assert not re.findall(r"\blevels?\b|\bjudges?\b|verdict|\blabels?\b|kappa|log.likelihood", told)
    whole = (output / "report.html").read_text()
    outside = re.sub(r"<(script|style)\b.*?</\1>|rationem judge RUN", "", whole, flags=re.S)
    assert not re.findall(
        r"\blevels?\b|\bjudges?\b|\blabels?\b(?!=)|kappa|log-likelihood", re.sub(r"<[^>]+>", " ", outside)
    )
    json.dumps(results, allow_nan=False)
