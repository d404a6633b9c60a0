"""The metrics, one row each: the definition of a number, when it is defined, and its titles on pages.

A new metric that is a mean over items is a row here: scoring computes it, the bootstrap gives it an interval, and
reports and comparisons show it. A metric of the table of verdicts by targets (a kappa, a correlation) is a row too, but
``per_item`` is None: :mod:`.tables` computes it, of one run and of all resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rationem.metrics import per_item
from rationem.metrics.correlation import Floats
from rationem.metrics.per_item import Items
from rationem.tasks.scale import Scale

#: Where a number is shown: the report's headline for an ordered scale, for levels without an order, for open answers
#: with an exact and with a graded reward; its table of all other numbers; the sentence on people; a comparison's
#: columns (and the different ones with graded rewards) and its curves.
Page = Literal["ordered", "nominal", "answers", "rewards", "full", "people", "compare", "compare rewards", "curve"]
#: What a metric needs to exist.
Needs = Literal["nothing", "levels", "order", "open answers", "pairs"]

SHARE, AGREEMENT, SIZE, LOG = (0.0, 1.0), (-1.0, 1.0), (0.0, math.inf), (-math.inf, 0.0)
ANY = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric.

    Args:
        name: its key in ``metrics.json``.
        bounds: its smallest and largest possible value.
        needs: when it is defined.
        shown: page -> its title there; it is not shown on other pages.
        per_item: for a mean over items, the scores of the items, shape (N,).
        resampled: whether it has an interval.
        tested: whether a comparison tests its difference from the reference.
        percent: whether sentences give it in percent.
        digits: decimals in tables.
    """

    name: str
    bounds: tuple[float, float] = ANY
    needs: Needs = "levels"
    shown: Mapping[Page, str] = field(default_factory=dict)
    per_item: Callable[[Items], Floats] | None = None
    resampled: bool = False
    tested: bool = False
    percent: bool = False
    digits: int = 3

    def exists(self, scale: Scale) -> bool:
        """Return whether it is defined on this scale; the scale does not say whether there are pairs."""
        return self.needs in scale.offers


