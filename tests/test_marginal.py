"""The answer summed out, by enumeration: the mean of rejection sampling, no more variance, and the bias."""

import itertools
import math
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import toy
from demonstrated import SEEN
from rationem import EMState, Prompt, ScriptedEngine, parse_scheme, rejection_sampling
from rationem.em import e_step, fit
from rationem.errors import ConfigError
from rationem.evaluation.diagnostics.summed import unlikely_share
from rationem.sampling.marginal import MARGINALS, SummedOut, rejection_weights, self_normalised_weights
from rationem.sampling.schemes import check_sampling
from rationem.sampling.selection import training_samples
from rationem.sampling.selectors import SELECTORS, Candidate, First, Tried
from rationem.seeds import generator
from rationem.types import Draft, Exchange, Finish, Outcome, Parsed, Purpose, Sampling, Trial
from streaming import Streaming

#: pi(z | x) and p(y* | x, z) of four rationales, one of which never says y*; and logits of the answer's three levels.
PRIOR = np.array([0.4, 0.3, 0.2, 0.1])
RIGHT = np.array([0.1, 0.3, 0.0, 0.9])


def trial(attempt, outcome=Outcome.WRONG):
    return Trial(
        1, Purpose.TRAIN, "x", attempt, 0, "forward", 0, Draft("", (), Finish.STOP, 0), Parsed("", "3"), outcome, 1.0
    )


def tried(rationales, seed=0):
    """What a selector is given of drafts with these rationales: those that can say y* weigh by how likely they do."""
    scored = [(m, RIGHT[z]) for m, z in enumerate(rationales) if RIGHT[z] > 0]
    return Tried([], [Candidate(trial(m), math.log(p)) for m, p in scored], seed)


@cache
def gradients():
    """grad log pi(z, y* | x) with respect to the logits of z and those of y given z, one row per rationale."""
    rows = []
    for z in range(4):
        of_z = np.eye(4)[z] - PRIOR
        of_y = np.zeros((4, 2))
        of_y[z] = (1 - RIGHT[z], -(1 - RIGHT[z]))
        rows.append(np.concatenate([of_z, of_y.ravel()]))
    return np.array(rows)


def moments(estimate, budget):
    """Return E[g] and E|g|^2 over all sequences of rationales, of an estimator that returns (probability, g) pairs."""
    mean, square = 0.0, 0.0
    for rationales in itertools.product(range(4), repeat=budget):
        chance = math.prod(PRIOR[list(rationales)])
        for probability, found in estimate(rationales):
            mean = mean + chance * probability * found
            square += chance * probability * float(found @ found)
    return mean, square


def rejecting(rationales):
    """Rejection sampling: every sequence of right and wrong answers, and what `first` keeps of it."""
    g, selector = gradients(), First()
    for answers in itertools.product((True, False), repeat=len(rationales)):
        chance = math.prod(RIGHT[z] if right else 1 - RIGHT[z] for z, right in zip(rationales, answers, strict=True))
        trials = [trial(m, Outcome.ACCEPTED if right else Outcome.WRONG) for m, right in enumerate(answers)]
        kept = selector.select(Tried(trials))
        yield chance, sum((one.weight * g[rationales[one.attempt]] for one in kept), np.zeros(g.shape[1]))


def summing(selector):
    def estimate(rationales):
        kept = selector.select(tried(rationales))
        yield 1.0, sum((one.weight * gradients()[rationales[one.attempt]] for one in kept), np.zeros(12))

    return estimate


def resampling(selector):
    """One row by the selector's weights, over its own draw: its probability is a row's share of the whole weight."""
    every = replace(selector, rows="all")

    def estimate(rationales):
        kept = every.select(tried(rationales))
        total = sum(one.weight for one in kept)
        for one in kept:
            yield one.weight / total, total * gradients()[rationales[one.attempt]]

    return estimate


def grad_log_p():
    posterior = PRIOR * RIGHT / (PRIOR @ RIGHT)
    return posterior @ gradients()


