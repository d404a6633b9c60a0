"""How fast does the engine draw, against transformers' own ``generate``?

    python benchmarks/generation.py [--params 1,15,125] [--repeats 5] [--threads 1] [--device cpu|cuda]

Both get the same random weights, the same prompts in the same batches, sorted by length, and stop at the same token.
Random weights hardly ever stop, so the output head has a bias for the stop token: completions are about ``--mean``
tokens long (of at most ``--length``), unevenly; ``--mean 0`` makes all of them equally long, where ended rows save
nothing. Each repeat runs both, in turns which goes first; printed are medians with their range and the median of the
ratios of the pairs.

On a GPU the weights are in bf16, attention is SDPA, and one line more says what share of the memory-bandwidth limit
the decoding reaches: (weights + keys and values that must be read) / measured copy bandwidth, over the time behind
the first token. ``--params 494`` has the shape of Qwen2.5-0.5B.
"""

import argparse
import math
import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as the command line does, before torch is loaded

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

import rationem
from rationem.engines.models import LoadedModel
from rationem.engines.transformers import TransformersEngine
from rationem.tasks.scale import MARKER
from rationem.types import Prompt, Request, Sampling


@dataclass(frozen=True)
class Shape:
    """Sizes of a model; ``rows`` is how many completions a repeat draws on a CPU."""

    vocabulary: int
    hidden: int
    inner: int
    layers: int
    heads: int
    kinds: int
    rows: int


SHAPES = {
    1: Shape(2_000, 128, 512, 3, 4, 4, 256),
    15: Shape(32_000, 256, 768, 8, 4, 4, 64),
    125: Shape(32_000, 768, 2_304, 14, 12, 12, 16),
    494: Shape(151_936, 896, 4_864, 24, 14, 2, 8),
    3000: Shape(151_936, 2_048, 11_008, 36, 16, 2, 4),
}


def words(vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer of made-up words, of which one in 32 breaks a line; id 0 ends a turn."""
    names = {"<eos>": 0, "<unk>": 1}
    names |= {f"w{n}" if n % 32 else f"w{n}\n": n for n in range(2, vocabulary)}
    raw = Tokenizer(models.WordLevel(names, unk_token="<unk>"))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.WhitespaceSplit(), decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>", unk_token="<unk>", pad_token="<eos>")


def random_weights(shape: Shape, device: str) -> Any:
    """A random Llama, or Qwen2 where several heads share keys and values; in half precision on a GPU."""
    sizes = {
        "vocab_size": shape.vocabulary, "hidden_size": shape.hidden, "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads, "num_key_value_heads": shape.kinds,
        "max_position_embeddings": 2048, "tie_word_embeddings": True,
    }  # fmt: skip
    torch.manual_seed(0)
    grouped = shape.kinds < shape.heads
    with torch.device(device):
        model = Qwen2ForCausalLM(Qwen2Config(**sizes)) if grouped else LlamaForCausalLM(LlamaConfig(**sizes))
    return model.to(torch.bfloat16 if device == "cuda" else torch.float32).eval()


def random_model(shape: Shape, device: str, mean: float, length: int) -> LoadedModel:
    model = random_weights(shape, device)
    with torch.inference_mode():
        logits = model(torch.arange(2, 258, device=device).view(4, 64)).logits.float()
    bias = torch.zeros(shape.vocabulary)
    bias[0] = math.log(hazard(mean, length)) + float((logits.logsumexp(-1) - logits[..., 0]).mean()) if mean else -1e4
    model.lm_head.bias = torch.nn.Parameter(bias.to(model.lm_head.weight))
    model.generation_config = GenerationConfig(eos_token_id=0, pad_token_id=0)
    return LoadedModel(model, words(shape.vocabulary), frozenset({0}))


def hazard(mean: float, length: int) -> float:
    """Odds p / (1 - p) of ending at a token: E[min(length, Geometric(p))] = (1 - (1 - p)^length) / p = mean."""
    low, high = 1e-9, 1.0
    for _ in range(100):
        p = (low + high) / 2
        low, high = (p, high) if (1 - (1 - p) ** length) / p > mean else (low, p)
    return low / (1 - low)


def random_prompts(count: int, vocabulary: int) -> list[Prompt]:
    """Prompts of 40 to 160 words, sorted by length."""
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(40, 161, (count,), generator=draw).sort().values.tolist()
    ids = (torch.randint(2, vocabulary // 32, (length,), generator=draw) * 32 - 1 for length in lengths)
    return [Prompt(" ".join(f"w{n}" for n in row.tolist())) for row in ids]


class Raw:
    """transformers' ``generate`` with nothing but temperature 1."""

    def __init__(self, loaded: LoadedModel, ids: list[tuple[int, ...]], batch: int, length: int, stop: int = 0) -> None:
        self.model, self.ids, self.batch, self.stop = loaded.model, ids, batch, stop
        self.settings = GenerationConfig(
            do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=length, use_cache=True,
            eos_token_id=[stop], pad_token_id=stop,
        )  # fmt: skip

    def __call__(self) -> list[int]:
        """Generate; return the length of every completion."""
        lengths = []
        for start in range(0, len(self.ids), self.batch):
            rows = self.ids[start : start + self.batch]
            width = max(map(len, rows))
            ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=self.model.device)
            mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self.model.device)
            with torch.inference_mode():
                found = self.model.generate(ids, attention_mask=mask, generation_config=self.settings)[:, width:]
            lengths += [row.index(self.stop) + 1 if self.stop in row else len(row) for row in found.tolist()]
        return lengths


