"""The completions engine on the real vLLM, against the transformers engine on the same weights."""

import os
import random
import signal
from collections import Counter
from concurrent.futures import as_completed

import pytest
import torch
from scipy import stats
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

import checkpoints
from rationem import JudgeTask, Sample, Scale, SupervisedMStep, Training
from rationem.engines import models
from rationem.engines.chat import Chat
from rationem.engines.remote.client import Client
from rationem.engines.remote.completions import CompletionsEngine
from rationem.engines.transformers import TransformersEngine
from rationem.tasks.scale import MARKER
from rationem.types import Draft, Finish, LevelQuery, Prompt, Request, Sampling, TokenQuery
from test_engine_scoring import brute, warped

pytestmark = pytest.mark.engine
LIMIT = 1e-3  # nats
TASK = JudgeTask(Scale.parse("1-5"))
FIELDS = {"prompt": "what is 3 + 4 ?", "response": "7, of course, kind"}
PROMPTS = [TASK.prompt(FIELDS), TASK.hint_prompt(FIELDS, "4"), Prompt("x"), Prompt("kind tone\n" * 9)]
LEVELS = (" 1", " 10", " 100", " Could be Improved")


def random_model(path, style):
    """A random Llama, or a Qwen2 with tied embeddings; heads of 32, as vLLM's kernels for CPUs need."""
    words = checkpoints.tokenizer(style)
    sizes = {
        "vocab_size": len(words), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 1024,
        "tie_word_embeddings": style == "qwen2", "initializer_range": 0.2,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen2ForCausalLM(Qwen2Config(**sizes)) if style == "qwen2" else LlamaForCausalLM(LlamaConfig(**sizes))
    model.generation_config.update(do_sample=True, temperature=0.01, top_k=1, top_p=0.5, repetition_penalty=5.0)
    model.save_pretrained(path)
    words.save_pretrained(path)
    return str(path)


def taught(base, target):
    """Train it to write verdicts, at random levels, so that its answers can be counted."""
    draw, chat, samples = random.Random(0), Chat(checkpoints.tokenizer()), []
    for n in range(320):
        prompt = PROMPTS[0] if n % 2 else TASK.prompt({"prompt": f"what is {n} ?", "response": f"{n} kind"})
        text = TASK.format(draw.choice(("kind", "right", "the tone is kind")), draw.choice(TASK.levels))
        samples.append(Sample(str(n), prompt, chat.encode_completion(text), 1.0))
    target.mkdir()
    training = Training(steps=80, batch_size=16, micro_batch_size=16, learning_rate=1e-2)
    SupervisedMStep(training, "cpu")(base, samples, iteration=1, seed=0, output=target)
    return str(target)


@pytest.fixture(scope="module", params=["chatml", "qwen2"])
def loaded(request, tmp_path_factory):
    place = tmp_path_factory.mktemp("model")
    path = random_model(place / "random", request.param)
    return models.load(path if request.param == "qwen2" else taught(path, place / "taught")), path, place


@pytest.fixture(scope="module")
def local(loaded):
    return TransformersEngine(loaded[0], marker=MARKER)


@pytest.fixture(scope="module")
def remote(loaded):
    from rationem.engines.vllm.flags import Launch
    from rationem.engines.vllm.install import find_python
    from rationem.engines.vllm.server import Server

    weights, path, place = loaded
    path = str(place / "taught") if (place / "taught").exists() else path
    server = Server(Launch(find_python(), cpu=True, cache_gib=1.0), path)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VLLM_MAX_STOP_STRINGS", "100")  # four by default, and a scale may have more levels
        server.start()
    engine = CompletionsEngine(
        Client(sockets=[server.socket], revive=[server.revive]),
        Chat(weights.tokenizer),
        model=server.model,
        marker=MARKER,
        stop_ids=weights.stop_ids,
        closings=[f"{MARKER} {level}\n" for level in TASK.levels],
        on_close=server.stop,
    )
    engine.server = server
    yield engine
    engine.close()


def requests(count, prompts=PROMPTS, **sampling):
    settings = Sampling(**{"max_new_tokens": 40, **sampling})
    return [Request(prompts[n % len(prompts)], settings, seed=2**62 + n) for n in range(count)]


def largest(found, expected, record_property, name):
    gap = max(abs(a - b) for one, other in zip(found, expected, strict=True) for a, b in zip(one, other, strict=True))
    record_property(name, float(gap))
    print(f"\n{name}: largest difference {gap:.1e} nats")
    return gap


def test_drawn_and_scored_tokens_are_as_probable_as_the_transformers_engine_says(remote, local, record_property):
    asked = requests(60)
    drafts = remote.sample(asked)
    queries = [TokenQuery(request.prompt, draft) for request, draft in zip(asked, drafts, strict=True)]
    expected = local.score_tokens(queries)
    assert {draft.finish for draft in drafts} <= {Finish.STOP, Finish.LENGTH}
    assert [draft.prompt_tokens for draft in drafts] == [local.prompt_tokens(request.prompt) for request in asked]
    assert not any(draft.encoded for draft in drafts)
    assert largest([draft.token_logps for draft in drafts], expected, record_property, "drawn") < LIMIT
    assert largest(remote.score_tokens(queries), expected, record_property, "scored") < LIMIT


def test_levels_are_as_probable_as_the_transformers_engine_says(remote, local, record_property):
    queries = []
    for request, draft in zip(requests(24), remote.sample(requests(24)), strict=True):
        text = f"{draft.text}\n{MARKER} 10"
        said = Draft(text, local.encode_completion(text), Finish.STOP, 0)
        queries.append(LevelQuery(request.prompt, said, len(text) - 3, LEVELS))
    expected = local.score_levels(queries)
    assert largest(remote.score_levels(queries), expected, record_property, "levels") < LIMIT
    remote._names_tokens = False
    assert largest(remote.score_levels(queries), expected, record_property, "levels by prompts") < LIMIT
    remote._names_tokens = True


def test_scoring_beside_drawing_changes_neither(remote, local):
    """Requests that name tokens share batches with those that do not."""
    text = f"kind\n{MARKER} 4"
    query = LevelQuery(PROMPTS[0], Draft(text, local.encode_completion(text), Finish.STOP, 0), len(text) - 2, LEVELS)
    drawn, levels = [], []
    for request in requests(60):
        drawn.append(remote.submit(request))
        levels.append(remote.submit_levels(query))
    (expected,) = local.score_levels([query])
    assert all(future.result() == pytest.approx(expected, abs=LIMIT) for future in levels)
    queries = [TokenQuery(r.prompt, future.result()) for r, future in zip(requests(60), drawn, strict=True)]
    for one, scores in zip(queries, local.score_tokens(queries), strict=True):
        assert one.draft.token_logps == pytest.approx(scores, abs=LIMIT)


def test_same_seed_same_tokens_in_any_company(remote, record_property):
    together = remote.sample(requests(120))
    again = remote.sample(requests(120)[::-1])[::-1]
    alone = [remote.sample([request])[0] for request in requests(20)]
    flips = sum(a.token_ids != b.token_ids for a, b in zip(together, again, strict=True))
    flips += sum(a.token_ids != b.token_ids for a, b in zip(together, alone, strict=False))
    record_property("flips", float(flips))
    print(f"\nflips: {flips} of 140")
    assert len({draft.token_ids for draft in together}) > 20
    assert flips == 0


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"), [(0.7, 0, 1.0), (1.0, 5, 1.0), (1.0, 0, 0.6), (0.7, 20, 0.8), (1.3, 0, 1.0)]
)
def test_draws_carry_the_warped_distribution(remote, local, loaded, temperature, top_k, top_p, record_property):
    asked = requests(12, temperature=temperature, top_k=top_k, top_p=top_p)
    found, expected = [], []
    for request, draft in zip(asked, remote.sample(asked), strict=True):
        logits = brute(local, loaded[0], request.prompt, draft.token_ids)
        rows = zip(logits, draft.token_ids, strict=True)
        expected.append([float(warped(row.clone(), temperature, top_k, top_p)[token]) for row, token in rows])
        found.append(draft.token_logps)
    assert largest(found, expected, record_property, f"T {temperature} k {top_k} p {top_p}") < LIMIT


