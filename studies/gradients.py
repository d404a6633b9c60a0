"""How well an E-step's gradient points along the gradient of log p(y* | x), on the tiny judge, by enumeration.

    python studies/gradients.py [--sets 5] [--examples 4]

The rationales of a few training examples of the embedded world are enumerated under the plain and under the hinted
prompt, and grad log pi(z, y* | x; theta_0) is computed for each of them, in all weights. Then

    grad log p(y* | x) = sum_z pi(z | x, y*) grad log pi(z, y* | x),

up to the rationales that were not followed, and every estimator of an E-step is a random weighted sum of the same
gradients. Its draws are simulated; its gradient is the mean over the examples, each with its kept rows, as in a step.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from rationem import Example, FitConfig, world
from rationem.engines import models
from rationem.engines.transformers import TransformersEngine
from rationem.run.prepare import prepare
from rationem.sampling.marginal import rejection_weights, self_normalised_weights
from rationem.tasks.protocol import Task
from rationem.tasks.scale import MARKER

LIMITS = {"threshold": 5e-4, "max_new_tokens": 48}


@dataclass(frozen=True, slots=True)
class Table:
    """The rationales of one example, N of them; what was not followed has the rest of each distribution.

    Args:
        forward: pi(z | x) and p(y* | x, z), shape (2, N).
        hinted: q(z | x, y*) and q(y* | x, y*, z), shape (2, N).
        gradients: grad log pi(z, y* | x), shape (N, weights).
        missing: at most this share of p(y* | x) is on rationales that were not followed.
    """

    forward: np.ndarray
    hinted: np.ndarray
    gradients: np.ndarray
    missing: float

    @property
    def posterior(self) -> np.ndarray:
        """Return pi(z | x, y*) among the rationales, shape (N,)."""
        joint = self.forward.prod(axis=0)
        return joint / joint.sum()


def table(x: Example, task: Task, engine: TransformersEngine, model: torch.nn.Module) -> Table:
    """Enumerate one example."""
    at, prompt = task.levels.index(x.answer), task.prompt(x.fields)
    asked = [prompt, task.hint_prompt(x.fields, x.answer)]
    plain, hinted = engine.enumerate(asked, task.continuations, **LIMITS)
    texts = {leaf.token_ids: leaf.text for one in (plain, hinted) for leaf in one.leaves}
    place = {ids: n for n, ids in enumerate(texts)}
    drawn = np.zeros((2, 2, len(place)))
    for side, one in enumerate((plain, hinted)):
        for leaf in one.leaves:
            drawn[side, :, place[leaf.token_ids]] = np.exp(leaf.log_prob), np.exp(leaf.level_logps[at])
    beginning = engine._chat.encode(prompt)
    whole = [engine.encode_completion(text + task.continuations[at]) for text in texts.values()]
    assert all(ids == said[: len(ids)] for ids, said in zip(texts, whole, strict=True))
    rows, logs = zip(*(gradient(model, beginning, said) for said in whole), strict=True)
    for n, log in enumerate(logs):  # found under the hint alone: the plain prompt's joint probability is known too
        if drawn[0, 0, n] == 0:
            drawn[0, :, n] = np.exp(log), 1.0
        else:
            assert abs(np.log(drawn[0, :, n].prod()) - log) < 1e-3
    found = drawn[0].prod(axis=0).sum()
    return Table(drawn[0], drawn[1], np.stack(rows), plain.unexplored / (found + plain.unexplored))


def gradient(model: torch.nn.Module, prompt: tuple[int, ...], said: tuple[int, ...]) -> tuple[np.ndarray, float]:
    """Return the gradient of the log-likelihood of a completion in all weights, and that log-likelihood."""
    model.zero_grad()
    logits = model(torch.tensor([[*prompt, *said]])).logits[0, len(prompt) - 1 : -1]
    log = torch.log_softmax(logits, dim=-1)[torch.arange(len(said)), torch.tensor(said)].sum()
    log.backward()
    return torch.cat([one.grad.flatten() for one in model.parameters()]).numpy().copy(), float(log.detach())


def draw(rng: np.random.Generator, chances_N: np.ndarray) -> int | None:
    """Return the place of a drawn rationale; None for one that was not followed, which nothing keeps."""
    at = int(np.searchsorted(np.cumsum(chances_N), rng.uniform()))
    return at if at < len(chances_N) else None


def accepted(rng: np.random.Generator, of: np.ndarray) -> int | None:
    """Return a draft's rationale if its drawn answer is y*."""
    z = draw(rng, of[0])
    return z if z is not None and rng.uniform() < of[1, z] else None


Weights = dict[int, float]