class Own:
    """The engine."""

    def __init__(self, engine: TransformersEngine, prompts: list[Prompt], length: int) -> None:
        self.engine, self.prompts, self.length = engine, prompts, length

    def __call__(self) -> list[int]:
        """Draw; return the length of every completion."""
        requests = [Request(prompt, Sampling(max_new_tokens=self.length), n) for n, prompt in enumerate(self.prompts)]
        size = self.engine.batch_size
        batches = (requests[start : start + size] for start in range(0, len(requests), size))
        return [len(draft.token_ids) for batch in batches for draft in self.engine.sample(batch)]


def timed(call: Callable[[], list[int]], cuda: bool) -> tuple[float, list[int], float]:
    """Seconds, lengths, and the peak memory in GB: of the device, or resident of the process where Linux tells."""
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")
    started = time.perf_counter()
    lengths = call()
    if cuda:
        torch.cuda.synchronize()
    taken = time.perf_counter() - started
    return taken, lengths, (torch.cuda.max_memory_allocated() if cuda else resident_peak()) / 1e9


def resident_peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def copy_bandwidth() -> float:
    """Bytes per second that the device reads and writes in a copy of 1 GiB, the best of ten."""
    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target, best = torch.empty_like(source), math.inf
    for _ in range(10):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        target.copy_(source)
        end.record()
        torch.cuda.synchronize()
        best = min(best, begin.elapsed_time(end) / 1e3)
    return 2 * 2**30 / best


def bytes_read(shape: Shape, weights: int, prompts: list[int], lengths: list[int], batch: int) -> float:
    """What decoding must read behind the first token: all weights once per step, a row's keys and values per token."""
    per_token = 2 * 2 * shape.layers * shape.kinds * shape.hidden // shape.heads
    steps = sum(max(lengths[n : n + batch]) - 1 for n in range(0, len(lengths), batch))
    held = sum(prompt * (t - 1) + t * (t - 1) / 2 for prompt, t in zip(prompts, lengths, strict=True))
    return steps * weights + held * per_token


def measure(params: int, options: argparse.Namespace) -> None:
    shape, cuda = SHAPES[params], options.device == "cuda"
    loaded = random_model(shape, options.device, options.mean, options.length)
    count = options.rows or (4 * options.batch if cuda else shape.rows)
    prompts, batch = random_prompts(count, shape.vocabulary), min(options.batch, count)
    engine = TransformersEngine(loaded, marker=MARKER, batch_size=batch)
    ids = [engine._chat.encode(prompt) for prompt in prompts]
    ways = {"engine": Own(engine, prompts, options.length), "generate": Raw(loaded, ids, batch, options.length)}
    for warm in (Own(engine, prompts[:batch], 8), Raw(loaded, ids[:batch], batch, 8)):
        warm()
    found: dict[str, list[tuple[float, list[int], float]]] = {way: [] for way in ways}
    for repeat in range(options.repeats):
        for way in sorted(ways, reverse=repeat % 2 == 1):
            found[way].append(timed(ways[way], cuda))
    rates = {way: [sum(lengths) / taken for taken, lengths, _ in runs] for way, runs in found.items()}
    ratios = [own / raw for own, raw in zip(rates["engine"], rates["generate"], strict=True)]
    size = sum(p.numel() for p in loaded.model.parameters())
    lengths = found["engine"][0][1]
    print(f"\n{size / 1e6:.1f}M, vocabulary {shape.vocabulary}, {count} rows in batches of {batch}: "
          f"{sum(map(len, ids)) / count:.0f} + {sum(lengths) / count:.0f} of {options.length} tokens")  # fmt: skip
    for way, runs in found.items():
        rate = rates[way]
        print(f"  {way:9} {statistics.median(rate):8.0f} tokens/s ({min(rate):.0f} to {max(rate):.0f}), "
              f"peak {max(peak for *_, peak in runs):.2f} GB")  # fmt: skip
    print(f"  ratio     {statistics.median(ratios):8.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)
    if cuda:
        first = statistics.median(timed(Own(engine, prompts, 1), cuda)[0] for _ in range(3))
        rest = statistics.median(taken for taken, *_ in found["engine"]) - first
        least = bytes_read(shape, 2 * size, [len(row) for row in ids], lengths, batch) / copy_bandwidth()
        print(f"  decoding reaches {least / rest:.1%} of the memory-bandwidth limit ({rest:.2f} s)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", default="1,15,125", help=f"millions, of {', '.join(map(str, SHAPES))}")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rows", type=int, default=0, help="completions; default: by size, four batches on a GPU")
    parser.add_argument("--length", type=int, default=128, help="most new tokens")
    parser.add_argument("--mean", type=float, default=60, help="mean length; 0: nothing ends early")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    where = torch.cuda.get_device_name() if options.device == "cuda" else f"cpu, {options.threads} threads"
    print(f"rationem {rationem.__version__}, torch {torch.__version__}, {where}, {options.repeats} repeats")
    for params in map(int, options.params.split(",")):
        measure(params, options)


if __name__ == "__main__":
    main()
