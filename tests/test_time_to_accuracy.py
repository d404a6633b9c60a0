"""The benchmark of time to accuracy: what "reached and held" is, which training comes next, and its page, by hand."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

RATES = (1e-3, 2e-3)
FOLDER = Path(__file__).parents[1] / "benchmarks"


def script(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page():
    return script("accuracy_page")


@pytest.fixture(scope="module")
def bench(page):  # the script imports the page
    return script("time_to_accuracy")


def run(arm, seed, accuracies, pace=10.0, rate=1e-3):
    """Return a run with a point every ``pace`` seconds: a thousand generated, ten thousand trained tokens each."""
    points = [
        {"seconds": pace * n, "cpu": pace * n / 2, "generated": 1000 * n, "trained": 10_000 * n, "accuracy": accuracy}
        for n, accuracy in enumerate(accuracies, 1)
    ]
    return {"arm": arm, "rate": rate, "seed": seed, "base": 0.4, "start_up": [5.0, 4.0], "points": points}


@pytest.mark.parametrize(
    ("accuracies", "first"),
    [
        ((0.5, 0.6, 0.7), 1),
        ((0.7, 0.5, 0.6, 0.6), 2),  # lost once: the time runs until it is back
        ((0.7, 0.7, 0.5), None),  # lost at the end
        ((0.5, 0.5, 0.6), None),  # no later checkpoint confirms it
        ((0.6, 0.6), 0),
    ],
)
def test_an_accuracy_is_held_from_the_first_point_that_all_later_ones_confirm(page, accuracies, first):
    points = run("x", 0, accuracies)["points"]
    assert page.held(points, 0.6) == (None if first is None else points[first])


def test_accuracy_at_equal_tokens_is_linear_between_points_and_unknown_after_the_last(page):
    one = run("x", 0, (0.6, 0.7))
    assert page.at(one, "generated", 500) == pytest.approx(0.5)  # from the base's .4
    assert page.at(one, "trained", 15_000) == pytest.approx(0.65)
    assert page.at(one, "generated", 2001) is None


def test_ratios_are_of_the_same_seed_where_both_held(page):
    ours = {0: run("RS(4)", 0, (0.7, 0.7)), 1: run("RS(4)", 1, (0.7, 0.7)), 2: run("RS(4)", 2, (0.7, 0.5))}
    other = {n: run("GRPO", n, (0.5, 0.7, 0.7), pace=20.0) for n in (0, 2)}
    assert page.paired(other, ours, 0.7, page.cpu) == [4.0]
    assert page.paired(other, ours, 0.7, page.whole) == [pytest.approx((20 + 4) / (5 + 4))]


def searched(bench, arms):
    return {
        bench.key(arm, rate, bench.SEARCH_SEED): run(arm, bench.SEARCH_SEED, (0.5, 0.4 + 100 * rate), rate=rate)
        for arm in arms
        for rate in RATES
    }


def test_every_arm_is_searched_before_a_seed_runs_and_what_has_run_is_not_owed(bench):
    arms, runs, order = ["RS(4)", "GRPO"], {}, []
    while (job := bench.owed(arms, 2, runs, RATES)) is not None:
        order.append(job)
        runs |= {bench.key(*job): run(job[0], job[2], (0.5, 0.4 + 100 * job[1]), rate=job[1])}
    search, best = bench.SEARCH_SEED, max(RATES)
    assert order[:4] == [(arm, rate, search) for rate in RATES for arm in arms]
    assert order[4:] == [("RS(4)", best, 0), ("GRPO", best, 0), ("GRPO", best, 1), ("RS(4)", best, 1)]


def test_the_rate_is_the_one_with_the_highest_mean_over_the_checkpoints(bench):
    runs = searched(bench, ["RS(4)"])
    assert bench.chosen_rate("RS(4)", runs, RATES) == max(RATES)
    runs[bench.key("RS(4)", RATES[0], bench.SEARCH_SEED)]["points"][0]["accuracy"] = 0.99
    assert bench.chosen_rate("RS(4)", runs, RATES) == RATES[0]
    assert bench.chosen_rate("GRPO", runs, RATES) is None


def test_the_page_is_written_below_its_mark_from_the_numbers_that_are_there(bench, page, tmp_path):
    path, results = tmp_path / "page.md", tmp_path / "numbers.json"
    path.write_text(f"Ours stays.\n\n{page.MARK}\n\nOld.\n")
    runs = searched(bench, ["RS(4)", "GRPO"])
    page.write_page({"versions": {"trl": "1"}, "runs": runs}, path)
    assert "No seed has run yet." in path.read_text()
    assert "| GRPO | 10 [10-10] | 20 [20-20] | 2 [2-2] | 20 [20-20] | 1.0 [1.0-1.0] |" in path.read_text()
    for one in (run("RS(4)", 0, (0.7, 0.7)), run("GRPO", 0, (0.5, 0.7, 0.7), pace=20.0), run("GRPO", 1, (0.5, 0.5))):
        runs[bench.key(one["arm"], one["rate"], one["seed"])] = one
    results.write_text(json.dumps({"versions": {"trl": "1"}, "runs": runs}))
    page.write_page(json.loads(results.read_text()), path)
    text = path.read_text()
    assert text.startswith("Ours stays.")
    assert "Old." not in text
    at_70 = text.split("### Accuracy 0.70")[1].split("###")[0]
    assert "| RS(4) | 1 of 1 | 5 | 9 | 10 | 1 | 1 | 1 |" in at_70
    assert "| GRPO | 1 of 2 | 20 | 24 | 40 | 2 | 4.0 | 2.7 |" in at_70
    assert "| GRPO | 0.500 | **0.550** |" in text  # means over both checkpoints