def rejection(budget: int) -> Callable[[np.random.Generator, Table], Weights]:
    """Return RS(M): the first accepted draft."""

    def kept(rng: np.random.Generator, one: Table) -> Weights:
        for _ in range(budget):
            if (z := accepted(rng, one.forward)) is not None:
                return {z: 1.0}
        return {}

    return kept


def summed(budget: int, weigh: Callable[[list[float]], list[float]]) -> Callable[[np.random.Generator, Table], Weights]:
    """Return marginal:M with all rows: every draft, weighted by p(y* | x, z)."""

    def kept(rng: np.random.Generator, one: Table) -> Weights:
        drawn = [draw(rng, one.forward[0]) for _ in range(budget)]
        found: Weights = {}
        chances = [0.0 if z is None else float(one.forward[1, z]) for z in drawn]
        for z, weight in zip(drawn, weigh(chances) if any(chances) else [0.0] * budget, strict=True):
            if z is not None:
                found[z] = found.get(z, 0.0) + weight
        return found

    return kept


def pps(rng: np.random.Generator, one: Table) -> Weights:
    """Return the hinted draft, if it is accepted."""
    z = accepted(rng, one.hinted)
    return {} if z is None else {z: 1.0}


def star(rng: np.random.Generator, one: Table) -> Weights:
    """Return the plain draft, or after a failure the hinted one."""
    return rejection(1)(rng, one) or pps(rng, one)


ESTIMATORS = {
    "RS(1)": rejection(1),
    "RS(4)": rejection(4),
    "marginal:4, rejection weights": summed(4, rejection_weights),
    "marginal:4, self-normalised": summed(4, self_normalised_weights),
    "PPS": pps,
    "STaR": star,
}


def expected(name: str, one: Table) -> np.ndarray | None:
    """Return the mean weight of every rationale, shape (N,); None where it has no closed form."""
    joint = one.forward.prod(axis=0)
    chance = joint.sum()
    budget = 1 if name.endswith("(1)") else 4
    if name.startswith("RS") or name.endswith("rejection weights"):
        return joint / chance * (1 - (1 - chance) ** budget)
    hinted = one.hinted.prod(axis=0)
    return {"PPS": hinted, "STaR": joint + (1 - chance) * hinted}.get(name)


def cosines(several: list[Table], name: str, draws: int) -> np.ndarray:
    """Return the cosine of the mean gradient, the mean cosine of a single E-step, and the kept weight per example."""
    rng, kept = np.random.default_rng(0), ESTIMATORS[name]
    starts = np.cumsum([0, *(len(one.gradients) for one in several)])
    rows = np.concatenate([one.gradients for one in several])
    inner = rows @ rows.T
    truth = np.concatenate([one.posterior for one in several]) / len(several)
    weights = np.zeros((draws, len(rows)))
    for n in range(draws):
        for start, one in zip(starts, several, strict=False):
            for z, weight in kept(rng, one).items():
                weights[n, start + z] += weight / len(several)
    exact = [expected(name, one) for one in several]
    known = [one for one in exact if one is not None]
    mean = np.concatenate(known) if known else weights.mean(axis=0)

    def cosine(of: np.ndarray) -> np.ndarray:
        return of @ inner @ truth / np.sqrt(((of @ inner) * of).sum(axis=-1) * (truth @ inner @ truth))

    return np.array([cosine(mean), cosine(weights[weights.any(axis=1)]).mean(), weights.sum(axis=1).mean()])


def main() -> None:
    """Print one line per estimator: means over sets of examples and their standard errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=5, help="sets of examples; standard errors are over sets")
    parser.add_argument("--examples", type=int, default=4, help="examples of a set")
    parser.add_argument("--draws", type=int, default=4000, help="simulated E-steps per set")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    task, splits = prepare(FitConfig(data=("world",), world_size=200))
    loaded = models.load(str(world.tiny_judge()), device="cpu")
    engine = TransformersEngine(loaded, marker=MARKER)
    found: dict[str, list[np.ndarray]] = {name: [] for name in ESTIMATORS}
    missing = []
    for n in range(asked.sets):
        some = splits.train[n * asked.examples : (n + 1) * asked.examples]
        several = [table(x, task, engine, loaded.model) for x in some]
        missing += [one.missing for one in several]
        for name in ESTIMATORS:
            found[name].append(cosines(several, name, asked.draws))
    print(f"not followed: at most {np.mean(missing):.3f} of p(y* | x), mean of {len(missing)} examples")
    print("| estimator | cosine of the mean | mean cosine of one E-step | weight kept per example |\n|---|---|---|---|")
    for name, rows in found.items():
        means, errors = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) / len(rows) ** 0.5
        print(f"| {name} | " + " | ".join(f"{a:.3f} ± {b:.3f}" for a, b in zip(means, errors, strict=True)) + " |")


if __name__ == "__main__":
    main()
