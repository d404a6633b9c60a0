"""Runs whose answers are open, on the toy's tables: right or wrong, and graded. No model and no torch."""

import numpy as np

import toy
from rationem import STAR, Ledger, ScriptedEngine, Splits
from rationem.em import fit
from rationem.seeds import generator
from rationem.tasks.answer import AnswerTask
from rationem.tasks.template import Template
from rationem.types import Example

#: The toy's levels as texts: two of them have words in common.
TEXTS = {"1": "a red cat sat on it", "2": "a red cat ran away", "3": "some dogs bark"}
LEVELS = {text: level for level, text in TEXTS.items()}
PROMPT, HINT = Template("Prompt: {{ prompt }}\nEnd with {{ marker }} ANSWER"), Template("It is: {{ answer }}.")


def task(rule="exact"):
    return AnswerTask("toy", PROMPT, HINT, marker=toy.MARKER, optional=("response",), rule=rule)


def examples(copies, start):
    return tuple(
        Example(x.id, x.fields, TEXTS[x.answer], x.group, source="by hand") for x in toy.examples(copies, start=start)
    )


def engine_of(asked, odd=""):
    """The toy's tables, asked for texts; a draw in ten says ``odd`` behind its marker, where given, or nothing."""

    def opened(theta_path):
        theta = toy.read(theta_path)

        def table(prompt):
            name = next(n for n in toy.THETA if f"Prompt: {n}" in prompt.text)
            hint = None
            if prompt.kind == "rationalize":
                hint = next(level for level, text in TEXTS.items() if f"It is: {text}." in prompt.text)
            return toy.joint(theta, name, hint)

        def say(request):
            draw = generator(request.seed)
            cell = draw.choice(12, p=table(request.prompt).ravel())
            rationale, text = toy.RATIONALES[cell // 3], TEXTS[toy.SCALE.levels[cell % 3]]
            if draw.random() < 0.1:
                return asked.format(rationale, odd) if odd else rationale
            return asked.format(rationale, text)

        def row_of(prompt, text):
            return table(prompt)[toy.RATIONALES.index(text.split("\n")[0])]

        def levels(query):
            row = row_of(query.prompt, query.draft.text)
            return [
                float(np.log(row[toy.SCALE.rank(LEVELS[text.strip()])] / row.sum())) for text in query.continuations
            ]

        def tokens(query):
            row, said = row_of(query.prompt, query.draft.text), asked.parse(query.draft.text).answer
            logps = [0.0] * len(query.draft.token_ids)
            logps[0] = float(np.log(row.sum()))
            if said in LEVELS:
                logps[-2] = float(np.log(row[toy.SCALE.rank(LEVELS[said])] / row.sum()))
            return logps

        return ScriptedEngine(say, levels, tokens=tokens)

    return opened


def m_step(start, samples, *, iteration, seed, output):
    """The toy's, of texts."""
    theta = toy.read(start)
    counts = {name: np.full((4, 3), 0.1) for name in toy.THETA}
    for sample in samples:
        name = next(n for n in toy.THETA if f"Prompt: {n}" in sample.prompt.text)
        parsed = task().parse("".join(map(chr, sample.token_ids[:-1])))
        if parsed.answer in LEVELS:
            at = toy.RATIONALES.index(parsed.rationale), toy.SCALE.rank(LEVELS[parsed.answer])
            counts[name][at] += sample.weight
    for name, table in counts.items():
        theta[name] = {
            "z": (table.sum(1) / table.sum()).tolist(),
            "y": (table / table.sum(1, keepdims=True)).tolist(),
        }
    toy.write(theta, output)
    return {"dropped": []}


def run(directory, rule="exact", *, odd="", threshold=1.0, scheme=STAR, iterations=2, **config):
    """A whole run; returns its problem, its ledger closed."""
    asked = task(rule)
    problem = toy.problem(
        directory,
        scheme,
        engine=engine_of(asked, odd),
        draws=6,
        hinted=4,
        wrong=4,
        probed=10,
        seed=config.get("seed", 0),
        m_step=m_step,
        threshold=threshold,
    )
    data = Splits(examples(20, 0), examples(10, 10_000), examples(16, 20_000))
    ledger = Ledger(directory / "open")
    named = {"scheme": "star", "model": "toy", "seed": 0, "draws": 6, "task": "toy", "threshold": threshold, **config}
    ledger.start(
        {"task": asked.describe(), "config": named, "notes": {}, "engine": {"name": "toy", "honours_seeds": True}},
        {"train": data.train, "validation": data.validation, "test": data.test},
    )
    problem = toy.changed(problem, task=asked, ledger=ledger, data=data)
    fitted = fit(problem, iterations)
    ledger.finish(fitted.last, "fitted", seconds=0.0)
    ledger.finish(fitted.last, "finished", seconds=0.0, record={"best": fitted.best, "last": fitted.last})
    ledger.close()
    return problem


def comparison(output, rule="exact", *, threshold=1.0, seeds=2, schemes="rs:2,star"):
    """The directory of a comparison whose runs are finished; nothing of its results is written."""
    from rationem import FitConfig
    from rationem.compare.design import Design, parse_arms, write_design
    from rationem.sampling.schemes import parse_scheme

    arms = parse_arms(schemes, control=False)
    config = FitConfig(data=("items.csv",), model="toy", scheme=arms[0].scheme, iterations=2, threshold=threshold)
    design = Design(config, arms, arms[0].name, tuple(range(seeds)))
    write_design(design, output)
    for arm in arms:
        for seed in design.seeds:
            where = design.run(output, arm, seed)
            run(where.parent / f"made-{seed}", rule, threshold=threshold, scheme=parse_scheme(arm.scheme), seed=seed)
            (where.parent / f"made-{seed}" / "open").rename(where)
    return design
