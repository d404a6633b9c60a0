"""What a run paid, and what it never kept: small ledgers, numbers worked out by hand."""

from contextlib import closing

import pytest

from rationem import Example, Ledger, Outcome, State
from rationem.evaluation.diagnostics.cost import (
    BASE_NOT_MEASURED,
    NOT_GAINED,
    NOT_MEASURED,
    acceptance_by_difficulty,
    acceptance_by_label,
    cost,
    per_nat,
)
from rationem.ledger import read_only
from rationem.types import Draft, Finish, Kept, Likelihood, Parsed, Purpose, Trial

ANSWERS = {"a": "1", "b": "1", "c": "2", "d": "2", "e": "2"}
RIGHT, WRONG, FAILED = Outcome.ACCEPTED, Outcome.WRONG, Outcome.ENGINE_FAILED


def trial(name, attempt, outcome, prompt, new, *, proposal="forward", retry=0, iteration=1, purpose=Purpose.TRAIN):
    finish = Finish.FAILED if outcome is FAILED else Finish.STOP
    return Trial(iteration, purpose, name, attempt, retry, proposal, 0,
                 Draft("t", tuple(range(new)), finish, prompt), Parsed("t", "1"), outcome, 1.0)  # fmt: skip


#: STaR, twice. In the first iteration c is lost, and the engine failed d once; e's prompt was too long.
FIRST = [
    trial("a", 0, RIGHT, 10, 5),
    trial("b", 0, WRONG, 10, 7),
    trial("b", 1, RIGHT, 12, 6, proposal="rationalize"),
    trial("c", 0, WRONG, 10, 8),
    trial("c", 1, WRONG, 12, 4, proposal="rationalize"),
    trial("d", 0, FAILED, 10, 0),
    trial("d", 0, RIGHT, 10, 9, retry=1),
]
SECOND = [
    trial("a", 0, WRONG, 10, 1, iteration=2),
    trial("b", 0, RIGHT, 10, 2, iteration=2),
    trial("d", 0, RIGHT, 10, 3, iteration=2),
    trial("d", 1, RIGHT, 12, 4, iteration=2, proposal="rationalize@base"),
]
#: What no E-step drew.
OTHER = [trial("v", 0, RIGHT, 1000, 1000, purpose=Purpose.EVAL), trial("a", 0, WRONG, 500, 500, purpose=Purpose.PROBE)]


@pytest.fixture
def db(tmp_path):
    train = [Example(name, {"q": name}, answer, name) for name, answer in ANSWERS.items()]
    with closing(Ledger(tmp_path)) as ledger:
        ledger.start({"config": {}}, {"train": train, "validation": [Example("v", {"q": "v"}, "1", "v")]})
        ledger.append(FIRST)
        ledger.append(OTHER)
        states = dict.fromkeys("abd", State.KEPT) | {"c": State.EXHAUSTED, "e": State.TOO_LONG}
        kept = [Kept("a", 0, 1.0, 1), Kept("b", 1, 1.0, 1), Kept("d", 0, 1.0, 1)]
        ledger.finish(1, "e_step", seconds=6.0, kept=kept, states=states)
        ledger.finish(1, "m_step", seconds=100.0)
        ledger.append(SECOND)
        ledger.add_likelihoods(
            [
                # An earlier draw of a and both of d's are scored again, one of them under two prompts.
                Likelihood(2, Purpose.TRAIN, "a", 1, 0, "forward", -1.0, -0.5),
                Likelihood(2, Purpose.TRAIN, "d", 1, 0, "forward", -1.0, -0.5),
                Likelihood(2, Purpose.TRAIN, "d", 2, 1, "forward", -1.0, None),
                Likelihood(2, Purpose.TRAIN, "d", 2, 1, "rationalize@base", -1.0, None),
                Likelihood(2, Purpose.EVAL, "v", 1, 0, "forward", -1.0, None),
            ]
        )
        kept = [Kept("a", 0, 0.5, 1), Kept("b", 0, 1.0, 2), Kept("d", 0, 0.5, 2), Kept("d", 1, 0.5, 2)]
        ledger.finish(2, "e_step", seconds=3.0, kept=kept, states=dict.fromkeys("abd", State.KEPT))
        ledger.finish(2, "validation", seconds=50.0)
    with closing(read_only(tmp_path)) as found:
        yield found


