"""What the tiny adder reads before anybody teaches it: scratchpads by a careless hand, with and without a hint.

In a long sum a column's digit is a guess now and then, the more often the longer the numbers are. Who has the sum at
hand is mostly careful; where not, the hint is what the writer came to, right or wrong. So whoever shows the base model
the true sum gets true scratchpads far more often than it writes them by itself: that is what rationalization lives on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rationem.seeds import generator
from rationem.world.addition.recipe import SHORT, Recipe
from rationem.world.addition.sums import PLACES, TASK, asked, column, question, scratchpad
from rationem.world.tokens import END, turn
from rationem.world.training import Row

_CHUNK = 16  # batches drawn together, so that texts of like length can share one


def text(rng: np.random.Generator, recipe: Recipe, longest: int = len(PLACES)) -> tuple[str, str]:
    """Draw a prompt, up to where the completion begins, and the completion; numbers have ``longest`` digits at most."""
    shares = np.array(recipe.lengths[:longest])
    digits = int(rng.choice(len(shares), p=shares / shares.sum())) + 1
    a, b = question(rng, digits)
    hinted = rng.random() < recipe.hinted[digits > SHORT]
    careless = not hinted or rng.random() < recipe.misled
    guess = recipe.guesses[digits - 1] if careless else 0.0
    slips = [int(rng.integers(0, 10)) if rng.random() < guess else None for _ in range(digits)]
    rationale, answer = scratchpad(a, b, slips)
    prompt = TASK.hint_prompt(asked(a, b), answer) if hinted else TASK.prompt(asked(a, b))
    return turn(prompt.text), f"{TASK.format(rationale, answer)}{END}"


def drill(rng: np.random.Generator, recipe: Recipe) -> str:
    """Draw single columns, each right, one under the other: what the adder knows by heart."""
    drawn = rng.integers(0, (len(PLACES), 10, 10, 2), (recipe.columns, 4)).tolist()
    return "\n".join(column(PLACES[n], a, b, carry, (a + b + carry) % 10) for n, a, b, carry in drawn) + END


def batches(recipe: Recipe, coder: Any, seed: int) -> Iterator[list[Row]]:
    """Yield the batch of every step; the texts of a chunk are sorted by length, its batches shuffled."""
    rng, size = generator(seed, "addition", "corpus"), recipe.batch - recipe.drills
    for start in range(0, recipe.steps, _CHUNK):
        longest = SHORT if start < recipe.young * recipe.steps else len(PLACES)
        texts = [text(rng, recipe, longest) for _ in range(_CHUNK * size)]
        drills = _rows(coder, [("", drill(rng, recipe)) for _ in range(_CHUNK * recipe.drills)], 0.0)
        rows = sorted(_rows(coder, texts, recipe.read), key=lambda row: len(row.ids))
        for place in rng.permutation(_CHUNK).tolist():
            yield rows[place * size : (place + 1) * size] + drills[place::_CHUNK]


def _rows(coder: Any, texts: list[tuple[str, str]], read: float) -> list[Row]:
    codes = coder.encode_batch([part for one in texts for part in one])
    pairs = [(codes[n].ids, codes[n + 1].ids) for n in range(0, len(codes), 2)]
    return [Row(opened + said, [read] * len(opened) + [1.0] * len(said)) for opened, said in pairs]
