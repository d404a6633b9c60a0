"""The pretraining corpus of the base model: random graders, and filler text on many scales.

It has two kinds of text. Both use the same ``JudgeTask`` as the later training, so the formats cannot drift:

- *graded*: questions of the world, judged by a random rubric regardless of topic. The base model learns how to read and
  to reason, but not which rubric the humans use; the later training must find that out.
- *filler*: English words in random order, odd bytes, all lengths, integer and named scales, references, rubrics, pairs.
  It teaches the form only: write findings, then copy a level from the prompt (the hinted one if there is one).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rationem.errors import ConfigError
from rationem.tasks.judge import JudgeTask
from rationem.tasks.rubric import Criterion
from rationem.tasks.scale import Scale
from rationem.tasks.template import packaged
from rationem.types import Fields
from rationem.world.prose import prose
from rationem.world.questions import Features, question, words
from rationem.world.rubrics import HINT, RUBRICS, TASK, rating, rationale

HINTED = 0.65
MISREAD = 0.02
#: Shares of the filler texts: pairs, prompts with a reference answer, and prompts with an instruction.
PAIRED, REFERRED, WORDED = 0.12, 0.25, 0.25

#: Named scales as people write them, worst level first; earlier scales are drawn more often.
NAMED = (
    "Bad < Could be Improved < Acceptable < Excellent",
    "Incorrect < Partially correct < Correct",
    "poor < fair < good",
    "no < yes",
    "Poor < Fair < Good < Very good < Excellent",
    "Strongly disagree < Disagree < Neutral < Agree < Strongly agree",
    "Not helpful < Somewhat helpful < Very helpful",
    "low < medium < high",
    "fail < pass",
    "Irrelevant < Partly relevant < Relevant",
    "Never < Rarely < Sometimes < Often < Always",
    "unsafe < safe",
    "Much worse < Worse < About the same < Better < Much better",
    "Unclear < Mostly clear < Clear",
    "Unacceptable < Needs work < Acceptable < Good < Outstanding",
    "F < D < C < B < A",
    "Very bad < Bad < Okay < Good < Very good < Perfect",
    "false < true",
    "Terrible < Poor < Average < Good < Great",
    "Inaccurate < Mostly accurate < Accurate",
    "Useless < Slightly useful < Useful < Very useful",
    "Completely wrong < Mostly wrong < Mostly right < Completely right",
    "Off topic < Somewhat related < On topic",
    "Harmful < Harmless",
    "negative < neutral < positive",
    "worse < same < better",
    "Dissatisfied < Neutral < Satisfied",
    "Below expectations < Meets expectations < Exceeds expectations",
    "Unsupported < Partially supported < Fully supported",
    "Weak < Adequate < Strong",
)

#: The levels of pairs; earlier ones are drawn more often.
PAIRS = ("A | B", "A | B | tie", "1 | 2", "first | second | same")

#: Integer scales as people write them; others are drawn at random.
RANGES = ("1-5", "0-4", "1-7", "1-10", "1-3", "-3..3", "0-10", "1-4")

_QUALITIES = (("irrelevant", "relevant"), ("unclear", "clear"), ("incomplete", "complete"), ("long", "brief"))


@dataclass(frozen=True, slots=True)
class Answer:
    """One grader's completion, and the hint after the prompt; the hint is empty in a forward prompt."""

    hint: str
    completion: str


@dataclass(frozen=True, slots=True)
class GradedPrompt:
    """A prompt in three pieces, with the answers of several graders; ``read`` is the piece with a loss."""

    opening: str
    read: str
    rest: str
    answers: tuple[Answer, ...]


def graded(rng: np.random.Generator, graders: int) -> GradedPrompt:
    """Draw a question of the world and random graders' judgements of it."""
    asked = question(rng)
    answers = []
    for _ in range(graders):
        rubric, seen = RUBRICS[int(rng.integers(0, len(RUBRICS)))], _misread(rng, asked.features)
        answers.append(_answer(rng, TASK, asked.fields, rationale(asked, rubric, seen), str(rating(seen, rubric))))
    reply = asked.fields["response"]
    return _text(TASK, asked.fields, answers, read=reply.index("=") + len("= 4"))


