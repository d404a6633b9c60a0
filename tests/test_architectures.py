"""Every architecture draws, scores and trains as its own plain forward says, row by row, whatever stands beside a row.

The value that counts is that of one row alone: read as a whole, without padding, cache or mask. Models are small and
random, with windows, chunks and states shorter than the prompts.
"""

import math

import pytest
import torch

import architectures
import checkpoints
from rationem.engines import layout_choice
from rationem.engines.models import LoadedModel
from rationem.engines.transformers import TransformersEngine
from rationem.errors import ModelError
from rationem.sft.objective import Objective
from rationem.sft.rows import TrainingRow, collate
from rationem.tasks.scale import MARKER
from rationem.types import Draft, Finish, LevelQuery, Prompt, Request, Sampling, TokenQuery

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning"),
]
KINDS = [*architectures.ATTENTION, *architectures.RECURRENT]
PROMPTS = [Prompt("x"), Prompt("kind tone\n" * 6), Prompt("what is 3 + 4 ?"), Prompt("y"), Prompt("Rate the response")]
LEVELS = (" 1", " 10", " Could be Improved")
#: Which way of computing rows together is found for which; anything else is ``padded``.
GAPLESS = {
    "mistral", "gemma2", "gemma3_text", "cohere2", "olmo3", "exaone4", "gpt_oss", "llama4_text", "gemma3n_text",
    "gemma4_text", "modernbert-decoder", "mpt", "deepseek_v32",
}  # fmt: skip
EVEN = {
    "mamba", "falcon_mamba", "mamba2", "jamba", "bamba", "granitemoehybrid", "falcon_h1", "qwen3_next", "qwen3_5_text",
    "qwen3_5_moe_text", "olmo_hybrid", "lfm2", "lfm2_moe", "lfm3", "zamba", "kimi_linear", "bailing_hybrid", "zaya",
}  # fmt: skip
AGAIN = {"minimax", "recurrent_gemma", "rwkv", "openai-gpt", "nemotron_h", "zamba2"}
WAYS = dict.fromkeys(GAPLESS, "gapless") | dict.fromkeys(EVEN, "even") | dict.fromkeys(AGAIN, "again")


def load(kind, **settings):
    """The model with more rows in its embedding than its tokenizer has tokens, and with turns that often end."""
    words = checkpoints.tokenizer()
    model = architectures.model(kind, len(words) + 8, **settings)
    return LoadedModel(model, words, frozenset(range(0, len(words), 16)))


def alone(model, ids, count):
    """Log-probabilities of the last ``count`` ids: one row, the whole of it, nothing else."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -count - 1 : -1]
    return logits.double().log_softmax(-1)[range(count), ids[-count:]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_gives_what_the_model_gives_for_it_alone(kind):
    loaded = load(kind)
    engine = TransformersEngine(loaded, marker=MARKER, batch_size=7)
    assert engine._way.name == WAYS.get(kind, "padded")
    requests = [Request(PROMPTS[n % 5], Sampling(max_new_tokens=12), n) for n in range(7)]
    drafts = engine.sample(requests)
    assert len({len(draft.token_ids) for draft in drafts}) > 1
    prompts = [engine._chat.encode(request.prompt) for request in requests]
    wanted = [alone(loaded.model, [*p, *d.token_ids], len(d.token_ids)) for p, d in zip(prompts, drafts, strict=True)]
    scored = engine.score_tokens([TokenQuery(r.prompt, d) for r, d in zip(requests, drafts, strict=True)])
    for draft, found, expected in zip(drafts, scored, wanted, strict=True):
        assert draft.token_logps == pytest.approx(expected.tolist(), abs=1e-4)
        assert found == pytest.approx(expected.tolist(), abs=1e-4)
    for n in (0, 1, 6):
        assert engine.sample([requests[n]])[0].token_ids == drafts[n].token_ids
    check_levels(engine, loaded.model)
    check_loss(loaded.model, [TrainingRow((*p, *d.token_ids), len(p), 0.5 + n) for n, (p, d) in
                              enumerate(zip(prompts, drafts, strict=True))], wanted)  # fmt: skip


def check_levels(engine, model):
    drafts = [
        Draft(f"{text}{MARKER} 10", engine.encode_completion(f"{text}{MARKER} 10"), Finish.STOP, 0)
        for text in ("the answer is right and the tone is kind\n", "kind\n", "")
    ]
    queries = [
        LevelQuery(prompt, draft, draft.text.index(MARKER) + len(MARKER), LEVELS)
        for prompt, draft in zip(PROMPTS, [*drafts, *drafts], strict=False)
    ]
    for query, scores in zip(queries, engine.score_levels(queries), strict=True):
        prefix = [*engine._chat.encode(query.prompt), *engine.encode_completion(query.draft.text[: query.upto])[:-1]]
        for level, found in zip(LEVELS, scores, strict=True):
            tail = engine.encode_completion(level)
            assert found == pytest.approx(float(alone(model, [*prefix, *tail], len(tail)).sum()), abs=2e-4)


def check_loss(model, rows, wanted):
    """The M-step's loss of rows together is the sum of what each is worth alone; and it can be trained on."""
    objective = Objective(model)
    loss = objective(**collate(rows, 0, len(rows)))
    expected = -sum(row.weight * float(logps.sum()) for row, logps in zip(rows, wanted, strict=True)) / len(rows)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5, abs=1e-3)
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_an_encoder_is_refused_because_it_reads_what_is_to_come(kind):
    with pytest.raises(ModelError, match="is not causal"):
        TransformersEngine(load(kind), marker=MARKER)


def test_a_model_that_mixes_the_rows_of_a_batch_is_refused(monkeypatch):
    """As a router with a capacity for the whole batch does."""
    loaded = load("llama")
    mlp = type(loaded.model.model.layers[0].mlp)
    real = mlp.forward
    monkeypatch.setattr(mlp, "forward", lambda self, x: real(self, x) + 0.1 * x.mean(dim=0, keepdim=True))
    monkeypatch.setattr(layout_choice, "_found", {})
    with pytest.raises(ModelError, match="in a batch than alone"):
        TransformersEngine(loaded, marker=MARKER)


def test_an_unknown_model_whose_left_padding_is_not_masked_is_read_without_padding(monkeypatch):
    loaded = load("llama")
    decoder, real = type(loaded.model.model), type(loaded.model.model).forward

    def forward(self, *args, **kwargs):
        kwargs["attention_mask"] = None if kwargs.get("past_key_values") is None else kwargs["attention_mask"]
        return real(self, *args, **kwargs)

    monkeypatch.setattr(decoder, "forward", forward)
    monkeypatch.setattr(layout_choice, "_found", {})
    assert TransformersEngine(loaded, marker=MARKER)._way.name == "even"


def test_ids_beyond_the_tokenizer_are_decoded_as_nothing():
    engine = TransformersEngine(load("llama"), marker=MARKER)
    ids = engine.encode_completion("kind tone")[:-1]
    beyond = len(checkpoints.tokenizer())
    draft = engine._reader.draft([ids[0], beyond, *ids[1:], beyond + 7], Finish.LENGTH, 0, [0.0] * (len(ids) + 2))
    assert draft.text == "kind tone"
    assert math.isfinite(engine.tokens_within(draft, 4))
