"""Hand-overs to a real vLLM: proven, exact where weights are reloaded, and a stop where they are not those trained."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

import checkpoints
import toy
from rationem import progress
from rationem.engines import models, probe
from rationem.engines.chat import Chat
from rationem.engines.opening import closings
from rationem.engines.transformers import TransformersEngine
from rationem.engines.vllm import handover
from rationem.engines.vllm import pool as pools
from rationem.engines.vllm.flags import Launch
from rationem.engines.vllm.install import find_python, is_cpu_build
from rationem.engines.vllm.pool import Pool, PoolSettings
from rationem.errors import ModelError, RunError
from rationem.ledger import Ledger
from rationem.sampling.draw import draw
from rationem.sampling.schemes import FORWARD
from rationem.sampling.trials import DrawRequest, SamplingContext
from rationem.tasks.scale import MARKER
from rationem.types import Outcome, Purpose, Request, Sampling

pytestmark = pytest.mark.engine
READING = PoolSettings(MARKER, closings(toy.TASK), 64)
KINDS = {"llama": (LlamaConfig, LlamaForCausalLM, "chatml"), "qwen2": (Qwen2Config, Qwen2ForCausalLM, "qwen2")}


def checkpoint(path, kind, seed, *, tied=True):
    """Random weights; heads of 32, the smallest that vLLM's CPU build takes."""
    config, model, style = KINDS[kind]
    words = checkpoints.tokenizer(style)
    sizes = {
        "vocab_size": len(words), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 1024,
        "tie_word_embeddings": tied, "initializer_range": 0.2,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = model(config(**sizes))
    made.generation_config.eos_token_id = [words.eos_token_id]
    made.save_pretrained(path)
    words.save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def launch():
    python = find_python(None)
    return Launch(python, cpu=is_cpu_build(python), max_model_len=1024, cache_gib=0.5)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    found = {f"qwen2-{n}": checkpoint(root / f"q{n}", "qwen2", n) for n in range(2)}
    found |= {f"llama-{n}": checkpoint(root / f"l{n}", "llama", n) for n in range(2)}
    return {**found, "adapter": checkpoints.adapter(root / "adapter", found["qwen2-0"])}


@pytest.fixture
def said(monkeypatch):
    lines: list[str] = []
    monkeypatch.setattr(progress, "say", lines.append)
    return lines


def draws(engine, count=24):
    prompt = toy.TASK.prompt({"prompt": "what is 3 + 4 ?", "response": "7"})
    return engine.sample([Request(prompt, Sampling(max_new_tokens=24), seed) for seed in range(count)])


def test_weights_reloaded_in_place_are_proven_and_draw_what_a_fresh_server_draws(launch, made, said):
    """Tied embeddings, an adapter, and back again: one server, three hand-overs, each exact."""
    with Pool(launch, READING, models=2) as pool:
        engine = pool.open(made["qwen2-0"])
        assert engine.handover["how"] == "start"
        first = draws(engine)
        engine.close()
        for name in ("qwen2-1", "adapter", "qwen2-0"):
            engine = pool.open(made[name])
            told = engine.handover
            assert told["how"] == "reload"
            assert told["largest"] < 1e-4
            assert told["moved"] > 0.1
            assert told["share"] == pytest.approx(1, abs=1e-4)
            again = draws(engine)
            assert ([d.token_ids for d in again] == [d.token_ids for d in first]) is (name == "qwen2-0")
            engine.close()
        kept = pool.open(made["qwen2-0"])
        assert kept.handover["how"] == "kept"
        assert len(pool._servers) == 1
    assert len(said) == 1
    assert "starting vLLM" in said[0]


def test_a_stale_output_head_is_caught_and_the_server_started_anew(launch, made, said, monkeypatch):
    """The bug itself: a checkpoint served as it is, its head tied, keeps the head of the weights before."""
    monkeypatch.setattr(handover, "can_untie", lambda _: False)
    with Pool(launch, READING) as pool:
        pool.open(made["llama-0"]).close()
        engine = pool.open(made["llama-1"])
        assert engine.handover["how"] == "start"
        assert engine.handover["largest"] < 1e-4
        assert engine.handover["share"] == pytest.approx(1, abs=1e-4)
    refused = next(line for line in said if "does not hold the weights" in line)
    assert "after a reload" in refused
    assert f"of {made['llama-1']}" in refused


def test_a_server_with_other_weights_than_the_checkpoints_stops_the_run(launch, made, monkeypatch):
    """Whatever the reason: here the directory served is another one. A fresh start does not help, so the run ends."""
    with Pool(replace(launch), READING, "restart") as pool:
        monkeypatch.setattr(pools.Pool, "_served", lambda self, _: made["llama-1"])
        with pytest.raises(RunError, match=r"does not hold the weights of .* after a start.*Nothing was sampled"):
            pool.open(made["llama-0"])
        assert pool._servers == []


def test_heads_too_small_for_the_cpu_build_are_refused_before_anything_starts(launch, tmp_path):
    with Pool(launch, READING) as pool, pytest.raises(ModelError, match=r"heads of size 32 and above.*have 16"):
        pool.open(checkpoints.checkpoint(tmp_path / "small"))


def test_killed_in_mid_sampling_nothing_is_lost_or_doubled_and_it_says_what_it_would_have_said(
    launch, made, said, tmp_path
):
    """The server dies under way twice; the trials are those of a run that nothing happened to."""
    draw_requests = [DrawRequest(x, m) for x in toy.examples(100) for m in range(2)]
    trials = {}
    with Pool(launch, READING) as pool:
        engine = pool.open(made["llama-0"])
        for name, at in (("whole", ()), ("killed", (40, 250))):
            ledger = Ledger(tmp_path / name)
            ledger.start({"task": toy.TASK.describe(), "config": {}, "notes": {}}, {"train": toy.examples(100)})
            run = SamplingContext(toy.TASK, ledger, 0, Sampling(max_new_tokens=24), max_prompt_tokens=900)
            watched = _Killing(ledger, pool._servers[0], list(at))
            draw(
                draw_requests,
                FORWARD,
                engine,
                replace(run, ledger=watched),
                iteration=1,
                purpose=Purpose.EVAL,
                label="test",
            )
            assert watched.at == []
            rows = list(ledger.trials(1, Purpose.EVAL))
            trials[name] = [(t.example_id, t.attempt, t.retry, t.seed, t.draft.token_ids, t.outcome) for t in rows]
            ledger.close()
    assert len(trials["whole"]) == 400
    assert trials["killed"] == trials["whole"]
    assert not [t for t in trials["whole"] if t[-1] is Outcome.ENGINE_FAILED]
    assert len([line for line in said if "is restarted" in line]) == 2


class _Killing:
    """A ledger that kills the server's processes once so many trials are written."""

    def __init__(self, ledger, server, at):
        self._ledger, self._server, self.at, self._written = ledger, server, at, 0

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    def append(self, trials, scores=None):
        self._ledger.append(trials, scores)
        self._written += len(trials)
        if self.at and self._written >= self.at[0]:
            self.at.pop(0)
            for pid in descendants(self._server._process.pid):
                os.kill(pid, signal.SIGKILL)


def descendants(pid):
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def test_acceptance_and_answers_are_those_of_the_transformers_engine(launch, tmp_path):
    """The same model by both engines: equal log-probabilities, and counts within sampling error (chi-square)."""
    from scipy import stats

    from rationem.world import TASK, examples, tiny_judge

    theta, asked = str(tiny_judge(seed=0)), examples(300, seed=5)
    counts = []
    loaded = models.load(theta, device="cpu")
    local = TransformersEngine(loaded, marker=MARKER, batch_size=256)
    with Pool(launch, PoolSettings(MARKER, closings(TASK), 64)) as pool:
        remote = pool.open(theta)
        for n, engine in enumerate((local, remote)):
            ledger = Ledger(tmp_path / str(n))
            ledger.start({"task": TASK.describe(), "config": {}, "notes": {}}, {"train": asked})
            run = SamplingContext(TASK, ledger, n, Sampling(max_new_tokens=48))
            draw(
                [DrawRequest(x, m) for x in asked for m in range(4)], FORWARD, engine, run,
                iteration=1, purpose=Purpose.EVAL, label="test", levels_under=FORWARD,
            )  # fmt: skip
            drawn = list(ledger.trials(1, Purpose.EVAL))
            counts.append(
                [
                    *(sum(t.parsed.answer == level for t in drawn) for level in TASK.levels),
                    sum(t.outcome is Outcome.ACCEPTED for t in drawn),
                    len(drawn) - sum(t.outcome is Outcome.ACCEPTED for t in drawn),
                ]
            )
            assert len(drawn) == 1200
            queries = probe.probes(Chat(loaded.tokenizer))
            np.testing.assert_allclose(probe.answers(engine, queries), probe.answers(local, queries), atol=1e-4)
            ledger.close()
    answers, accepted = (np.array(counts)[:, part] for part in (slice(0, 5), slice(5, 7)))
    assert stats.chi2_contingency(answers).pvalue > 0.001
    assert stats.chi2_contingency(accepted).pvalue > 0.001
