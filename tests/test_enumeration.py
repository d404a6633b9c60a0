"""Enumeration against brute force on small real models, and against samples of the tiny judge."""

import itertools
import math
from functools import cache

import numpy as np
import pytest
import torch

import checkpoints
from rationem import world
from rationem.engines import models
from rationem.engines.enumeration import enumerate_rationales
from rationem.engines.transformers import TransformersEngine
from rationem.errors import ModelError
from rationem.metrics import evidence
from rationem.seeds import seed_for
from rationem.tasks.parse import parse_verdict
from rationem.tasks.scale import MARKER
from rationem.types import Draft, Finish, LevelQuery, Prompt, Request, Sampling
from rationem.world import TASK

pytestmark = pytest.mark.slow
PROMPTS = [Prompt("what is 3 + 4 ?"), Prompt("x"), Prompt("kind tone\n" * 9)]
CONTINUATIONS = (" 1", " 10", " Excellent")
#: All that the doctored model can say besides ending its turn; "Rate" reaches beyond the marker.
PIECES, SHORT, LENGTH = ("k", "\n", "R", "Rate", "**"), "R", 4


@pytest.fixture(scope="module", params=["chatml", "qwen2", "llama3"])
def loaded(request, tmp_path_factory):
    return models.load(checkpoints.checkpoint(tmp_path_factory.mktemp("model"), request.param))


@pytest.fixture
def doctored(loaded, monkeypatch):
    """The model, but behind a prompt it says nothing but the pieces, the levels' tokens, and its end of turn."""
    engine = TransformersEngine(loaded, marker=SHORT)
    said = {engine.encode_completion(piece)[0] for piece in PIECES}
    levels = {token for text in CONTINUATIONS for token in engine.encode_completion(text)}
    bias = torch.full((loaded.model.config.vocab_size,), -1e4)
    bias[sorted(said | levels | loaded.stop_ids)] = 0.0
    loaded.model.lm_head.register_parameter("bias", torch.nn.Parameter(bias, requires_grad=False))
    yield loaded, engine, sorted(said | levels | loaded.stop_ids | {engine.encode_completion("")[-1]})
    loaded.model.lm_head.register_parameter("bias", None)


def run(loaded, prompts=PROMPTS, continuations=CONTINUATIONS, **settings):
    chosen = {"marker": SHORT, "threshold": 0.0, "max_new_tokens": LENGTH, **settings}
    return enumerate_rationales(loaded, prompts, continuations, **chosen)


@torch.inference_mode()
def next_logps(loaded, ids):
    return loaded.model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)


def brute_force(loaded, engine, prompt, tokens):
    """Walk the whole tree of completions with plain forwards: log pi of each scored z, and what is unscored."""
    start, stops = engine._chat.encode(prompt), set(engine._stop_ids)
    leaves, unscored, beyond = {}, 0.0, 0.0
    level = [((), 0.0)]
    for _ in range(LENGTH):
        following = []
        for ids, log_prob in level:
            steps = next_logps(loaded, (*start, *ids))
            for token in tokens:
                new, mass = (*ids, token), log_prob + float(steps[token])
                text = engine._chat.decode(new)
                end = parse_verdict(text, SHORT, ()).marker_end
                if token in stops:
                    unscored += math.exp(mass)
                elif end == len(text):
                    leaves[new] = mass
                elif end is not None:
                    beyond += math.exp(mass)
                else:
                    following.append((new, mass))
        level = following
    return leaves, unscored + sum(math.exp(mass) for _, mass in level), beyond


def mass(found):
    return math.fsum(math.exp(leaf.log_prob) for leaf in found.leaves) + found.unexplored + found.unscored


def test_the_whole_tree_equals_plain_forwards(doctored):
    loaded, engine, tokens = doctored
    prompt = PROMPTS[0]
    (found,) = run(loaded, [prompt])
    leaves, unscored, beyond = brute_force(loaded, engine, prompt, tokens)
    assert {leaf.token_ids: leaf.log_prob for leaf in found.leaves} == pytest.approx(leaves, abs=2e-4)
    assert (found.unscored, found.unexplored) == pytest.approx((unscored, beyond), abs=1e-5)
    assert len(leaves) > 50
    assert min(unscored, beyond) > 1e-4
    queries = [
        LevelQuery(prompt, Draft(leaf.text, leaf.token_ids, Finish.LENGTH, 0), len(leaf.text), CONTINUATIONS)
        for leaf in found.leaves
    ]
    np.testing.assert_allclose([leaf.level_logps for leaf in found.leaves], engine.score_levels(queries), atol=2e-4)


