"""What a weighing selector keeps of m draws: by enumeration and simulation of the draws, as docs and reports say."""

import itertools
import math
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import toy
from rationem import EMState, parse_scheme
from rationem.em import e_step
from rationem.errors import ConfigError
from rationem.evaluation.diagnostics import weights_record
from rationem.ledger import read_only
from rationem.metrics.evidence import resampled
from rationem.sampling.schemes import check_sampling
from rationem.sampling.selectors import Candidate, Resample, Tried, Weighted
from rationem.types import Draft, Finish, Outcome, Parsed, Purpose, Sampling, Trial

TASTE = (4.0, 1.0, 1.0, 0.5)


def tables(name):
    """q(z, y* | x, hint) of the toy's biased hinted sampler, and pi(z, y* | x), shape (4,) each."""
    right = toy.SCALE.rank(toy.ANSWERS[name])
    hinted = toy.joint(toy.THETA, name, toy.ANSWERS[name], TASTE)
    return hinted[:, right], toy.joint(toy.THETA, name)[:, right]


def divergence(name, draws):
    """KL(what is kept of m hinted draws || posterior), nats."""
    q, pi = tables(name)
    kept = resampled(np.log(q), np.log(pi), draws)
    kept = kept / kept.sum()
    return float(kept @ np.log(kept / toy.posterior(toy.THETA, name)))


def trial(attempt):
    draft = Draft("", (), Finish.STOP, 0)
    return Trial(1, Purpose.TRAIN, "x", attempt, 0, "rationalize", 0, draft, Parsed("", "3"), Outcome.ACCEPTED, 1.0)


@pytest.mark.parametrize("name", toy.THETA)
@pytest.mark.parametrize("draws", [1, 2, 4])
def test_its_distribution_is_the_selectors_own_over_all_sequences_of_draws(name, draws):
    q, pi = tables(name)
    chances, ratios = np.append(q, 1 - q.sum()), np.log(pi / q)  # the last: a draw that is rejected
    found = np.zeros(4)
    for sequence in itertools.product(range(5), repeat=draws):
        accepted = [Candidate(trial(n), ratios[z]) for n, z in enumerate(sequence) if z < 4]
        for one in Weighted().select(Tried([], accepted)):
            found[sequence[one.attempt]] += math.prod(chances[list(sequence)]) * one.weight
    np.testing.assert_allclose(resampled(np.log(q), np.log(pi), draws), found, atol=1e-12)
    assert found.sum() == pytest.approx(1 - (1 - q.sum()) ** draws)


def test_of_many_draws_it_agrees_with_a_simulation():
    q, pi = tables("first")
    rng = np.random.default_rng(0)
    drawn = rng.choice(5, size=(20_000, 30), p=np.append(q, 1 - q.sum()))
    rho = np.append(pi / q, 0)[drawn]
    shares = [((drawn == z) * rho).sum(1) / rho.sum(1) for z in range(4)]
    found, errors = np.mean(shares, axis=1), np.std(shares, axis=1) / math.sqrt(len(drawn))
    assert (abs(resampled(np.log(q), np.log(pi), 30) - found) < 4 * errors).all()


def test_one_draw_is_kept_as_it_was_drawn_and_with_more_the_divergence_falls_as_the_page_says():
    q, _ = tables("first")
    np.testing.assert_allclose(resampled(np.log(q), *(np.log(one) for one in tables("first")[1:]), 1), q, atol=1e-12)
    page = (Path(__file__).parents[1] / "docs" / "evidence.md").read_text()
    told = re.search(r"\| KL\(kept ‖ posterior\), nats \| (.*) \|", page).group(1).split(" | ")
    found = [np.mean([divergence(name, draws) for name in toy.THETA]) for draws in (1, 2, 4, 30)]
    assert told == [f"{value:.4f}" for value in found]
    assert all(more < fewer / 1.5 for fewer, more in itertools.pairwise(found))
    # The bias of self-normalised weights is of order 1/m, so their divergence is of order 1/m^2.
    few, many = (np.mean([divergence(name, draws) for name in toy.THETA]) for draws in (200, 400))
    assert few / many == pytest.approx(4, rel=0.1)


def test_wildly_unequal_weights_are_no_trouble():
    log_q = np.log([0.5, 0.25, 0.25 - 1e-12, 1e-12])
    log_pi = np.array([-300.0, -1.0, -400.0, -2.0])
    kept = resampled(log_q, log_pi, 8)
    assert kept.sum() == pytest.approx(1, abs=1e-9)
    assert kept[1] == pytest.approx(1 - 0.75**8, abs=1e-6)  # kept wherever it is drawn


