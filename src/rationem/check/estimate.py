"""The cost estimate of ``rationem fit --dry-run``: tokens, GPU hours and disk, without loading a model or network use.

    hours  =  (2 P read + 6 P trained) / (u F)  +  (generated / B) t,      t = (2 P + B c) / (v W) + delay

P parameters; F and W the GPU's peak rates of bf16 products and of memory; u, v the reached shares of them; B the
completions sampled together, c the bytes of one's key-value cache. A LoRA adapter trains with 4 P instead of 6 P,
gradient checkpointing adds 2 P. The delay is the time to launch a step's kernels from Python, per layer; only the
transformers engine has it. Work shared by several GPUs takes the same GPU hours if it scales well.

The published sizes are those of the ``config.json`` of the hub's repositories of these names; the parameters counted
from them are those of the repositories' weights, by their model cards 3.21B (Llama) and 0.49B, 1.54B, 3.09B, 7.61B.
The GPU's numbers are those of NVIDIA's data sheet "H100 Tensor Core GPU", SXM, without sparsity.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rationem.check import cost, machine, texts
from rationem.check.reading import NO_RUN
from rationem.config import FitConfig
from rationem.engines import conformance, models
from rationem.engines.chat import Chat, Conversation
from rationem.engines.opening import BATCH
from rationem.engines.table import ENGINES_OR_AUTO
from rationem.errors import ModelError
from rationem.report.plain import plain
from rationem.run.defaults import with_defaults
from rationem.sampling.schemes import Scheme
from rationem.tasks.protocol import Task
from rationem.types import Example, Splits

#: Most examples per set for measuring the mean prompt length.
_MEASURED = 500
#: Bytes of the ledger per generated token (text, rationale, ids, log-probabilities), and further bytes per trial.
LEDGER_TOKEN, LEDGER_TRIAL = 30, 400
_FP32, _MOMENTS, _BF16 = 4, 8, 2
_VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, by its data sheet.

    Args:
        flops: bf16 products with fp32 sums, dense, per second.
        fp32: the same for fp32.
        bandwidth: bytes of its memory per second.
        memory: bytes.
    """

    name: str
    flops: float
    fp32: float
    bandwidth: float
    memory: float


H100 = Gpu("H100 SXM (80 GB)", 989e12, 67e12, 3.35e12, 80e9)
#: Reached shares of the peaks, (at worst, at best), and the delay per layer of a transformers step, in seconds.
PRODUCTS, BANDWIDTH, DELAY = (0.2, 0.5), (0.3, 0.7), (1e-3, 0.3e-3)