def test_groups_and_blocks_change_nothing_but_rounding(loaded):
    """A threshold of 1e-3 on a random model: some prefixes in many blocks, beside other prompts or alone."""
    settings = {"threshold": 1e-3, "marker": SHORT}
    together, small = run(loaded, **settings), run(loaded, **settings, rows=7)
    alone = [run(loaded, [prompt], **settings)[0] for prompt in PROMPTS]
    for others in (small, alone):
        for one, other in zip(together, others, strict=True):
            known = {leaf.token_ids: leaf for leaf in other.leaves}
            assert (one.unexplored, one.unscored) == pytest.approx((other.unexplored, other.unscored), abs=1e-5)
            assert known.keys() == {leaf.token_ids for leaf in one.leaves}
            for leaf in one.leaves:
                assert leaf.level_logps == pytest.approx(known[leaf.token_ids].level_logps, abs=2e-4)
    assert [mass(found) for found in together] == pytest.approx([1.0] * 3, abs=1e-5)


def test_a_lower_threshold_only_moves_mass_out_of_the_unexplored(loaded):
    coarse, fine = (run(loaded, threshold=threshold) for threshold in (1e-2, 1e-4))
    for one, other in zip(coarse, fine, strict=True):
        assert one.unexplored >= other.unexplored
        assert {leaf.token_ids for leaf in one.leaves} <= {leaf.token_ids for leaf in other.leaves}
        (low, high), (lower, upper) = evidence.bounds(other, 0), evidence.bounds(one, 0)
        assert lower <= low + 1e-9
        assert high <= upper + 1e-9


def test_the_model_is_left_as_it_was(loaded):
    before = loaded.model.config._attn_implementation
    run(loaded, threshold=0.1)
    assert loaded.model.config._attn_implementation == before


def test_what_cannot_be_enumerated_is_refused(loaded, monkeypatch):
    for wrong in ({"threshold": 1.0}, {"threshold": -0.1}, {"max_new_tokens": 0}, {"rows": 0}):
        with pytest.raises(ValueError, match="Needed"):
            run(loaded, **wrong)
    for layer in loaded.model.model.layers:
        monkeypatch.setattr(layer.self_attn, "layer_idx", layer.self_attn.layer_idx)
    monkeypatch.setattr(type(loaded.model), "set_attn_implementation", lambda *_: None)
    with pytest.raises(ModelError, match="AttentionInterface"):
        run(loaded, threshold=0.1)


def test_no_prompt_no_enumeration(loaded):
    assert run(loaded, []) == []


EXAMPLES = world.examples(4, 0)


@cache
def judge():
    loaded = models.load(models.resolve("tiny-judge"))
    return loaded, TransformersEngine(loaded, marker=MARKER)


@cache
def enumerated(threshold):
    prompts = [TASK.prompt(example.fields) for example in EXAMPLES]
    return enumerate_rationales(
        judge()[0], prompts, TASK.continuations, marker=MARKER, threshold=threshold, max_new_tokens=64
    )


def test_sampled_evidence_agrees_with_the_bounds():
    """400 draws per question: their mean is within four standard errors of the interval, for every level."""
    engine, count = judge()[1], 400
    for example, found in zip(EXAMPLES, enumerated(1e-3), strict=True):
        prompt = TASK.prompt(example.fields)
        requests = [Request(prompt, Sampling(max_new_tokens=64), seed_for(0, example.id, n)) for n in range(count)]
        drafts = list(itertools.chain(*(engine.sample(requests[n : n + 100]) for n in range(0, count, 100))))
        ends = [TASK.parse(draft.text).marker_end for draft in drafts]
        queries = [
            LevelQuery(prompt, draft, end, TASK.continuations)
            for draft, end in zip(drafts, ends, strict=True)
            if end is not None
        ]
        probs_ML = np.zeros((count, 5))
        probs_ML[: len(queries)] = np.exp(engine.score_levels(queries))
        error_L = probs_ML.std(axis=0) / math.sqrt(count) + 1e-4
        lower_L, upper_L = evidence.level_bounds(found, 5)
        assert (lower_L - 4 * error_L <= probs_ML.mean(axis=0)).all()
        assert (probs_ML.mean(axis=0) <= upper_L + 4 * error_L).all()
        assert found.unexplored < 0.25


def test_leaves_are_what_the_engine_reads():
    engine = judge()[1]
    for example, found in zip(EXAMPLES, enumerated(1e-3), strict=True):
        prompt = TASK.prompt(example.fields)
        assert mass(found) == pytest.approx(1, abs=1e-5)
        leaves = found.leaves[:12]
        drafts = [Draft(leaf.text, leaf.token_ids, Finish.LENGTH, 0) for leaf in leaves]
        queries = [LevelQuery(prompt, draft, len(draft.text), TASK.continuations) for draft in drafts]
        np.testing.assert_allclose([leaf.level_logps for leaf in leaves], engine.score_levels(queries), atol=2e-4)
        start = engine._chat.encode(prompt)
        for leaf in leaves:
            with torch.inference_mode():
                logits = judge()[0].model(torch.tensor([[*start, *leaf.token_ids]])).logits[0].double()
            steps = logits.log_softmax(-1)[len(start) - 1 : -1]
            expected = float(steps.gather(1, torch.tensor(leaf.token_ids).unsqueeze(1)).sum())
            assert leaf.log_prob == pytest.approx(expected, abs=2e-4)
            assert leaf.text.endswith(f"\n{MARKER}")
