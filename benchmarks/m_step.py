"""How fast does the M-step train, against TRL, transformers' Trainer and loops written by hand?

    python benchmarks/m_step.py [--params 1 15 125] [--repeats 5] [--arms ...] [--device cpu|cuda] [--threads 1]

TRL belongs into an environment of its own. Once, from the repository's root:

    python3.11 -m venv /tmp/bench && /tmp/bench/bin/pip install -c constraints.txt -e . -r benchmarks/requirements.txt

(with the torch that you want installed there first). Without it its arms are skipped, with a sentence.

All arms train the same random checkpoint on the same samples, in whole passes, with the same batch size, number of
samples per optimizer step, AdamW and rate; prompts have 60 to 140 tokens, completions 8 to 800, very unevenly. Each
repeat runs every arm once, each in a process of its own, the first one rotating; printed are medians with their range,
and the same of the ratios of the pairs.

rationem         ``SupervisedMStep``
hand             a plain loop: grouped by length over 50 batches, padded, masked, the model's own loss
hand-tight       the same in its fastest form: no mask, logits of completion tokens alone, a fused optimizer
trainer-grouped  transformers' Trainer, grouped by length
trl-grouped      TRL's SFTTrainer, grouped by length, loss on completions
trl-packed       the same, packed into rows of 1,024 tokens, one row per forward pass, as many rows per step as its
                 samples fill; without a flash kernel, so attention has a dense mask

tokens/s         prompt and completion tokens, no padding, over the seconds of the training loop alone
peak             the most memory until the last optimizer step, of the process (resident) or the device, and by how
                 much that is more than before the model was loaded
computed         tokens that went through the model, padding included, per trained token
utilisation      of the device's peak, --peak-tflops or a known GPU's in dense bf16: FLOPs / seconds / peak with
                 FLOPs = sum_i 6 N T_i + 6 L d T_i^2 + 6 V h C_i (N weights of the layers' matrices, T_i tokens of a
                 sample, C_i of them with a loss, L layers, d = h the width, V the vocabulary; causal attention is half
                 of its square, padding and prompts' logits are not counted)

Beside that: what an M-step of rationem takes for loading, preparing and saving, and its share of a whole M-step, as
measured and with the training of --iteration samples; and, first of all, the loss of one step on the same batch by
every arm, brought to one normalisation, which must agree.
"""

import argparse
import importlib.util
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainings import Outcome, Work

ARMS = ("rationem", "hand", "hand-tight", "trainer-grouped", "trl-grouped", "trl-packed")
#: Optimizer steps and samples per step on a CPU, by millions of parameters: 1, 15 and 125 in half an hour or so.
SIZES = {1: (16, 8), 15: (4, 8), 125: (2, 4), 494: (2, 4), 3000: (2, 4)}
#: The same on a GPU, where the hand-written loop's logits decide how many samples fit.
GPU_SIZES = {**dict.fromkeys(SIZES, (40, 16)), 3000: (20, 8)}
#: What the processes of the arms have in common; imported once, before they fork.
SHARED = ["rationem.sft", "transformers.trainer", "transformers.models.llama.modeling_llama",
          "transformers.models.qwen2.modeling_qwen2", "datasets"]  # fmt: skip
#: Dense bf16, without sparsity.
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}


@dataclass(frozen=True)
class Case:
    """A size, its samples' tokens, and what the arithmetic of one pass costs."""

    params: int
    tokens: int
    completions: int
    count: int
    flops: float


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """Return median [least-most]."""
    return f"{statistics.median(values):{form}} [{min(values):{form}}-{max(values):{form}}]"


