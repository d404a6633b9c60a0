"""Comparisons in degrees and of three responses, as the tests of preference use them."""

import csv

from rationem import JudgeTask, Scale
from rationem.tasks.pairs import wording
from rationem.tasks.template import packaged
from rationem.types import Example

SEVEN = Scale.parse("-3..3").for_pair()
WORDS = Scale.parse("A much better < A better < same < B better < B much better").for_pair()
EVEN_ONE = Scale.parse("1-4").for_pair()
SCALES = (SEVEN, WORDS, EVEN_ONE, Scale.parse("1-7").for_pair(), Scale.parse("-2 < 2").for_pair())
BEST = Scale.parse("A | B | C | tie")


def task_of(scale, count):
    return JudgeTask(scale, template=packaged(wording(scale, count)), pair=count > 1, candidates=max(count, 2))


GRADED, BEST_OF = task_of(SEVEN, 2), task_of(BEST, 3)


def pair(name, answer, ratings=()):
    return Example(name, {"prompt": name, "response_a": "x", "response_b": "y"}, answer, name, ratings)


def three(name, answer, ratings=()):
    fields = {"prompt": name, "response_a": "x", "response_b": "y", "response_c": "z"}
    return Example(name, fields, answer, name, ratings)


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def compared(count=40, better=("x", "z", "tie", "y")):
    """Rows of three responses; "better" names a column, and "why" must never reach a prompt."""
    return [
        {"prompt": f"q{n}", "x": f"one {n}", "y": f"two {n}", "z": f"three {n}", "better": better[n % len(better)],
         "why": "SECRET"}
        for n in range(count)
    ]  # fmt: skip


def degrees(count=40):
    return [
        {"prompt": f"q{n}", "left": f"one {n}", "right": f"two {n}", "r1": n % 7 - 3, "r2": (n + n // 7) % 7 - 3,
         "why": "SECRET"}
        for n in range(count)
    ]  # fmt: skip
