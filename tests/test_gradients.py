"""The link between EM and reward optimization, by enumeration: every sequence of draws, weighted by its probability.

One question, a softmax table over the cells (z, y). Each sequence of draws that a plan can meet is one example of a
real E-step whose engine is scripted to draw just that sequence, so what is averaged is what the product keeps and
trains on; nothing below knows the formulas but the assertions. Gradients come from complex steps, not from a formula.
"""

import itertools
import math

import numpy as np
import pytest

import toy
from rationem import (
    PPS,
    STAR,
    EMState,
    Example,
    JudgeTask,
    Ledger,
    Problem,
    Prompt,
    Proposal,
    Scheme,
    ScriptedEngine,
    Splits,
    rejection_sampling,
)
from rationem.em import e_step
from rationem.engines.pool import EnginePool
from rationem.sampling.selection import training_samples
from rationem.sampling.selectors import First, Tried
from rationem.sampling.trials import SamplingContext, grade
from rationem.types import Purpose, Request, Sampling, Trial

TASK: JudgeTask = toy.TASK
RIGHT = "3"
#: (rationale, level) cells and their logits: six cells, two of them right; and three cells, one of them wrong, for
#: which the sequences of 16 draws are few.
SIX = tuple(itertools.product(("alpha", "beta"), ("1", "2", RIGHT)))
THREE = (("alpha", RIGHT), ("beta", RIGHT), ("gamma", "1"))
LOGITS = {SIX: (0.3, -0.2, 0.5, 1.0, 0.1, -0.9), THREE: (0.2, -1.1, 0.9)}


def softmax(logits):
    weights = np.exp(logits)
    return weights / weights.sum()


def gradient(function, logits):
    """d function / d logits by complex steps: exact to rounding, for any analytic function."""
    step = 1e-30
    return np.array([function(np.asarray(logits) + 1j * step * row).imag / step for row in np.eye(len(logits))])


def log_pi(cells, cell):
    return lambda logits: np.log(softmax(logits)[cells.index(cell)])


def probability_of_right(cells):
    return lambda logits: softmax(logits)[[y == RIGHT for _, y in cells]].sum()


def grad_log_p(cells):
    return gradient(lambda logits: np.log(probability_of_right(cells)(logits)), LOGITS[cells])


def sequences(tables, cells):
    """All sequences of draws that end at the first right cell or with the plan, and their probabilities."""
    unfinished = [((), 1.0)]
    for table in tables:
        extended = [
            ((*drawn, cell), weight * q) for drawn, weight in unfinished for cell, q in zip(cells, table, strict=True)
        ]
        yield from ((drawn, weight) for drawn, weight in extended if drawn[-1][1] == RIGHT)
        unfinished = [(drawn, weight) for drawn, weight in extended if drawn[-1][1] != RIGHT]
    yield from unfinished


def expected_gradient(tmp_path, scheme, cells, tables):
    """E[sum of w grad log pi(z, y_hat | x)] over all draws of a real E-step and what it hands to the M-step."""
    weighted = list(sequences(tables, cells))
    assert sum(weight for _, weight in weighted) == pytest.approx(1, abs=1e-12)
    drawn = {f"#{n}#": sequence for n, (sequence, _) in enumerate(weighted)}
    left = {name: list(sequence) for name, sequence in drawn.items()}

    def say(request):
        name = next(part for part in request.prompt.text.split() if part in left)
        proposal = scheme.plan[len(drawn[name]) - len(left[name])]
        assert request.prompt.kind == proposal.prompt
        assert (f"correct rating is: {RIGHT}" in request.prompt.text) == (proposal.prompt == "rationalize")
        return TASK.format(*left[name].pop(0))  # a draw too many finds an empty list and fails

    train = tuple(Example(name, {"prompt": name, "response": "."}, RIGHT, name) for name in left)
    ledger = Ledger(tmp_path)
    ledger.start({}, {"train": train})
    engines = EnginePool(lambda _: ScriptedEngine(say, batch_size=1024))
    context = SamplingContext(TASK, ledger, 0, Sampling())
    problem = Problem(Splits(train, (), ()), scheme, "table", engines, None, context)
    kept = e_step(1, EMState(0, "table"), problem)
    assert not any(left.values()), "a draw too few"
    chances = dict(zip(left, (weight for _, weight in weighted), strict=True))
    gradients = {cell: gradient(log_pi(cells, cell), LOGITS[cells]) for cell in cells}
    total = np.zeros(len(cells))
    for sample in training_samples(1, kept, problem.data.train, TASK, ledger):
        assert "correct rating" not in sample.prompt.text
        parsed = TASK.parse("".join(map(chr, sample.token_ids[:-1])))
        total += chances[sample.example_id] * sample.weight * gradients[parsed.rationale, parsed.answer]
    ledger.close()
    return total


def tables(cells, budget):
    return [softmax(LOGITS[cells])] * budget


def test_one_rejection_draw_has_the_policy_gradient_of_the_expected_reward(tmp_path):
    found = expected_gradient(tmp_path, rejection_sampling(1), SIX, tables(SIX, 1))
    p = probability_of_right(SIX)
    np.testing.assert_allclose(found, gradient(p, LOGITS[SIX]), atol=1e-12)
    np.testing.assert_allclose(found, p(LOGITS[SIX]) * grad_log_p(SIX), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("cells", "budget"), [(SIX, 1), (SIX, 2), (SIX, 4), (THREE, 1), (THREE, 4), (THREE, 16)])
