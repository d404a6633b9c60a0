"""The demo: the sampling schemes and a control on the embedded world, at equal data and steps, in minutes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rationem import report
from rationem.compare import Design, compare, default_workers, parse_arms, write
from rationem.compare.embedded import PAPER, embedded
from rationem.compare.page import headline
from rationem.compare.tables import table_of, tables
from rationem.config import configured
from rationem.engines import models
from rationem.ledger import read_examples, read_only, write_text
from rationem.ledger.one_example import typical_draw
from rationem.report.text import blocks
from rationem.run.prepare import WORLD

#: The arm whose rationales are shown.
_SPEAKS = "STaR"
_SHOWN = 3
#: What the columns of the tables mean.
_COLUMNS = {
    "accuracy": "share of test questions that get people's rating",
    "within one": "share whose rating is at most one level away",
    "MAE": "mean distance between the rating and people's, in levels",
    "quadratic kappa": "Cohen's kappa with quadratic weights: agreement beyond chance, 1 is perfect",
    "log-likelihood": "mean log-probability of people's rating, in nats",
    "log-likelihood, calibrated": "the same after one temperature, fitted on validation",
    "squared calibration error": "debiased squared distance of confidence from accuracy; 0 on average if calibrated",
    "squared calibration error, calibrated": "the same after that temperature",
    "faithful": "share of test rationales that are true of their question, which can be checked in this world",
    "first attempts accepted": "share of training examples whose first draft was accepted, over all iterations",
    "kept": "share of training examples with a kept rationale, over all iterations",
    "completion, tokens": "mean length of a completion on the test set",
    "iterations": "EM iterations",
    "steps": "optimizer steps",
    "passes over a kept example, per iteration": "how often training saw a kept example",
    "generated tokens": "tokens drawn for training",
    "prompt tokens": "tokens read for them",
    "seconds": "of the whole run, beside the other runs",
}


def demo(output: Path, *, iterations: int, seed: int) -> str:
    """Compare the schemes on the embedded world with one seed, write ``demo.md``, and return the page.

    Args:
        output: the comparison's directory (docs/compare.md); an interrupted demo is resumed.
        iterations: EM iterations per arm, each of 40 optimizer steps of 32 examples.
        seed: the seed of all runs.
    """
    began = time.perf_counter()
    config = configured(data=(WORLD,), model=models.TINY_JUDGE, iterations=iterations, seed=seed)
    arms = parse_arms(PAPER)
    design = Design(embedded(config, exact=False), arms, arms[0].name, (seed,))
    results = write(compare(design, output, workers=default_workers(config)))
    chosen, *_, cost = tables(results)
    run = design.run(output, design[_SPEAKS], seed)
    page = "\n\n".join(
        [
            "# Reasoning learned from answers alone",
            f"{results['examples']['train']} questions with their ratings, no rationale; {iterations} iterations of "
            f"{design.config.steps} steps for every scheme; {results['examples']['test']} test questions, scored at "
            "the end. In brackets 95 % intervals over questions: they describe this one run; another seed gives "
            "another run. Log-likelihood is in nats, higher (nearer 0) is better. The score on validation chooses "
            "the iteration; all other numbers are from the test set.",
            headline(results),
            *blocks(table_of(chosen)),
            *blocks(table_of(cost)),
            "\n".join(f"- **{name}**: {meaning}." for name, meaning in _COLUMNS.items()),
            "![validation accuracy against generated tokens](accuracy-by-tokens.svg)",
            f"## Before and after ({_SPEAKS}, chosen iteration)",
            _rationales(run, report.summarize(run)["best_iteration"]),
        ]
    )
    write_text(Path(output) / "demo.md", page)
    seconds = time.perf_counter() - began
    return f"{page}\n\n{seconds:.0f} s. Open {output}/report.html in a browser: figures, and all rationales."


def _rationales(run: Path, best: int) -> str:
    """Show test questions that the base model got wrong and the chosen iteration right."""
    db = read_only(run)
    try:
        shown = []
        for x in read_examples(db, "test"):
            before, after = (typical_draw(db, k, "test", x.id) for k in (0, best))
            if before and after and before[1] != x.answer == after[1]:
                shown.append(_pair(x.fields, x.answer, before[0], after[0]))
        return "\n\n".join(shown[:_SHOWN]) or "No test question changed from wrong to right."
    finally:
        db.close()


def _pair(fields: Mapping[str, str], answer: str, before: str, after: str) -> str:
    lines: Sequence[str] = [
        f"{fields['prompt']} | {fields['response']}   (people: {answer})",
        f"  before: {' / '.join(before.split(chr(10)))}",
        f"  after:  {' / '.join(after.split(chr(10)))}",
    ]
    return "```text\n" + "\n".join(lines) + "\n```"
