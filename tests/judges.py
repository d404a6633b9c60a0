"""Judges whose words are given: a card, a directory that stands for the weights, engines out of tables."""

import hashlib
from dataclasses import replace
from pathlib import Path

from rationem import JudgeTask, Scale, ScriptedEngine
from rationem.judging.judge import Judge
from rationem.run.card import Calibration, Card, model_sha256, prompt_sha256, write_card
from rationem.seeds import seed_for
from rationem.tasks.rubric import Criterion
from rationem.tasks.template import packaged
from rationem.types import Finish

TASK = JudgeTask(Scale.parse("1-3"))
PAIR = JudgeTask(Scale.parse("A | B | tie"), template=packaged("pair"), pair=True)
CRITERIA = JudgeTask(Scale.parse("1-3"), criteria=(Criterion("tone"), Criterion("facts")))


def card(task=TASK, marginal=(0.5, 0.3, 0.2), **changes) -> Card:
    """A card with one marginal for every criterion."""
    marginals = {criterion.name: marginal for criterion in task.criteria}
    plain = Card(
        task=task.describe(), columns=None, preset=None, marginals=marginals, draws=4, max_prompt_tokens=10_000,
        max_new_tokens=64, elide=False, seed=7, calibration=None,
    )  # fmt: skip
    return replace(plain, **changes)


def directory(path: Path, task=TASK, *, temperature=None, draws=4, groups=0, thresholds=(), **changes) -> Path:
    """A finished run: model/ with weights that nobody reads and the card."""
    model = path / "model"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"weights")
    bound = None
    if temperature is not None:
        described = prompt_sha256(task.describe())
        weights = model_sha256(model)
        bound = Calibration(temperature, draws, 10, -1.0, -0.9, described, weights, groups, tuple(thresholds))
    write_card(card(task, calibration=bound, **changes), model)
    return path


def judge(path: Path, engine, task=TASK, **changes) -> Judge:
    return Judge.load(directory(path, task, **changes), engine=engine)


def seeds(task, fields, draws, seed=7):
    """The seeds of an item's draws, by the coordinates that the documentation names."""
    key = hashlib.sha256(task.prompt(fields).text.encode()).hexdigest()
    return [seed_for(seed, key, m, "judge") for m in range(draws)]


class Recorder(ScriptedEngine):
    """Remembers what it was asked."""

    def __init__(self, say, levels=None, batch_size=64):
        super().__init__(say, levels, batch_size)
        self.requests, self.queries = [], []

    def sample(self, requests):
        self.requests += requests
        return super().sample(requests)

    def score_levels(self, queries):
        self.queries += queries
        return super().score_levels(queries)


class Cut(ScriptedEngine):
    """Cuts every completion off at its end."""

    def sample(self, requests):
        return [replace(draft, finish=Finish.LENGTH) for draft in super().sample(requests)]
