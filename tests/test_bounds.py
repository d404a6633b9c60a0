"""A budget of tokens, exact bounds, and what one run takes over from another: on the toy, where all is in a table."""

import math
from dataclasses import replace

import numpy as np
import pytest

import toy
from rationem import PPS, Splits, parse_scheme, rejection_sampling
from rationem.em import fit
from rationem.errors import ConfigError
from rationem.evaluation.diagnostics.bounds import bounds_record, read_bounds
from rationem.ledger import Ledger, read_only


def truth(theta, x):
    return toy.joint(theta, toy.name_of(x))[:, toy.SCALE.rank(x.answer)].sum()


@pytest.mark.parametrize("threshold", [1e-6, 0.15])
def test_bounds_hold_the_truth_and_meet_it_where_all_is_enumerated(tmp_path, threshold):
    problem = toy.problem(tmp_path, PPS, copies=5, engine=toy.open_enumerating, exact=6, enumerate_above=threshold)
    fitted = fit(problem, 1)
    db = problem.ledger.db
    for k in sorted({0, fitted.best, fitted.last}):
        theta = toy.read(problem.base if k == 0 else problem.ledger.checkpoint(k))
        found, items = read_bounds(db, k), problem.data.test[:6]
        assert list(found) == [x.id for x in items]
        for x in items:
            low, high = found[x.id]
            assert low - 1e-12 <= truth(theta, x) <= high + 1e-12
            if threshold < 1e-3:
                assert low == pytest.approx(truth(theta, x))
        told = bounds_record(db, k)
        assert told["items"] == 6
        assert told["upper"] == pytest.approx(np.mean([math.log(high) for _, high in found.values()]))
        # Of an item's posterior 1 - lower / p(y* | x) was not found, which is no more than 1 - lower / upper.
        unfound = np.mean([1 - found[x.id][0] / truth(theta, x) for x in items])
        assert unfound - 1e-12 <= told["missing"] <= (1e-6 if threshold < 1e-3 else 1)
    assert bounds_record(db, 99) is None


def test_a_scheme_that_enumerates_says_unasked_what_it_misses(tmp_path):
    """Enumerated EM without --exact-items printed no word of what its posterior lacks."""
    problem = toy.problem(tmp_path, parse_scheme("exact"), copies=5, engine=toy.open_enumerating, enumerate_above=0.15)
    fitted = fit(problem, 1)
    for k in {0, fitted.best, fitted.last}:
        told = bounds_record(problem.ledger.db, k)
        assert told["items"] == min(32, len(problem.data.test)) > 0
        found = read_bounds(problem.ledger.db, k)
        assert told["missing"] == pytest.approx(np.mean([1 - low / high for low, high in found.values()]))
    assert bounds_record(problem.ledger.db, 0)["missing"] > 0
    other = toy.problem(tmp_path / "other", PPS, copies=5, engine=toy.open_enumerating)
    fit(other, 0)
    assert bounds_record(other.ledger.db, 0) is None


def test_an_engine_that_cannot_enumerate_is_no_traceback(tmp_path):
    with pytest.raises(ConfigError, match="--exact-items enumerates"):
        fit(toy.problem(tmp_path, PPS, copies=2, exact=2), 1)


@pytest.mark.slow
@pytest.mark.parametrize("iterations", [1, 2, 3.4, 3.6])
def test_a_budget_of_tokens_ends_at_the_nearest_whole_iteration(tmp_path, iterations):
    """Rejection sampling with one try costs about the same every time: the toy's completions differ by a letter."""
    first = toy.problem(tmp_path / "a", rejection_sampling(1), copies=100)
    fit(first, 1)
    each = first.ledger.record(1, "e_step")["generated_tokens"]
    problem = toy.problem(tmp_path / "b", rejection_sampling(1), copies=100, token_budget=round(each * iterations))
    assert fit(problem, 9).last == round(iterations)
    assert fit(problem, 9).last == round(iterations)  # and it stays so when the run is started again


def test_no_iteration_measures_the_base_model_alone(tmp_path):
    problem = toy.problem(tmp_path, PPS, copies=2)
    fitted = fit(problem, 0)
    assert (fitted.best, fitted.last, fitted.best_theta) == (0, 0, problem.base)
    phases = {phase for (phase,) in problem.ledger.db.execute("SELECT phase FROM iterations")}
    assert phases == {"validation", "evidence", "test", "test_evidence"}


TABLES = ("trials", "scores", "likelihoods", "predictions", "kept", "states")


def rows(ledger):
    return {table: sorted(map(repr, ledger.db.execute(f"SELECT * FROM {table}"))) for table in TABLES}


@pytest.mark.slow
def test_what_is_taken_over_is_what_would_have_been_measured(tmp_path):
    alone = toy.problem(tmp_path / "alone", PPS, copies=6, hinted=2, wrong=2, probed=3, engine=toy.open_scoring_engine)
    fit(alone, 1)
    base = toy.problem(tmp_path / "base", rejection_sampling(3), copies=6, hinted=2, wrong=2, probed=3,
                       engine=toy.open_scoring_engine)  # fmt: skip
    fit(base, 0)
    base.ledger.close()
    taker = toy.problem(tmp_path / "taker", PPS, copies=6, hinted=2, wrong=2, probed=3, engine=toy.open_scoring_engine)
    db = read_only(tmp_path / "base" / "run")
    phases = ("validation", "evidence", "difficulty", "test", "test_evidence")
    for _ in range(2):  # a run that goes on takes nothing twice
        taker.ledger.adopt(db, 0, phases)
    db.close()
    assert taker.ledger.record(0, "test") == alone.ledger.record(0, "test")
    fit(taker, 1)
    assert rows(taker.ledger) == rows(alone.ledger)


def test_a_ledger_that_measured_for_itself_keeps_what_it_has(tmp_path):
    base = toy.problem(tmp_path / "base", PPS, copies=2)
    fit(base, 0)
    base.ledger.close()
    other = toy.problem(tmp_path / "other", PPS, copies=2)
    other = replace(other, data=Splits(other.data.train, other.data.validation, ()))
    fit(other, 0)
    before = rows(other.ledger)
    db = read_only(tmp_path / "base" / "run")
    other.ledger.adopt(db, 0, ("validation", "test"))
    db.close()
    assert rows(other.ledger) == before
    other.ledger.close()
    assert Ledger(tmp_path / "other" / "run").record(0, "test") is None
