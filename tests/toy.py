"""A model small enough to write down: four rationales, three answers, two questions, every probability in a table.

theta is a JSON file {question: {"z": [pi(z | x)], "y": [[pi(y | x, z)]]}}; the hinted sampler tilts pi(z, y | x)
towards the hint. The M-step is the closed form: weighted counts of what was kept.
"""

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from rationem import Example, JudgeTask, Ledger, Problem, Scale, ScriptedEngine, Splits
from rationem.engines.pool import EnginePool
from rationem.metrics.evidence import Enumeration, Leaf
from rationem.sampling.trials import SamplingContext
from rationem.seeds import generator
from rationem.tasks.parse import parse_verdict
from rationem.tasks.scale import MARKER
from rationem.types import Sampling

SCALE = Scale(("1", "2", "3"))
TASK = JudgeTask(SCALE)
RATIONALES = ("alpha", "beta", "gamma", "delta")
THETA = {
    "first": {"z": [0.4, 0.3, 0.2, 0.1], "y": [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6], [0.05, 0.05, 0.9]]},
    "second": {"z": [0.1, 0.2, 0.3, 0.4], "y": [[0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1], [0.2, 0.1, 0.7]]},
}
ANSWERS = {"first": "3", "second": "2"}


def examples(copies: int = 1, start: int = 0) -> tuple[Example, ...]:
    return tuple(
        Example(f"{name}-{n}", {"prompt": name, "response": "."}, ANSWERS[name], f"{name}-{n}")
        for n in range(start, start + copies)
        for name in THETA
    )


def joint(theta: dict, name: str, hint: str | None = None, taste=(1.0, 1.0, 1.0, 1.0)) -> np.ndarray:
    """pi(z, y | x), shape (4, 3); with a hint, the hinted answer is nine times as likely, and each z by its taste.

    Without a taste what is accepted of hinted draws follows the posterior; with one it does not.
    """
    table = np.array(theta[name]["z"])[:, None] * np.array(theta[name]["y"])
    if hint is not None:
        table = table * np.where(np.array(SCALE.levels) == hint, 9.0, 1.0) * np.array(taste)[:, None]
    return table / table.sum()


def posterior(theta: dict, name: str) -> np.ndarray:
    """pi(z | x, y*), shape (4,)."""
    column = joint(theta, name)[:, SCALE.rank(ANSWERS[name])]
    return column / column.sum()


def log_likelihood(theta: dict, data) -> float:
    return sum(np.log(joint(theta, name_of(x))[:, SCALE.rank(x.answer)].sum()) for x in data)


def name_of(x: Example) -> str:
    return x.fields["prompt"]


def read(theta_path: str) -> dict:
    return json.loads((Path(theta_path) / "theta.json").read_text())


def write(theta: dict, directory: Path) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "theta.json").write_text(json.dumps(theta))
    return str(directory)


def open_engine(theta_path: str) -> ScriptedEngine:
    """Says the levels' log-probabilities, and not its tokens'."""
    engine = open_scoring_engine(theta_path)
    return ScriptedEngine(engine._say, engine._levels)


