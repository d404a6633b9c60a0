"""What ``benchmarks/engines.py`` measures with: random checkpoints that stop, servers, and the raw vLLM beside them."""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as the command line does, before torch is loaded

import torch
from generation import SHAPES, Shape, hazard, words
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from rationem import JudgeTask, world
from rationem.engines import models
from rationem.engines.opening import closings
from rationem.engines.vllm import server as servers
from rationem.engines.vllm.flags import Launch
from rationem.engines.vllm.install import find_python, is_cpu_build
from rationem.engines.vllm.pool import Handover, Pool, PoolSettings
from rationem.engines.vllm.server import Server
from rationem.tasks.scale import MARKER
from rationem.types import Engine, Prompt, Request, Sampling

#: Mean and greatest length of a completion, tokens; most of prompt and completion; tokens in one step of a server.
MEAN, LENGTH, CONTEXT, STEP = 60, 128, 512, 2048
CONCURRENCY = 256
STOP = 0
#: Completions in one timing on a CPU, by millions of parameters: some ten seconds.
ROWS = {1: 512, 15: 96, 125: 16, 494: 8}
GPU_ROWS = 2048


@dataclass(frozen=True)
class Limits:
    """What completions may be: most tokens of one, of it and its prompt together, and where it ends."""

    length: int = LENGTH
    context: int = CONTEXT
    stop: int = STOP
    closings: tuple[str, ...] = closings(JudgeTask(world.SCALE))


USUAL = Limits()


def write_checkpoint(path: Path, params: int, seed: int, *, half: bool) -> str:
    """Write random weights whose completions are about ``MEAN`` tokens long, unevenly; return the directory."""
    shape = SHAPES[params]
    sizes = {
        "vocab_size": shape.vocabulary, "hidden_size": shape.hidden, "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads, "num_key_value_heads": shape.kinds,
        "max_position_embeddings": 2048, "tie_word_embeddings": True,
    }  # fmt: skip
    torch.manual_seed(seed)
    grouped = shape.kinds < shape.heads
    model = Qwen2ForCausalLM(Qwen2Config(**sizes)) if grouped else LlamaForCausalLM(LlamaConfig(**sizes))
    make_stop(model.eval(), shape)
    model.generation_config = GenerationConfig(eos_token_id=STOP, pad_token_id=STOP)
    models.save(model.to(torch.bfloat16 if half else torch.float32), words(shape.vocabulary), path)
    return str(path)


@torch.inference_mode()
def make_stop(model: Any, shape: Shape) -> None:
    """Give the stop token a logit of its own, without a bias, which no server would load.

    Coordinate 0 of the residual stream is the same for every token, for no layer writes there; so is then coordinate 0
    of the last hidden state h, nearly. What the head's row of the stop token has there in excess, e, adds e h_0.
    """
    embedding = model.get_input_embeddings().weight
    embedding[:, 0] = 1.0
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight[0] = 0.0
        layer.mlp.down_proj.weight[0] = 0.0
    ids = torch.randint(2, shape.vocabulary, (4, 64), generator=torch.Generator().manual_seed(0))
    hidden = model.model(ids).last_hidden_state
    logits = model.lm_head(hidden)
    wanted = math.log(hazard(MEAN, LENGTH)) + (logits.logsumexp(-1) - logits[..., STOP]).mean()
    embedding[STOP, 0] += wanted / hidden[..., 0].mean()


