"""Diagnostics of an iteration's weights beside its predictions: the draws for them, and the records made of them.

``draws``     validation items: hinted draws, likelihoods under both prompts, the wrong-hint control
``bounds``    certified bounds of the evidence, by enumeration
``evidence``  raw, IWAE and mixture evidence, effective sample size, distance from the posterior
``hints``     what the hint does to rationales: leaks, wrong hints justified, length, entropy, faithfulness
``weights``     training examples: how unequal the weights of a weighing selector were

The records are computed from the ledger's tables alone, so that a report can compute them again.
"""

from rationem.evaluation.diagnostics.draws import diagnose
from rationem.evaluation.diagnostics.evidence import evidence_record, evidence_scores
from rationem.evaluation.diagnostics.hints import hint_record, wrong_hint
from rationem.evaluation.diagnostics.weights import weights_record

__all__ = ["diagnose", "evidence_record", "evidence_scores", "hint_record", "weights_record", "wrong_hint"]
