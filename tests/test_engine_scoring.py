"""Token log-probabilities: as drawn and as scored, against a brute force forward that knows no cache and no batch."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import checkpoints
from rationem.engines import models
from rationem.engines.inverse_cdf import inverse_cdf
from rationem.engines.transformers import TransformersEngine
from rationem.errors import ModelError
from rationem.tasks.scale import MARKER
from rationem.types import Draft, Finish, Prompt, Request, Sampling, TokenQuery

pytestmark = pytest.mark.slow
PROMPTS = [Prompt("what is 3 + 4 ?"), Prompt("Rate the response on the scale " * 4), Prompt("x")]


@pytest.fixture(scope="module", params=list(checkpoints.STYLES))
def loaded(request, tmp_path_factory):
    return models.load(checkpoints.checkpoint(tmp_path_factory.mktemp("model"), request.param))


@pytest.fixture(scope="module")
def engine(loaded):
    return TransformersEngine(loaded, marker=MARKER)


def drawn(engine, count=12, **sampling):
    settings = Sampling(**{"max_new_tokens": 20, **sampling})
    requests = [Request(PROMPTS[n % len(PROMPTS)], settings, seed=50 + n) for n in range(count)]
    return requests, engine.sample(requests)


def queries(requests, drafts):
    return [TokenQuery(request.prompt, draft) for request, draft in zip(requests, drafts, strict=True)]


def brute(engine, loaded, prompt, token_ids):
    """Logits of every position before a token of the completion, in double precision, by one plain forward."""
    prefix = list(engine._chat.encode(prompt))
    with torch.no_grad():
        return loaded.model(torch.tensor([[*prefix, *token_ids]])).logits[0, len(prefix) - 1 : -1].double()


def picked(logits, token_ids):
    return logits.log_softmax(-1).gather(1, torch.tensor(token_ids).unsqueeze(1)).squeeze(1).tolist()


def test_draws_at_temperature_one_carry_what_scoring_and_a_plain_forward_say(engine, loaded):
    requests, drafts = drawn(engine)
    scores = engine.score_tokens(queries(requests, drafts))
    for request, draft, scored in zip(requests, drafts, scores, strict=True):
        expected = picked(brute(engine, loaded, request.prompt, draft.token_ids), draft.token_ids)
        assert draft.token_logps == pytest.approx(expected, abs=1e-4)
        assert scored == pytest.approx(expected, abs=1e-4)


def warped(logits, temperature, top_k, top_p):
    """log softmax after temperature, top-k and top-p, by sorting: the definition, not the library's code."""
    logits = logits / temperature
    if top_k:
        logits = torch.where(logits < logits.sort(descending=True).values[top_k - 1], -torch.inf, logits)
    order = logits.argsort(descending=True)
    probs = logits[order].softmax(-1)
    before = probs.cumsum(-1) - probs
    logits[order[before >= top_p]] = -torch.inf
    return logits.log_softmax(-1)


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"), [(0.7, 0, 1.0), (1.0, 5, 1.0), (1.0, 0, 0.6), (0.7, 20, 0.8), (1.3, 0, 1.0)]
)
def test_draws_carry_the_warped_distribution(engine, loaded, temperature, top_k, top_p):
    requests, drafts = drawn(engine, temperature=temperature, top_k=top_k, top_p=top_p)
    for request, draft in zip(requests, drafts, strict=True):
        logits = brute(engine, loaded, request.prompt, draft.token_ids)
        expected = [
            float(warped(row.clone(), temperature, top_k, top_p)[token])
            for row, token in zip(logits, draft.token_ids, strict=True)
        ]
        assert draft.token_logps == pytest.approx(expected, abs=1e-4)


def test_greedy_tokens_are_certain(engine):
    for draft in drawn(engine, temperature=0.0)[1]:
        assert draft.token_logps == (0.0,) * len(draft.token_ids)


@pytest.mark.parametrize("budget", [1, 2000, 5000])
def test_neither_batch_nor_order_nor_pieces_change_a_score(engine, loaded, budget):
    asked = queries(*drawn(engine))
    small = TransformersEngine(loaded, marker=MARKER, batch_size=5, logits_at_once=budget)
    whole = engine.score_tokens(asked)
    for found in (small.score_tokens(asked), small.score_tokens(asked[::-1])[::-1]):
        for one, other in zip(found, whole, strict=True):
            assert one == pytest.approx(other, abs=1e-4)
    assert small.score_tokens(asked[:1])[0] == pytest.approx(whole[0], abs=1e-4)


