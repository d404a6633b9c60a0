"""The transformers engine: exact draws, exact level probabilities, rows that do not know their batch."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

import checkpoints
from rationem.engines import models
from rationem.engines.transformers import TransformersEngine
from rationem.sampling.closing import closed, closing_of
from rationem.tasks.judge import JudgeTask
from rationem.tasks.scale import MARKER, Scale
from rationem.types import Draft, Finish, LevelQuery, Prompt, Request, Sampling, TokenQuery

pytestmark = pytest.mark.slow
PROMPTS = [
    Prompt("what is 3 + 4 ?"),
    Prompt("Rate the response on the scale " * 4),
    Prompt("x"),
    Prompt("kind tone\n" * 9),
]


@pytest.fixture(scope="module", params=list(checkpoints.STYLES))
def loaded(request, tmp_path_factory):
    path = checkpoints.checkpoint(tmp_path_factory.mktemp("model"), request.param)
    return models.load(path)


@pytest.fixture(scope="module")
def engine(loaded):
    return TransformersEngine(loaded, marker=MARKER)


def requests(count, prompts=PROMPTS, **sampling):
    settings = Sampling(**{"max_new_tokens": 24, **sampling})
    return [Request(prompts[i % len(prompts)], settings, seed=1000 + i) for i in range(count)]


def test_a_rows_tokens_do_not_depend_on_the_rows_beside_it(engine):
    """Up to rounding: a draw may flip where its uniform falls within float error of a boundary; none did here."""
    together = engine.sample(requests(40))
    alone = [engine.sample([request])[0] for request in requests(40)]
    backwards = engine.sample(requests(40)[::-1])[::-1]
    pairs = [(draft.token_ids, draft.finish) for draft in together]
    assert pairs == [(draft.token_ids, draft.finish) for draft in alone]
    assert pairs == [(draft.token_ids, draft.finish) for draft in backwards]


def test_the_models_own_generation_config_is_not_obeyed(engine):
    """The checkpoint asks for top_k=1 at temperature 0.01 with a repetition penalty: then all draws were equal."""
    drafts = engine.sample(requests(32, prompts=[PROMPTS[0]]))
    assert len({draft.token_ids for draft in drafts}) > 16


def test_first_tokens_follow_the_models_distribution(engine, loaded):
    count = 3000
    drafts = engine.sample(requests(count, prompts=[PROMPTS[0]], max_new_tokens=1))
    ids = torch.tensor([engine._chat.encode(PROMPTS[0])])
    probs = loaded.model(ids).logits[0, -1].double().softmax(-1).detach().numpy()
    likely = [v for v in range(len(probs)) if probs[v] * count >= 5]
    seen = Counter(draft.token_ids[0] for draft in drafts)
    observed = np.array([seen[v] for v in likely] + [count - sum(seen[v] for v in likely)])
    expected = np.array([probs[v] for v in likely] + [1 - sum(probs[v] for v in likely)]) * count
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 0.001


def test_temperature_zero_is_the_most_probable_token(engine, loaded):
    (draft,) = engine.sample(requests(1, temperature=0.0, max_new_tokens=1))
    ids = torch.tensor([engine._chat.encode(PROMPTS[0])])
    assert draft.token_ids[0] == int(loaded.model(ids).logits[0, -1].argmax())


@pytest.mark.parametrize(("sampling", "allowed"), [({"top_k": 3}, 3), ({"top_p": 0.01}, 1)])
def test_top_k_and_top_p_cut_the_tail(engine, sampling, allowed):
    drafts = engine.sample(requests(200, prompts=[PROMPTS[0]], max_new_tokens=1, **sampling))
    assert len({draft.token_ids[0] for draft in drafts}) <= allowed


def test_level_probabilities_equal_a_brute_force_forward(engine, loaded):
    """Levels of several tokens that share prefixes ("1", "10", "100"), each with its terminator."""
    continuations = (" 1", " 10", " 100", " Could be Improved", " Excellent")
    drafts = [
        Draft(f"{text}\n{MARKER} 10", engine.encode_completion(f"{text}\n{MARKER} 10"), Finish.STOP, 0)
        for text in ("kind", "the answer is right and the tone is kind", "")
    ]
    queries = [
        LevelQuery(prompt, draft, draft.text.index(MARKER) + len(MARKER), continuations)
        for prompt in PROMPTS
        for draft in drafts
    ]
    for query, scores in zip(queries, engine.score_levels(queries), strict=True):
        for continuation, found in zip(continuations, scores, strict=True):
            prefix = [
                *engine._chat.encode(query.prompt),
                *engine.encode_completion(query.draft.text[: query.upto])[:-1],
            ]
            tail = engine.encode_completion(continuation)
            ids = torch.tensor([[*prefix, *tail]])
            logps = loaded.model(ids).logits[0, len(prefix) - 1 : -1].double().log_softmax(-1)
            expected = sum(float(logps[t, token].detach()) for t, token in enumerate(tail))
            assert found == pytest.approx(expected, abs=1e-4)


def test_a_rationale_with_another_level_behind_it_has_the_tokens_that_were_scored(engine):
    """`marginal:M` trains on them: their log-probabilities behind the marker sum to the level's score."""
    drafts = [Draft(t, engine.encode_completion(t), Finish.STOP, 0) for t in (f"kind\n{MARKER} 10", f"{MARKER} 1")]
    levels = (" 1", " 10", " Excellent")
    for draft in drafts:
        query = LevelQuery(PROMPTS[0], draft, draft.text.index(MARKER) + len(MARKER), levels)
        (scores,) = engine.score_levels([query])
        for level, ids, score in zip(levels, engine.completions(query), scores, strict=True):
            (logps,) = engine.score_tokens([TokenQuery(PROMPTS[0], Draft("", ids, Finish.STOP, 0))])
            behind = len(ids) - len(engine.encode_completion(level, draft.text[: query.upto]))
            assert sum(logps[behind:]) == pytest.approx(score, abs=1e-4)
            assert engine._chat.read(ids[:-1]) == f"{draft.text[: query.upto]}{level}"


