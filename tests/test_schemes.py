"""Schemes are data, read from text; selectors weigh; seeds are names."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import toy
from rationem import DIRECT, PPS, STAR, EMState, Outcome, Proposal, Scheme, parse_scheme, rejection_sampling
from rationem.em import e_step
from rationem.errors import ConfigError
from rationem.sampling.schemes import ANSWER, FORWARD, RATIONALIZE, SCHEMES
from rationem.sampling.selection import training_samples
from rationem.sampling.selectors import SELECTORS, All, First, Tried
from rationem.seeds import generator, seed_for, uniforms
from rationem.types import Draft, Finish, Kept, Parsed, Purpose, Trial

OUTCOMES = list(Outcome)


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("rs:1", (FORWARD,)),
        ("rs:4", (FORWARD,) * 4),
        ("star", (FORWARD, RATIONALIZE)),
        ("pps", (RATIONALIZE,)),
        ("direct", (ANSWER,)),
        (" STaR ", (FORWARD, RATIONALIZE)),
        ("forward", (FORWARD,)),
        ("forward*4+rationalize", (FORWARD,) * 4 + (RATIONALIZE,)),
        ("forward + rationalize@base", (FORWARD, Proposal("rationalize", "base"))),
        ("forward@base*2+forward@current", (Proposal("forward", "base"),) * 2 + (FORWARD,)),
        ("rs:4096", (FORWARD,) * 4096),
    ],
)
def test_a_scheme_is_read_from_its_name_or_its_plan(text, plan):
    assert parse_scheme(text).plan == plan
    assert parse_scheme(text).selector == First()


def test_the_named_schemes_are_the_ones_of_the_paper():
    assert parse_scheme("star") == STAR
    assert parse_scheme("pps") == PPS
    assert parse_scheme("direct") == DIRECT
    assert parse_scheme("rs:7") == rejection_sampling(7)
    assert parse_scheme("forward+rationalize").plan == STAR.plan
    assert parse_scheme("forward*7").plan == rejection_sampling(7).plan
    assert parse_scheme("rationalize+forward").plan != STAR.plan


@pytest.mark.slow
@given(
    plan=st.lists(
        st.builds(
            Proposal, st.sampled_from(["forward", "rationalize", "answer"]), st.sampled_from(["current", "base"])
        ),
        min_size=1,
        max_size=12,
    )
)
@settings(max_examples=100, deadline=None)
def test_a_plan_written_out_is_read_back(plan):
    assert parse_scheme("+".join(map(str, plan))).plan == tuple(plan)
    runs = [(proposal, len(list(run))) for proposal, run in itertools.groupby(plan)]
    assert parse_scheme("+".join(f"{proposal}*{count}" for proposal, count in runs)).plan == tuple(plan)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stra", "Did you mean 'star'"),
        ("ppss", "Did you mean 'pps'"),
        ("dirct", "Did you mean 'direct'"),
        ("", "Unknown scheme ''"),
        ("rs:", "Unknown scheme 'rs:'"),
        ("rs:-1", "Unknown scheme 'rs:-1'"),
        ("rs:4.5", "Unknown scheme"),
        ("forward+", "Unknown scheme"),
        ("forward@old", "Unknown scheme"),
        ("forward*4 rationalize", "Unknown scheme"),
        ("rs:0", "between 1 and 4096"),
        ("rs:4097", "between 1 and 4096"),
        ("forward*0", "between 1 and 4096"),
        ("forward*99999999999", "between 1 and 4096"),
        ("forward*4096+rationalize", "4096"),
    ],
)
def test_what_is_no_scheme_is_refused_with_what_was_written(text, said):
    with pytest.raises(ConfigError) as caught:
        parse_scheme(text)
    assert said in str(caught.value)
    assert text in str(caught.value)


def test_an_unknown_selector_is_refused_and_the_known_ones_named():
    with pytest.raises(ConfigError) as caught:
        parse_scheme("star", "frist")
    assert all(name in str(caught.value) for name in ("frist", *SELECTORS))


@pytest.mark.parametrize("budget", [0, -1])
def test_an_empty_plan_is_no_scheme(budget):
    with pytest.raises(ConfigError, match="empty plan"):
        rejection_sampling(budget)
    with pytest.raises(ConfigError, match="empty plan"):
        Scheme("mine", ())


def test_only_a_plan_that_names_the_base_uses_it():
    assert parse_scheme("forward*3+rationalize@base").uses_base
    assert not any(scheme.uses_base for scheme in SCHEMES.values())
    assert not parse_scheme("forward@current+rationalize").uses_base


def trials(outcomes, rewards=None):
    rewards = rewards or [1.0 if outcome is Outcome.ACCEPTED else 0.0 for outcome in outcomes]
    draft, parsed = Draft("", (), Finish.STOP, 0), Parsed("", None)
    return [
        Trial(1, Purpose.TRAIN, "x", attempt, 0, "forward", 0, draft, parsed, outcome, reward)
        for attempt, (outcome, reward) in enumerate(zip(outcomes, rewards, strict=True))
    ]


def tried(outcomes):
    """What a selector hears of a plan of forward draws."""
    return [(True, outcome) for outcome in outcomes]


@pytest.mark.slow
@given(outcomes=st.lists(st.sampled_from(OUTCOMES), max_size=10))
@settings(max_examples=200, deadline=None)
def test_first_keeps_the_first_accepted_and_all_every_one_with_weights_that_sum_to_one(outcomes):
    accepted = [n for n, outcome in enumerate(outcomes) if outcome is Outcome.ACCEPTED]
    assert First().select(Tried(trials(outcomes))) == [Kept("x", n, 1.0, 1) for n in accepted[:1]]
    assert First().satisfied(tried(outcomes)) == bool(accepted)
    kept = All().select(Tried(trials(outcomes)))
    assert [one.attempt for one in kept] == accepted
    assert not All().satisfied(tried(outcomes))
    if kept:
        assert sum(one.weight for one in kept) == pytest.approx(1)
        assert len({one.weight for one in kept}) == 1


def test_all_stops_at_its_cap_and_weighs_by_reward():
    a, w = Outcome.ACCEPTED, Outcome.WRONG
    assert not All(cap=2).satisfied(tried([a, w, w]))
    assert All(cap=2).satisfied(tried([a, w, a]))
    assert All(cap=2).select(Tried(trials([a, w, a, a]))) == [Kept("x", 0, 0.5, 1), Kept("x", 2, 0.5, 1)]
    graded = trials([a, a, w, a], [0.9, 0.6, 0.4, 0.3])
    assert [one.weight for one in All().select(Tried(graded))] == pytest.approx([0.3, 0.2, 0.1])
    assert First().select(Tried(graded)) == [Kept("x", 0, 0.9, 1)]


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize("plan", ["rationalize*3", "forward*2+rationalize*2"])
def test_an_example_has_the_same_total_weight_however_many_of_its_draws_are_kept(tmp_path, plan, name):
    """What a step is made of: an example's kept draws share its weight, so copies and weights do not outvote others."""
    problem = toy.problem(tmp_path, parse_scheme(plan, name), copies=15, engine=toy.open_scoring_engine)
    kept = e_step(1, EMState(0, problem.base), problem)
    totals, counts = Counter(), Counter()
    for one in training_samples(1, kept, problem.data.train, toy.TASK, problem.ledger):
        totals[one.example_id] += one.weight
        counts[one.example_id] += 1
    assert totals == pytest.approx(dict.fromkeys(counts, 1.0))
    assert len(totals) > 20
    assert (max(counts.values()) > 1) == (name in ("all", "weighted"))


