"""A run measures few items in every iteration, and always the same ones."""

import pytest

from rationem import Example, FitConfig, Splits
from rationem.report.reading import LEFT_OUT, LEFT_OUT_OF_TEST, reading
from rationem.run.measured import FEWEST, SHARE, measured


def sets(train, validation, orders=1):
    def several(count, name):
        return tuple(
            Example(f"{name}{n}", {"prompt": str(n)}, "1", group=str(n), turn=turn, orders=orders)
            for n in range(count)
            for turn in range(orders)
        )

    return Splits(several(train, "t"), several(validation, "v"), several(20, "e"))


@pytest.mark.parametrize("train", [10, 400, 2_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_measuring_takes_a_quarter_of_an_iterations_drafts_or_64_items(train):
    config = FitConfig()
    found, asked = len(measured(sets(train, 5_000), config).validation), config.measuring
    drafts = found * asked.draws + min(found, asked.evidence_items) * asked.evidence_draws + asked.wrong_hints
    assert found == FEWEST or SHARE - 0.01 < drafts / (train + drafts) <= SHARE
    assert found >= FEWEST


def test_hinted_drafts_on_few_items_leave_more_items_to_measure():
    some, every = (len(measured(sets(4_000, 5_000), FitConfig(evidence_items=n)).validation) for n in (64, 5_000))
    assert (some, every) == (309, 260)  # (1333 - 32 - 64) / 4 and (1333 - 32) / 5


def test_all_items_are_measured_where_there_are_few_or_where_all_are_asked_for():
    few, many = sets(400, 50), sets(400, 500)
    assert measured(few, FitConfig()) == few
    assert measured(many, FitConfig(measure="full")) == many
    assert len(measured(many, FitConfig(validation_items=100)).validation) == 100
    assert len(measured(many, FitConfig(measure="full", validation_items=7)).validation) == 7


def test_the_items_depend_on_the_splits_seed_alone_and_come_in_all_their_orders():
    whole = sets(100, 200, orders=2)
    first = measured(whole, FitConfig())
    assert (
        measured(Splits(whole.train, whole.validation[::-1], whole.test), FitConfig()).validation
        == (first.validation[::-1])
    )
    assert measured(whole, FitConfig(seed=1)).validation != first.validation
    assert measured(whole, FitConfig(seed=1, split_seed=0)) == first  # the runs of a comparison share their items
    assert len(first.validation) == FEWEST
    items = [x.item for x in first.validation]
    assert all(items.count(item) == 2 for item in items)
    assert (first.train, first.test) == (whole.train, whole.test)


def test_of_the_test_set_all_is_measured_or_as_many_items_as_asked_for():
    whole = sets(100, 50)
    assert measured(whole, FitConfig()).test == whole.test
    few = measured(whole, FitConfig(test_items=5))
    assert len(few.test) == 5
    assert few.notes[LEFT_OUT_OF_TEST] == 15
    assert measured(whole, FitConfig(test_items=5, seed=1, split_seed=0)) == few


def test_the_report_says_how_many_items_are_not_measured():
    splits = measured(sets(100, 200), FitConfig())
    assert splits.notes[LEFT_OUT] == 136
    (told,) = (one.text for one in reading({"notes": splits.notes, "config": {}}))
    assert "136 validation examples are not measured" in told


def test_a_given_number_wins_over_the_measure():
    config = FitConfig(draws=2, wrong_hints=0)
    assert (config.measuring.draws, config.measuring.wrong_hints, config.measuring.evidence_draws) == (2, 0, 1)
    assert FitConfig(measure="full").measuring.draws == 8
