"""How fast are drawing and scoring, against the plainest way to score?

    python benchmarks/scoring.py [--repeats 5] [--rows 256] [--threads 1]

The plain way: one batched forward of the padded prompts and completions, without a cache, and log softmax over the
positions of the completion. Each repeat runs every way once, so that a slow minute of the machine hits all of them;
printed are medians. Completions are drawn by the engine itself, once with a prompt of its own for each and once with
eight to a prompt.
"""

import argparse
import os
import statistics
import time
from functools import partial

os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as the command line does, before torch is loaded

import torch

import rationem
from rationem import JudgeTask, world
from rationem.engines import models
from rationem.engines.models import LoadedModel
from rationem.engines.transformers import TransformersEngine
from rationem.tasks.scale import MARKER
from rationem.types import Draft, LevelQuery, Request, Sampling, TokenQuery

BATCH, DRAWS = 64, 8


def random_llama(tiny: LoadedModel) -> LoadedModel:
    """A Llama of about 15M random weights over the tiny judge's vocabulary."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tiny.model.config.vocab_size, hidden_size=384, intermediate_size=1024, num_hidden_layers=8,
        num_attention_heads=6, num_key_value_heads=6, max_position_embeddings=2048, tie_word_embeddings=True,
    )  # fmt: skip
    return LoadedModel(LlamaForCausalLM(config), tiny.tokenizer, tiny.stop_ids)


@torch.inference_mode()
def plain(loaded: LoadedModel, rows: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> list[tuple[float, ...]]:
    """log pi(token | prompt, tokens before it), batches of like length, nothing kept and nothing shared."""
    scores: list[tuple[float, ...]] = [()] * len(rows)
    order = sorted(range(len(rows)), key=lambda n: len(rows[n][0]) + len(rows[n][1]))
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        width = max(len(rows[n][0]) + len(rows[n][1]) for n in batch)
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, n in enumerate(batch):
            whole = (*rows[n][0], *rows[n][1])
            ids[i, : len(whole)], mask[i, : len(whole)] = torch.tensor(whole), 1
        logps = loaded.model(input_ids=ids, attention_mask=mask, use_cache=False).logits.log_softmax(-1)
        picked = logps[:, :-1].gather(2, ids[:, 1:].unsqueeze(2)).squeeze(2)
        for i, n in enumerate(batch):
            prompt, completion = map(len, rows[n])
            scores[n] = tuple(picked[i, prompt - 1 : prompt - 1 + completion].tolist())
    return scores


def measure(name: str, loaded: LoadedModel, count: int, draws: int, repeats: int) -> None:
    task = JudgeTask(world.SCALE)
    engine = TransformersEngine(loaded, marker=MARKER, batch_size=BATCH)
    prompts = [task.prompt(example.fields) for example in world.examples(count // draws, seed=1) for _ in range(draws)]
    requests = [Request(prompt, Sampling(max_new_tokens=48), seed) for seed, prompt in enumerate(prompts)]

    def sample() -> list[Draft]:
        return [draft for n in range(0, count, BATCH) for draft in engine.sample(requests[n : n + BATCH])]

    drafts = sample()
    pairs = list(zip(prompts, drafts, strict=True))
    tokens = sum(len(draft.token_ids) for draft in drafts)
    queries = [TokenQuery(prompt, draft) for prompt, draft in pairs]
    levels = [LevelQuery(prompt, draft, len(draft.text), task.continuations) for prompt, draft in pairs]
    ids = [(engine._chat.encode(prompt), draft.token_ids) for prompt, draft in pairs]

    def score_levels() -> None:
        for n in range(0, count, BATCH):
            engine.score_levels(levels[n : n + BATCH])

    ways = {
        "plain": partial(plain, loaded, ids),
        "score_tokens": partial(engine.score_tokens, queries),
        "score_levels": score_levels,
        "sample": sample,
    }
    differences = (
        abs(p - q) for a, b in zip(ways["plain"](), ways["score_tokens"](), strict=True)
        for p, q in zip(a, b, strict=True)
    )  # fmt: skip
    worst = max(differences)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way, call in ways.items():
            started = time.perf_counter()
            call()
            seconds[way].append(time.perf_counter() - started)
    size = sum(p.numel() for p in loaded.model.parameters()) / 1e6
    print(
        f"\n{name} ({size:.1f}M), {count // draws} prompts x {draws}, {tokens} tokens; largest difference {worst:.0e}"
    )
    for way, taken in seconds.items():
        ratio = statistics.median(base / own for base, own in zip(seconds["plain"], taken, strict=True))
        print(f"  {way:14} {tokens / statistics.median(taken):9.0f} tokens/s {ratio:6.2f} x plain", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, default=256, help="completions; a quarter of them for the larger model")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"rationem {rationem.__version__}, cpu, {options.threads} threads, batches of {BATCH}")
    tiny = models.load(models.resolve(models.TINY_JUDGE), device="cpu")
    for name, loaded, rows in (
        ("tiny-judge", tiny, options.rows),
        ("random llama", random_llama(tiny), options.rows // 4),
    ):
        for draws in (1, DRAWS):
            measure(name, loaded, rows, draws, options.repeats)


if __name__ == "__main__":
    main()