@pytest.mark.parametrize("selector", ["weighted", "resample"])
@pytest.mark.parametrize(
    ("plan", "instead"),
    [
        ("pps", "rationalize*2"),
        ("rationalize@base", "rationalize@base*2"),
        ("star", "forward+rationalize*2"),
        ("forward*4+rationalize@base", "forward*4+rationalize@base*2"),
        ("rationalize@base+forward", "rationalize@base*2+forward"),
        ("rs:1", "forward*2"),
    ],
)
def test_fewer_than_two_draws_to_weigh_are_refused_with_the_plan_to_write(selector, plan, instead):
    with pytest.raises(ConfigError, match=re.escape(f'--scheme "{instead}"')):
        check_sampling(parse_scheme(plan, selector), Sampling())
    check_sampling(parse_scheme(instead, selector), Sampling())
    check_sampling(parse_scheme(plan), Sampling())
    check_sampling(parse_scheme("rationalize+rationalize@base", selector), Sampling())


def test_a_temperature_makes_unhinted_draws_draws_to_weigh():
    check_sampling(parse_scheme("star", "weighted"), Sampling(temperature=0.7))
    with pytest.raises(ConfigError, match="one per example"):
        check_sampling(parse_scheme("rs:1", "weighted"), Sampling(temperature=0.7))


@pytest.mark.parametrize("selector", ["weighted", "resample"])
def test_the_record_of_an_e_step_has_the_weights_of_its_training_examples(tmp_path, selector):
    """By hand from the tables: of two hinted draws the example keeps its weights, whatever the selector keeps."""
    scheme = parse_scheme("rationalize*2", selector)
    problem = toy.problem(tmp_path, scheme, copies=40, engine=lambda path: toy.open_scoring_engine(path, TASTE))
    kept = e_step(1, EMState(0, problem.base), problem)
    ratios: dict = {}
    for one in problem.ledger.trials(1, Purpose.TRAIN):
        if one.outcome is Outcome.ACCEPTED:
            name = one.example_id.split("-")[0]
            q, pi = tables(name)
            z = toy.RATIONALES.index(one.parsed.rationale)
            ratios.setdefault(one.example_id, []).append(pi[z] / q[z])
    weights = [np.array(several) / sum(several) for several in ratios.values()]
    with closing(read_only(tmp_path / "run")) as db:
        found = weights_record(db, 1, {"selector": selector})
        assert weights_record(db, 1, {"selector": "all"}) is None
        assert weights_record(db, 1, {"selector": "chain"}) is None  # withdrawn; its runs are still reported
    assert found == {
        "examples": len({one.example_id for one in kept}),
        "unweighed": 0,
        "accepted": pytest.approx(np.mean([len(one) for one in weights])),
        "alone": pytest.approx(np.mean([len(one) == 1 for one in weights])),
        "ess": pytest.approx(np.mean([1 / (one**2).sum() for one in weights])),
        "largest": pytest.approx(np.mean([one.max() for one in weights])),
        "dominated": pytest.approx(np.mean([one.max() > 0.9 for one in weights])),
    }
    assert 0 < found["alone"] <= found["dominated"] < found["largest"] < 1 < found["ess"] < found["accepted"] < 2
    if selector == "weighted":
        by_example: dict = {}
        for one in kept:
            by_example.setdefault(one.example_id, []).append(one.weight)
        assert found["largest"] == pytest.approx(np.mean([max(one) for one in by_example.values()]))


def test_examples_settled_by_an_unhinted_draw_are_counted_apart(tmp_path):
    scheme = parse_scheme("forward+rationalize*2", "resample")
    problem = toy.problem(tmp_path, scheme, copies=20, engine=lambda path: toy.open_scoring_engine(path, TASTE))
    e_step(1, EMState(0, problem.base), problem)
    accepted = [t for t in problem.ledger.trials(1, Purpose.TRAIN) if t.outcome is Outcome.ACCEPTED]
    forward = {one.example_id for one in accepted if one.proposal == "forward"}
    with closing(read_only(tmp_path / "run")) as db:
        found = weights_record(db, 1, {"selector": "resample"})
    assert found["unweighed"] == len(forward) > 0
    assert found["examples"] == len({one.example_id for one in accepted}) - len(forward) > 0


def test_resampling_and_weighing_keep_the_same_in_expectation():
    several = [Candidate(trial(n), ratio) for n, ratio in enumerate((0.0, 1.0, 2.0))]
    weights = {one.attempt: one.weight for one in Weighted().select(Tried([], several))}
    picked = [Resample().select(Tried([], several, seed=seed))[0].attempt for seed in range(2000)]
    for n, weight in weights.items():
        assert picked.count(n) / 2000 == pytest.approx(weight, abs=4 * math.sqrt(weight / 2000))
