"""The main job on the embedded default: the sampling schemes and a control, all else equal, in minutes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rationem import models, progress, report
from rationem.config import FitConfig, read_config
from rationem.launch import start
from rationem.ledger import read_examples, read_only, write_text
from rationem.prepare import WORLD
from rationem.report.picture import Curve, curves
from rationem.report.text import number, table

#: Row of the table -> scheme and selector; the last is the control: the M-step sees the answer alone, no rationale.
ARMS = {
    "RS(4)": ("rs:4", "first"),
    "STaR": ("star", "first"),
    "PPS": ("pps", "first"),
    "PPS, frozen base, 2 draws resampled": ("rationalize@base*2", "resample"),
    "answer alone": ("direct", "first"),
}
STEPS = 40
_SHOWN = 3
_HEAD = (
    "scheme",
    "weights",
    "accuracy",
    "within one",
    "MAE",
    "log-likelihood",
    "evidence score",
    "examples kept",
    "generated tokens",
    "seconds",
)


def demo(output: Path, *, iterations: int, seed: int) -> str:
    """Run every arm, write ``demo.md`` and ``demo.svg`` beside the run directories, and return the page.

    Args:
        output: directory for one run directory per arm; a demo that was interrupted goes on where it stopped.
        iterations: EM iterations per arm, each of 40 optimizer steps of 32 examples.
    """
    began = time.perf_counter()
    configs = {name: _config(*arm, iterations, seed) for name, arm in ARMS.items()}
    models.resolve(models.TINY_JUDGE)
    built = time.perf_counter() - began
    runs: dict[str, Path] = {}
    for name, (scheme, _) in ARMS.items():
        progress.say(f"{name}: {iterations} iterations")
        runs[name] = start(configs[name], output / "".join(filter(str.isalnum, scheme)))
    seconds = time.perf_counter() - began
    page = _page({name: report.summarize(run) for name, run in runs.items()}, runs, output)
    closing = f"{seconds:.0f} s in all, {built:.0f} s of them for the tiny judge. Files: {output}/demo.md, demo.svg"
    write_text(output / "demo.md", page)
    return f"{page}\n{closing}"


def _config(scheme: str, selector: str, iterations: int, seed: int) -> FitConfig:
    settings = {"data": (WORLD,), "model": models.TINY_JUDGE, "scheme": scheme, "selector": selector}
    measured = {"draws": 4, "evidence_draws": 2, "wrong_hints": 32, "difficulty_examples": 0}
    training = {"iterations": iterations, "seed": seed, "steps": STEPS, "sampling_batch": 256}
    return read_config(None, {**settings, **measured, **training})


def _page(summaries: Mapping[str, dict[str, Any]], runs: Mapping[str, Path], output: Path) -> str:
    any_summary = next(iter(summaries.values()))
    sizes = any_summary["examples"]
    write_text(output / "demo.svg", curves(_curves(summaries)))
    return "\n\n".join(
        [
            "# Reasoning learned from answers alone",
            f"{sizes['train']} questions with their ratings, no rationale; {any_summary['last_iteration']} iterations "
            f"of {STEPS} steps for every scheme; {sizes['test']} test questions, scored at the end (standard error of "
            "an accuracy: about 0.03). The best iteration is chosen by the evidence score on "
            "validation (mean log p(rating | question), nats, smoothed by one draw of the training marginal).",
            table(_HEAD, list(_rows(summaries))),
            "![accuracy and log-likelihood on validation against generated tokens](demo.svg)",
            "## Before and after (STaR, best iteration)",
            _rationales(runs["STaR"], summaries["STaR"]["best_iteration"]),
        ]
    )


def _rows(summaries: Mapping[str, dict[str, Any]]) -> list[list[str]]:
    first = next(iter(summaries.values()))
    majority = first["baselines"]["test"]["majority"]
    rows = [
        ["majority rating", "–", *_scores(majority), "–", "–", "–", "–"],
        ["base model", "before", *_scores(first["iterations"][0]["test"]), _evidence(first, 0), "–", "–", "–"],
    ]
    for name, summary in summaries.items():
        steps = [entry for entry in summary["iterations"] if "e_step" in entry]
        tokens = sum(entry["e_step"]["generated_tokens"] for entry in steps)
        kept = " → ".join(number(steps[i]["e_step"]["kept_share"], 2) for i in (0, -1))
        best, last = summary["best_iteration"], summary["last_iteration"]
        chosen = {f"best ({best})": best, f"last ({last})": last} if best != last else {f"best = last ({last})": last}
        for weights, k in chosen.items():
            scores = _scores(summary["iterations"][k]["test"])
            rows.append(
                [name, weights, *scores, _evidence(summary, k), kept, str(tokens), number(summary["seconds"], 0)]
            )
    return rows


def _evidence(summary: Mapping[str, Any], k: int) -> str:
    """Return what the iteration was chosen by: the mean log evidence on validation."""
    return number(summary["iterations"][k]["evidence"]["score"], 2)


def _scores(scores: Mapping[str, Any]) -> list[str]:
    return [number(scores[key], 2) for key in ("accuracy", "within_one", "mae", "log_likelihood")]


def _curves(summaries: Mapping[str, dict[str, Any]]) -> list[Curve]:
    found = []
    for name, summary in summaries.items():
        tokens, points = 0, []
        for entry in summary["iterations"]:
            tokens += entry.get("e_step", {}).get("generated_tokens", 0)
            points.append((tokens, entry["validation"]["accuracy"], entry["validation"]["log_likelihood"]))
        found.append(Curve(name, tuple(points), summary["best_iteration"]))
    return found


def _rationales(run: Path, best: int) -> str:
    """Show test questions that the base model got wrong and the chosen iteration right."""
    db = read_only(run)
    try:
        shown = []
        for x in read_examples(db, "test"):
            before, after = (_spoken(db, k, x.id) for k in (0, best))
            if before and after and before[1] != x.answer == after[1]:
                shown.append(_pair(x.fields, x.answer, before[0], after[0]))
        return "\n\n".join(shown[:_SHOWN]) or "No test question went from wrong to right."
    finally:
        db.close()


def _spoken(db: sqlite3.Connection, iteration: int, example_id: str) -> tuple[str, str] | None:
    """Return the first drawn text that says what the draws together predict, and that prediction."""
    found: tuple[str, str] | None = db.execute(
        "SELECT t.text, p.predicted FROM trials t JOIN predictions p USING (iteration, example_id) WHERE t.iteration=? "
        "AND t.purpose='eval' AND t.example_id=? AND t.predicted = p.predicted AND p.split='test' ORDER BY t.attempt",
        (iteration, example_id),
    ).fetchone()
    return found


def _pair(fields: Mapping[str, str], answer: str, before: str, after: str) -> str:
    lines: Sequence[str] = [
        f"{fields['prompt']} | {fields['response']}   (people: {answer})",
        f"  before: {' / '.join(before.split(chr(10)))}",
        f"  after:  {' / '.join(after.split(chr(10)))}",
    ]
    return "```text\n" + "\n".join(lines) + "\n```"
