"""The first sentence of a comparison never crowns an arm that chose the untrained model."""

import pytest

from rationem.compare.page import _what, headline
from rationem.tasks.scale import Scale


def arm(name, value, chosen, ends=(None, None)):
    score = {"value": value, "low": ends[0], "high": ends[1], "difference": {"value": 0.1, "low": None, "high": None}}
    return {"name": name, "chosen": {"accuracy": score}, "chosen_iterations": chosen}


def results(*arms, base=0.4, groups=100):
    return {
        "arms": list(arms),
        "base": {"accuracy": {"value": base, "low": None, "high": None}},
        "reference": arms[0]["name"],
        "seeds": [0, 1],
        "groups": {"test": groups, "validation": groups},
        "scale": Scale.parse("1-5").describe(),
        "rule": None,
        "config": {},
    }


def test_an_arm_that_chose_the_untrained_model_everywhere_is_no_winner():
    said = headline(results(arm("STaR", 0.35, [2, 1]), arm("PPS", 0.4, [0, 0])))
    assert said == (
        "No scheme beat the base model. It has accuracy 0.400. The best of the trained ones, STaR, has 0.350."
    )


def test_where_every_run_chose_the_untrained_model_that_is_the_finding():
    said = headline(results(arm("STaR", 0.4, [0, 0]), arm("PPS", 0.4, [0, 0])))
    assert said == (
        "No scheme beat the base model: validation chose the untrained weights in every run. It has accuracy 0.400."
    )


def test_a_trained_arm_above_the_base_model_is_named_with_its_untrained_runs():
    said = headline(results(arm("STaR", 0.6, [2, 0]), arm("PPS", 0.4, [0, 0])))
    assert said.startswith("STaR has the highest accuracy, 0.600 (in 1 of 2 runs of the untrained weights")


@pytest.mark.parametrize(("ends", "clear"), [((0.45, 0.75), True), ((0.38, 0.8), False)])
def test_a_gain_over_the_base_model_that_the_interval_does_not_show_is_called_unclear(ends, clear):
    said = headline(results(arm("STaR", 0.6, [2, 1], ends)))
    assert ("no clear gain" in said) == (not clear)


def test_with_few_groups_there_is_no_verdict_whichever_number_is_higher():
    few = "Too few groups of test items for a verdict. "
    assert headline(results(arm("STaR", 0.35, [2, 1]), groups=8)) == (
        f"{few}The base model has accuracy 0.400. The best of the trained ones, STaR, has 0.350."
    )
    assert headline(results(arm("STaR", 0.4, [0, 0]), groups=8)) == (
        f"{few}Validation chose the untrained weights in every run. The base model has accuracy 0.400."
    )
    better = headline(results(arm("STaR", 0.35, [2, 1]), arm("PPS", 0.6, [1, 1]), groups=8))
    assert better.startswith(f"{few}PPS has the highest accuracy, 0.600")
    assert "no verdict" in better


@pytest.mark.parametrize("control", [True, False])
def test_an_arm_called_control_is_explained_only_where_there_is_one(control):
    found = results({**arm("STaR", 0.35, [2, 1]), "control": control})
    found |= {"examples": {"test": 9}, "seeds_unfinished": [], "config": {"data": ["a.csv"], "model": "m"}}
    assert ("called control" in _what(found)) == control
