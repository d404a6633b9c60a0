"""Runs written by hand, trials and all, for the tests of report.html: no model and no torch."""

from collections.abc import Callable

from rationem.ledger import Ledger
from rationem.sampling.hint_leakage import HintLeakage
from rationem.sampling.trials import grade
from rationem.seeds import seed_for
from rationem.tasks.judge import JudgeTask
from rationem.tasks.scale import Scale
from rationem.types import Draft, Example, Finish, Kept, Outcome, Prediction, Purpose, State, Trial

SCALE = Scale.parse("1-5")
TASK = JudgeTask(SCALE)

#: Texts that must stay texts, wherever a run may hold them.
HOSTILE = (
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror=\"window.hacked = 1\"><svg onload='window.hacked = 1'>",
    '"><iframe srcdoc="<script>parent.hacked = 1</script>"></iframe>',
    "<!-- --!> ]]> <![CDATA[ </style></textarea></title> <!--<script>",
    "javascript:window.hacked=1 data:text/html,<script>window.hacked=1</script> <a href='javascript:hacked=1'>a</a>",
    "line\u2028separator\u2029 \\u003c/script\\u003e '\" ` ${1} {{ 7*7 }} {% raw %} &lt;b&gt; &amp;",
    "nul \x00 bell \x07 escape \x1b[31m delete \x7f half \ud800 byte-order \ufeff nonchar \uffff",
    "\u202eright to left\u202c <base href=//evil.example/> <meta http-equiv=refresh content=0;url=//evil.example/>",
    "<form action=//evil.example/><button formaction=javascript:hacked=1><link rel=stylesheet href=//evil.example/>",
)

Say = Callable[[str, int, Example, int], tuple[str, str]]


def said(purpose: str, iteration: int, x: Example, attempt: int) -> tuple[str, str]:
    """A rationale and a level: more often right the later the iteration, always where the label was shown."""
    luck = seed_for(0, purpose, iteration, x.id, attempt) % 10
    level = x.answer if luck < 3 + 2 * iteration else SCALE.levels[luck % 5]
    if purpose == "rationalize":
        told = "As the hint says, it is good." if luck == 0 else "It answers what was asked."
        return told, x.answer if luck else level
    return f"The answer of {x.id} is thought about, try {attempt}.", level


def examples(kind: str, count: int, tricky: tuple[str, ...] = ()) -> tuple[Example, ...]:
    return tuple(
        Example(
            f"{kind}-{n}",
            {"prompt": f"Question {n}: why?", "response": tricky[n % len(tricky)] if tricky else f"Because of {n}."},
            SCALE.levels[n * 7 % 5],
            f"{kind}-{n}",
            (SCALE.levels[n * 7 % 5], SCALE.levels[n * 7 % 5 - (n % 3 == 0)]),
        )
        for n in range(count)
    )


def trial(k: int, purpose: Purpose, x: Example, attempt: int, proposal: str, text: str, finish=Finish.STOP) -> Trial:
    draft = Draft(text, tuple(range(len(text) // 4 + 1)), finish, 30)
    parsed, outcome, reward = grade(draft, x, TASK, 1.0, HintLeakage("drop" if "rationalize" in proposal else "off"))
    return Trial(k, purpose, x.id, attempt, 0, proposal, attempt, draft, parsed, outcome, reward)


def write_run(
    directory,
    *,
    train=12,
    test=10,
    validation=10,
    iterations=2,
    draws=2,
    attempts=2,
    finished=True,
    shots=0,
    say: Say = said,
    tricky=(),
    notes=None,
    batch=5000,
    **config,
):
    """Write a run of ``iterations`` into the directory; unfinished, the last one is not evaluated."""
    sets = {
        "train": examples("train", train, tricky),
        "validation": examples("validation", validation),
        "test": examples("test", test),
    }
    settings = {"scheme": "star", "model": "by hand", "seed": 3, "shots": shots, "iterations": iterations, **config}
    manifest = {
        "config": settings,
        "engine": {"name": "by hand", "honours_seeds": True},
        "notes": {"rows": train + test + validation} if notes is None else notes,
        "task": TASK.describe(),
    }
    ledger = Ledger(directory)
    try:
        ledger.start(manifest, sets)
        _evaluate(ledger, 0, sets, draws, say, tested=finished)
        if shots:
            _test(ledger, 0, sets["test"], 1, say, "shots", Purpose.CONTROL)
        for k in range(1, iterations + 1):
            _e_step(ledger, k, sets["train"], attempts, say, batch)
            if finished or k < iterations:
                _evaluate(ledger, k, sets, draws, say, tested=finished and k == iterations)
        if finished:
            ledger.finish(iterations, "fitted", seconds=0.0)
    finally:
        ledger.close()
    return directory


def _e_step(ledger, k, train, attempts, say, batch):
    states, kept, trials = {}, [], []
    for n, x in enumerate(train):
        states[x.id] = State.EXHAUSTED
        for attempt in range(attempts):
            proposal = "forward" if attempt == 0 else "rationalize"
            rationale, level = say(proposal, k, x, attempt)
            finish = Finish.LENGTH if n % 11 == 10 and attempt == 0 else Finish.STOP
            text = rationale if n % 13 == 12 and attempt == 0 else TASK.format(rationale, level)
            trials.append(trial(k, Purpose.TRAIN, x, attempt, proposal, text, finish))
            if trials[-1].outcome is Outcome.ACCEPTED:
                states[x.id] = State.KEPT
                kept.append(Kept(x.id, attempt, 1.0, k))
                break
    for start in range(0, len(trials), batch):
        ledger.append(trials[start : start + batch])
    ledger.finish(k, "e_step", seconds=2.0, kept=kept, states=states)
    ledger.finish(k, "m_step", seconds=3.0, record={"loss": 1.5, "dropped": []})


def _evaluate(ledger, k, sets, draws, say, *, tested):
    for split in ("validation", *(["test"] if tested else [])):
        if sets[split]:
            _test(ledger, k, sets[split], draws, say, split, Purpose.EVAL)


def _test(ledger, k, examples, draws, say, split, purpose):
    trials, predictions = [], []
    for x in examples:
        drawn = [trial(k, purpose, x, m, "forward", TASK.format(*say("forward", k, x, m))) for m in range(draws)]
        share = [(1 + sum(t.parsed.answer == level for t in drawn)) / (5 + draws) for level in SCALE.levels]
        predicted = max(zip(share, SCALE.levels, strict=True))[1]
        predictions.append(Prediction(x.id, predicted, tuple(share), share[SCALE.rank(x.answer)], draws, 0))
        trials += drawn
    ledger.append(trials)
    ledger.finish(k, split, seconds=1.0, predictions={split: predictions})
