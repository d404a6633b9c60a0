"""The cost of a fit: tokens from the scheme and the data, hours and memory from the model and this machine.

    generated  <=  sum over the plan's draws  N_train * cut        (an E-step; "at most": early acceptance ends a plan)
    seconds     =  generated / rate + 2 P read / (e F) + 6 P trained / (e F)

P are parameters, F the machine's measured speed of matrix products, e = 0.3 the share of it that reading and training
reach, and rate = min(10,000, 0.1 F / 2P) the tokens per second of sampling on a CPU (0.01 on a GPU, where memory limits
a step). These are orders of magnitude: the truth may be half or double.
The enumeration of the scheme exact is not included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rationem.check.findings import Finding, warning
from rationem.check.machine import Machine, ModelSizes
from rationem.config import FitConfig
from rationem.engines.opening import BATCH
from rationem.run.demonstrations import USUAL
from rationem.sampling.schemes import Scheme

#: Shares of the matrix product's speed, and the most tokens per second that sampling reaches.
READING, SAMPLING, SAMPLING_GPU, FASTEST = 0.3, 0.1, 0.01, 10_000.0
_GPU_BYTES, _CPU_BYTES = 2, 4
_DAY = 24.0


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens read (prompts, and drafts whose levels are scored), generated, and trained on."""

    read: float = 0.0
    generated: float = 0.0
    trained: float = 0.0

    def __add__(self, other: TokenCounts) -> TokenCounts:
        return TokenCounts(self.read + other.read, self.generated + other.generated, self.trained + other.trained)

    def times(self, count: int) -> TokenCounts:
        """Return the counts multiplied by ``count``."""
        return TokenCounts(self.read * count, self.generated * count, self.trained * count)

    def as_dict(self) -> dict[str, int]:
        """Return rounded numbers, for JSON."""
        return {"read": round(self.read), "generated": round(self.generated), "trained": round(self.trained)}


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes from which tokens are counted.

    Args:
        train: training rows.
        validation: items.
        test: items.
        forward: mean tokens of a forward prompt.
        hinted: mean tokens of a hinted prompt.
        longest: tokens of the longest used prompt.
        cut: most tokens of a completion.
    """

    train: int
    validation: int
    test: int
    forward: float
    hinted: float
    longest: int
    cut: int


def iteration_tokens(sizes: Sizes, scheme: Scheme, config: FitConfig) -> TokenCounts:
    """Return the most tokens of one iteration: the whole plan, every completion of full length, and measuring."""
    return learning_tokens(sizes, scheme, config) + validation_tokens(sizes, config)


def learning_tokens(sizes: Sizes, scheme: Scheme, config: FitConfig) -> TokenCounts:
    """Return the most tokens of one E-step and one M-step."""
    prompts = {"forward": sizes.forward, "rationalize": sizes.hinted}
    drawn = [
        _with_demonstrations(prompts[one.prompt], config) if one.demos else prompts[one.prompt]
        for one in scheme.plan
        if one.prompt in prompts
    ]
    e_step = TokenCounts(read=sizes.train * sum(drawn), generated=float(sizes.train * sizes.cut * len(drawn)))
    scored = TokenCounts(read=float(sizes.train * sum(prompt + sizes.cut for prompt in drawn)))
    if config.close:  # at most: the levels of every draft
        e_step += scored
    if scheme.sums_out:
        e_step += scored
    if scheme.selector.needs_ratios:
        e_step += TokenCounts(read=float(sizes.train * (sizes.forward + sizes.cut * len(drawn))))
    seen = config.epochs * sizes.train if config.epochs else (config.steps or 40) * config.batch_size
    trained = seen * scheme.most_kept * (sizes.forward + sizes.cut)
    return e_step + TokenCounts(trained=trained)


def _with_demonstrations(question: float, config: FitConfig) -> float:
    """Return the most tokens of a prompt with demonstrations, each about as long as the question."""
    asked = config.demos or ""
    count = int(asked) if asked.isdecimal() else USUAL
    return max(question, min((count + 1) * question, config.max_prompt_tokens or math.inf))


def validation_tokens(sizes: Sizes, config: FitConfig) -> TokenCounts:
    """Return the tokens of evaluating the validation items, of the evidence of some and of its wrong hints."""
    wrong = min(config.measuring.wrong_hints, sizes.validation)
    some = config.measuring.evidence_items
    hinted = sizes.validation if some is None else min(some, sizes.validation)
    probes = TokenCounts(read=wrong * sizes.hinted, generated=float(wrong * sizes.cut))
    rest = evaluation_tokens(sizes, sizes.validation - hinted, config)
    return evidence_tokens(sizes, hinted, config) + rest + probes


def evidence_tokens(sizes: Sizes, count: int, config: FitConfig) -> TokenCounts:
    """Return the tokens of evaluating ``count`` items, and of their evidence.

    Hinted drafts are read twice after the forward prompt (levels, then tokens), unhinted ones once after the hinted.
    """
    evaluated = evaluation_tokens(sizes, count, config)
    if not config.measuring.evidence_draws:
        return evaluated
    hinted, forward = config.measuring.evidence_draws * sizes.cut, config.measuring.draws * sizes.cut
    read = 2 * (sizes.forward + sizes.hinted) + 2 * hinted + forward
    return evaluated + TokenCounts(read=count * read, generated=float(count * hinted))


def evaluation_tokens(sizes: Sizes, count: int, config: FitConfig) -> TokenCounts:
    """Return the tokens of evaluating ``count`` items: prompts read to sample and to score, drafts scored."""
    drafts = count * config.measuring.draws * sizes.cut
    return TokenCounts(read=2 * count * sizes.forward + drafts, generated=float(drafts))


def bill(sizes: Sizes, scheme: Scheme, config: FitConfig) -> dict[str, TokenCounts]:
    """Return the most tokens of a run by what they serve.

    ``learning``     E-steps and M-steps
    ``measuring``    validation, evidence and wrong hints of every iteration and the base model, and the difficulty
    ``testing``      the test set for the base model and the chosen iteration, with ``full`` also the last one, with its
                     evidence; and the control with solved examples
    """
    measuring = validation_tokens(sizes, config).times(config.iterations + 1)
    measuring += evaluation_tokens(sizes, min(config.measuring.difficulty_examples, sizes.train), config)
    testing = evidence_tokens(sizes, sizes.test, config).times(2)
    if config.measuring.test_last:
        testing += evaluation_tokens(sizes, sizes.test, config)
    if config.shots:
        testing += evaluation_tokens(sizes, sizes.test, config)
        testing += TokenCounts(read=2 * sizes.test * config.shots * sizes.forward)
    learning = learning_tokens(sizes, scheme, config).times(config.iterations)
    return {"learning": learning, "measuring": measuring, "testing": testing}


def all_tokens(sizes: Sizes, scheme: Scheme, config: FitConfig) -> TokenCounts:
    """Return the tokens of a run, the sum of its :func:`bill`."""
    return sum(bill(sizes, scheme, config).values(), TokenCounts())


def hours(tokens: TokenCounts, model: ModelSizes, machine: Machine) -> float:
    """Return the hours for these tokens, as an order of magnitude."""
    share = SAMPLING if machine.device == "cpu" else SAMPLING_GPU
    rate = min(FASTEST, share * machine.flops / (2 * model.parameters))
    work = 2 * model.parameters * tokens.read + 6 * model.parameters * tokens.trained
    return (tokens.generated / rate + work / (READING * machine.flops)) / 3600


def memory(sizes: Sizes, model: ModelSizes, config: FitConfig, device: str) -> dict[str, float]:
    """Return the approximate bytes of training, of sampling, and of their maximum.

    Training needs fp32 weights, and a gradient and AdamW's two moments for trained parameters. Activations take about
    16 numbers of the model's width per token and layer, logits two rows of the vocabulary per token. Sampling needs the
    weights and the key-value cache of a batch.
    """
    width = _CPU_BYTES if device == "cpu" else _GPU_BYTES
    length = sizes.longest + sizes.cut
    batch = config.sampling_batch if isinstance(config.sampling_batch, int) else BATCH
    trained = config.lora_rank * model.adapter if config.lora_rank else model.parameters
    tokens = min(config.micro_batch_size, config.batch_size) * length
    weights = 4.0 * (model.parameters + (trained if config.lora_rank else 0)) + 12.0 * trained
    activations = float(width * tokens * (16 * model.hidden * model.layers + 2 * model.vocabulary))
    cache = float(width * batch * length * model.cached)
    train, sample = weights + activations, width * model.parameters + cache
    return {
        "weights_gradients_moments": weights,
        "activations": activations,
        "sampling_cache": cache,
        "training": train,
        "sampling": sample,
        "peak": max(train, sample),
    }


def cost(
    sizes: Sizes,
    scheme: Scheme,
    config: FitConfig,
    model: ModelSizes | None,
    machine: Machine | None,
) -> tuple[dict[str, Any], list[Finding]]:
    """Return a fit's cost and findings on it; without a model only the tokens."""
    total = all_tokens(sizes, scheme, config)
    section: dict[str, Any] = {
        "scheme": scheme.name,
        "iterations": config.iterations,
        "completion_cut": sizes.cut,
        "per_iteration": iteration_tokens(sizes, scheme, config).as_dict(),
        "total": total.as_dict(),
        "by_purpose": {name: tokens.as_dict() for name, tokens in bill(sizes, scheme, config).items()},
        "parameters": None,
        "device": None,
        "hours": None,
        "memory_bytes": None,
    }
    if model is None or machine is None:
        return section, []
    spent, needed = hours(total, model, machine), memory(sizes, model, config, machine.device)
    section |= {
        "parameters": model.parameters,
        "trained_parameters": config.lora_rank * model.adapter if config.lora_rank else model.parameters,
        "device": machine.device,
        "threads": machine.threads,
        "matrix_product_flops": round(machine.flops),
        "hours": round(spent, 3),
        "hours_by_purpose": {
            name: round(hours(tokens, model, machine), 3) for name, tokens in bill(sizes, scheme, config).items()
        },
        "memory_bytes": {name: round(value) for name, value in needed.items()},
        "machine_memory_bytes": machine.memory,
    }
    return section, _complaints(spent, needed["peak"], machine)


def _complaints(spent: float, peak: float, machine: Machine) -> list[Finding]:
    found = [warning("memory", _lacking(peak, machine))] if peak > machine.memory else []
    if spent > _DAY:
        text = (
            f"A fit would take up to about {spent / _DAY:.0f} days on this machine. Use fewer rows (--limit), drafts "
            "or iterations, a shorter --max-new-tokens, a smaller model, or a GPU."
        )
        found.append(warning("hours", text))
    return found


def _lacking(peak: float, machine: Machine) -> str:
    needed, there = f"{peak / 2**30:.0f} GB", f"{machine.memory / 2**30:.0f} GB"
    return (
        f"A fit would need roughly {needed}; this {machine.device} has {there}. Lower --micro-batch-size and "
        "--sampling-batch, train a LoRA adapter (--lora-rank 16), or use a smaller model."
    )


def mean(values: Sequence[int]) -> float:
    """Return the mean, or 0 of an empty sequence."""
    return sum(values) / len(values) if values else 0.0