def table(head: list[str], rows: list[list[str]]) -> None:
    print("\n" + "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]), flush=True)


# Processes -----------------------------------------------------------------------------------------------------------


def apart(name: str, *given: Any) -> Any:
    """Return what a function of ``trainings`` returns in a fresh process; None where it failed, which is said."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(SHARED)
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sending, name, given))
    process.start()
    sending.close()
    try:
        return receiving.recv()
    except EOFError:
        say(f"{name}{given} failed")
        return None
    finally:
        process.join()


def _answer(sending: Any, name: str, given: tuple[Any, ...]) -> None:
    import trainings

    with redirect_stdout(sys.stderr):
        sending.send(getattr(trainings, name)(*given))


# Measurements --------------------------------------------------------------------------------------------------------


def agree(work: "Work", case: Case, arms: Sequence[str]) -> None:
    """Say the loss that every arm finds for the same first step, as a mean over the tokens that have a loss."""
    from trainings import PER_SAMPLE

    one = replace(work, steps=1)
    found = {arm: outcome for arm in arms if (outcome := apart("run", arm, one))}
    per_token = {
        arm: its.loss * (case.count / case.completions if arm in PER_SAMPLE else 1.0) for arm, its in found.items()
    }
    first = next(iter(per_token.values()), 0.0)
    told = ", ".join(f"{arm} {loss:.6f} ({loss / first - 1:+.1e})" for arm, loss in per_token.items())
    print(f"\n{case.params}M, loss per token of a step on the same {case.count} samples: {told}", flush=True)


def interleaved(work: "Work", arms: Sequence[str], repeats: int) -> dict[str, list["Outcome"]]:
    """Run every arm once per repeat, the first one rotating; an arm that fails once is left out of the rest."""
    found: dict[str, list[Outcome]] = {arm: [] for arm in arms}
    for repeat in range(repeats):
        turn = repeat % len(arms)
        for arm in (*arms[turn:], *arms[:turn]):
            if arm not in found:
                continue
            outcome = apart("run", arm, replace(work, seed=repeat))
            if outcome is None:
                del found[arm]
                continue
            found[arm].append(outcome)
            say(f"{work.params}M, {repeat + 1} of {repeats}, {arm}: {outcome.steps} steps in {outcome.seconds:.1f} s")
    return {arm: runs for arm, runs in found.items() if len(runs) == repeats}


def compare(case: Case, found: dict[str, list["Outcome"]], peak: float | None) -> None:
    rows = []
    for arm, runs in found.items():
        row = [
            f"{case.params}M", arm, spread([case.tokens / one.seconds for one in runs]),
            spread([other.seconds / own.seconds for own, other in zip(found.get("rationem", runs), runs, strict=True)],
                   ".2f") if arm != "rationem" and "rationem" in found else "",
            spread([one.peak / 1e6 for one in runs]), spread([(one.peak - one.before) / 1e6 for one in runs]),
            f"{statistics.mean(one.computed for one in runs) / case.tokens:.3f}", f"{runs[0].steps}",
        ]  # fmt: skip
        rows.append(row + ([spread([case.flops / one.seconds / peak for one in runs], ".1%")] if peak else []))
    head = ["model", "arm", "tokens/s", "rationem / it", "peak MB", "more than before", "computed", "steps"]
    table(head + (["utilisation"] if peak else []), rows)


def beside(case: Case, runs: Sequence["Outcome"], samples: int) -> None:
    """Say what an M-step costs beside its training loop, as measured and with the training of an iteration."""
    parts = [{**one.parts, "beside": one.parts["whole"] - one.parts["train"]} for one in runs]
    longer = samples / case.count
    shares = [one["beside"] / (one["beside"] + one["train"]) for one in parts]
    whole = [one["beside"] / (one["beside"] + one["train"] * longer) for one in parts]
    names = ["load", "prepare", "train", "save", "beside"]
    table(
        ["model", *(f"{name}, s" for name in names), "share", f"with {samples} samples"],
        [[f"{case.params}M", *(spread([one[name] for one in parts], ".2f") for name in names),
          spread(shares, ".1%"), spread(whole, ".1%")]],
    )  # fmt: skip


def measure(params: int, options: argparse.Namespace, folder: Path, peak: float | None) -> None:
    from trainings import Work, flops, token_ids

    steps, batch = (GPU_SIZES if options.device == "cuda" else SIZES)[params]
    checkpoint = apart("write_checkpoint", folder / str(params), params)
    work = Work(
        checkpoint, params, options.steps or steps, options.batch or batch, options.device, options.threads,
        optimizer=options.optimizer,
    )  # fmt: skip

    def case_of(one: Work) -> Case:
        rows = token_ids(one)
        tokens, prompts = sum(len(x.tokens) for x in rows), sum(x.prompt for x in rows)
        return Case(params, tokens, tokens - prompts, len(rows), flops(params, rows))

    case = case_of(work)
    agree(work, case_of(replace(work, steps=1)), options.arms)
    print(f"\n{params}M: {case.count} samples in steps of {work.batch}, {case.tokens / case.count:.0f} tokens each, "
          f"{case.completions / case.count:.0f} of them with a loss", flush=True)  # fmt: skip
    found = interleaved(work, options.arms, options.repeats)
    compare(case, found, peak)
    if "rationem" in found:
        beside(case, found["rationem"], options.iteration)


# The command ---------------------------------------------------------------------------------------------------------


def machine(options: argparse.Namespace) -> Iterator[str]:
    yield time.strftime("%Y-%m-%d %H:%M")
    yield device_name(options.device)
    yield f"{options.threads} of {os.cpu_count()} cores"
    yield from (f"{name} {version(name)}" for name in ("rationem", "torch", "transformers", "trl") if installed(name))
    yield f"{options.repeats} repeats, load {os.getloadavg()[0]:.1f}"


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def device_name(device: str) -> str:
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def peak_of(options: argparse.Namespace) -> float | None:
    """Return the FLOP/s that utilisation is a share of; None where nobody said."""
    if options.peak_tflops:
        return float(options.peak_tflops * 1e12)
    name = device_name(options.device)
    return next((peak for known, peak in PEAKS.items() if known in name), None)


def available(arms: Sequence[str]) -> list[str]:
    if installed("trl"):
        return list(arms)
    say("TRL is not installed here, so its arms are skipped; how to install it: --help")
    rest = [arm for arm in arms if not arm.startswith("trl")]
    return rest or sys.exit("No arm is left.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=int, nargs="+", default=[1, 15, 125], choices=SIZES, help="millions")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=0, help="samples per optimizer step; default: by size")
    parser.add_argument("--steps", type=int, default=0, help="optimizer steps of a timing; default: by size")
    parser.add_argument("--optimizer", choices=("keep", "reset"), default="keep", help="whether rationem saves moments")
    parser.add_argument("--iteration", type=int, default=1280, help="samples of the iteration that shares are told for")
    parser.add_argument("--peak-tflops", type=float, help="of the device, for its utilisation")
    options = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": str(options.threads), "GOMP_SPINCOUNT": "3000", "HF_HUB_OFFLINE": "1"}
    options.arms = available(options.arms)
    print(", ".join(machine(options)), flush=True)
    with tempfile.TemporaryDirectory(prefix="rationem-bench-") as folder:
        for params in options.params:
            measure(params, options, Path(folder), peak_of(options))


if __name__ == "__main__":
    main()
