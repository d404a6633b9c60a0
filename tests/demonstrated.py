"""The toy of ``toy.py`` with demonstrations before its questions."""

from dataclasses import replace

import numpy as np

import toy
from rationem import Ledger, ScriptedEngine, parse_scheme
from rationem.em import fit
from rationem.sampling.demonstrations import Showing
from rationem.seeds import generator

SEEN = Showing(4, fills=True)


def tempted(theta_path):
    """After demonstrations the toy likes "alpha" and not "delta", and says an answer only then."""
    plain, shown = toy.open_scoring_engine(theta_path), toy.open_scoring_engine(theta_path)
    table = toy.read(theta_path)

    def joint(prompt):
        name = next(n for n in toy.THETA if f"Prompt: {n}" in prompt.text)
        found = toy.joint(table, name)
        if prompt.earlier:
            found = found * np.array([4.0, 1.0, 1.0, 0.5])[:, None]
        return found / found.sum()

    def say(request):
        if request.prompt.kind != "forward":
            return plain._say(request)
        cell = generator(request.seed).choice(12, p=joint(request.prompt).ravel())
        return toy.TASK.format(toy.RATIONALES[cell // 3], toy.SCALE.levels[cell % 3])

    def tokens(query):
        row = joint(query.prompt)[toy.RATIONALES.index(toy.TASK.parse(query.draft.text).rationale)]
        parsed = toy.TASK.parse(query.draft.text)
        logps = [0.0] * len(query.draft.token_ids)
        logps[0], logps[-2] = np.log(row.sum()), np.log(row[toy.SCALE.rank(parsed.answer)] / row.sum())
        return logps

    return ScriptedEngine(say, shown._levels, tokens=tokens)


def unlike(problem):
    """The toy has two questions: other responses make its held-out items others than those trained on."""
    parts = {
        name: tuple(replace(x, fields={**x.fields, "response": name}) for x in getattr(problem.data, name))
        for name in ("validation", "test")
    }
    return replace(problem, data=replace(problem.data, **parts))


def shown_at(tmp_path, scheme, iterations=1, engine=tempted, copies=6, selector="first", **more):
    """A run of the toy that is fitted, in a ledger that can be reported."""
    problem = unlike(toy.problem(tmp_path, parse_scheme(scheme, selector), engine=engine, copies=copies, **more))
    problem.ledger.close()
    ledger, data = Ledger(tmp_path / "told"), problem.data
    told = {"task": toy.TASK.describe(), "config": {"scheme": scheme, "model": "toy"}, "notes": {}}
    engine_told = {"name": "by hand", "honours_seeds": True}
    sets = {"train": data.train, "validation": data.validation, "test": data.test}
    ledger.start({**told, "engine": engine_told}, sets)
    problem = toy.changed(problem, ledger=ledger)
    fit(problem, iterations)
    return problem


def unreadable(theta_path):
    """Nothing is readable without demonstrations before it was trained once; afterwards all is."""
    engine = toy.open_scoring_engine(theta_path)
    say = engine._say

    def said(request):
        trained = "iteration" in theta_path
        return say(request) if request.prompt.earlier or trained else "hm"

    return ScriptedEngine(said, engine._levels)