def test_the_cost_of_one_iteration(db):
    found = cost(db, 1)
    spent = {
        "prompt_tokens": 10 + 10 + 12 + 10 + 12 + 10 + 10,
        "generated_tokens": 5 + 7 + 6 + 8 + 4 + 9,
        "scored_tokens": 0,
        "seconds": 6.0,
        "kept_samples": 3,
        "kept_examples": 3,
        "per_kept": {"prompt_tokens": 74 / 3, "generated_tokens": 39 / 3, "seconds": 2.0},
    }
    assert found == {"iteration": 1, **spent, "cumulative": spent}


def test_costs_add_up_over_iterations(db):
    found = cost(db, 2)
    assert (found["prompt_tokens"], found["generated_tokens"], found["seconds"]) == (42, 10, 3.0)
    assert (found["kept_samples"], found["kept_examples"]) == (4, 3)  # two of d's
    assert found["scored_tokens"] == 5 + 9 + 4 + 4  # not the draw that the engine failed
    assert found["per_kept"] == {"prompt_tokens": 42 / 3, "generated_tokens": 10 / 3, "seconds": 1.0}
    assert found["cumulative"] == {
        "prompt_tokens": 116,
        "generated_tokens": 49,
        "scored_tokens": 22,
        "seconds": 9.0,
        "kept_samples": 7,
        "kept_examples": 6,
        "per_kept": {"prompt_tokens": 116 / 6, "generated_tokens": 49 / 6, "seconds": 9 / 6},
    }


def test_the_price_of_a_nat_is_what_was_paid_until_then(db):
    costs = [cost(db, 1), cost(db, 2)]
    first, second = per_nat(costs, [-2.0, -1.5, -1.75])
    assert first == {
        "iteration": 1, "gained": 0.5, "prompt_tokens": 148, "generated_tokens": 78, "seconds": 12, "reason": None,
    }  # fmt: skip
    assert second == {
        "iteration": 2, "gained": 0.25, "prompt_tokens": 464, "generated_tokens": 196, "seconds": 36, "reason": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "gained", "reason"),
    [
        ([None, -1.0], None, BASE_NOT_MEASURED),
        ([-1.0, None], None, NOT_MEASURED),
        ([None, None], None, BASE_NOT_MEASURED),
        ([-1.0, -1.0], 0.0, NOT_GAINED),
        ([-1.0, -3.0], -2.0, NOT_GAINED),
    ],
)
def test_without_a_gain_there_is_no_price_but_a_reason(db, scores, gained, reason):
    (row,) = per_nat([cost(db, 1)], scores)
    nothing = dict.fromkeys(("prompt_tokens", "generated_tokens", "seconds"))
    assert row == {"iteration": 1, "gained": gained, **nothing, "reason": reason}


def test_scores_that_cannot_be_placed_are_errors(db):
    with pytest.raises(ValueError, match="iterations 0 to 2"):
        per_nat([cost(db, 2)], [-1.0, -0.5])
    with pytest.raises(ValueError, match="finite"):
        per_nat([cost(db, 1)], [-1.0, float("-inf")])


def test_acceptance_by_label(db):
    one, two, three = acceptance_by_label(db, 1, ("1", "2", "3"))
    assert one == {
        "level": "1", "examples": 2, "kept": 2, "kept_share": 1.0,
        "first_attempts": 2, "first_accepted": 0.5, "draws": 3, "draws_per_kept": 1.5,
    }  # fmt: skip
    # c is lost after two draws; d's failed request says nothing of the model; e was never drawn for.
    assert two == {
        "level": "2", "examples": 3, "kept": 1, "kept_share": 1 / 3,
        "first_attempts": 2, "first_accepted": 0.5, "draws": 3, "draws_per_kept": 3.0,
    }  # fmt: skip
    assert three == {
        "level": "3", "examples": 0, "kept": 0, "kept_share": None,
        "first_attempts": 0, "first_accepted": None, "draws": 0, "draws_per_kept": None,
    }  # fmt: skip


def test_labels_and_totals_agree(db):
    for k in (1, 2):
        rows = acceptance_by_label(db, k, ("1", "2"))
        assert sum(row["kept"] for row in rows) == cost(db, k)["kept_examples"]
        assert sum(row["examples"] for row in rows) == len(ANSWERS)


def test_a_label_that_is_no_level_is_an_error(db):
    with pytest.raises(ValueError, match=r"\['2'\]. Give all levels"):
        acceptance_by_label(db, 1, ("1",))


