"""What the embedded base models can do: numbers of a checkpoint, and the bounds that hold for any seed and machine.

``python tests/bases.py CACHE SEED ...`` builds every base with these seeds and prints the numbers: what ``BOUNDS`` is
from.
"""

import sys
from pathlib import Path

import rationem
from rationem.engines import models
from rationem.seeds import seed_for
from rationem.types import Finish, Request, Sampling
from rationem.world import BASES, addition, faithful, summaries
from rationem.world import TASK as RATE
from rationem.world import examples as ratings
from rationem.world.bases import find

DRAWN = 64
DIGITS = (2, 3, 5)


def drawn(path, task, examples, longest):
    """What a base model says of examples, forward and with the answer shown: kind -> [(example, parsed, it ended)]."""
    loaded = models.load(str(path), device="cpu")
    engine = rationem.TransformersEngine(loaded, marker=task.marker, batch_size=len(examples))
    said = {}
    for kind in ("forward", "hinted"):
        prompts = [
            task.hint_prompt(x.fields, x.answer) if kind == "hinted" else task.prompt(x.fields) for x in examples
        ]
        sampling = Sampling(max_new_tokens=longest)
        requests = [
            Request(prompt, sampling, seed_for(0, x.id, kind)) for prompt, x in zip(prompts, examples, strict=True)
        ]
        drafts = engine.sample(requests)
        said[kind] = [
            (x, task.parse(one.text), one.finish is Finish.STOP) for x, one in zip(examples, drafts, strict=True)
        ]
    return said


def shares(said, faithful):
    """Of each kind the share with an answer, with the right one, with a true rationale, and with both."""
    found = {}
    for kind, several in said.items():
        answered = [ended and parsed.answer is not None for _, parsed, ended in several]
        right = [parsed.answer == x.answer for x, parsed, _ in several]
        true = [parsed.rationale and faithful(x.fields, parsed.rationale) is True for x, parsed, _ in several]
        both = [one and other for one, other in zip(right, true, strict=True)]
        for name, those in (("answered", answered), ("right", right), ("true", true), ("right and true", both)):
            found[f"{kind}, {name}"] = sum(map(bool, those)) / len(several)
    return found


def judge(path):
    return shares(drawn(path, RATE, ratings(DRAWN, 12345), 48), faithful)


def adder(path):
    found = {}
    for digits in DIGITS:
        several = drawn(path, addition.TASK, addition.examples(DRAWN, (digits,), seed=7), 88)
        found |= {f"{digits} digits, {name}": share for name, share in shares(several, addition.faithful).items()}
    return found


def summarizer(path):
    found = {}
    for task in (summaries.WRITE, summaries.PREFER):
        several = drawn(path, task, summaries.examples(DRAWN, 0, start=2000, task=task.name), 48)
        found |= {f"{task.name}, {name}": share for name, share in shares(several, summaries.faithful).items()}
    return found


MEASURES = {"tiny-judge": judge, "tiny-adder": adder, "tiny-summarizer": summarizer}

KINDS = ("forward", "hinted")
#: (lowest, highest) share for any seed, with room around the spread of docs/log.md. Of 64 draws a share of a half is
#: off by .06, one of .95 by .03 (one standard error).
BOUNDS = {
    "tiny-judge": {
        **{f"{kind}, answered": (0.85, 1) for kind in KINDS},
        **{f"{kind}, true": (0.2, 1) for kind in KINDS},
        "forward, right": (0.1, 0.6),  # it knows no human
        "hinted, right": (0.5, 1),
    },
    "tiny-adder": {
        **{f"{n} digits, {kind}, answered": (0.85, 1) for n in DIGITS for kind in KINDS},
        "2 digits, forward, right": (0.75, 1),
        **{f"{n} digits, forward, right": (0, 0.25) for n in (3, 5)},
        "3 digits, hinted, right and true": (0.3, 1),  # at five digits .00 to .62: no bound
    },
    "tiny-summarizer": {
        **{f"{task}, {kind}, answered": (0.85, 1) for task in ("summarize", "judge") for kind in KINDS},
        # Of comparisons .11 to .94 are true, by the seed: no bound.
        **{f"summarize, {kind}, true": (0.45, 1) for kind in KINDS},
        "summarize, forward, right": (0, 0.25),  # it knows no reader
        "judge, forward, right": (0.25, 0.75),
        "summarize, hinted, right": (0.15, 1),
        "judge, hinted, right": (0.55, 1),
    },
}


def check(name, path):
    found = MEASURES[name](path)
    outside = {share: found[share] for share, (low, high) in BOUNDS[name].items() if not low <= found[share] <= high}
    assert not outside, f"{name}: {outside} of {found}"


if __name__ == "__main__":
    for seed in map(int, sys.argv[2:]):
        for name, base in BASES.items():
            path = find(base, seed=seed, cache=Path(sys.argv[1]))
            print(seed, name, MEASURES[name](path), flush=True)
