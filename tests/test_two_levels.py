"""Two levels: which word is "yes", and which stands first, changes no number but the sign of what has a direction."""

import math
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rated import guess, item
from rationem import metrics
from rationem.metrics.votes import Draws, by_draws
from rationem.run.prepare import labelled
from rationem.tasks.scale import Scale

YES, ONE, UNORDERED = Scale.parse("yes/no"), Scale.parse("0-1"), Scale.parse("no | yes")
TURNED = Scale(("yes", "no"))
#: Numbers with a direction: the sign changes with the order of the levels.
SIGNED = ("signed_error_parsed", "length_bias")
#: What is said of the last level alone, and which of equal constants is named.
OF_ONE_LEVEL = ("reliability_best", "levels")


def voted(scale, votes, words=None):
    """Items whose label is pooled of their votes, "n" and "y" for the two words; without those that have none."""
    words = words or scale.levels
    items = []
    for n, said in enumerate(votes):
        ratings = tuple(words["ny".index(one)] for one in said)
        several = ratings if len(ratings) > 1 else ()
        answer = scale.pool(ratings, "mean") or ratings[0]
        items.append(item(str(n), answer, several, response="x" * (1 + n % 7)))
    return labelled(tuple(items), scale)


def test_a_tie_on_two_levels_has_no_label_and_is_counted():
    """Half up used to make it "yes": three raters, 60 NNN, 80 NNY and 60 YYY had a ceiling of .600 or of .867."""
    for scale in (YES, ONE, UNORDERED, TURNED):
        low, high = scale.levels
        for how in ("mean", "median", "majority"):
            assert scale.pool((low, high), how) is scale.pool((low, low, high, high), how) is None
            assert (scale.pool((low, low, high), how), scale.pool((high, high, low), how)) == (low, high)
        items = voted(scale, ["nnn"] * 60 + ["nny"] * 80 + ["yyy"] * 60)
        # Of 600 left-out raters 180 + 180 of NNN and YYY agree; of NNY beside each N the others are split (160).
        ceiling = metrics.human_ceiling(items, scale)
        assert (ceiling.count, ceiling.untargeted) == (440, 160)
        assert ceiling.accuracy == pytest.approx(360 / 440)


def test_two_raters_who_differ_leave_an_item_without_a_label():
    """120 of 200 items have a label, 60 of each level: a constant is right in half."""
    for scale in (YES, ONE, UNORDERED, TURNED):
        items = voted(scale, ["nn"] * 60 + ["ny"] * 80 + ["yy"] * 60)
        assert len(items) == 120
        assert metrics.best_constant(items, scale).accuracy == 0.5


def numbers(scale, words, rows):
    """All numbers of rows of votes, a forecast of the second word and whether it is lost."""
    items = voted(scale, [votes for votes, _, _ in rows], words)
    predictions, drawn = [], []
    for x in items:
        _, p, lost = rows[int(x.id)]
        spread = tuple(p if level == words[1] else 1 - p for level in scale.levels)
        predictions.append(guess(x.id, None if lost else words[p > 0.5], spread))
        said = [scale.rank(words[p > limit]) for limit in (0.3, 0.6, 0.8)]
        logps = tuple(math.log(one) for one in spread)
        drawn.append(Draws((*said, None if lost else said[1]), (logps,) * 4, scale.rank(x.answer), (0.5, 0.5)))
    if not items:
        return {}
    ceiling, beside = metrics.human_ceiling(items, scale), metrics.beside_humans(predictions, items, scale)
    return {
        "scores": metrics.score(predictions, items, scale).as_dict(),
        "ceiling": asdict(ceiling) if ceiling else None,
        "beside": asdict(beside) if beside else None,
        "alpha": metrics.alpha(items, scale),
        "without_reading": metrics.without_reading(items, items, scale),
        "human": metrics.human_log_likelihood(items, scale, metrics.marginals(items, scale), 1.0),
        "draws": by_draws(drawn),
    }


def same(one, other, renamed, sign=1, path=""):
    """Compare two trees of numbers; what is said of a level stands under its new name."""
    if isinstance(one, dict):
        assert {renamed.get(key, key) for key in one} == set(other), path
        for key, value in one.items():
            if key not in OF_ONE_LEVEL:
                same(value, other[renamed.get(key, key)], renamed, sign, f"{path}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for at, (left, right) in enumerate(zip(one, other, strict=True)):
            same(left, right, renamed, sign, f"{path}[{at}]")
    elif isinstance(one, float) and other is not None and math.isfinite(one):
        assert other == pytest.approx((sign if path.endswith(SIGNED) else 1) * one, abs=1e-9), path
    else:
        assert one == other, path


ROWS = st.lists(
    st.tuples(
        st.text("ny", min_size=1, max_size=4),
        st.floats(0.01, 0.99).filter(lambda p: abs(p - 0.5) > 1e-6),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.slow
@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_renaming_or_turning_two_levels_changes_no_number(rows):
    known = numbers(YES, ("no", "yes"), rows)
    same(known, numbers(ONE, ("0", "1"), rows), {"no": "0", "yes": "1"})
    same(known, numbers(TURNED, ("no", "yes"), rows), {}, sign=-1)
