"""How do wordings of the hint do on a real model? Readable, right, wrong hints justified, leak phrases.

    python benchmarks/hints.py GRADES.csv [--model smollm2] [--first 0] [--rows 64]

GRADES.csv has the columns question, reference, answer and grade (incorrect or correct). Four demonstrations stand
before every question as earlier turns, each with its own hint. One draft a question, 60 tokens, temperature 1, seed 0.
The results are in docs/decisions/047-hints-keep-the-format.md.
"""

import argparse
import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rationem import Example, JudgeTask, Outcome, Sampling, Scale
from rationem.engines import models
from rationem.engines.local import open_transformers
from rationem.engines.opening import EngineConfig
from rationem.sampling.hint_leakage import PHRASES, find
from rationem.sampling.trials import grade
from rationem.seeds import seed_for
from rationem.tasks.scale import MARKER
from rationem.tasks.template import Template
from rationem.types import Engine, Exchange, Prompt, Request

LINE = "{{ marker }} {{ answer }}"
WORDINGS = {
    "explain why": "The correct rating is {{ answer }}. Explain why.",
    "then the line": "The correct rating is: {{ answer }}. Give the reason for it, then the line.",
    "explain why, then the line": (
        f"Explain in one or two sentences why the rating is {{{{ answer }}}}. Then end with one line: {LINE}"
    ),
    "reason, then the line": (
        f"The correct rating: {{{{ answer }}}}. Give the reason for it, then end with one line: {LINE}"
    ),
    "people": f"People rated it {{{{ answer }}}}. Say in one or two sentences why, then end with one line: {LINE}",
    "without mentioning": (
        "(The rating is known to be {{ answer }}. Reason first, without mentioning this, then end with one line: "
        f"{LINE})"
    ),
    "write the line": f"The correct rating is: {{{{ answer }}}}. Explain why, then write the line {LINE}",
}
#: Question, reference, answer, rationale, grade.
DEMONSTRATIONS = (
    (
        "What do plants need to grow?",
        "Plants need light, water and air.",
        "They need water and sun.",
        "The student names water and light, which the reference asks for.",
        "correct",
    ),
    (
        "Why does ice float on water?",
        "Ice is less dense than water.",
        "Because it is cold.",
        "The student speaks of temperature, but the reference speaks of density.",
        "incorrect",
    ),
    (
        "How can you tell that a rock is limestone?",
        "It bubbles when acid is put on it.",
        "You scratch it with a nail.",
        "Scratching is not the acid test that the reference names.",
        "incorrect",
    ),
    (
        "What happens to a shadow at noon?",
        "It is at its shortest.",
        "The shadow gets really small.",
        "Really small means the same as shortest.",
        "correct",
    ),
)


def fields(question: str, reference: str, answer: str) -> dict[str, str]:
    """Return the inputs of one item."""
    return {"prompt": question, "response": answer, "reference": reference}


def prompt(task: JudgeTask, item: Mapping[str, str], hint: str) -> Prompt:
    """Return the hinted prompt behind the demonstrations."""
    shown = tuple(
        Exchange(task.hint_prompt(fields(q, r, a), y).text, task.format(z, y)) for q, r, a, z, y in DEMONSTRATIONS
    )
    return replace(task.hint_prompt(item, hint), earlier=shown)


def shares(engine: Engine, task: JudgeTask, rows: list[dict[str, str]], *, wrong: bool) -> dict[str, float]:
    """Return the shares of readable drafts, of those that state the hint, and of leak phrases."""
    requests, examples = [], []
    for n, row in enumerate(rows):
        hint = row["grade"] if not wrong else next(level for level in task.levels if level != row["grade"])
        item = fields(row["question"], row["reference"], row["answer"])
        requests.append(Request(prompt(task, item, hint), Sampling(max_new_tokens=60), seed_for(0, n, 0, "h")))
        examples.append(Example(str(n), item, hint, group=str(n)))
    read = [grade(draft, x, task, 1.0) for draft, x in zip(engine.sample(requests), examples, strict=True)]
    return {
        "readable": sum(parsed.answer is not None for parsed, _, _ in read) / len(read),
        "states the hint": sum(outcome is Outcome.ACCEPTED for _, outcome, _ in read) / len(read),
        "leak phrases": sum(find(parsed.rationale, PHRASES) is not None for parsed, _, _ in read) / len(read),
    }


def main() -> None:
    """Print one line per wording and kind of hint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("grades", type=Path)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--rows", type=int, default=64)
    asked = parser.parse_args()
    with asked.grades.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[asked.first : asked.first + asked.rows]
    engine = open_transformers(EngineConfig(MARKER), models.resolve(asked.model))
    for name, words in WORDINGS.items():
        task = JudgeTask(Scale.parse("incorrect < correct"), hint=Template(words))
        for wrong in (False, True):
            found = shares(engine, task, rows, wrong=wrong)
            told = ", ".join(f"{what} {share:.2f}" for what, share in found.items())
            print(f"{name}, {'wrong' if wrong else 'right'} hints, {len(rows)} drafts: {told}", flush=True)


if __name__ == "__main__":
    main()