@pytest.mark.parametrize("budget", [2, 3])
def test_rejection_weights_have_the_mean_of_rejection_sampling_and_no_more_variance(budget):
    drawn, drawn_square = moments(rejecting, budget)
    summed, summed_square = moments(summing(MARGINALS["all"]), budget)
    one, one_square = moments(resampling(MARGINALS["first"]), budget)
    p = PRIOR @ RIGHT
    np.testing.assert_allclose(drawn, (1 - (1 - p) ** budget) * grad_log_p(), atol=1e-12)
    np.testing.assert_allclose(summed, drawn, atol=1e-12)
    np.testing.assert_allclose(one, drawn, atol=1e-12)
    assert summed_square < one_square < drawn_square  # the means are equal, so the variances are in this order too


def test_the_variance_is_no_larger_for_any_probabilities():
    """The inequality of the module's first lines, over the same rationales."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        p, g = rng.random(5) ** 3, rng.normal(size=(5, 3))
        w = np.array(rejection_weights(p))
        squares = (g**2).sum(1)
        assert (w @ g) @ (w @ g) <= w.sum() * (w @ squares) + 1e-12 <= w @ squares + 2e-12


def test_an_unsolved_example_weighs_little_by_rejection_and_fully_when_normalised():
    hard = Tried([], [Candidate(trial(m), math.log(0.01)) for m in range(4)])
    assert MARGINALS["first"].select(hard)[0].weight == pytest.approx(1 - 0.99**4)
    assert MARGINALS["resample"].select(hard)[0].weight == pytest.approx(1)
    assert MARGINALS["first"].select(Tried([])) == MARGINALS["weighted"].select(Tried([])) == []


def kept_distribution(budget):
    """The distribution of the rationale that `resample` keeps, exactly: over the counts of four rationales."""
    found = np.zeros(4)
    for cuts in itertools.combinations(range(budget + 3), 3):
        counts = np.diff((-1, *cuts, budget + 3)) - 1
        ways = math.factorial(budget) / math.prod(math.factorial(n) for n in counts)
        found += ways * math.prod(PRIOR**counts) * np.array(self_normalised_weights(list(RIGHT * counts)))
    return found / found.sum()  # where no rationale can say y* nothing is kept


def kl(budget):
    kept, posterior = kept_distribution(budget), PRIOR * RIGHT / (PRIOR @ RIGHT)
    some = kept > 0
    return float(kept[some] @ np.log(kept[some] / posterior[some]))


def test_the_self_normalised_bias_falls_as_one_over_m():
    """KL(kept || posterior) at M = 1, 2, 4, 30: the numbers of docs/schemes.md."""
    found = {m: kl(m) for m in (1, 2, 4, 30)}
    assert {m: round(value, 4) for m, value in found.items()} == {1: 0.325, 2: 0.1871, 4: 0.0709, 30: 0.0014}
    posterior = PRIOR * RIGHT / (PRIOR @ RIGHT)
    biases = [np.abs(kept_distribution(m) - posterior).max() * m for m in (15, 30)]
    assert biases[1] == pytest.approx(biases[0], rel=0.1)


def test_the_enumerated_distribution_is_what_the_selector_keeps():
    selector, budget = MARGINALS["resample"], 3
    found = np.zeros(4)
    for rationales in itertools.product(range(4), repeat=budget):
        chance = math.prod(PRIOR[list(rationales)])
        for one in replace(selector, rows="all").select(tried(rationales)):
            found[rationales[one.attempt]] += chance * one.weight
    np.testing.assert_allclose(found / found.sum(), kept_distribution(budget), atol=1e-12)


@pytest.mark.parametrize("name", ["first", "resample"])
def test_one_row_is_drawn_by_the_weights_and_carries_their_sum(name):
    rationales = (0, 3, 2, 1, 0)
    every = {k.attempt: k.weight for k in replace(MARGINALS[name], rows="all").select(tried(rationales))}
    kept = [MARGINALS[name].select(tried(rationales, seed))[0] for seed in range(1000)]
    assert {round(one.weight, 12) for one in kept} == {round(sum(every.values()), 12)}
    shares = Counter(one.attempt for one in kept)
    assert set(shares) <= set(every)
    assert 2 not in shares
    for attempt, weight in every.items():
        share = weight / sum(every.values())
        assert shares[attempt] / 1000 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 1000))


# The real E-step, on the toy ----------------------------------------------------------------------------------------


def texts(samples):
    return ["".join(map(chr, one.token_ids[:-1])) for one in samples]


def stepped(directory, selector="first", copies=8, **more):
    problem = toy.problem(directory, parse_scheme("marginal:4", selector), copies=copies, **more)
    kept = e_step(1, EMState(0, problem.base), problem)
    return problem, kept


def test_every_draft_is_drawn_scored_and_left_as_it_was(tmp_path):
    problem, kept = stepped(tmp_path)
    drawn = list(problem.ledger.trials(1, Purpose.TRAIN))
    assert len(drawn) == 16 * 4
    assert {trial.outcome for trial in drawn} == {Outcome.ACCEPTED, Outcome.WRONG}
    scored = problem.ledger.level_logps(1, Purpose.TRAIN)
    assert sum(map(len, scored.values())) == len(drawn)
    assert len(kept) == len({one.example_id for one in kept}) == 16
    assert problem.ledger.record(1, "e_step")["outcomes"] == dict(Counter(str(trial.outcome) for trial in drawn))


@pytest.mark.parametrize("selector", list(MARGINALS))
def test_training_texts_are_the_forward_prompt_a_drawn_rationale_and_the_right_answer(tmp_path, selector):
    problem, kept = stepped(tmp_path, selector)
    rationales = {(t.example_id, t.attempt): t.parsed.rationale for t in problem.ledger.trials(1, Purpose.TRAIN)}
    samples = training_samples(1, kept, problem.data.train, toy.TASK, problem.ledger)
    answers = {x.id: x.answer for x in problem.data.train}
    assert texts(samples) == [
        toy.TASK.format(rationales[one.example_id, one.attempt], answers[one.example_id]) for one in kept
    ]
    assert all("correct rating" not in one.prompt.text for one in samples)


def test_the_weights_are_the_scored_probabilities_of_the_toys_table(tmp_path):
    problem, kept = stepped(tmp_path, "weighted")
    rationale = {(t.example_id, t.attempt): t.parsed.rationale for t in problem.ledger.trials(1, Purpose.TRAIN)}
    for x in problem.data.train:
        table = np.array(toy.THETA[toy.name_of(x)]["y"])[:, toy.SCALE.rank(x.answer)]
        p = [table[toy.RATIONALES.index(rationale[x.id, m])] for m in range(4)]
        found = {one.attempt: one.weight for one in kept if one.example_id == x.id}
        assert [found[m] for m in range(4)] == pytest.approx(self_normalised_weights(p))


def test_the_share_of_examples_without_a_likely_draft_is_recorded(tmp_path):
    problem, _ = stepped(tmp_path)
    rationale = {(t.example_id, t.attempt): t.parsed.rationale for t in problem.ledger.trials(1, Purpose.TRAIN)}
    largest = []
    for x in problem.data.train:
        table = np.array(toy.THETA[toy.name_of(x)]["y"])[:, toy.SCALE.rank(x.answer)]
        largest.append(max(table[toy.RATIONALES.index(rationale[x.id, m])] for m in range(4)))
    found = unlikely_share(problem.ledger.db, 1, toy.TASK.kind)
    assert found == pytest.approx(np.mean(np.array(largest) < 0.5))
    assert 0 < found < 1


def test_a_draft_without_a_marker_has_no_weight(tmp_path):
    def muttering(theta_path):
        engine = toy.open_engine(theta_path)
        say = engine._say
        engine._say = lambda request: say(request) if request.seed % 2 else "alpha"
        return engine

    problem, kept = stepped(tmp_path, "all", engine=muttering)
    silent = {(t.example_id, t.attempt) for t in problem.ledger.trials(1, Purpose.TRAIN) if t.parsed.marker_end is None}
    assert len(silent) > 16
    assert not silent & {(one.example_id, one.attempt) for one in kept}


@pytest.mark.slow
def test_exact_em_and_marginal_reach_the_same_likelihood_on_the_toy(tmp_path):
    """The closed-form M-step on the posterior is EM: both must gain, and end within the noise of the draws."""
    ends = []
    for name in ("exact", "marginal:16"):
        engine = toy.open_enumerating if name == "exact" else toy.open_engine
        selector = "weighted" if name == "marginal:16" else "first"
        problem = toy.problem(tmp_path / name, parse_scheme(name, selector), copies=60, engine=engine)
        found = fit(problem, 2)
        ends.append(toy.log_likelihood(toy.read(problem.ledger.checkpoint(found.last)), toy.examples(1)))
    start = toy.log_likelihood(toy.THETA, toy.examples(1))
    assert ends[0] > start + 1
    assert ends[1] == pytest.approx(ends[0], abs=0.1)


# With demonstrations ------------------------------------------------------------------------------------------------

#: After demonstrations the toy likes "alpha", and the answer "3" twice as much.
_TASTE, _SAYS = np.array([4.0, 1.0, 1.0, 0.5]), np.array([1.0, 1.0, 2.0])


def shown_joint(theta, prompt):
    name = next(n for n in toy.THETA if f"Prompt: {n}" in prompt.text)
    found = toy.joint(theta, name)
    if prompt.earlier:
        found = found * _TASTE[:, None] * _SAYS[None, :]
    return found / found.sum()


def shown_engine(theta_path):
    theta = toy.read(theta_path)

    def say(request):
        cell = generator(request.seed).choice(12, p=shown_joint(theta, request.prompt).ravel())
        return toy.TASK.format(toy.RATIONALES[cell // 3], toy.SCALE.levels[cell % 3])

    def levels(query):
        row = shown_joint(theta, query.prompt)[toy.RATIONALES.index(query.draft.text.split("\n")[0])]
        return tuple(np.log(row / row.sum()))

    return ScriptedEngine(say, levels)


@pytest.mark.slow
@pytest.mark.parametrize("opened", [shown_engine, lambda theta: Streaming(shown_engine(theta))])
def test_with_demonstrations_the_mean_weight_is_that_of_rejection_sampling_with_them(tmp_path, opened):
    """E[sum_m w_m 1(z_m = z)] = (1 - (1 - q)^2) q(z | x, y*), all under the demonstrated prompt.

    With p(y* | x, z) of the bare prompt it is 25 standard errors away in the first question.
    """
    scheme, copies = parse_scheme("marginal:2", "all").showing(), 400
    problem = toy.problem(tmp_path, scheme, copies=copies, engine=opened, demos=SEEN)
    kept = e_step(1, EMState(0, problem.base), problem)
    drawn = {(t.example_id, t.attempt): t for t in problem.ledger.trials(1, Purpose.TRAIN)}
    assert all(trial.demos for trial in drawn.values())
    for name, answer in toy.ANSWERS.items():
        table = shown_joint(toy.THETA, Prompt(f"Prompt: {name}", earlier=(Exchange("", ""),)))
        column = table[:, toy.SCALE.rank(answer)]
        p = column.sum()
        found = np.zeros((copies, 4))
        for one in kept:
            if one.example_id.startswith(name):
                place = toy.RATIONALES.index(drawn[one.example_id, one.attempt].parsed.rationale)
                found[int(one.example_id.split("-")[1]), place] += one.weight
        error = found.std(0, ddof=1) / math.sqrt(copies)
        assert (np.abs(found.mean(0) - (1 - (1 - p) ** 2) * column / p) < 4 * error).all()
    samples = training_samples(1, kept, problem.data.train, toy.TASK, problem.ledger)
    assert not any(one.prompt.earlier for one in samples)
    problem.engines.close()


# What cannot be asked for -------------------------------------------------------------------------------------------


def test_what_marginal_cannot_weigh_is_refused():
    assert parse_scheme("marginal:2").plan == rejection_sampling(2).plan
    with pytest.raises(ConfigError, match="2 or more"):
        parse_scheme("marginal:1")
    for sampling in (Sampling(temperature=0.7), Sampling(top_p=0.9), Sampling(top_k=3)):
        with pytest.raises(ConfigError, match="temperature 1"):
            check_sampling(parse_scheme("marginal:4"), sampling)
    assert list(MARGINALS) == list(SELECTORS)
    assert isinstance(parse_scheme("marginal:4").selector, SummedOut)
