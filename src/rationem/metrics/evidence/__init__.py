"""The probability of the correct answer, and the distance of the drafts from the posterior. Pure numpy.

``levels``      raw and predictive evidence from forward draws, the Markov bound
``importance``  hinted draws: IWAE, mixtures of proposals, effective sample size, weights, the gap to the ELBO
``exact``       where the rationales can be enumerated: certified bounds, the posterior, its sampler, divergences
``resampling``  there too: what a selector that weighs keeps of m draws
"""

from rationem.metrics.evidence.exact import (
    Divergence,
    Enumeration,
    Leaf,
    RationaleMeasure,
    accepted,
    bounds,
    divergence,
    level_bounds,
    pick,
    posterior_leaves,
    table,
)
from rationem.metrics.evidence.importance import (
    divergence_bound,
    effective_sample_size,
    iwae,
    iwae_by_k,
    log_weights,
    mixture,
    self_normalised,
)
from rationem.metrics.evidence.levels import (
    Flags,
    Floats,
    consensus,
    markov_lower_bound,
    predict,
    predict_open,
    predictive,
    raw,
    restricted,
    stack,
    too_long,
)
from rationem.metrics.evidence.resampling import resampled

__all__ = [
    "Divergence",
    "Enumeration",
    "Flags",
    "Floats",
    "Leaf",
    "RationaleMeasure",
    "accepted",
    "bounds",
    "consensus",
    "divergence",
    "divergence_bound",
    "effective_sample_size",
    "iwae",
    "iwae_by_k",
    "level_bounds",
    "log_weights",
    "markov_lower_bound",
    "mixture",
    "pick",
    "posterior_leaves",
    "predict",
    "predict_open",
    "predictive",
    "raw",
    "resampled",
    "restricted",
    "self_normalised",
    "stack",
    "table",
    "too_long",
]