@pytest.mark.slow
def test_seeds_are_names_and_do_not_collide():
    seeds = {
        seed_for(run, iteration, f"row-{example}", attempt, purpose)
        for run in range(2)
        for iteration in range(5)
        for example in range(1000)
        for attempt in range(5)
        for purpose in ("train", "eval")
    }
    assert len(seeds) == 2 * 5 * 1000 * 5 * 2
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62  # the whole range is in use


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((0, 1, "a", 12, "train"), (0, 11, "a", 2, "train")),
        ((0, 1, "a", 2, "train"), (0, 1, "a", 2, Purpose.EVAL)),
        ((0, 1, "a"), (0, "1", "a")),
        ((0, "a", "b"), (0, "ab")),
        ((0, 'a", "b'), (0, "a", "b")),
        ((0, 1), (0, 1, 0)),
        ((0, "é"), (0, "e\u0301")),
    ],
)
def test_coordinates_that_could_be_confused_are_not(one, other):
    assert seed_for(*one) != seed_for(*other)


def test_a_seed_is_the_same_on_every_machine_and_in_every_version():
    """BLAKE2b over the JSON text of the coordinates, first 63 bits: a change would change every published run."""
    import hashlib

    digest = hashlib.blake2b(b'[7, 1, "a", 2, "train"]', digest_size=8).hexdigest()
    assert seed_for(7, 1, "a", 2, "train") == int(digest, 16) // 2
    assert seed_for(7, 1, "a", 2, Purpose.TRAIN) == int(digest, 16) // 2


@given(seed=st.integers(0, 2**63 - 1), count=st.integers(0, 200), data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_request_that_may_run_longer_begins_with_the_same_uniforms(seed, count, data):
    shorter = data.draw(st.integers(0, count))
    whole = uniforms(seed, count)
    np.testing.assert_array_equal(whole[:shorter], uniforms(seed, shorter))
    assert ((whole >= 0) & (whole < 1)).all()


@pytest.mark.slow
def test_uniforms_are_uniform_within_and_across_neighbouring_seeds():
    from scipy import stats

    assert stats.kstest(uniforms(3, 20_000), "uniform").pvalue > 0.01
    assert stats.kstest([uniforms(seed, 1)[0] for seed in range(5000)], "uniform").pvalue > 0.01
    assert (
        abs(np.corrcoef([uniforms(s, 2)[0] for s in range(5000)], [uniforms(s + 1, 2)[0] for s in range(5000)])[0, 1])
        < 0.05
    )


def test_a_generator_has_its_own_stream_and_leaves_the_global_one_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    first = generator(0, "split", "a").random(5)
    np.testing.assert_array_equal(first, generator(0, "split", "a").random(5))
    assert not np.array_equal(first, generator(0, "split", "b").random(5))
    np.testing.assert_array_equal(before, np.random.get_state()[1])