def test_greedy_is_greedy(remote, local):
    asked = requests(4, temperature=0.0)
    for found, expected in zip(remote.sample(asked), local.sample(asked), strict=True):
        assert found.token_ids == expected.token_ids
        assert found.token_logps == expected.token_logps


def histogram(engine, count=2000):
    """What each draw of one prompt came to: a level, a problem, or a cut."""
    drafts = engine.sample(requests(count, prompts=PROMPTS[:1], max_new_tokens=30))
    counts = Counter(
        (draft.finish.value, parsed.answer or parsed.problem, len(draft.token_ids) // 6)
        for draft in drafts
        for parsed in [TASK.parse(draft.text)]
    )
    assert not any(draft.finish is Finish.FAILED for draft in drafts)
    return counts


def test_answers_and_lengths_are_distributed_alike(remote, local, record_property):
    ours, theirs = histogram(local), histogram(remote)
    kinds = sorted((kind for kind in ours | theirs if ours[kind] + theirs[kind] >= 10), key=str)
    table = [[counts[kind] for kind in kinds] for counts in (ours, theirs)]
    table = [[*row, 2000 - sum(row)] for row in table] if sum(map(sum, table)) < 4000 else table
    if len(kinds) == 1 and len(table[0]) == 1:
        pytest.skip("every draw came to the same")
    p = stats.chi2_contingency(table).pvalue
    record_property("p", float(p))
    print(f"\nanswers: p = {p:.3f} over {len(table[0])} kinds, {table}")
    assert p > 0.001


def test_a_prompt_that_is_too_long_is_told_in_the_servers_words(remote):
    from rationem.errors import RunError

    with pytest.raises(RunError, match=r"400.*1024"):
        remote.sample(requests(1, max_new_tokens=2000))


@pytest.mark.parametrize("loaded", ["qwen2"], indirect=True)
def test_a_server_killed_in_mid_sampling_comes_back_and_nothing_is_lost(remote):
    from rationem.engines.supervisor import descendants

    undisturbed = [draft.token_ids for draft in remote.sample(requests(300))]
    futures = [remote.submit(request) for request in requests(300)]
    next(as_completed(futures)).result()
    for process in descendants(remote.server._process.pid):
        os.kill(process, signal.SIGKILL)
    assert [future.result().token_ids for future in futures] == undisturbed
    assert remote.server.restarts == 1
