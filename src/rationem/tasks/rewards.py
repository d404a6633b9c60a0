"""Rewards r(y_hat, y*) in [0, 1]: pure functions of two levels of one scale.

Unparsed text has its own outcome and never reaches a reward.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rationem.errors import ConfigError, closest
from rationem.tasks.scale import Scale

Reward = Callable[[str, str, Scale], float]

_NAMES = ("exact", "within:1", "ordinal")


def exact(predicted: str, answer: str, scale: Scale) -> float:
    """Return 1[y_hat = y*], the reward of the paper.

    >>> five = Scale.parse("1-5")
    >>> exact("4", "4", five), exact("3", "4", five)
    (1.0, 0.0)
    """
    return float(predicted == answer)


def within(tolerance: float) -> Reward:
    """Return the reward 1[|y_hat - y*| <= tolerance], in the values of the scale.

    >>> five = Scale.parse("1-5")
    >>> within(1)("3", "4", five), within(1)("2", "4", five)
    (1.0, 0.0)
    """

    def reward(predicted: str, answer: str, scale: Scale) -> float:
        values = scale.values
        return float(abs(values[scale.rank(predicted)] - values[scale.rank(answer)]) <= tolerance + 1e-9)

    return reward


def ordinal(predicted: str, answer: str, scale: Scale) -> float:
    """Return 1 - |y_hat - y*| / range, in the values of the scale.

    >>> ordinal("3", "5", Scale.parse("1-5"))
    0.5
    """
    return scale.closeness(predicted, answer)


def parse_reward(text: str, scale: Scale) -> Reward:
    """Read ``exact``, ``within:TOLERANCE`` or ``ordinal``.

    Raises:
        ConfigError: it is none of these, or a distance on a scale without an order.
    """
    match = re.fullmatch(r"within:(\d+(?:\.\d+)?)", text.strip())
    if text.strip() == "exact":
        return exact
    if text.strip() != "ordinal" and not match:
        raise ConfigError(
            f"Unknown reward {text!r}.{closest(text, _NAMES)} Use exact, within:TOLERANCE (as in within:1) or ordinal."
        )
    if scale.parts:
        raise ConfigError(
            f"The reward {text!r} needs distances, and these criteria have different scales. Use exact, or run one fit "
            "for each criterion."
        )
    if not scale.ordered:
        raise ConfigError(
            f"The reward {text!r} needs distances; the scale {scale.sentence()!r} has no order. Use exact."
        )
    return within(float(match[1])) if match else ordinal
