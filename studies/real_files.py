"""Real files through the whole loop with the embedded model: is every row read, and every example accounted for?

    python studies/real_files.py DATA --output runs/real --page docs/real-files.md

The embedded model cannot read, so nothing is learned about these tasks; what is shown is that each published schema
goes all the way: read, split, asked, drawn, filtered, trained, tested, and that no row and no example is lost.
DATA holds the folders saf, pandalm, llmbar, gsm8k and arc_obqa as their authors published them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from page import write_below

from rationem import FitConfig, report, start

MARK = "<!-- Everything below is written by `python studies/real_files.py`. -->"
SETTINGS: dict[str, Any] = {
    "model": "tiny-judge",
    "scheme": "star",
    "iterations": 1,
    "steps": 20,
    "draws": 2,
    "evidence_draws": 2,
    "wrong_hints": 32,
    "difficulty_examples": 32,
    "sampling_batch": 128,
    "threads": 1,
    "go_on": True,  # the embedded model writes no numbers: nothing of GSM8K is kept, and its rows are counted
}


@dataclass(frozen=True, slots=True)
class Set:
    """One published set.

    Args:
        name: in the table.
        data: patterns of its training files below DATA, or of all of them.
        test: of its test files; none where a part is held out.
        more: further settings.
    """

    name: str
    data: tuple[str, ...]
    test: tuple[str, ...] = ()
    more: tuple[tuple[str, Any], ...] = ()


SAF = ("saf/data/training/english/*.xml",), ("saf/data/unseen_*/english/*.xml",)
#: The line that the embedded model was trained to write.
RATING = (("verdict_marker", "Final rating:"),)
SETS = (
    Set("SAF English, three classes", *SAF),
    Set("SAF English, score in steps", *SAF, (("preset", "saf-score"),)),
    Set("PandaLM", ("pandalm/testset-v1.json",)),
    Set("LLMBar", ("llmbar/*.json",)),
    Set("GSM8K", ("gsm8k/train.jsonl",), ("gsm8k/test.jsonl",)),
    Set("ARC-Easy", ("arc_obqa/ARC-Easy_train.json",), ("arc_obqa/ARC-Easy_test.json",), RATING),
    Set("ARC-Challenge", ("arc_obqa/ARC-Challenge_train.json",), ("arc_obqa/ARC-Challenge_test.json",), RATING),
    Set("OpenBookQA", ("arc_obqa/openbookqa_train.json",), ("arc_obqa/openbookqa_test.json",), RATING),
)


def run(one: Set, folder: Path, output: Path, **changes: Any) -> dict[str, Any]:
    """Fit on a set, and return its summary with the seconds that it took."""

    def files(patterns: Sequence[str]) -> tuple[str, ...]:
        return tuple(str(path) for pattern in patterns for path in sorted(folder.glob(pattern)))

    began = time.perf_counter()
    settings = {**SETTINGS, **dict(one.more), **changes}
    directory = start(FitConfig(data=files(one.data), test=files(one.test), **settings), output)
    return {**report.summarize(directory), "took": time.perf_counter() - began}


def check(summary: Mapping[str, Any]) -> list[str]:
    """Return what is not accounted for; nothing where all is."""
    found = []
    sizes, notes = summary["examples"], summary["notes"]
    for entry in summary["iterations"]:
        states = entry.get("e_step", {}).get("states")
        if states and sum(states.values()) != sizes["train"]:
            found.append(f"iteration {entry['iteration']}: {states} of {sizes['train']} training examples")
        for split in ("validation", "test"):
            if split in entry and entry[split]["count"] != sizes[split]:
                found.append(f"iteration {entry['iteration']}: {entry[split]['count']} of {sizes[split]} on {split}")
    if not notes["rows"]:
        found.append("no row was read")
    return found


def row(name: str, summary: Mapping[str, Any]) -> list[str]:
    """Return a set's row of the table."""
    notes, sizes, last = summary["notes"], summary["examples"], summary["iterations"][-1]
    told = [notes, notes.get("test") or {}]
    tests = [entry["test"] for entry in summary["iterations"] if "test" in entry]
    constant = summary["baselines"]["test"]["constant"]["accuracy"]

    def shown(counts: Mapping[str, int]) -> str:
        return ", ".join(f"{count} {name}" for name, count in counts.items())

    return [
        name,
        " + ".join(str(one["rows"]) for one in told if one.get("rows")),
        f"{notes.get('skipped', 0)}",
        " / ".join(str(sizes[split]) for split in ("train", "validation", "test")),
        shown(last["e_step"]["states"]),
        shown(last["e_step"]["outcomes"]),
        f"{constant:.3f}",
        " → ".join(f"{test['accuracy']:.3f}" for test in (tests[0], tests[-1])),
        f"{tests[0]['unparsed_draws'] or 0:.3f} → {tests[-1]['unparsed_draws'] or 0:.3f}",
        f"{tests[-1]['too_long']}",
        f"{summary['took']:.0f}",
    ]


def page(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of the table."""
    head = [
        *(
            "set",
            "rows read",
            "unusable",
            "train / validation / test",
            "training examples",
            "trials",
            "best single level",
        ),
        *("test accuracy, base → trained", "draws without an answer", "test items too long", "seconds"),
    ]
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for cells in rows:
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Run all sets, print the table, and write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=Path("runs/real"))
    parser.add_argument("--page", type=Path)
    parser.add_argument("--only", nargs="+", help="names of sets")
    options = parser.parse_args()
    rows, lost = [], []
    for one in SETS:
        if options.only and one.name not in options.only:
            continue
        place = options.output / one.name.replace(",", "").replace(" ", "-").lower()
        summary = run(one, options.data, place)
        lost += [f"{one.name}: {sentence}" for sentence in check(summary)]
        rows.append(row(one.name, summary))
        print("\n".join(page(rows[-1:])), flush=True)
    lines = [*page(rows), "", "\n".join(lost) or "Every row was read and every example is accounted for."]
    print("\n".join(lines))
    if options.page:
        write_below(options.page, MARK, ["\n".join(lines)], title="Published files of ratings")


if __name__ == "__main__":
    main()
