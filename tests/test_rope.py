"""Models whose rotary embedding depends on a batch's longest text: every row is read as one of the run's longest.

The value that counts is the model's own plain forward of one row, made as long as the run's longest text by tokens
behind it, which no token before them sees.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

import architectures
import checkpoints
from rationem.engines import models, rope
from rationem.engines.local import open_transformers
from rationem.engines.models import LoadedModel
from rationem.engines.opening import EngineConfig
from rationem.engines.transformers import TransformersEngine
from rationem.sft import Training
from rationem.sft.m_step import SupervisedMStep
from rationem.sft.objective import Objective
from rationem.sft.rows import TrainingRow, collate
from rationem.tasks.scale import MARKER
from rationem.types import Draft, Finish, LevelQuery, Prompt, Request, Sample, Sampling, TokenQuery

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]
BOUNDARY = 48
LONGROPE = {
    "rope_type": "longrope", "rope_theta": 10_000.0, "short_factor": [1.0, 1.2, 1.5, 2.0],
    "long_factor": [1.0, 4.0, 9.0, 20.0], "original_max_position_embeddings": BOUNDARY, "factor": 4.0,
}  # fmt: skip
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 4.0}
PHIMOE = {**LONGROPE, "short_mscale": 1.1, "long_mscale": 1.4}
KINDS = {
    "phi3": ("phi3", LONGROPE, 192),
    "llama, longrope": ("llama", LONGROPE, 192),
    "phimoe": ("phimoe", PHIMOE, 192),
    "dynamic": ("llama", DYNAMIC, BOUNDARY),
}
#: One prompt is far shorter than the boundary, one is about as long, one is longer.
PROMPTS = [Prompt("x"), Prompt("kind tone " * 6), Prompt("kind tone " * 20)]


def load(kind):
    name, parameters, held = KINDS[kind]
    words = checkpoints.tokenizer()
    settings = {"rope_parameters": dict(parameters), "max_position_embeddings": held}
    if name == "phi3":
        settings["original_max_position_embeddings"] = BOUNDARY
    return LoadedModel(architectures.model(name, len(words), **settings), words, frozenset())


def lengthened(model, ids, count, length):
    """Log-probabilities of the last ``count`` ids of a row that is padded behind to so many tokens, read plainly."""
    with torch.no_grad():
        whole = [*ids, *[3] * (length - len(ids))]
        logits = model(input_ids=torch.tensor([whole]), use_cache=False).logits[0, len(ids) - count - 1 : len(ids) - 1]
    return logits.double().log_softmax(-1)[range(count), ids[-count:]].tolist()


@pytest.mark.parametrize("length", [BOUNDARY, 160])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_around_the_boundary_are_read_as_the_longest_text_alone(kind, length):
    plain, read = load(kind), load(kind)
    rope.read_as(read.model, length)
    engine = TransformersEngine(read, marker=MARKER)
    prompts = PROMPTS if length > BOUNDARY else PROMPTS[:1]
    requests = [Request(prompt, Sampling(max_new_tokens=16), n) for n, prompt in enumerate(prompts * 2)]
    drafts = engine.sample(requests)
    encoded = [engine._chat.encode(request.prompt) for request in requests]
    wanted = [
        lengthened(plain.model, [*ids, *draft.token_ids], len(draft.token_ids), length)
        for ids, draft in zip(encoded, drafts, strict=True)
    ]
    scored = engine.score_tokens([TokenQuery(r.prompt, d) for r, d in zip(requests, drafts, strict=True)])
    for draft, found, expected in zip(drafts, scored, wanted, strict=True):
        assert draft.token_logps == pytest.approx(expected, abs=1e-4)
        assert found == pytest.approx(expected, abs=1e-4)
    alone = [engine.sample([request])[0].token_ids for request in requests]
    assert alone == [draft.token_ids for draft in drafts]
    check_levels(engine, plain.model, prompts, length)
    rows = [TrainingRow((*ids, *d.token_ids), len(ids), 1.0) for ids, d in zip(encoded, drafts, strict=True)]
    loss = Objective(read.model)(**collate(rows, 0, len(rows)))
    assert float(loss.detach()) == pytest.approx(-sum(map(sum, wanted)) / len(rows), abs=1e-3)


def check_levels(engine, model, prompts, length):
    draft = Draft(f"kind\n{MARKER} 1", engine.encode_completion(f"kind\n{MARKER} 1"), Finish.STOP, 0)
    upto = draft.text.index(MARKER) + len(MARKER)
    queries = [LevelQuery(prompt, draft, upto, (" 1", " 10")) for prompt in prompts]
    for prompt, scores in zip(prompts, engine.score_levels(queries), strict=True):
        prefix = [*engine._chat.encode(prompt), *engine.encode_completion(draft.text[:upto])[:-1]]
        for level, found in zip((" 1", " 10"), scores, strict=True):
            tail = engine.encode_completion(level)
            assert found == pytest.approx(sum(lengthened(model, [*prefix, *tail], len(tail), length)), abs=2e-4)


def test_the_factors_tell_lengths_apart_here():
    """Else the tests above would hold without anything done: a row changes by .01 nats and more with the length."""
    for kind in ("phi3", "phimoe", "llama, longrope"):
        model, ids = load(kind).model, list(range(5, 35))
        short, long = (lengthened(model, ids, 10, length) for length in (BOUNDARY, 160))
        assert max(abs(a - b) for a, b in zip(short, long, strict=True)) > 0.01


def test_a_run_below_the_boundary_keeps_the_short_factors_and_one_above_takes_the_long(tmp_path):
    saved(tmp_path)
    settings = AutoConfig.from_pretrained(tmp_path)
    assert rope.switches(settings) == BOUNDARY
    assert [rope.reach(str(tmp_path), longest, 192) for longest in (20, BOUNDARY, BOUNDARY + 1)] == [48, 48, 192]
    assert rope.reach(checkpoints.checkpoint(tmp_path / "llama"), 20, 1024) is None
    ids, model = list(range(5, 35)), load("phi3").model
    for length in (BOUNDARY, BOUNDARY + 1):
        engine = open_transformers(EngineConfig(MARKER, device="cpu", length=length), str(tmp_path))
        prompt, completion = Prompt("x"), tuple(ids)
        (found,) = engine.score_tokens([TokenQuery(prompt, Draft("", completion, Finish.LENGTH, 0))])
        whole = [*engine._chat.encode(prompt), *completion]
        assert found == pytest.approx(lengthened(model, whole, len(ids), length), abs=1e-4)


def test_a_sample_trains_alike_beside_a_long_one_and_alone(tmp_path):
    """The second sample has weight 0: it has no loss, yet its length changed the first one's before."""
    base = saved(tmp_path / "base")
    words = checkpoints.tokenizer()
    short = Sample("a", Prompt("x"), tuple(range(5, 15)), 1.0)
    long = Sample("b", Prompt("kind tone " * 20), tuple(range(5, 15)), 0.0)
    losses = []
    for name, samples in (("alone", [short, replace(short, example_id="c")]), ("beside", [short, long])):
        target = tmp_path / name
        target.mkdir()
        training = Training(steps=1, batch_size=2, micro_batch_size=2, learning_rate=1e-9, longest=192)
        losses.append(SupervisedMStep(training, "cpu")(base, samples, iteration=1, seed=0, output=target)["loss"])
    assert losses[1] == pytest.approx(losses[0] / 2, rel=1e-5)
    assert len(words) > 15


def saved(path: Path) -> str:
    loaded = load("phi3")
    loaded.model.save_pretrained(path)
    loaded.tokenizer.save_pretrained(path)
    assert models.load(str(path), device="cpu").stop_ids
    return str(path)
