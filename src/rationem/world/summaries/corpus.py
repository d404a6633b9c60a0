"""What the tiny summarizer reads before anybody teaches it: posts, with what random readers say of them.

Both tasks, each in both formats, forward and hinted, made by the very tasks that will ask later. The reader has nothing
to do with the topic: the base model learns to read, to reason and to follow a hint, but not who reads what. Of the
hinted summaries some are *copied*: the summary stands in the place of the reasons, as models do that were shown the
answer (arXiv 2602.14469). A filter that looks at the summary alone accepts all of them.
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

#: Shares: of comparisons, of hinted texts, of rationales with one fact misread, of copies among the hinted summaries.
COMPARED, HINTED, MISREAD, COPIED = 0.5, 0.6, 0.02, 0.1
#: Weights of the loss on a post, on the rest of the prompt with its hint, on reasons, and on the verdict's line. What
#: is shown and what is said are mostly facts of the post told again: that takes longest to learn.
READ, SHOWN, REASONS, SAID = 0.0, 0.5, 2.0, 3.0


@dataclass(frozen=True, slots=True)
class CorpusText:
    """A prompt, the hint behind it (empty in forward format), and the completion."""

    prompt: str
    hint: str
    completion: str


def text(rng: np.random.Generator) -> CorpusText:
    """Draw a post, a task and a format, and what a random reader says."""
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
    """Now and then put a kind that the post does not state in the place of one that it does."""
    if rng.random() >= MISREAD:
        return reasons
    return reasons.replace(pick(rng, tuple(said.facts)), pick(rng, said.unstated), 1)


def texts(seed: int) -> Iterator[CorpusText]:
    """Yield texts without end."""
    rng = generator(seed, "summaries", "corpus")
    while True:
        yield text(rng)


def batches(coder: Any, size: int, seed: int) -> Iterator[list[WeightedText]]:
    """Yield batches of encoded texts without end; every piece is encoded as it is when the model is asked."""
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
