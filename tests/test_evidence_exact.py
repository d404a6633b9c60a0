"""Sampled evidence against the enumeration, on the tiny judge: within its stated error, and never above the bounds."""

import math

import numpy as np
import pytest

from rationem import Prompt, TransformersEngine, world
from rationem.engines import models
from rationem.metrics import evidence
from rationem.tasks.scale import MARKER
from rationem.types import Finish, LevelQuery, Request, Sampling, TokenQuery

pytestmark = pytest.mark.slow

QUESTIONS, DRAWS, NEW_TOKENS = 8, 32, 64


@pytest.fixture(scope="module")
def engine():
    return TransformersEngine(models.load(models.resolve("tiny-judge"), device="cpu"), marker=MARKER, batch_size=256)


@pytest.fixture(scope="module")
def questions():
    return world.examples(QUESTIONS, seed=11)


@pytest.fixture(scope="module")
def enumerated(engine, questions):
    """(lower, upper) of p(y* | x), certified."""
    found = engine.enumerate(
        [world.TASK.prompt(x.fields) for x in questions],
        world.TASK.continuations,
        threshold=1e-4,
        max_new_tokens=NEW_TOKENS,
    )
    return [evidence.bounds(one, world.TASK.levels.index(x.answer)) for one, x in zip(found, questions, strict=True)]


def drawn(engine, x, hinted: bool, seed: int):
    """log pi(z | x), log q(z | x, y*) and log pi(y* | x, z) of DRAWS rationales; -inf where z is not whole."""
    forward, hint = world.TASK.prompt(x.fields), world.TASK.hint_prompt(x.fields, x.answer)
    asked: Prompt = hint if hinted else forward
    drafts = engine.sample([Request(asked, Sampling(max_new_tokens=NEW_TOKENS), seed + n) for n in range(DRAWS)])
    answer = world.TASK.continuations[world.TASK.levels.index(x.answer)]
    columns = np.full((3, DRAWS), -math.inf)
    whole = [n for n, draft in enumerate(drafts) if world.TASK.parse(draft.text).marker_end]
    for row, prompt in enumerate((forward, hint)):
        scored = engine.score_tokens([TokenQuery(prompt, drafts[n]) for n in whole])
        for n, logps in zip(whole, scored, strict=True):
            end = engine.tokens_within(drafts[n], world.TASK.parse(drafts[n].text).marker_end)
            columns[row, n] = sum(logps[:end])
    levels = engine.score_levels(
        [LevelQuery(forward, drafts[n], world.TASK.parse(drafts[n].text).marker_end, (answer,)) for n in whole]
    )
    for n, (logp,) in zip(whole, levels, strict=True):
        columns[2, n] = logp
    return columns, sum(draft.finish is Finish.LENGTH for draft in drafts)


@pytest.fixture(scope="module")
def draws(engine, questions):
    return [
        (drawn(engine, x, False, 1000 * n)[0], drawn(engine, x, True, 1000 * n + 500)[0])
        for n, x in enumerate(questions)
    ]


def terms(kind, forward, hinted):
    """The draws' unbiased estimates of p(y* | x), whose mean is p_hat."""
    with np.errstate(invalid="ignore"):  # -inf minus -inf, where a draw has no whole z
        if kind == "raw":
            return np.exp(forward[2])
        if kind == "iwae":
            return np.exp(np.where(np.isinf(hinted[0]), -math.inf, hinted[0] + hinted[2] - hinted[1]))
        both = np.concatenate([forward, hinted], axis=1)
        mean_q = np.logaddexp(both[0], both[1]) - math.log(2)
        return np.exp(np.where(np.isinf(both[0]), -math.inf, both[0] + both[2] - mean_q))


@pytest.mark.parametrize("kind", ["raw", "iwae", "mixture"])
def test_estimates_agree_with_the_enumeration_within_their_error(enumerated, draws, kind):
    """Summed over the questions, where each draw's term is independent, and its spread gives the standard error."""
    found = [terms(kind, *both) for both in draws]
    if kind == "mixture":  # two strata: the error is of the halves
        errors = [(one[:DRAWS].var(ddof=1) + one[DRAWS:].var(ddof=1)) / (4 * DRAWS) for one in found]
    else:
        errors = [one.var(ddof=1) / DRAWS for one in found]
    total, error = sum(one.mean() for one in found), math.sqrt(sum(errors))
    assert sum(low for low, _ in enumerated) - 4 * error < total < sum(high for _, high in enumerated) + 4 * error


def test_the_functions_return_the_mean_of_these_terms(draws):
    for forward, hinted in draws:
        both = np.concatenate([forward, hinted], axis=1)
        assert evidence.iwae(hinted[0] + hinted[2], hinted[1]) == pytest.approx(
            math.log(terms("iwae", forward, hinted).mean()), abs=1e-9
        )
        assert evidence.mixture(both[0], both[1], both[2], DRAWS, DRAWS) == pytest.approx(
            math.log(terms("mixture", forward, hinted).mean()), abs=1e-9
        )


def test_iwae_rises_with_the_number_of_draws_and_stays_below_the_upper_bound(enumerated, draws):
    ks = (1, 2, 4, 8, 16, 32)
    by_k = np.array([evidence.iwae_by_k(hinted[0] + hinted[2], hinted[1], ks) for _, hinted in draws])
    whole = np.isfinite(by_k).all(axis=1)
    assert whole.sum() >= QUESTIONS // 2
    means = by_k[whole].mean(axis=0)
    assert (np.diff(means) > 0).all()
    spread = by_k[whole, -1].std(ddof=1) / math.sqrt(whole.sum())
    upper = np.mean([math.log(high) for (_, high), is_whole in zip(enumerated, whole, strict=True) if is_whole])
    assert means[-1] < upper + 2 * spread


def test_the_markov_bound_is_below_the_evidence(enumerated, draws):
    """It may fail once in twenty data sets; for this one it holds, with the certified upper bound above it."""
    logs = [evidence.mixture(*np.concatenate([forward, hinted], axis=1), DRAWS, DRAWS) for forward, hinted in draws]
    assert evidence.markov_lower_bound(logs) <= sum(math.log(high) for _, high in enumerated)
