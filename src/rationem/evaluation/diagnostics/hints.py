"""The effect of the hint on rationales: one record per iteration, from the ledger's tables alone.

A sampler that sees y* may reason from the question, or rationalize the hint. Telling it not to mention the answer hides
this and does not cure it (arXiv 2602.14469), so the effect is measured: phrases that mention the hint, wrong hints that
are justified, pi(y* | x, z) without the hint, length, entropy, and faithfulness if it can be known.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rationem.errors import ConfigError
from rationem.evaluation.diagnostics.evidence import final
from rationem.ledger.reading import LikelihoodKey, read_level_logps, read_likelihoods, read_trials
from rationem.sampling import hint_leakage
from rationem.sampling.schemes import FORWARD, RATIONALIZE
from rationem.seeds import seed_for
from rationem.tasks.answer_types import copied
from rationem.tasks.kinds import Kind
from rationem.types import Example, Fields, Likelihood, Outcome, Purpose, Trial

#: Decides whether a rationale is true of the inputs; None if it states nothing that can be checked.
Faithful = Callable[[Fields, str], bool | None]


def hint_record(
    db: sqlite3.Connection,
    iteration: int,
    examples: Sequence[Example],
    kind: Kind,
    phrases: Sequence[str],
    faithful: Faithful | None = None,
    *,
    seed: int,
) -> dict[str, Any]:
    """Return the effect of the hint, beside the same numbers for unhinted drafts; None stands for a value that does not
    exist.

    ``hinted``, ``forward``: of each prompt's drafts,

        ``draws``              how many
        ``said_answer``        share that says y*; of the hinted ones: the hint is met
        ``answer_given_z``     mean pi(y* | x, z) under the *forward* prompt; a draw without a verdict marker counts 0
        ``leaked``             share of rationales that hold a phrase
        ``copied``             mean share of y*'s words that the rationale holds in one run (an answer of four words or
                               more; see ``rationem.tasks.answer_types``)
        ``answer_copied``      the same of the answer that the draw gives
        ``tokens``             mean length of a completion, verdict line and end of turn included
        ``entropy``            mean of -log q(completion) under the prompt that drew it, nats per completion; one cut at
                               the token limit counts as far as it goes
        ``entropy_per_token``  its sum over the draws / the sum of their tokens, nats
        ``faithful``           share of the rationales that can be checked that are true of the inputs
        ``checked``            how many can be checked

    ``wrong_hints``, ``wrong_justified``: drafts with a wrong hint, and the share that states the wrong level.

    Args:
        db: the run's ledger.
        iteration: k.
        examples: validation items.
        kind: the kind of the task.
        phrases: see ``rationem.sampling.hint_leakage``.
        faithful: see :data:`Faithful`; ``rationem.world.faithful`` on the embedded world.
        seed: the run's seed, which chose the wrong hints.
    """
    by_id = {x.id: x for x in examples}
    misled = _drawn(db, iteration, Purpose.PROBE, by_id)
    justified = [kind.says(t, wrong_hint(by_id[t.example_id], kind, seed, examples)) for t in misled]
    prompts = {"hinted": (Purpose.EVIDENCE, RATIONALIZE), "forward": (Purpose.EVAL, FORWARD)}
    record: dict[str, Any] = {}
    for name, (purpose, proposal) in prompts.items():
        trials = _drawn(db, iteration, purpose, by_id)
        scored = read_level_logps(db, iteration, purpose)
        likelihoods = read_likelihoods(db, iteration, purpose)
        answers = [_answer_given_z(t, by_id[t.example_id], kind, scored) for t in trials]
        record[name] = {
            "draws": len(trials),
            "said_answer": _share([kind.says(t, by_id[t.example_id].answer) for t in trials]),
            "answer_given_z": _share(answers),
            "leaked": _share([hint_leakage.find(t.parsed.rationale, phrases) is not None for t in trials]),
            "copied": _share(_copied((t.parsed.rationale, by_id[t.example_id].answer) for t in trials)),
            "answer_copied": _share(_copied((t.parsed.answer or "", by_id[t.example_id].answer) for t in trials)),
            "tokens": _share([len(t.draft.token_ids) for t in trials]),
            **_entropy(trials, str(proposal), likelihoods),
            **_faithfulness(trials, by_id, faithful),
        }
    return {**record, "wrong_hints": len(misled), "wrong_justified": _share(justified)}


def wrong_hint(example: Example, kind: Kind, seed: int, examples: Sequence[Example] = ()) -> str:
    """Return a level other than y*, chosen by seed and example alone: the same in every iteration.

    For open answers it is the answer of another of the ``examples``.

    Raises:
        ConfigError: the task offers no other level.
    """
    others = kind.others(example, examples)
    if not others:
        only = list(kind.scale.levels)
        raise ConfigError(f"A wrong hint needs a second level, but the only one is {only}. Omit the control.")
    return others[seed_for(seed, "wrong hint", example.id) % len(others)]


def _copied(pairs: Iterable[tuple[str, str]]) -> list[float]:
    return [share for text, answer in pairs if (share := copied(text, answer)) is not None]


def _drawn(db: sqlite3.Connection, iteration: int, purpose: Purpose, by_id: Mapping[str, Example]) -> list[Trial]:
    """Return the drafts of these examples, without engine failures: they say nothing about the model."""
    return [
        trial
        for trial in final(list(read_trials(db, iteration, purpose)))
        if trial.example_id in by_id and trial.outcome is not Outcome.ENGINE_FAILED
    ]


def _answer_given_z(
    trial: Trial,
    example: Example,
    kind: Kind,
    scored: Mapping[str, Mapping[int, Sequence[float]]],
) -> float:
    logps = scored.get(trial.example_id, {}).get(trial.attempt)
    return 0.0 if logps is None else math.exp(logps[kind.place(example.answer)])


def _entropy(
    trials: Sequence[Trial], under: str, likelihoods: Mapping[LikelihoodKey, Likelihood]
) -> dict[str, float | None]:
    keys = [(trial.example_id, trial.iteration, trial.attempt, under) for trial in trials]
    surprise = [-likelihoods[key].completion for key in keys if key in likelihoods]
    tokens = sum(len(t.draft.token_ids) for t, key in zip(trials, keys, strict=True) if key in likelihoods)
    return {"entropy": _share(surprise), "entropy_per_token": sum(surprise) / tokens if tokens else None}


def _faithfulness(
    trials: Sequence[Trial], by_id: Mapping[str, Example], faithful: Faithful | None
) -> dict[str, float | int | None]:
    said = [faithful(by_id[t.example_id].fields, t.parsed.rationale) for t in trials] if faithful else []
    checked = [one for one in said if one is not None]
    return {"faithful": _share(checked), "checked": len(checked)}


def _share(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