@pytest.mark.parametrize("text", ["kind tone\nthe an", "the answer is right", ""])
def test_a_draft_is_closed_with_the_tokens_of_the_whole_text(engine, text):
    """The drawn tokens stay, the marker and the level are encoded behind them, and the level's score is theirs."""
    task = JudgeTask(Scale(("1", "10", "Excellent")))
    ids = engine.encode_completion(text)[:-1] or engine.encode_completion(text)
    draft = Draft(text, ids, Finish.LENGTH, 0)
    request = Request(PROMPTS[0], Sampling(), 3)
    one = closing_of(draft, request, {}, engine, task)
    (logps,) = engine.score_levels([one.query])
    found = closed(one, logps, request, engine)
    kept = engine.tokens_within(draft, len(text.split("\n")[0]))
    assert found.token_ids[:kept] == draft.token_ids[:kept]
    assert engine._chat.read(found.token_ids[:-1]) == found.text
    assert found.text.startswith(f"{text.split(chr(10))[0]}\n{MARKER}".lstrip())
    level = task.levels.index(task.parse(found.text).answer)
    (tokens,) = engine.score_tokens([TokenQuery(PROMPTS[0], found)])
    behind = len(engine.encode_completion(task.continuations[level], one.query.draft.text))
    assert sum(tokens[-behind:]) == pytest.approx(logps[level], abs=1e-4)


def test_levels_that_share_a_prefix_cannot_sum_to_more_than_one(engine):
    draft = Draft(f"{MARKER} 1", engine.encode_completion(f"{MARKER} 1"), Finish.STOP, 0)
    query = LevelQuery(PROMPTS[0], draft, len(MARKER), tuple(f" {n}" for n in range(11)))
    (scores,) = engine.score_levels([query])
    assert sum(map(math.exp, scores)) <= 1 + 1e-6