def open_scoring_engine(theta_path: str, taste=(1.0, 1.0, 1.0, 1.0)) -> ScriptedEngine:
    """Says its tokens' log-probabilities too, as weights and evidence need."""
    theta = read(theta_path)

    def table(prompt):
        name = next(n for n in THETA if f"Prompt: {n}" in prompt.text)
        hint = None
        if prompt.kind == "rationalize":
            hint = next(level for level in SCALE.levels if f"rating is: {level}." in prompt.text)
        return joint(theta, name, hint, taste)

    def say(request):
        cell = generator(request.seed).choice(12, p=table(request.prompt).ravel())
        return TASK.format(RATIONALES[cell // 3], SCALE.levels[cell % 3])

    def levels(query):
        row = table(query.prompt)[RATIONALES.index(query.draft.text.split("\n")[0])]
        return tuple(np.log(row / row.sum()))

    def tokens(query):
        """log pi(z | x) on the first character, log pi(y | x, z) on the verdict's; all others are certain."""
        parsed = TASK.parse(query.draft.text)
        row = table(query.prompt)[RATIONALES.index(parsed.rationale)]
        logps = [0.0] * len(query.draft.token_ids)
        logps[0], logps[-2] = np.log(row.sum()), np.log(row[SCALE.rank(parsed.answer)] / row.sum())
        return logps

    return ScriptedEngine(say, levels, tokens=tokens)


def open_enumerating(theta_path: str) -> ScriptedEngine:
    """Can also write its table down, but for the rationales that are less probable than the threshold."""
    engine, theta = open_scoring_engine(theta_path), read(theta_path)

    def enumerate_all(prompts, continuations, *, threshold, max_new_tokens):
        found = []
        for prompt in prompts:
            table = joint(theta, next(n for n in THETA if f"Prompt: {n}" in prompt.text))
            leaves = tuple(
                Leaf(tuple(map(ord, text)), text, float(np.log(row.sum())), tuple(np.log(row / row.sum())))
                for text, row in zip((f"{z}\n{MARKER}" for z in RATIONALES), table, strict=True)
                if row.sum() > threshold
            )
            found.append(Enumeration(leaves, 1 - sum(np.exp(leaf.log_prob) for leaf in leaves), 0.0))
        return found

    engine.enumerate = enumerate_all
    return engine


def closed_form_m_step(smoothing: float = 0.0):
    """theta_k = weighted counts of the kept (z, y) per question, the exact maximiser of the M-step's objective."""

    def m_step(start, samples, *, iteration, seed, output):
        theta = read(start)
        counts = {name: np.full((4, 3), smoothing) for name in THETA}
        for sample in samples:
            name = next(n for n in THETA if f"Prompt: {n}" in sample.prompt.text)
            text = "".join(map(chr, sample.token_ids[:-1]))
            parsed = parse_verdict(text, MARKER, SCALE.levels)
            counts[name][RATIONALES.index(parsed.rationale), SCALE.rank(parsed.answer)] += sample.weight
        for name, table in counts.items():
            if table.sum() > 0:
                rows = table.sum(1, keepdims=True)
                theta[name]["z"] = (table.sum(1) / table.sum()).tolist()
                old = np.array(theta[name]["y"])
                theta[name]["y"] = np.where(rows > 0, table / np.where(rows > 0, rows, 1), old).tolist()
        write(theta, output)
        return {"dropped": []}

    return m_step


def problem(
    directory: Path, scheme, *, copies: int = 50, m_step=None, engine=open_engine, max_prompt_tokens=10_000, **more
) -> Problem:
    train, held_out = examples(copies), examples(4, start=10_000)
    base = write(THETA, directory / "base")
    ledger = Ledger(directory / "run")
    data = Splits(train, held_out, examples(4, start=20_000))
    ledger.start(
        {"task": TASK.describe(), "config": {}, "notes": {}},
        {
            "train": data.train,
            "validation": data.validation,
            "test": data.test,
        },
    )
    context = SamplingContext(TASK, ledger, more.pop("seed", 0), Sampling(), max_prompt_tokens=max_prompt_tokens)
    made = Problem(data, scheme, base, EnginePool(engine), m_step or closed_form_m_step(0.1), context)
    return changed(made, **more)


def changed(made: Problem, **more) -> Problem:
    """The problem with other values, each given by its own name: of the problem or of one of the values in it."""
    parts = ("context", "stopping", "evaluation", "diagnostics", "control")
    for part in parts:
        value = getattr(made, part)
        names = {one.name for one in fields(value)} & more.keys()
        made = replace(made, **{part: replace(value, **{name: more.pop(name) for name in names})})
    return replace(made, **more)