_LLAMA = {"model_type": "llama", "head_dim": 128, "tie_word_embeddings": True}
_QWEN = {"model_type": "qwen2", "max_position_embeddings": 32_768, "vocab_size": 151_936}
#: Hub id -> the configuration that determines its size; see above for the source.
PUBLISHED: Mapping[str, Mapping[str, object]] = {
    "meta-llama/Llama-3.2-3B-Instruct": _LLAMA
    | {"hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 24, "num_key_value_heads": 8}
    | {"intermediate_size": 8192, "vocab_size": 128_256, "max_position_embeddings": 131_072},
    "Qwen/Qwen2.5-0.5B-Instruct": _QWEN
    | {"hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2}
    | {"intermediate_size": 4864, "tie_word_embeddings": True},
    "Qwen/Qwen2.5-1.5B-Instruct": _QWEN
    | {"hidden_size": 1536, "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2}
    | {"intermediate_size": 8960, "tie_word_embeddings": True},
    "Qwen/Qwen2.5-3B-Instruct": _QWEN
    | {"hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 2}
    | {"intermediate_size": 11_008, "tie_word_embeddings": True},
    "Qwen/Qwen2.5-7B-Instruct": _QWEN
    | {"hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4}
    | {"intermediate_size": 18_944, "tie_word_embeddings": False, "vocab_size": 152_064},
}


@dataclass(frozen=True, slots=True)
class Known:
    """The known properties of a model that is not loaded.

    Args:
        shape: its sizes; None if unknown.
        told: the source of the sizes, or why there are none.
        chat: its conversation format, which counts tokens exactly; None estimates them from the characters.
    """

    shape: machine.ModelSizes | None
    told: str
    chat: Chat | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """The most that a fit can cost: every plan exhausted, every completion of full length.

    Args:
        sizes: the sizes from which tokens are counted.
        tokens: tokens of the whole run.
        bill: the same by what they serve; see :func:`.cost.bill`.
        known: the model.
        hours: hours of one H100, (at best, at worst); None without the model's sizes, like the next two.
        memory: approximate peak memory of that GPU in bytes.
        disk: part of the run directory -> bytes.
    """

    config: FitConfig
    sizes: cost.Sizes
    tokens: cost.TokenCounts
    bill: Mapping[str, cost.TokenCounts]
    known: Known
    hours: tuple[float, float] | None
    memory: float | None
    disk: Mapping[str, float] | None


def estimate(config: FitConfig, scheme: Scheme, task: Task, splits: Splits) -> Estimate:
    """Return the cost estimate of a fit.

    Args:
        config: the settings; missing ones get a fit's defaults.
        scheme: its scheme.
        task: gives the prompts.
        splits: the three sets.

    Raises:
        ConfigError: prompt and completion are longer than the model.
        ModelError: see :func:`look_up`.
    """
    known = look_up(config.model or "", config.conversation)
    if known.chat is not None:
        conformance.check_model(config.model or "", _place(config.model or "") or "", known.chat, task)
    # The estimate does not depend on whether vLLM is installed.
    open_settings = config.replace(vllm_python=None)
    config = with_defaults(open_settings, NO_RUN, known.shape.positions if known.shape else None)
    sizes = measured(splits, task, scheme, known.chat, config)
    tokens, bill = cost.all_tokens(sizes, scheme, config), cost.bill(sizes, scheme, config)
    if known.shape is None:
        return Estimate(config, sizes, tokens, bill, known, None, None, None)
    return Estimate(
        config,
        sizes,
        tokens,
        bill,
        known,
        gpu_hours(tokens, sizes, known.shape, config),
        cost.memory(sizes, known.shape, config, "cuda")["peak"],
        disk(tokens, sizes, known.shape, config),
    )


def look_up(name: str, conversation: Conversation | None = None) -> Known:
    """Return a model's sizes: from its directory, the local hub cache, or the table of published sizes.

    Args:
        name: a checkpoint directory, a hub id, or an embedded model.
        conversation: additions to the chat template.

    Raises:
        ModelError: its local tokenizer or chat template cannot be used.
    """
    place = _place(name)
    if place is not None:
        try:
            shape = machine.shape(name, place)
        except ModelError as error:
            return Known(None, str(error))
        return Known(shape, "counted from its configuration", _chat(name, place, conversation))
    if name in PUBLISHED:
        return Known(published(name), "from its published configuration")
    return Known(None, f"{name!r} is not on this machine and its size is unknown: name a checkpoint directory.")


def published(name: str) -> machine.ModelSizes:
    """Return the sizes of a model of :data:`PUBLISHED`, counted like any checkpoint's."""
    return _configured(name, PUBLISHED[name])


def measured(splits: Splits, task: Task, scheme: Scheme, chat: Chat | None, config: FitConfig) -> cost.Sizes:
    """Return the sizes from which tokens are counted; prompts are measured on some examples of each set."""
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    some = {name: _spread(part) for name, part in parts.items()}
    room = texts.Room(config.max_prompt_tokens or 0, config.max_new_tokens or 0, config.elide)
    _, sizes, _ = texts.lengths(Splits(some["train"], some["validation"], some["test"]), task, scheme, chat, room)
    fitting = {"train": sizes.train, "validation": sizes.validation, "test": sizes.test}
    return replace(
        sizes, **{name: round(count * len(parts[name]) / max(1, len(some[name]))) for name, count in fitting.items()}
    )


def gpu_hours(
    tokens: cost.TokenCounts, sizes: cost.Sizes, model: machine.ModelSizes, config: FitConfig, gpu: Gpu = H100
) -> tuple[float, float]:
    """Return the hours of one GPU, at best and at worst."""
    per_trained = (4 if config.lora_rank else 6) + (2 if config.gradient_checkpointing else 0)
    peak = gpu.fp32 if config.precision == "fp32" else gpu.flops
    reading, training = 2.0 * model.parameters * tokens.read, float(per_trained) * model.parameters * tokens.trained
    weights = float(_BF16 * model.parameters)
    cached = _BF16 * model.cached * (sizes.forward + sizes.cut / 2)
    together = drawn_together(weights, cached, config, gpu)
    steps = tokens.generated / together
    moved = steps * (weights + together * cached) / gpu.bandwidth
    waiting = steps * model.layers if ENGINES_OR_AUTO[config.engine].in_process else 0.0
    worst, best = (
        reading / (gpu.flops * products) + training / (peak * products) + moved / share + waiting * delay
        for products, share, delay in zip(PRODUCTS, BANDWIDTH, DELAY, strict=True)
    )
    return best / 3600, worst / 3600


def drawn_together(weights: float, cached: float, config: FitConfig, gpu: Gpu = H100) -> int:
    """Return the number of completions sampled together: the requested number, if it fits beside the weights."""
    asked = config.sampling_batch if isinstance(config.sampling_batch, int) else BATCH
    asked = asked if ENGINES_OR_AUTO[config.engine].in_process else config.concurrency
    return max(1, min(asked, int((0.9 * gpu.memory - weights) / cached)))


def disk(tokens: cost.TokenCounts, sizes: cost.Sizes, model: machine.ModelSizes, config: FitConfig) -> dict[str, float]:
    """Return the bytes of a run directory by part; docs/run-directory.md says what they are.

    An adapter's checkpoint holds only the adapter. Moments are kept for the last two iterations, and are not written if
    every M-step starts from the base model.
    """
    trained = config.lora_rank * model.adapter if config.lora_rank else model.parameters
    fresh = config.init == "base" or config.optimizer == "reset"
    return {
        "checkpoints": float(_FP32 * trained * config.iterations),
        "optimizer moments": 0.0 if fresh else float(_MOMENTS * trained * min(2, config.iterations)),
        "model/": float(_FP32 * trained),
        "ledger": LEDGER_TOKEN * tokens.generated + LEDGER_TRIAL * tokens.generated / max(1, sizes.cut),
    }


def lines(found: Estimate) -> Iterator[str]:
    """Yield the lines that show an estimate and its assumptions."""
    tokens, known, config = found.tokens, found.known, found.config
    yield f"Cost at most (every plan exhausted, every completion {found.sizes.cut} tokens long):"
    yield (
        f"  tokens: {tokens.read:,.0f} read (prompts and scored drafts), {tokens.generated:,.0f} generated, "
        f"{tokens.trained:,.0f} trained on"
    )
    parts = ", ".join(f"{name} {part.generated:,.0f}" for name, part in found.bill.items())
    yield f"  generated for: {parts} (measuring: --measure {config.measure})"
    by = "counted by its tokenizer" if known.chat else "estimated as characters / 4"
    yield f"  prompts: {found.sizes.forward:.0f} tokens on average, measured on a sample, {by}"
    if known.shape is None or found.hours is None or found.memory is None or found.disk is None:
        yield f"  GPU hours and disk are not known: {plain(known.told)}"
        return
    yield f"  model: {known.shape.parameters:,} parameters, {known.told}"
    yield f"  time: {_hours(found.hours)} of one {H100.name}"
    lacking = "" if found.memory <= H100.memory else ": too much (docs/training.md)"
    yield f"  memory: about {_size(found.memory)} of its {_size(H100.memory)}{lacking}"
    told = ", ".join(f"{name} {_size(size)}" for name, size in found.disk.items() if size)
    yield f"  disk: about {_size(sum(found.disk.values()))} ({told})"
    yield f"  {_assumed(config)}"


def _assumed(config: FitConfig) -> str:
    def of(shares: Sequence[float]) -> str:
        return " to ".join(f"{100 * share:.0f}" for share in shares)

    delay = " to ".join(f"{1000 * seconds:g}" for seconds in reversed(DELAY))
    waits = f", which waits {delay} ms per layer for Python," if ENGINES_OR_AUTO[config.engine].in_process else ""
    peak = f"{(H100.fp32 if config.precision == 'fp32' else H100.flops) / 1e12:.0f} TFLOP/s"
    speed = f"{H100.bandwidth / 1e12} TB/s"
    return (
        f"Assumed, not measured on such a GPU: training and reading reach {of(PRODUCTS)} % of its peak ({peak}), a "
        f"step of generation{waits} reads weights and cache at {of(BANDWIDTH)} % of {speed}; loading, saving and "
        "starting are not included."
    )


def _configured(name: str, settings: Mapping[str, object]) -> machine.ModelSizes:
    with TemporaryDirectory() as place:
        (Path(place) / "config.json").write_text(json.dumps(settings), encoding="utf-8")
        return machine.shape(name, place)


def _place(name: str) -> str | None:
    """Return the directory of a model that is on this machine; downloads nothing."""
    if name in models.EMBEDDED or Path(name).is_dir():
        return models.resolve(name)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        config = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        return None
    return str(Path(config).parent) if isinstance(config, str) else None


def _chat(name: str, place: str, conversation: Conversation | None) -> Chat | None:
    """Return the conversation format; None where only the configuration is here."""
    # Without any of its files transformers makes a tokenizer that knows no word.
    if not any((Path(place) / file).is_file() for file in _VOCABULARIES):
        return None
    return models.chat(name, place, conversation)


def _spread(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Return at most ``_MEASURED`` examples, evenly spaced."""
    step = max(1, -(-len(examples) // _MEASURED))
    return tuple(examples[::step])


def _hours(ends: tuple[float, float]) -> str:
    low, high = ends
    if high < 1:
        return f"{60 * low:.1f} to {60 * high:.1f} minutes"
    digits = 1 if low < 10 else 0
    return f"{low:.{digits}f} to {high:.{digits}f} hours"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