def prompts(count: int, vocabulary: int, seed: int) -> list[Prompt]:
    """Return prompts of 40 to 160 words, none of which breaks a line."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(40, 161, (count,), generator=draw).tolist()
    rows = (torch.randint(2, vocabulary // 32, (length,), generator=draw) * 32 - 1 for length in lengths)
    return [Prompt(" ".join(f"w{n}" for n in row.tolist())) for row in rows]


def launch(limits: Limits = USUAL) -> Launch:
    """Return how servers are started here.

    Raises:
        ConfigError: there is no vLLM.
    """
    python = find_python(None)
    flags = ("--max-num-batched-tokens", str(STEP))
    cpu = is_cpu_build(python)
    # Less than a run takes of a GPU, for the raw vLLM has its weights there at the same time.
    return Launch(python, cpu, limits.context, CONCURRENCY, memory_share=0.4, extra=flags)


def pool(how: Handover, limits: Limits = USUAL) -> Pool:
    """Return a pool of servers as a run would have it."""
    return Pool(launch(limits), PoolSettings(MARKER, limits.closings, CONCURRENCY), how)


@contextmanager
def worker_apart(apart: bool) -> Iterator[None]:
    """Start servers whose worker has a process of its own, or shares the engine's, whatever the machine's size."""
    with mock.patch.object(servers, "_FEW", 0 if apart else sys.maxsize):
        yield


@dataclass(frozen=True)
class Timing:
    """Seconds of a call, the lengths of what it drew, and the processor seconds of this process meanwhile."""

    seconds: float
    lengths: list[int]
    own: float = 0.0

    @property
    def rate(self) -> float:
        """Generated tokens per second."""
        return sum(self.lengths) / self.seconds


class Served:
    """An engine of ours."""

    def __init__(self, engine: Engine, limits: Limits = USUAL) -> None:
        self.engine, self.limits = engine, limits

    def __call__(self, asked: list[Prompt], seeds: list[int]) -> Timing:
        """Draw one completion per prompt."""
        sampling = Sampling(max_new_tokens=self.limits.length)
        requests = [Request(prompt, sampling, n) for prompt, n in zip(asked, seeds, strict=True)]
        started, own = time.perf_counter(), time.process_time()
        drafts = self.engine.sample(requests)
        taken, own = time.perf_counter() - started, time.process_time() - own
        return Timing(taken, [len(draft.token_ids) for draft in drafts], own)


class Offline:
    """``vllm.LLM`` in a process of its own, with the flags and the environment that a server has; starts meanwhile.

    Args:
        told: a file for what vLLM prints.
    """

    def __init__(self, checkpoint: str, told: Path, limits: Limits = USUAL) -> None:
        how, self.limits = launch(limits), limits
        with worker_apart(apart=False):
            made = Server(how, checkpoint)._environment()
        environment = {k: v for k, v in made.items() if k not in {"TMPDIR", "VLLM_RPC_BASE_PATH"}}
        self._told = told
        with told.open("w") as log:
            self._process = subprocess.Popen(
                [how.python, str(Path(__file__).with_name("offline_vllm.py"))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, text=True,
            )  # fmt: skip
        self._say(self._arguments(how, checkpoint))
        self.chat = models.chat(checkpoint, checkpoint)

    def __call__(self, asked: list[Prompt], seeds: list[int], *, logprobs: bool = True) -> Timing:
        """Generate one completion per prompt; ``sampling`` is what our engine sends."""
        sampling = {
            "max_tokens": self.limits.length, "temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0,
            "ignore_eos": True, "stop_token_ids": [self.limits.stop], "stop": list(self.limits.closings),
            "include_stop_str_in_output": True, "skip_special_tokens": False, "logprobs": 0 if logprobs else None,
        }  # fmt: skip
        ids = [self.chat.encode(prompt) for prompt in asked]
        self._say({"prompts": ids, "sampling": sampling, "seeds": seeds})
        return self._hear()

    def wait(self) -> None:
        """Wait until it has started."""
        self._hear()

    def close(self) -> None:
        """End it."""
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _arguments(self, how: Launch, checkpoint: str) -> dict[str, Any]:
        shared = {
            "model": checkpoint, "max_model_len": how.max_model_len, "max_num_seqs": CONCURRENCY,
            "max_num_batched_tokens": STEP,
            "generation_config": "vllm", "logprobs_mode": "processed_logprobs", "seed": 0, "disable_log_stats": True,
        }  # fmt: skip
        if not how.cpu:
            return {**shared, "gpu_memory_utilization": how.memory_share}
        return {
            **shared, "dtype": "float32", "enforce_eager": True, "block_size": 32, "enable_chunked_prefill": False,
            "kv_cache_memory_bytes": round(how.cache_gib * 2**30), "distributed_executor_backend": "uni",
        }  # fmt: skip

    def _say(self, what: dict[str, Any]) -> None:
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> Timing:
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"vllm.LLM ended:\n{self._told.read_text()[-2000:]}")
        return Timing(**json.loads(line))


def server_of(opened: Pool) -> Server:
    """Return the pool's one server."""
    return opened._servers[-1]