def test_budget_m_weighs_the_gradient_of_log_p_by_the_chance_of_acceptance(tmp_path, cells, budget):
    found = expected_gradient(tmp_path, rejection_sampling(budget), cells, tables(cells, budget))
    p = probability_of_right(cells)(LOGITS[cells])
    np.testing.assert_allclose(found, (1 - (1 - p) ** budget) * grad_log_p(cells), atol=1e-12)


@pytest.mark.slow
def test_a_growing_budget_tends_to_the_gradient_of_the_log_likelihood(tmp_path):
    distances = [
        np.linalg.norm(
            expected_gradient(tmp_path / str(m), rejection_sampling(m), THREE, tables(THREE, m)) - grad_log_p(THREE)
        )
        for m in (1, 2, 4, 16, 40)
    ]
    assert all(nearer < further / 1.5 for further, nearer in itertools.pairwise(distances))
    p = probability_of_right(THREE)(LOGITS[THREE])
    assert distances[-1] == pytest.approx((1 - p) ** 40 * np.linalg.norm(grad_log_p(THREE)), rel=1e-3)


def trial(attempt, cell):
    (draft,) = ScriptedEngine(lambda _: TASK.format(*cell)).sample([Request(Prompt("x"), Sampling(), 0)])
    return Trial(
        1, Purpose.TRAIN, "x", attempt, 0, "forward", 0, draft, *grade(draft, Example("x", {}, RIGHT, "g"), TASK, 1.0)
    )


@pytest.mark.slow
@pytest.mark.parametrize("budget", [1, 2, 4, 8])
def test_the_selector_alone_keeps_the_first_accepted_of_every_full_sequence(budget):
    """Whole sequences, drawn on past the first success: what `first` selects is what stopping there would keep."""
    cells, table = THREE, softmax(LOGITS[THREE])
    drawn = {(m, cell): trial(m, cell) for m in range(budget) for cell in cells}
    gradients = {cell: gradient(log_pi(cells, cell), LOGITS[cells]) for cell in cells}
    total, selector = np.zeros(len(cells)), First()
    for sequence in itertools.product(range(len(cells)), repeat=budget):
        trials = [drawn[m, cells[n]] for m, n in enumerate(sequence)]
        outcomes = [(True, t.outcome) for t in trials]
        stops = [selector.satisfied(outcomes[:m]) for m in range(budget + 1)]
        kept = selector.select(Tried(trials))
        assert kept == selector.select(Tried(trials[: stops.index(True)] if True in stops else trials))
        for one in kept:
            total += math.prod(table[n] for n in sequence) * one.weight * gradients[cells[sequence[one.attempt]]]
    p = probability_of_right(cells)(LOGITS[cells])
    np.testing.assert_allclose(total, (1 - (1 - p) ** budget) * grad_log_p(cells), atol=1e-12)


def tilted(table, cells, strength, taste):
    """A hinted sampler: the right level is more probable, and the rationale's own probability shifts with the hint."""
    weights = table * [math.exp(strength * (y == RIGHT) + taste * (z == "beta")) for z, y in cells]
    return weights / weights.sum()


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize("scheme", [STAR, PPS])
def test_a_hint_that_shifts_the_rationales_bends_the_gradient_away_from_grad_log_p(tmp_path, scheme):
    forward = softmax(LOGITS[SIX])
    hinted = tilted(forward, SIX, strength=3.0, taste=2.0)
    found = expected_gradient(tmp_path, scheme, SIX, [forward, hinted][-len(scheme.plan) :])
    right = [y == RIGHT for _, y in SIX]
    assert not np.allclose(hinted[right] / hinted[right].sum(), forward[right] / forward[right].sum(), atol=0.1)
    assert cosine(found, grad_log_p(SIX)) < 0.97
    by_hand = sum(
        ((forward[n] + (1 - forward[right].sum()) * hinted[n]) if scheme is STAR else hinted[n])
        * gradient(log_pi(SIX, cell), LOGITS[SIX])
        for n, cell in enumerate(SIX)
        if right[n]
    )
    np.testing.assert_allclose(found, by_hand, atol=1e-12)


@pytest.mark.parametrize("scheme", [STAR, PPS])
def test_a_hinted_sampler_that_were_the_posterior_would_give_exact_em(tmp_path, scheme):
    forward = softmax(LOGITS[SIX])
    posterior = np.where([y == RIGHT for _, y in SIX], forward, 0) / probability_of_right(SIX)(LOGITS[SIX])
    found = expected_gradient(tmp_path, scheme, SIX, [forward, posterior][-len(scheme.plan) :])
    np.testing.assert_allclose(found, grad_log_p(SIX), atol=1e-12)


def test_a_plan_of_four_tries_and_a_hint_adds_the_hints_gradient_for_the_hard_rest(tmp_path):
    forward = softmax(LOGITS[THREE])
    hinted = tilted(forward, THREE, strength=3.0, taste=2.0)
    plan = (Proposal("forward"),) * 4 + (Proposal("rationalize"),)
    found = expected_gradient(tmp_path / "a", Scheme("mixed", plan), THREE, [*tables(THREE, 4), hinted])
    rejection = expected_gradient(tmp_path / "b", rejection_sampling(4), THREE, tables(THREE, 4))
    prompted = expected_gradient(tmp_path / "c", PPS, THREE, [hinted])
    failed = (1 - probability_of_right(THREE)(LOGITS[THREE])) ** 4
    np.testing.assert_allclose(found, rejection + failed * prompted, atol=1e-12)