def forced(loaded, text):
    """A model that writes a given text whatever it is asked: its logits are scripted, its loop is the real one."""

    from rationem.engines.chat import Chat

    ids = Chat(loaded.tokenizer).encode_plain(text)
    engine = TransformersEngine(loaded, marker=MARKER)
    real, width = loaded.model.forward, len(engine._chat.encode(PROMPTS[0]))

    def forward(*args, **kwargs):
        output = real(*args, **kwargs)
        step = max(0, int(kwargs["position_ids"][0, -1]) + 1 - width)
        output.logits[:] = -100.0
        output.logits[:, -1, ids[min(step, len(ids) - 1)]] = 100.0
        return output

    return engine, forward


def test_generation_stops_behind_the_verdict_line(loaded, monkeypatch):
    engine, forward = forced(loaded, f"kind\n{MARKER} 4\nand now a second verdict\n{MARKER} 5\n")
    monkeypatch.setattr(loaded.model, "forward", forward)
    (draft,) = engine.sample(requests(1, max_new_tokens=200))
    assert draft.finish is Finish.STOP
    assert draft.text == f"kind\n{MARKER} 4\n"


def test_a_cut_completion_is_truncated_even_if_a_verdict_could_be_read(loaded, monkeypatch):
    engine, forward = forced(loaded, f"{MARKER} 10")
    monkeypatch.setattr(loaded.model, "forward", forward)
    length = len(engine._chat.encode_plain(f"{MARKER} 1"))
    (draft,) = engine.sample(requests(1, max_new_tokens=length))
    assert draft.finish is Finish.LENGTH


SHARED = [
    Prompt("Rate the response on the scale of kindness. " * 8 + rest)
    for rest in ("x", "kind tone", "3 + 4", "tone " * 9)
]


def _read_tokens(engine, monkeypatch, ask):
    """Return a result and the number of tokens that the model read for it, padding included."""
    forward, count = engine._way._forward, []
    inner = type(forward).__call__

    def counted(self, ids, **more):
        count.append(ids.numel())
        return inner(self, ids, **more)

    with monkeypatch.context() as changed:
        changed.setattr(type(forward), "__call__", counted)
        return ask(), sum(count)


def test_a_shared_beginning_is_read_once_and_changes_no_draft(engine, monkeypatch):
    wanted = [engine.sample([request])[0] for request in requests(24, prompts=SHARED)]
    drafts, _ = _read_tokens(engine, monkeypatch, lambda: engine.sample(requests(24, prompts=SHARED)))
    assert [draft.token_ids for draft in drafts] == [draft.token_ids for draft in wanted]
    assert np.concatenate([draft.token_logps for draft in drafts]) == pytest.approx(
        np.concatenate([draft.token_logps for draft in wanted]), abs=2e-5
    )
    lengths = [engine.prompt_tokens(prompt) for prompt in SHARED]
    one = requests(len(SHARED), prompts=SHARED, max_new_tokens=1)
    _, read = _read_tokens(engine, monkeypatch, lambda: engine.sample(one))
    assert read < max(lengths) + sum(length - min(lengths) + 24 for length in lengths)
    assert read < 0.6 * sum(lengths)


def test_a_shared_beginning_changes_no_score(engine):
    drafts = engine.sample(requests(4, prompts=SHARED))
    queries = [TokenQuery(prompt, draft) for prompt, draft in zip(SHARED, drafts, strict=True)]
    together, alone = engine.score_tokens(queries), [engine.score_tokens([query])[0] for query in queries]
    assert np.concatenate(together) == pytest.approx(np.concatenate(alone), abs=2e-5)
    text = f"kind\n{MARKER}"
    held = Draft(text, engine.encode_completion(text)[:-1], Finish.STOP, 0)
    asked = [LevelQuery(prompt, held, len(text), (" 1", " 2")) for prompt in SHARED]
    said = np.array(engine.score_levels(asked))
    assert said == pytest.approx(np.array([engine.score_levels([one])[0] for one in asked]), abs=2e-5)