def test_acceptance_by_difficulty(db):
    difficulty = {"a": 0.9, "b": 0.5, "c": 0.0, "d": 0.25, "v": 0.1}
    found = acceptance_by_difficulty(db, 2, difficulty)
    assert found["unmeasured"] == 1  # e; and v is no training example
    assert found["bins"] == [
        {"low": p, "high": p, "examples": 1, "kept_share": kept, "never_share": 1 - kept}
        for p, kept in ((0.0, 0.0), (0.25, 1.0), (0.5, 1.0), (0.9, 1.0))
    ]


def test_what_was_kept_before_is_not_among_what_never_was(tmp_path):
    with closing(Ledger(tmp_path)) as ledger:
        train = [Example(str(n), {"q": str(n)}, "1", str(n)) for n in range(8)]
        ledger.start({"config": {}}, {"train": train})
        ledger.finish(1, "e_step", seconds=0.0, kept=[Kept(name, 0, 1.0, 1) for name in "1567"])
        ledger.finish(2, "e_step", seconds=0.0, kept=[Kept(name, 0, 1.0, 2) for name in "3567"])
        ledger.finish(3, "e_step", seconds=0.0, kept=[Kept(name, 0, 1.0, 3) for name in "01234567"])
    with closing(read_only(tmp_path)) as db:
        # Five of eight have no chance at all: equal values cannot be parted, so there are two bins of four.
        difficulty = {str(n): max(0.0, (n - 4) / 10) for n in range(8)}
        for k, kept, never in ((1, 1 / 5, 4 / 5), (2, 1 / 5, 3 / 5), (3, 1, 0)):
            hard, *easy = acceptance_by_difficulty(db, k, difficulty)["bins"]
            assert hard == {"low": 0, "high": 0, "examples": 5, "kept_share": kept, "never_share": never}
            assert [(one["kept_share"], one["never_share"]) for one in easy] == [(1, 0)] * len(easy)
            assert sum(one["examples"] for one in easy) == 3
        found = cost(db, 3)
        assert (found["generated_tokens"], found["kept_examples"], found["cumulative"]["kept_examples"]) == (0, 8, 16)


def test_difficulties_that_are_none(db):
    assert acceptance_by_difficulty(db, 1, {}) == {"bins": [], "unmeasured": 5}
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"p_hat in \[0, 1\]"):
            acceptance_by_difficulty(db, 1, {"a": wrong})


def test_an_answer_that_is_given_is_not_drawn(tmp_path):
    """The control without rationales: nothing is generated, and no prompt is read."""
    with closing(Ledger(tmp_path)) as ledger:
        ledger.start({"config": {}}, {"train": [Example("a", {"q": "a"}, "1", "a")]})
        ledger.append([trial("a", 0, RIGHT, 10, 5, proposal="answer")])
        ledger.finish(1, "e_step", seconds=0.5, kept=[Kept("a", 0, 1.0, 1)])
    with closing(read_only(tmp_path)) as db:
        found = cost(db, 1)
        assert found["per_kept"] == {"prompt_tokens": 0, "generated_tokens": 0, "seconds": 0.5}
        (row,) = acceptance_by_label(db, 1, ("1",))
        assert (row["draws"], row["draws_per_kept"], row["kept_share"]) == (0, 0, 1)


def test_nothing_kept_has_no_cost_per_kept(tmp_path):
    with closing(Ledger(tmp_path)) as ledger:
        ledger.start({"config": {}}, {"train": [Example("a", {"q": "a"}, "1", "a")]})
        ledger.append([trial("a", 0, WRONG, 10, 5)])
        ledger.finish(1, "e_step", seconds=0.5)
    with closing(read_only(tmp_path)) as db:
        assert cost(db, 1)["per_kept"] == dict.fromkeys(("prompt_tokens", "generated_tokens", "seconds"))
        (row,) = acceptance_by_label(db, 1, ("1",))
        assert (row["draws"], row["draws_per_kept"], row["first_accepted"]) == (1, None, 0)


@pytest.mark.parametrize("iteration", [0, 3])
def test_an_e_step_that_is_not_finished_has_no_cost_yet(db, iteration):
    for ask in (
        lambda: cost(db, iteration),
        lambda: acceptance_by_label(db, iteration, ("1", "2")),
        lambda: acceptance_by_difficulty(db, iteration, {}),
    ):
        with pytest.raises(ValueError, match=r"finished: \[1, 2\]"):
            ask()