def filler(rng: np.random.Generator, shortest: int, longest: int, graders: int) -> GradedPrompt:
    """Draw a text of ``shortest`` to ``longest`` words (log-uniform) on any scale."""
    task = _pair(rng) if rng.random() < PAIRED else _rater(rng)
    total = round(float(np.exp(rng.uniform(np.log(shortest), np.log(longest)))))
    asked = min(total // 2, int(rng.integers(2, 20)))
    fields = {"prompt": prose(rng, asked)}
    names = list(task.inputs[1:])
    names += [name for name, share in (("reference", REFERRED), ("context", REFERRED / 2)) if rng.random() < share]
    shares = rng.dirichlet([2.0] * len(names))
    fields |= {
        name: prose(rng, max(1, round((total - asked) * share))) for name, share in zip(names, shares, strict=True)
    }
    fields |= {"criterion": task.criteria[0].name} if task.criteria[0].name else {}
    return _text(task, fields, [_impression(rng, task, fields) for _ in range(graders)])


def _pair(rng: np.random.Generator) -> JudgeTask:
    scale = Scale.parse(PAIRS[int(rng.integers(0, len(PAIRS), 2).min())])
    return JudgeTask(scale, (_criterion(rng, scale),), packaged("pair"), HINT, pair=True)


def _rater(rng: np.random.Generator) -> JudgeTask:
    scale = _scale(rng)
    return JudgeTask(scale, (_criterion(rng, scale),), hint=HINT)


def _criterion(rng: np.random.Generator, scale: Scale) -> Criterion:
    """Draw a criterion: mostly empty, else with a name, an instruction, or the meanings of some levels."""
    if rng.random() >= WORDED:
        return Criterion()
    name, sentence, meant = (bool(held) for held in rng.random(3) < 0.5)
    said = [level for level in scale.levels if meant and rng.random() < 0.7]
    meanings = {level: prose(rng, int(rng.integers(1, 6))) for level in said}
    return Criterion(_level(rng) if name else "", prose(rng, int(rng.integers(2, 10))) if sentence else "", meanings)


def _misread(rng: np.random.Generator, features: Features) -> Features:
    wrong = int(rng.integers(0, len(features))) if rng.random() < MISREAD else -1
    a, b, c, d = (held != (place == wrong) for place, held in enumerate(features))
    return a, b, c, d


def _impression(rng: np.random.Generator, task: JudgeTask, fields: Fields) -> Answer:
    """Draw a level, and findings that fit it (better for higher levels) without reading the text."""
    rank = int(rng.integers(0, len(task.levels)))
    good = rng.random(len(_QUALITIES)) < (rank + 0.5) / len(task.levels)
    said = [pair[int(held)] for pair, held in zip(_QUALITIES, good, strict=True)]
    return _answer(rng, task, fields, " ".join(said[int(rng.integers(0, 2)) :]), task.levels[rank])


def _answer(rng: np.random.Generator, task: JudgeTask, fields: Fields, reason: str, level: str) -> Answer:
    hint = task.hint_prompt(fields, level).text.removeprefix(task.prompt(fields).text)
    return Answer(hint if rng.random() < HINTED else "", task.format(reason, level))


def _text(task: JudgeTask, fields: Fields, answers: Sequence[Answer], read: int = 0) -> GradedPrompt:
    """Split the prompt around the first ``read`` characters of the response, at token boundaries."""
    prompt = task.prompt(fields).text
    response = fields[task.inputs[-1]]
    start = prompt.rindex(response) - 1  # the space belongs to the word after it
    stop = start + read + (read > 0)
    return GradedPrompt(prompt[:start], prompt[start:stop], prompt[stop:], tuple(answers))


def _scale(rng: np.random.Generator) -> Scale:
    kind = rng.random()
    if kind < 0.15:
        return Scale.parse(RANGES[int(rng.integers(0, len(RANGES)))])
    if kind < 0.25:
        low = int(rng.integers(-3, 3))
        return Scale.parse(f"{low}..{low + int(rng.integers(1, 11))}")
    if kind < 0.75:
        return Scale.parse(NAMED[int(rng.integers(0, len(NAMED), 2).min())])
    try:
        return Scale(tuple(_level(rng) for _ in range(int(rng.integers(2, 7)))))
    except ConfigError:  # the same level twice: draw again
        return _scale(rng)


def _level(rng: np.random.Generator) -> str:
    """Draw a level of one word, sometimes two; mostly common words, which are single tokens."""
    size = 1 + int(rng.random() < 0.1)
    phrase = " ".join(words()[int(i)] for i in rng.integers(0, 600, size))
    return phrase.capitalize() if rng.random() < 0.3 else phrase
