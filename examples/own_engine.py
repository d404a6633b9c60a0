"""An engine of your own: whatever has these methods (``rationem.Engine``). python examples/own_engine.py

This one answers from a table, in whole words: a token is a rationale, the verdict line, or the end of the turn.
"""

import tempfile
from pathlib import Path

import em_on_a_table as table
import numpy as np

from rationem import Draft
from rationem.em import fit
from rationem.types import Finish


class WordEngine:
    """What generates and scores with the weights of one checkpoint."""

    honours_seeds = True  # a request's tokens depend on its seed alone, not on its batch
    batch_size = 16

    def __init__(self, theta: str) -> None:
        self.tables = {name: np.array(rows) for name, rows in table.table_of(theta).items()}

    def prompt_tokens(self, prompt):
        return len(prompt.text.split())

    def encode_completion(self, text, behind=""):
        rationale, verdict = text.split("\n")
        return (table.RATIONALES.index(rationale), 10 + table.TASK.levels.index(verdict[-1]), 99)

    def sample(self, requests):
        return [self._draft(request) for request in requests]

    def score_levels(self, queries):
        return [tuple(np.log(row / row.sum())) for row in map(self._row, queries)]

    def score_tokens(self, queries):
        return [() for _ in queries]  # says nothing: schemes that weigh by pi / q then need another engine

    def completions(self, query):
        z = query.draft.token_ids[0]
        return [(z, 10 + n, 99) for n in range(len(query.continuations))]

    def tokens_within(self, draft, characters):
        return int(characters > draft.text.index("\n"))

    def close(self):
        self.tables = {}

    def _joint(self, prompt):
        joint = self.tables[next(name for name in table.ANSWERS if f"Prompt: {name}" in prompt.text)]
        tilt = [9.0 if f"rating is: {level}." in prompt.text else 1.0 for level in table.TASK.levels]
        return joint * (tilt if prompt.kind == "rationalize" else 1.0)

    def _row(self, query):
        return self._joint(query.prompt)[query.draft.token_ids[0]]

    def _draft(self, request):
        joint = self._joint(request.prompt)
        cell = np.random.default_rng(request.seed).choice(12, p=joint.ravel() / joint.sum())
        text = table.TASK.format(table.RATIONALES[cell // 3], table.TASK.levels[cell % 3])
        return Draft(text, self.encode_completion(text), Finish.STOP, self.prompt_tokens(request.prompt))


def m_step(start, samples, *, iteration, seed, output):
    """The table's M-step, from this engine's tokens."""
    counts = {name: np.full((4, 3), 0.1) for name in table.ANSWERS}
    for sample in samples:
        z, y, _ = sample.token_ids
        counts[next(x for x in counts if f"Prompt: {x}" in sample.prompt.text)][z, y - 10] += sample.weight
    table.write({x: (count / count.sum()).tolist() for x, count in counts.items()}, output)
    return {"dropped": []}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        problem = table.problem(Path(folder), engine=WordEngine, m_step=m_step)
        for info in fit(problem, 2).history:
            reached = table.log_likelihood(str(problem.ledger.checkpoint(info.iteration)))
            print(f"iteration {info.iteration}: {info.outcomes}, log likelihood {reached:.3f}")
        problem.ledger.close()