def test_an_empty_draft_has_no_scores(engine):
    some = TokenQuery(PROMPTS[0], Draft("", (5, 6), Finish.LENGTH, 0))
    empty = TokenQuery(PROMPTS[1], Draft("", (), Finish.FAILED, 0))
    assert engine.score_tokens([]) == []
    assert [len(scores) for scores in engine.score_tokens([empty, some, empty])] == [0, 2, 0]


def test_the_one_token_completions_of_a_prompt_sum_to_one(engine, loaded):
    drafts = [Draft("", (token,), Finish.LENGTH, 0) for token in range(loaded.model.config.vocab_size)]
    scores = engine.score_tokens([TokenQuery(PROMPTS[0], draft) for draft in drafts])
    assert sum(math.exp(logp) for (logp,) in scores) == pytest.approx(1, abs=1e-5)


def test_every_prompt_of_a_call_is_read_once(engine, loaded, monkeypatch):
    small = TransformersEngine(loaded, marker=MARKER, batch_size=2)
    read, real = [], small._way.prefill
    monkeypatch.setattr(small._way, "prefill", lambda prompts: read.extend(prompts) or real(prompts))
    small.score_tokens(queries(*drawn(engine)))
    assert sorted(read) == sorted(small._chat.encode(prompt) for prompt in PROMPTS)


def test_tokens_within_counts_the_tokens_that_end_before_a_character(engine):
    draft = Draft("kind tone", engine.encode_completion("kind tone"), Finish.STOP, 0)
    for characters in range(len(draft.text) + 1):
        count = engine.tokens_within(draft, characters)
        ends = [len(engine._chat.decode(draft.token_ids[: n + 1])) for n in range(len(draft.token_ids))]
        assert count == sum(end <= characters for end in ends)


def test_rows_that_end_early_leave_the_batch_and_change_nothing(engine, loaded):
    """Every eighth token ends a turn here, so that rows end at many different steps, and the longest at its limit."""
    hasty = replace(loaded, stop_ids=frozenset(range(0, loaded.model.config.vocab_size, 8)))
    hasty_engine = TransformersEngine(hasty, marker=MARKER)
    requests, drafts = drawn(hasty_engine, count=40, max_new_tokens=40)
    assert len({len(draft.token_ids) for draft in drafts}) > 5
    for request, draft in zip(requests, drafts, strict=True):
        stops = [t for t, token in enumerate(draft.token_ids) if token in hasty_engine._stop_ids]
        ended = draft.finish is Finish.STOP
        assert stops == ([len(draft.token_ids) - 1] if ended else [])
        assert ended or len(draft.token_ids) == 40
        assert draft.text == engine._chat.decode(draft.token_ids[:-1] if ended else draft.token_ids)
        expected = picked(brute(engine, loaded, request.prompt, draft.token_ids), draft.token_ids)
        assert draft.token_logps == pytest.approx(expected, abs=1e-4)
        assert hasty_engine.sample([request])[0].token_ids == draft.token_ids


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_not_numbers_are_an_error(engine, loaded, monkeypatch, temperature):
    real = loaded.model.forward

    def forward(*args, **kwargs):
        output = real(*args, **kwargs)
        output.logits.fill_(torch.nan)
        return output

    monkeypatch.setattr(loaded.model, "forward", forward)
    with pytest.raises(ModelError, match="not finite"):
        drawn(engine, temperature=temperature)


@pytest.mark.parametrize("vocabulary", [1, 100, 128, 1000, 151_936])
def test_the_inverse_in_blocks_is_the_inverse_of_the_whole(vocabulary):
    """Against one running sum in double precision; where the two differ, u is within rounding of a boundary."""
    noise = torch.Generator().manual_seed(vocabulary)
    probs = (torch.randn(300, vocabulary, generator=noise) * 3).softmax(1)
    uniform = torch.rand(300, dtype=torch.float64, generator=noise)
    whole = probs.numpy().astype(np.float64).cumsum(1)
    for u, cumulative, found in zip(uniform.tolist(), whole, inverse_cdf(probs, uniform).tolist(), strict=True):
        share = cumulative / cumulative[-1]
        assert (share[found - 1] if found else 0.0) <= u + 1e-6
        assert u - 1e-6 < share[found]


def test_a_token_without_probability_is_never_drawn():
    probs = torch.zeros(2, 1000)
    probs[:, 300], probs[:, 700] = 0.3, 0.7
    edges = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert inverse_cdf(probs, edges).tolist() == [300, 700]
