"""How many drafts of a model have no verdict line, and what --close makes of them: one E-step, nothing is trained.

python benchmarks/closing.py OUTPUT DATA... --model M --max-new-tokens 60 (and any flag of rationem fit)
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from rationem.cli.settings import add_settings, read_settings
from rationem.config import FitConfig
from rationem.em import EMState, e_step
from rationem.ledger import Ledger
from rationem.run.launch import resolve
from rationem.run.problem import by_name, problem_of
from rationem.types import Outcome, Purpose, Trial

_SAID = (Outcome.ACCEPTED, Outcome.WRONG)


def share(trials: list[Trial], asked: list[Trial]) -> str:
    return f"{len(asked)} of {len(trials)} ({len(asked) / max(1, len(trials)):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    add_settings(parser, list(FitConfig.model_fields))
    config = read_settings(parser.parse_args(), None)
    output = config.data and Path(parser.parse_args().output)
    assert output
    run, recorded = resolve(config, output)
    ledger = Ledger(output)
    ledger.start(recorded, by_name(run.splits))
    with problem_of(run, ledger) as problem:
        e_step(1, EMState(0, problem.base), problem)
        trials = list(ledger.trials(1, Purpose.TRAIN))
        problem.engines.close()
    answers = Counter(x.answer for x in run.splits.train)
    own = [t for t in trials if not t.draft.closed]
    closed = [t for t in trials if t.draft.closed]
    print(f"items {len(run.splits.train)}, answers {dict(answers)}, outcomes {Counter(str(t.outcome) for t in trials)}")
    print("readable without closing:", share(trials, [t for t in own if t.outcome in _SAID]))
    print("closed:", share(trials, closed))
    print("right, of own verdicts:", share(own, [t for t in own if t.outcome is Outcome.ACCEPTED]))
    print("right, of closed verdicts:", share(closed, [t for t in closed if t.outcome is Outcome.ACCEPTED]))
    print("levels, closed:", dict(Counter(str(t.parsed.answer) for t in closed)))
    print(f"majority level: {max(answers.values()) / sum(answers.values()):.3f}")


if __name__ == "__main__":
    main()
