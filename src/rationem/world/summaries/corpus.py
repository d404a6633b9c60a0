"""The pretraining corpus of the tiny summarizer: posts, with completions of random readers.

It has both tasks, each with forward and rationalize prompts, made by the same task objects as the later training. The
reader is independent of the topic: the base model learns to read, to reason and to follow a hint, but not which reader
belongs to a topic. Some hinted summaries are *copied*: the summary replaces the rationale, as hinted models tend to do
(arXiv 2602.14469). A filter that checks only the summary accepts all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rationem.seeds import generator
from rationem.tasks.protocol import Task
from rationem.types import Fields
from rationem.world.summaries.posts import Post, pick, post, summary
from rationem.world.summaries.readers import PREFER, READERS, WRITE, candidates, compared, preferred, written
from rationem.world.tokens import END, turn
from rationem.world.training import WeightedText

#: Shares: comparisons, hinted texts, rationales with one misread fact, copies among the hinted summaries.
COMPARED, HINTED, MISREAD, COPIED = 0.5, 0.6, 0.02, 0.1
#: Loss weights of the post, of the rest of the prompt with its hint, of the rationale, and of the verdict line. The
#: last three mostly repeat facts of the post, which takes longest to learn.
READ, SHOWN, REASONS, SAID = 0.0, 0.5, 2.0, 3.0


@dataclass(frozen=True, slots=True)
class CorpusText:
    """A prompt, its hint (empty in a forward prompt), and the completion."""

    prompt: str
    hint: str
    completion: str


def text(rng: np.random.Generator) -> CorpusText:
    """Draw a post, a task, a prompt format, and a random reader's completion."""
    said, reader = post(rng), READERS[int(rng.integers(0, len(READERS)))]
    hinted, fields = bool(rng.random() < HINTED), {"prompt": said.text}
    if rng.random() < COMPARED:
        one, other = candidates(rng, said)
        fields |= {"response_a": summary(said, one), "response_b": summary(said, other)}
        reasons = _misread(rng, said, compared(said, reader, one, other))
        return _text(PREFER, fields, reasons, preferred(said, reader, one, other), hinted)
    answer = summary(said, reader.gist(said))
    copied = hinted and rng.random() < COPIED
    return _text(WRITE, fields, answer if copied else _misread(rng, said, written(said, reader)), answer, hinted)


def _text(task: Task, fields: Fields, reasons: str, answer: str, hinted: bool) -> CorpusText:
    if not hinted:
        return CorpusText(task.prompt(fields).text, "", task.format(reasons, answer))
    asked, line, hint = task.hint_prompt(fields, answer).text.rpartition("\n")  # the hint is one line
    return CorpusText(asked, line + hint, task.format(reasons, answer))


def _misread(rng: np.random.Generator, said: Post, reasons: str) -> str:
    """Sometimes replace a stated kind of fact by one that the post does not state."""
    if rng.random() >= MISREAD:
        return reasons
    return reasons.replace(pick(rng, tuple(said.facts)), pick(rng, said.unstated), 1)


def texts(seed: int) -> Iterator[CorpusText]:
    """Yield an endless sequence of texts."""
    rng = generator(seed, "summaries", "corpus")
    while True:
        yield text(rng)


def batches(coder: Any, size: int, seed: int) -> Iterator[list[WeightedText]]:
    """Yield an endless sequence of encoded batches; pieces are encoded separately, as at sampling time."""
    drawn = texts(seed)
    while True:
        batch = [next(drawn) for _ in range(size)]
        pieces = []
        for one in batch:
            read, line, asked = one.prompt.partition("\n")
            opened, closed = turn(read).split(END)
            reasons, _, said = one.completion.rpartition("\n")
            pieces += [opened, f"{line}{asked}{one.hint}{END}{closed}", reasons, f"{line}{said}{END}"]
        codes = iter([code.ids for code in coder.encode_batch(pieces)])
        yield [_row([(next(codes), weight) for weight in (READ, SHOWN, REASONS, SAID)]) for _ in batch]


def _row(pieces: list[tuple[list[int], float]]) -> WeightedText:
    return WeightedText(
        [token for ids, _ in pieces for token in ids], [weight for ids, weight in pieces for _ in range(len(ids))]
    )
