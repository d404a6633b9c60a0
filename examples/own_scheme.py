"""A scheme of your own is data: a plan of proposals, and a selector. python examples/own_scheme.py

The plan tries three forward draws and, where all fail, one that is shown the answer. The selector keeps the accepted
draw with the shortest rationale. On the command line a plan needs no code: --scheme "forward*3+rationalize".
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import em_on_a_table as table

from rationem import Outcome, Proposal, Scheme
from rationem.em import fit
from rationem.types import Kept

FORWARD, HINTED = Proposal("forward"), Proposal("rationalize")


@dataclass(frozen=True)
class Shortest:
    """Keeps the accepted trial with the shortest rationale; draws forward twice in any case."""

    name: str = "shortest"
    weighs: bool = False  # a graded reward does not enter the weight
    needs_ratios: bool = False  # it does not ask for log pi - log q
    remembers: str = "nothing"  # of earlier iterations

    def satisfied(self, tried):
        """Depends on the outcomes so far and nothing else, so that a resumed run decides the same."""
        return len(tried) >= 2 and any(outcome is Outcome.ACCEPTED for _, outcome in tried)

    def select(self, tried):
        accepted = [trial for trial in tried.trials if trial.outcome is Outcome.ACCEPTED]
        best = min(accepted, key=lambda trial: (len(trial.parsed.rationale), trial.attempt), default=None)
        return [Kept(best.example_id, best.attempt, 1.0, best.iteration)] if best else []


SCHEME = Scheme("shortest of two, else a hint", (FORWARD,) * 3 + (HINTED,), Shortest())

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        problem = table.problem(Path(folder), SCHEME)
        for info in fit(problem, 2).history:
            print(f"iteration {info.iteration}: {info.outcomes}, kept {info.kept}")
        problem.ledger.close()
