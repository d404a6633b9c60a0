"""The ledger's tables, and the conversion of trials and predictions to and from their rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rationem.types import Draft, Example, Finish, Outcome, Parsed, Prediction, Purpose, Trial

SCHEMA_VERSION = 7
#: The columns of an example and of a prediction, in the order in which the functions below read them.
EXAMPLE_COLUMNS = "item, fields, answer, grp, ratings, source, elided, weight, criterion, rater, turn, orders, origin"
PREDICTION_COLUMNS = "example_id, predicted, probabilities, raw, draws, unparsed, too_long, reward, draw_reward"
#: The columns of a trial, in the order of ``trial_row``.
TRIAL_COLUMNS = (
    *("iteration", "purpose", "example_id", "attempt", "retry", "proposal", "seed", "prompt_tokens", "new_tokens"),
    *("token_ids", "text", "finish", "rationale", "predicted", "problem", "marker_end", "outcome", "reward"),
    *("token_logps", "encoded", "demos", "closed"),
)
_DECIMALS = 6  # of a token's log-probability, in nats: finer than single precision computes it

SCHEMA = """
CREATE TABLE IF NOT EXISTS manifest (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS examples (
  id TEXT PRIMARY KEY, position INTEGER NOT NULL, split TEXT NOT NULL, grp TEXT NOT NULL, fields TEXT NOT NULL,
  answer TEXT NOT NULL, ratings TEXT NOT NULL, source TEXT NOT NULL, elided INTEGER NOT NULL, weight REAL NOT NULL,
  item TEXT NOT NULL, criterion TEXT NOT NULL, rater INTEGER NOT NULL, turn INTEGER NOT NULL, orders INTEGER NOT NULL,
  origin TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (
  iteration INTEGER NOT NULL, purpose TEXT NOT NULL, example_id TEXT NOT NULL, attempt INTEGER NOT NULL,
  retry INTEGER NOT NULL, proposal TEXT NOT NULL, seed INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
  new_tokens INTEGER NOT NULL, token_ids TEXT NOT NULL, text TEXT NOT NULL, finish TEXT NOT NULL,
  rationale TEXT NOT NULL, predicted TEXT, problem TEXT, marker_end INTEGER, outcome TEXT NOT NULL,
  reward REAL NOT NULL, token_logps TEXT NOT NULL, encoded INTEGER NOT NULL, demos TEXT NOT NULL,
  closed INTEGER NOT NULL,
  PRIMARY KEY (iteration, purpose, example_id, attempt, retry)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (
  iteration INTEGER NOT NULL, purpose TEXT NOT NULL, example_id TEXT NOT NULL, attempt INTEGER NOT NULL,
  level_logps TEXT NOT NULL, whole INTEGER NOT NULL,
  PRIMARY KEY (iteration, purpose, example_id, attempt)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS kept (
  iteration INTEGER NOT NULL, position INTEGER NOT NULL, example_id TEXT NOT NULL, attempt INTEGER NOT NULL,
  weight REAL NOT NULL, drawn INTEGER NOT NULL, PRIMARY KEY (iteration, example_id, drawn, attempt)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS likelihoods (
  iteration INTEGER NOT NULL, purpose TEXT NOT NULL, example_id TEXT NOT NULL, drawn INTEGER NOT NULL,
  attempt INTEGER NOT NULL, under TEXT NOT NULL, completion REAL NOT NULL, rationale REAL,
  PRIMARY KEY (iteration, purpose, example_id, drawn, attempt, under)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS states (
  iteration INTEGER NOT NULL, example_id TEXT NOT NULL, state TEXT NOT NULL,
  PRIMARY KEY (iteration, example_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS predictions (
  iteration INTEGER NOT NULL, split TEXT NOT NULL, example_id TEXT NOT NULL, predicted TEXT,
  probabilities TEXT NOT NULL, raw REAL NOT NULL, draws INTEGER NOT NULL, unparsed INTEGER NOT NULL,
  too_long INTEGER NOT NULL, reward REAL, draw_reward REAL, PRIMARY KEY (iteration, split, example_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS iterations (
  iteration INTEGER NOT NULL, phase TEXT NOT NULL, seconds REAL NOT NULL, record TEXT NOT NULL,
  PRIMARY KEY (iteration, phase)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seals (
  part TEXT NOT NULL, iteration INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (part, iteration)) WITHOUT ROWID;
"""


#: SQL that writes a row of ``trial_row``.
INSERT_TRIAL = f"INSERT INTO trials ({', '.join(TRIAL_COLUMNS)}) VALUES ({','.join('?' for _ in TRIAL_COLUMNS)})"
#: SQL that writes a row of ``example_row``.
INSERT_EXAMPLE = f"INSERT INTO examples VALUES ({','.join('?' * 16)})"


def example_row(split: str, position: int, x: Example) -> tuple[Any, ...]:
    """Return an example as a row of the table ``examples``."""
    said = (json.dumps(dict(x.fields)), x.answer, json.dumps(x.ratings), x.source, x.elided, x.weight)
    return (x.id, position, split, x.group, *said, x.item, x.criterion, x.rater, x.turn, x.orders, x.origin)


def read_example(row: Sequence[Any]) -> Example:
    """Return the example of a row of ``EXAMPLE_COLUMNS``."""
    item, fields, answer, group, ratings, *rest = row
    return Example(item, json.loads(fields), answer, group, tuple(json.loads(ratings)), *rest)


def trial_row(trial: Trial) -> tuple[Any, ...]:
    """Return a trial as a row of the table ``trials``."""
    draft, parsed = trial.draft, trial.parsed
    return (
        trial.iteration,
        trial.purpose,
        trial.example_id,
        trial.attempt,
        trial.retry,
        trial.proposal,
        trial.seed,
        draft.prompt_tokens,
        draft.generated,
        json.dumps(draft.token_ids),
        draft.text,
        draft.finish,
        parsed.rationale,
        parsed.answer,
        parsed.problem,
        parsed.marker_end,
        trial.outcome,
        trial.reward,
        json.dumps([round(logp, _DECIMALS) for logp in draft.token_logps]),
        int(draft.encoded),
        json.dumps(trial.demos),
        draft.closed,
    )


def read_trial(row: Sequence[Any]) -> Trial:
    """Return the trial of a row."""
    (iteration, purpose, example_id, attempt, retry, proposal, seed, prompt_tokens, _new, token_ids) = row[:10]
    text, finish, rationale, predicted, problem, marker_end, outcome, reward, token_logps, *last = row[10:]
    encoded, demos, closed = last
    return Trial(
        iteration,
        Purpose(purpose),
        example_id,
        attempt,
        retry,
        proposal,
        seed,
        _draft(text, token_ids, finish, prompt_tokens, token_logps, encoded, closed),
        Parsed(rationale, predicted, problem, marker_end),
        Outcome(outcome),
        reward,
        tuple(json.loads(demos)),
    )


def _draft(
    text: str, token_ids: str, finish: str, prompt_tokens: int, token_logps: str, encoded: int, closed: int
) -> Draft:
    ids, logps = tuple(json.loads(token_ids)), tuple(json.loads(token_logps))
    return Draft(text, ids, Finish(finish), prompt_tokens, logps, bool(encoded), closed)


def prediction_row(iteration: int, split: str, prediction: Prediction) -> tuple[Any, ...]:
    """Return a prediction as a row of the table ``predictions``."""
    return (
        iteration,
        split,
        prediction.example_id,
        prediction.predicted,
        json.dumps(prediction.probabilities),
        prediction.raw,
        prediction.draws,
        prediction.unparsed,
        int(prediction.too_long),
        prediction.reward,
        prediction.draw_reward,
    )


def read_prediction(row: Sequence[Any]) -> Prediction:
    """Return the prediction of a row of ``PREDICTION_COLUMNS``."""
    example_id, predicted, probabilities, raw, draws, unparsed, too_long, *rewards = row
    shares = tuple(json.loads(probabilities))
    return Prediction(example_id, predicted, shares, raw, draws, unparsed, bool(too_long), *rewards)
