"""Items and predictions as the tests of the metrics use them."""

import numpy as np

from rationem.tasks.scale import Scale
from rationem.types import Example, Prediction

FOUR = Scale.parse("1-4")
#: Values that are not evenly spaced.
UNEVEN = Scale(("0", "1", "2", "5", "10"))
TIE = Scale.parse("A | B | tie")


def item(name: str, answer: str, ratings: tuple[str, ...] = (), group: str | None = None, **fields: str) -> Example:
    return Example(name, {"prompt": name, "response": name, **fields}, answer, group or name, ratings)


def guess(name: str, predicted: str | None, probabilities=(0.25,) * 4, raw=0.5, draws=4, unparsed=0) -> Prediction:
    return Prediction(name, predicted, tuple(probabilities), raw, draws, unparsed)


def made_up(scale: Scale, count: int, seed: int, *, lost: float = 0.1, raters: int = 1, groups: int | None = None):
    """Items whose labels are drawn from the predicted probabilities; a share of the verdicts is lost."""
    rng = np.random.default_rng(seed)
    levels = len(scale.levels)
    items, guesses = [], []
    for n, probs in enumerate(rng.dirichlet(np.full(levels, 0.7), count)):
        said = tuple(scale.levels[k] for k in rng.choice(levels, raters, p=probs))
        answer = scale.pool(said, "mean") or said[0]
        response = "x" * int(rng.integers(1, 50))
        group = f"g{rng.integers(groups)}" if groups else None
        items.append(item(str(n), answer, said if raters > 1 else (), group, response=response))
        verdict = None if rng.random() < lost else scale.levels[int(probs.argmax())]
        guesses.append(guess(str(n), verdict, probs.tolist()))
    return guesses, items
