"""Predictions and examples -> numbers. The same functions score models, baselines and humans.

Levels are compared by the values of the scale; numbers that need an order are None on a scale without one. Unparsed
items are part of every headline number: they count as wrong, as not within one level, and with the largest error that
their label allows. With several criteria, numbers that compare items with each other are means over criteria. No number
is ever NaN: an undefined one is None.
"""

from __future__ import annotations

from rationem.metrics.attainable import Attainable, attainable
from rationem.metrics.baselines import (
    PSEUDO_COUNT,
    Constant,
    Marginal,
    best_constant,
    best_iteration,
    marginal,
    marginals,
    most_frequent_answer,
    training_marginal,
    uniform_log_likelihood,
    without_reading,
)
from rationem.metrics.bootstrap import (
    FEWEST_GROUPS,
    HEADLINE,
    Resampled,
    interval,
    intervals,
    percentiles,
    resampled,
    resampled_mean,
)
from rationem.metrics.calibration import (
    FittedTemperature,
    asked,
    belief,
    bins,
    calibrate,
    fit_temperature,
    recalibrated,
    tempered,
)
from rationem.metrics.choice import Rechosen, Selected, choose, chosen_without, crossfitted, folds, rechosen
from rationem.metrics.conformal import Covered, Thresholds, conformal, covered, level_set, needed, threshold
from rationem.metrics.criteria import criterion, on_own_levels, parts
from rationem.metrics.crossed import FEWEST_SEEDS, Crossed, constant, crossed, difference, holm
from rationem.metrics.distributions import Bin, entropy
from rationem.metrics.levels import Agreement, agreement
from rationem.metrics.matched import LengthBin, MatchedAccuracy, accuracy_at_matched_length, quantile_edges
from rationem.metrics.minus_human import minus_human
from rationem.metrics.open_answers import Said, best_of, by_open_draws
from rationem.metrics.pairs import PairScores, each_pair, merged, score_pairs
from rationem.metrics.raters import (
    LITTLE_AGREEMENT,
    alpha,
    alphas,
    beside_humans,
    human_ceiling,
    rated_twice,
    rater_warnings,
)
from rationem.metrics.regroup import regrouped
from rationem.metrics.scores import Metrics, confusion, score, standard_error
from rationem.metrics.smoothing import fit_alpha, human_log_likelihood
from rationem.metrics.table import METRICS, MetricRow, Page, titles
from rationem.metrics.votes import (
    Averaged,
    Draws,
    averaged_accuracy,
    by_draws,
    mean_pass_at_k,
    pass_at_k,
    vote_accuracy,
)

__all__ = [
    "FEWEST_GROUPS",
    "FEWEST_SEEDS",
    "HEADLINE",
    "LITTLE_AGREEMENT",
    "METRICS",
    "PSEUDO_COUNT",
    "Agreement",
    "Attainable",
    "Averaged",
    "Bin",
    "Constant",
    "Covered",
    "Crossed",
    "Draws",
    "FittedTemperature",
    "LengthBin",
    "Marginal",
    "MatchedAccuracy",
    "MetricRow",
    "Metrics",
    "Page",
    "PairScores",
    "Rechosen",
    "Resampled",
    "Said",
    "Selected",
    "Thresholds",
    "accuracy_at_matched_length",
    "agreement",
    "alpha",
    "alphas",
    "asked",
    "attainable",
    "averaged_accuracy",
    "belief",
    "beside_humans",
    "best_constant",
    "best_iteration",
    "best_of",
    "bins",
    "by_draws",
    "by_open_draws",
    "calibrate",
    "choose",
    "chosen_without",
    "conformal",
    "confusion",
    "constant",
    "covered",
    "criterion",
    "crossed",
    "crossfitted",
    "difference",
    "each_pair",
    "entropy",
    "fit_alpha",
    "fit_temperature",
    "folds",
    "holm",
    "human_ceiling",
    "human_log_likelihood",
    "interval",
    "intervals",
    "level_set",
    "marginal",
    "marginals",
    "mean_pass_at_k",
    "merged",
    "minus_human",
    "most_frequent_answer",
    "needed",
    "on_own_levels",
    "parts",
    "pass_at_k",
    "percentiles",
    "quantile_edges",
    "rated_twice",
    "rater_warnings",
    "recalibrated",
    "rechosen",
    "regrouped",
    "resampled",
    "resampled_mean",
    "score",
    "score_pairs",
    "standard_error",
    "tempered",
    "threshold",
    "titles",
    "training_marginal",
    "uniform_log_likelihood",
    "vote_accuracy",
    "without_reading",
]
