"""Filtered EM on a model small enough to write down: python examples/em_on_a_table.py

The model is a table, theta = {question: pi(z, y | x)}: four rationales z, three answers y. The engine draws from the
table, the M-step counts what was kept (the exact maximiser), and everything between them is the product: ``fit``.
"""

import json
import tempfile
from pathlib import Path

import numpy as np

from rationem import (  # isort: skip
    STAR, EnginePool, Example, JudgeTask, Ledger, Problem, Sampling, SamplingContext, Scale, Scheme, ScriptedEngine,
    Splits,
)  # fmt: skip
from rationem.em import fit  # isort: skip

TASK = JudgeTask(Scale(("1", "2", "3")))
RATIONALES = ("short", "kind", "wrong", "off topic")
ANSWERS = {"poem": "3", "essay": "2"}  # the human ratings y*
BASE = {
    "poem": [[0.28, 0.08, 0.04], [0.03, 0.18, 0.09], [0.04, 0.04, 0.12], [0.03, 0.03, 0.04]],
    "essay": [[0.02, 0.06, 0.02], [0.06, 0.06, 0.08], [0.18, 0.06, 0.06], [0.16, 0.12, 0.12]],
}


def table_of(theta: str) -> dict:
    return json.loads((Path(theta) / "table.json").read_text())


def write(table: dict, directory: Path) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "table.json").write_text(json.dumps(table))
    return str(directory)


def open_engine(theta: str) -> ScriptedEngine:
    """Draws (z, y) from the table; a hint makes its answer nine times as likely."""
    table = table_of(theta)

    def probabilities(prompt):
        joint = np.array(table[next(name for name in ANSWERS if f"Prompt: {name}" in prompt.text)])
        if prompt.kind == "rationalize":
            joint = joint * [9.0 if f"rating is: {level}." in prompt.text else 1.0 for level in TASK.levels]
        return joint / joint.sum()

    def say(request):
        z, y = divmod(np.random.default_rng(request.seed).choice(12, p=probabilities(request.prompt).ravel()), 3)
        return TASK.format(RATIONALES[z], TASK.levels[y])

    def levels(query):
        row = probabilities(query.prompt)[RATIONALES.index(query.draft.text.split("\n")[0])]
        return np.log(row / row.sum())

    return ScriptedEngine(say, levels)


def m_step(start, samples, *, iteration, seed, output):
    """theta_k = weighted counts of the kept (z, y), smoothed."""
    counts = {name: np.full((4, 3), 0.1) for name in ANSWERS}
    for sample in samples:
        said = TASK.parse("".join(map(chr, sample.token_ids[:-1])))  # a scripted engine's tokens are characters
        name = next(name for name in ANSWERS if f"Prompt: {name}" in sample.prompt.text)
        counts[name][RATIONALES.index(said.rationale), TASK.levels.index(said.answer)] += sample.weight
    write({name: (table / table.sum()).tolist() for name, table in counts.items()}, output)
    return {"dropped": []}


def log_likelihood(theta: str) -> float:
    """The mean of log p(y* | x) over the questions."""
    table = table_of(theta)
    return float(np.mean([np.log(np.array(table[x])[:, TASK.levels.index(y)].sum()) for x, y in ANSWERS.items()]))


def problem(directory: Path, scheme: Scheme = STAR, engine=open_engine, m_step=m_step) -> Problem:
    def examples(count, part):
        return tuple(Example(f"{part}-{x}-{n}", {"prompt": x, "response": "."}, y, f"{part}-{x}-{n}")
                     for n in range(count) for x, y in ANSWERS.items())  # fmt: skip

    data = Splits(examples(25, "train"), examples(4, "validation"), examples(4, "test"))
    ledger = Ledger(directory / "run")
    ledger.start({}, {"train": data.train, "validation": data.validation, "test": data.test})
    context = SamplingContext(TASK, ledger, seed=0, sampling=Sampling(), max_prompt_tokens=10_000)
    return Problem(data, scheme, write(BASE, directory / "base"), EnginePool(engine), m_step, context)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        made = problem(Path(folder))
        for info in fit(made, 3).history:
            reached = log_likelihood(str(made.ledger.checkpoint(info.iteration)))
            print(f"iteration {info.iteration}: {info.outcomes}, log likelihood {reached:.3f}")
        made.ledger.close()