ROWS = (
    MetricRow(
        "reward",
        SHARE,
        "open answers",
        {"rewards": "mean reward", "compare": "mean reward", "curve": "mean reward on validation"},
        per_item.reward,
        resampled=True,
        tested=True,
    ),
    MetricRow(
        "accuracy",
        SHARE,
        "nothing",
        {
            **dict.fromkeys(("ordered", "nominal", "answers", "people", "compare"), "accuracy"),
            **dict.fromkeys(("rewards", "compare rewards"), "whole reward"),
            "curve": "validation accuracy",
        },
        per_item.accuracy,
        resampled=True,
        tested=True,
        percent=True,
    ),
    MetricRow(
        "draw_reward",
        SHARE,
        "open answers",
        {
            **dict.fromkeys(("answers", "rewards"), "one draw"),
            "compare": "reward of one draw",
            "curve": "reward of one draw on validation",
        },
        per_item.draw_reward,
        resampled=True,
    ),
    MetricRow(
        "within_one",
        SHARE,
        "order",
        {**dict.fromkeys(("ordered", "people"), "within one level"), "compare": "within one"},
        resampled=True,
    ),
    MetricRow("side", SHARE, "pairs", {"compare": "right side"}),
    MetricRow("winner", SHARE, "pairs", {"compare": "winner, ties apart"}),
    MetricRow("consistency", SHARE, "pairs", {"compare": "consistent in every order"}),
    MetricRow(
        "mae", SIZE, "order", dict.fromkeys(("ordered", "people", "compare"), "MAE"), resampled=True, tested=True
    ),
    MetricRow(
        "quadratic_kappa",
        AGREEMENT,
        "order",
        {"ordered": "QWK", **dict.fromkeys(("people", "compare"), "quadratic kappa")},
        resampled=True,
    ),
    MetricRow("pearson", AGREEMENT, "order", dict.fromkeys(("ordered", "people"), "Pearson"), resampled=True),
    MetricRow("accuracy_parsed", SHARE, "nothing", {"full": "accuracy, parsed only"}),
    MetricRow("mae_parsed", SIZE, "order", {"full": "MAE, parsed only"}),
    MetricRow("rmse", SIZE, "order", {"full": "RMSE"}, resampled=True),
    MetricRow(
        "signed_error_parsed",
        needs="order",
        shown={"full": "signed error, parsed only (verdict minus label)"},
        resampled=True,
    ),
    MetricRow(
        "pearson_unrounded",
        AGREEMENT,
        "order",
        {"full": "Pearson against unrounded means", "people": "Pearson, unrounded"},
    ),
    MetricRow("spearman", AGREEMENT, "order", {"full": "Spearman"}, resampled=True),
    MetricRow("kendall", AGREEMENT, "order", {"full": "Kendall tau-b"}, resampled=True),
    MetricRow("macro_f1", SHARE, shown=dict.fromkeys(("nominal", "full"), "macro-F1"), resampled=True),
    MetricRow("kappa", AGREEMENT, shown={"nominal": "kappa", "full": "kappa, unweighted"}, resampled=True),
    MetricRow(
        "log_likelihood",
        LOG,
        shown={
            **dict.fromkeys(("ordered", "nominal", "compare"), "log-likelihood"),
            "curve": "validation log-likelihood, nats",
        },
        per_item=per_item.log_likelihood,
        resampled=True,
        tested=True,
    ),
    MetricRow("calibrated_log_likelihood", LOG, shown={"compare": "log-likelihood, calibrated"}, tested=True),
    MetricRow("expected_mae", SIZE, "order", {"full": "expected rating: MAE"}, per_item.expected_error, resampled=True),
    MetricRow("expected_rmse", SIZE, "order", {"full": "expected rating: RMSE"}),
    MetricRow("expected_pearson", AGREEMENT, "order", {"full": "expected rating: Pearson"}),
    MetricRow("expected_mae_unrounded", SIZE, "order", {"full": "expected rating: MAE against unrounded means"}),
    MetricRow("expected_rmse_unrounded", SIZE, "order", {"full": "expected rating: RMSE against unrounded means"}),
    MetricRow(
        "expected_pearson_unrounded", AGREEMENT, "order", {"full": "expected rating: Pearson against unrounded means"}
    ),
    MetricRow("grouped_pearson", AGREEMENT, "order", {"full": "expected rating: Pearson within groups"}),
    MetricRow("grouped_pearson_groups", SIZE, "order", {"full": "groups in that mean"}),
    MetricRow("length_bias", AGREEMENT, "order", {"full": "length bias (length of response, signed error)"}),
    MetricRow(
        "squared_calibration_error",
        (-1.0, 1.0),
        "nothing",
        dict.fromkeys(("full", "compare"), "squared calibration error"),
        resampled=True,
        digits=4,
    ),
    MetricRow(
        "calibrated_squared_calibration_error",
        (-1.0, 1.0),
        shown={"compare": "squared calibration error, calibrated"},
        digits=4,
    ),
    MetricRow("ece", SHARE, "nothing", {"full": "ECE, too high by chance"}),
    MetricRow("brier", SIZE, shown={"full": "Brier"}, per_item=per_item.brier, resampled=True),
    MetricRow("rps", SHARE, "order", {"full": "ranked probability score"}, per_item.ranked_probability, resampled=True),
    MetricRow("log_likelihood_se", SIZE, shown={"full": "log-likelihood, standard error"}),
    MetricRow(
        "raw_mean",
        SHARE,
        "nothing",
        {"answers": "p(right answer)", "rewards": "p(given answer)", "full": "raw evidence, mean"},
    ),
    MetricRow("raw_zero", SIZE, "nothing", {"full": "items with raw evidence 0"}),
    MetricRow("unparsed_items", SIZE, "nothing", {"full": "items without a verdict"}),
    MetricRow("too_long", SIZE, "nothing", {"full": "too long"}),
)
METRICS = {row.name: row for row in ROWS}


def titles(page: Page) -> dict[str, str]:
    """Return name -> title of the metrics of a page, in their order."""
    return {row.name: row.shown[page] for row in ROWS if page in row.shown}


def means(items: Items) -> dict[str, Floats]:
    """Return name -> scores of the items, shape (N,), of the metrics that are means over items and exist here."""
    return {row.name: row.per_item(items) for row in ROWS if row.per_item is not None and row.exists(items.scale)}
