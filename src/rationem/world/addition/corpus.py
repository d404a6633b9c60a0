"""The pretraining corpus of the tiny adder: drills, and scratchpads with errors.

First come short sums without a hint: a model that can copy digits from a hint does not learn to add. Then come sums of
every length, many with a hint. In a long sum a column's digit is sometimes a guess, more often in longer numbers.
Hinted texts are mostly free of guesses; in the others the hint is the guessed result, right or wrong. So true
scratchpads of long sums are far more frequent after a true hint, and rationalization relies on that.
Drills come throughout: a question's columns in any order, each right for its own random carry, and then their digits in
a row. They teach where a column's digits are, their sum, and how to assemble the answer; without them the base model
learns no digit of a long sum in this time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rationem.seeds import generator
from rationem.world.addition.recipe import SHORT, AdderRecipe
from rationem.world.addition.sums import PLACES, TASK, asked, column, question, scratchpad, total
from rationem.world.tokens import END, turn
from rationem.world.training import WeightedText

_CHUNK = 16  # batches drawn together, so that texts of similar length can share a batch


def text(rng: np.random.Generator, recipe: AdderRecipe, longest: int = len(PLACES)) -> tuple[str, str]:
    """Draw a prompt, including the start of the assistant's turn, and a completion, of at most ``longest`` digits."""
    shares = np.array(recipe.lengths[:longest])
    digits = int(rng.choice(len(shares), p=shares / shares.sum())) + 1
    a, b = question(rng, digits)
    hinted = longest > SHORT and rng.random() < recipe.hinted[digits > SHORT]
    careless = not hinted or rng.random() < recipe.misled
    guess = recipe.guesses[digits - 1] if careless else 0.0
    slips = [int(rng.integers(0, 10)) if rng.random() < guess else None for _ in range(digits)]
    rationale, answer = scratchpad(a, b, slips)
    prompt = TASK.hint_prompt(asked(a, b), answer) if hinted else TASK.prompt(asked(a, b))
    return turn(prompt.text), f"{TASK.format(rationale, answer)}{END}"


def drill(rng: np.random.Generator) -> tuple[str, str]:
    """Draw a question of any length, and a completion with its columns in any order, each right for some carry."""
    digits = int(rng.integers(1, len(PLACES) + 1))
    a, b = question(rng, digits)
    carries = rng.integers(0, 2, digits).tolist()
    columns = list(zip(map(int, reversed(str(a))), map(int, reversed(str(b))), carries, strict=True))
    lines = [column(place, *each, sum(each) % 10) for place, each in enumerate(columns)]
    answer = total([sum(each) % 10 for each in columns], sum(columns[-1]) // 10)
    rationale = "\n".join(lines[place] for place in rng.permutation(digits).tolist())
    return f"{asked(a, b)['prompt']}\n", f"{TASK.format(rationale, answer)}{END}"


def batches(recipe: AdderRecipe, coder: Any, seed: int) -> Iterator[list[WeightedText]]:
    """Yield the batch of every step; within a chunk texts are sorted by length and batches shuffled."""
    rng, size = generator(seed, "addition", "corpus"), recipe.batch - recipe.drills
    steps = recipe.schedule.steps
    for start in range(0, steps, _CHUNK):
        longest = SHORT if start < recipe.young * steps else len(PLACES)
        texts = [text(rng, recipe, longest) for _ in range(_CHUNK * size)]
        drills = _rows(coder, [drill(rng) for _ in range(_CHUNK * recipe.drills)])
        rows = sorted(_rows(coder, texts), key=lambda row: len(row.ids))
        for place in rng.permutation(_CHUNK).tolist():
            yield rows[place * size : (place + 1) * size] + drills[place::_CHUNK]


def _rows(coder: Any, texts: list[tuple[str, str]]) -> list[WeightedText]:
    """Return the rows of (prompt, completion) pairs; the loss is on completions."""
    codes = coder.encode_batch([part for one in texts for part in one])
    pairs = [(codes[n].ids, codes[n + 1].ids) for n in range(0, len(codes), 2)]
    return [WeightedText(opened + said, [0.0] * len(opened) + [1.0] * len(said)) for opened, said in pairs]
