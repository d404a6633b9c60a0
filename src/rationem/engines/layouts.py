"""Ways to compute rows together. In each, a row's result equals the model's result for that row alone.

    padded     prompts of different lengths, padded on the left and masked: for attention
    gapless    the same, with nothing masked inside a row: for sliding windows or distance biases
    even       prompts of equal length without padding, their states joined for the steps: for recurrent layers, whose
               state padding would change
    again      no state: whole rows, padded on the right, at every step: for any causal model

``layout_choice`` finds the first that is correct for a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Protocol, TypeVar

import torch

from rationem.engines.cache import Read, assembled, can_join, is_plain, rows_of, with_room
from rationem.engines.forward import Forward, log_probs, positions
from rationem.engines.steps import Again, Carried, Steps

Ids = tuple[int, ...]
_Item = TypeVar("_Item")

#: The ways' names.
PADDED, GAPLESS, EVEN, AGAIN = "padded", "gapless", "even", "again"

#: Padding tokens that cost about as much as one more forward pass: the limit for reading prompts together.
_PADDING = {"cpu": 256, "cuda": 8192}

#: The shortest common beginning of several prompts that is read once for all of them, in tokens.
_SHARED = 32

#: Tokens between two copies of a growing cache.
_ROOM = 64


class Way(Protocol):
    """A way to compute rows together."""

    @property
    def name(self) -> str:
        """The way's name, one of the module's constants."""

    def steps(self, prompts: Sequence[Ids], length: int) -> Steps:
        """Read all tokens of every prompt except the last; return the steps that continue from there."""

    def tokens(self, rows: Sequence[tuple[Ids, Ids]], batch: int, budget: int) -> list[tuple[float, ...]]:
        """Return log pi(token_t | prompt, token_<t) of each (prompt, completion).

        Args:
            batch: most rows computed together.
            budget: most logits in memory at once (at least one row or position).
        """

    def tails(self, rows: Sequence[tuple[Ids, Ids]], tails: Sequence[Sequence[Ids]]) -> list[tuple[float, ...]]:
        """Return log pi(tail | prompt, rationale) for every tail of each (prompt, rationale), equally many for all."""


class Padded:
    """Padding on the left, masked; each distinct prompt is read once.

    Args:
        gaps: allow masked columns between a prompt and its continuation, so that rationales of different lengths can be
            read together after their prompts. Layers that count columns (windows, distance biases) do not allow this;
            without it prompt and rationale are read as one.
    """

    def __init__(self, forward: Forward, *, gaps: bool) -> None:
        self._forward, self._gaps, self._again = forward, gaps, Reread(forward)
        self.name = PADDED if gaps else GAPLESS

    def steps(self, prompts: Sequence[Ids], length: int) -> Steps:
        """See ``Way``."""
        if self._unread(prompts):
            return self._again.steps(prompts, length)
        return Carried(self._forward, self.prefill(prompts, _ROOM), length)

    def _unread(self, prompts: Sequence[Ids]) -> bool:
        """Say whether a prompt of one token leaves nothing to read before the steps."""
        return max(map(len, prompts)) < 2

    def prefill(self, prompts: Sequence[Ids], room: int = 0) -> Read:
        """Read all tokens of every prompt except the last, each distinct prompt once; one row per given prompt.

        Only prompts of similar length are padded and read together, because padding costs as much as text. A long
        beginning that all of them share (a system text, demonstrations) is read once.
        """
        distinct = sorted(dict.fromkeys(prompts), key=len)
        pieces = list(self._pieces(distinct))
        if count := self._shared(distinct):
            begun = self._first_read([distinct[0][: count + 1]])
            if is_plain(begun):
                return self._continued(begun, count, pieces, prompts, room)
        read = [self._first_read(pieces[0])]
        place = {prompt: n for n, prompt in enumerate(distinct)}
        rows = torch.tensor([place[prompt] for prompt in prompts], device=self._forward.device)
        if can_join(read[0].cache):
            return assembled([*read, *(self._first_read(piece) for piece in pieces[1:])], rows, room)
        whole = read[0] if len(pieces) == 1 else self._first_read(distinct)
        return with_room(rows_of(whole, rows), room) if room else rows_of(whole, rows)

    def _shared(self, distinct: Sequence[Ids]) -> int:
        """Return the number of first tokens to read once; 0 if sharing them would not pay, or gaps are not allowed."""
        count = min(beginning(distinct), min(map(len, distinct)) - 2)  # something is left to read for every prompt
        pays = count >= _SHARED and count * (len(distinct) - 1) > self._padding
        return count if self._gaps and pays else 0

    def _continued(
        self, begun: Read, count: int, pieces: Sequence[Sequence[Ids]], prompts: Sequence[Ids], room: int
    ) -> Read:
        """Return what all prompts have read, each piece from a copy of the state behind its first ``count`` tokens."""
        read = []
        for piece in pieces:
            ids, mask = self._forward.left_padded([prompt[count:-1] for prompt in piece])
            copies = rows_of(begun, torch.zeros(len(piece), dtype=torch.long, device=ids.device))
            read.append(self._read_on(copies, ids, mask)[0])
        place = {prompt: n for n, prompt in enumerate(prompt for piece in pieces for prompt in piece)}
        rows = torch.tensor([place[prompt] for prompt in prompts], device=self._forward.device)
        return assembled(read, rows, room)

    @property
    def _padding(self) -> int:
        return _PADDING.get(self._forward.device.type, _PADDING["cuda"])

    def _pieces(self, distinct: Sequence[Ids]) -> Iterator[Sequence[Ids]]:
        return alike(distinct, self._padding)

    def _first_read(self, prompts: Sequence[Ids]) -> Read:
        ids, mask = self._forward.left_padded(prompts)
        ids, mask = ids[:, :-1], mask[:, :-1]
        return Read(self._forward(ids, mask=mask, position=positions(mask), keep=1)[1], mask)

    def tokens(self, rows: Sequence[tuple[Ids, Ids]], batch: int, budget: int) -> list[tuple[float, ...]]:
        """See ``Way``; in batches of similar length, each distinct prompt read once."""
        if self._unread([prompt for prompt, _ in rows]):
            return self._again.tokens(rows, batch, budget)
        scores: list[tuple[float, ...]] = [()] * len(rows)
        distinct = list(dict.fromkeys(prompt for prompt, _ in rows))
        read, place = self.prefill(distinct), {prompt: i for i, prompt in enumerate(distinct)}
        for part in cut(sorted(range(len(rows)), key=lambda n: len(rows[n][1])), batch):
            chosen = rows_of(read, torch.tensor([place[rows[n][0]] for n in part], device=read.mask.device))
            found = self._completions(chosen, [rows[n] for n in part], budget)
            for n, logps in zip(part, found, strict=True):
                scores[n] = tuple(logps[: len(rows[n][1])])
        return scores

    def _completions(self, read: Read, rows: Sequence[tuple[Ids, Ids]], budget: int) -> list[list[float]]:
        """Return log pi(token | read, tokens before it), padded to the longest, computed in pieces."""
        # Padded on the right: no gap between prompt and completion, so sliding windows are correct.
        targets = self._forward.right_padded([completion for _, completion in rows])
        last = torch.tensor([prompt[-1] for prompt, _ in rows], device=targets.device)
        inputs, width = torch.cat([last.unsqueeze(1), targets[:, :-1]], dim=1), targets.shape[1]
        lengths = torch.tensor([len(completion) for _, completion in rows], device=targets.device)
        mask = torch.arange(width, device=targets.device) < lengths.unsqueeze(1)
        piece = max(1, budget // (len(rows) * self._forward.vocabulary))
        pieces = []
        for start in range(0, width, piece):
            part = slice(start, start + piece)
            read, logits = self._read_on(read, inputs[:, part], mask[:, part], keep=min(piece, width - start))
            pieces.append(log_probs(logits, targets[:, part]))
        scored: list[list[float]] = torch.cat(pieces, dim=1).tolist()
        return scored

    def tails(self, rows: Sequence[tuple[Ids, Ids]], tails: Sequence[Sequence[Ids]]) -> list[tuple[float, ...]]:
        """See ``Way``; reads each prompt once for all its rationales, and each rationale once for all its tails."""
        if not self._gaps or self._unread([prompt for prompt, _ in rows]):
            return by_steps(self._forward, self, rows, tails)
        read = self.prefill([prompt for prompt, _ in rows])
        rest = [(prompt[-1], *rationale) for prompt, rationale in rows]
        read, logits = self._read_on(read, *self._forward.left_padded(rest))
        levels = len(tails[0])
        flat = [tail for row in tails for tail in row]
        targets = self._forward.right_padded(flat)
        lengths = torch.tensor([len(tail) for tail in flat], device=targets.device)
        real = torch.arange(targets.shape[1], device=targets.device) < lengths.unsqueeze(1)
        scores = self._behind(read, logits, targets, real, levels)
        return [tuple(row) for row in scores.view(len(rows), levels).tolist()]

    def _behind(
        self, read: Read, logits: torch.Tensor, targets: torch.Tensor, real: torch.Tensor, levels: int
    ) -> torch.Tensor:
        """Return sum_t log pi(target_t | read, target_<t) over the real targets, shape (rows * levels,)."""
        logits, width = logits.repeat_interleave(levels, dim=0), targets.shape[1]
        if width > 1:
            read.cache.batch_repeat_interleave(levels)
            repeated = Read(read.cache, read.mask.repeat_interleave(levels, dim=0))
            _, further = self._read_on(repeated, targets[:, :-1], real[:, :-1], keep=width - 1)
            logits = torch.cat([logits, further], dim=1)
        return (log_probs(logits, targets).double() * real).sum(dim=1)

    def _read_on(self, read: Read, ids: torch.Tensor, mask: torch.Tensor, keep: int = 1) -> tuple[Read, torch.Tensor]:
        """Read further tokens; return the new state and the logits of the last ``keep`` tokens."""
        whole = torch.cat([read.mask, mask.to(read.mask.dtype)], dim=1)
        position = positions(whole)[:, read.mask.shape[1] :]
        logits, cache = self._forward(ids, mask=whole, position=position, cache=read.cache, keep=keep)
        return Read(cache, whole), logits


class Even(Padded):
    """No padding of prompts: those of equal length are read together, and their states joined for the steps."""

    def __init__(self, forward: Forward) -> None:
        super().__init__(forward, gaps=False)
        self.name = EVEN

    def _unread(self, prompts: Sequence[Ids]) -> bool:
        return min(map(len, prompts)) < 2

    def _pieces(self, distinct: Sequence[Ids]) -> Iterator[Sequence[Ids]]:
        return (list(group) for _, group in groupby(distinct, key=len))

    def tokens(self, rows: Sequence[tuple[Ids, Ids]], batch: int, budget: int) -> list[tuple[float, ...]]:
        """See ``Way``; reads whole rows, because many families cannot read several tokens from a state."""
        return self._again.tokens(rows, batch, budget)


class Reread:
    """No state: every step reads whole rows."""

    name = AGAIN

    def __init__(self, forward: Forward) -> None:
        self._forward = forward

    def steps(self, prompts: Sequence[Ids], length: int) -> Steps:
        """See ``Way``."""
        return Again(self._forward, [prompt[:-1] for prompt in prompts])

    def tokens(self, rows: Sequence[tuple[Ids, Ids]], batch: int, budget: int) -> list[tuple[float, ...]]:
        """See ``Way``; reads rows of similar length together, as many as the logits budget allows."""
        scores: list[tuple[float, ...]] = [()] * len(rows)
        order = sorted(range(len(rows)), key=lambda n: len(rows[n][0]) + len(rows[n][1]))
        while order:
            count = self._count([rows[n] for n in order[:batch]], budget)
            part, order = order[:count], order[count:]
            for n, logps in zip(part, self._whole([rows[n] for n in part]), strict=True):
                scores[n] = logps
        return scores

    def _count(self, rows: Sequence[tuple[Ids, Ids]], budget: int) -> int:
        """Return how many of the first rows fit into the budget together."""
        count = len(rows)
        while count > 1 and count * self._kept(rows[:count]) * self._forward.vocabulary > budget:
            count //= 2
        return count

    @staticmethod
    def _kept(rows: Sequence[tuple[Ids, Ids]]) -> int:
        """Return the number of last columns that contain all requested logits."""
        return max(len(prompt) + len(rest) for prompt, rest in rows) - min(len(prompt) for prompt, _ in rows) + 1

    def _whole(self, rows: Sequence[tuple[Ids, Ids]]) -> list[tuple[float, ...]]:
        keep = self._kept(rows)
        whole = [(*prompt, *completion) for prompt, completion in rows]
        ids = self._forward.right_padded(whole)
        logits = self._forward.alone(whole, keep)
        found = log_probs(logits[:, :-1], ids[:, ids.shape[1] - keep + 1 :]).tolist()
        begins = [len(prompt) - (ids.shape[1] - keep + 1) for prompt, _ in rows]
        return [tuple(f[b : b + len(rest)]) for f, b, (_, rest) in zip(found, begins, rows, strict=True)]

    def tails(self, rows: Sequence[tuple[Ids, Ids]], tails: Sequence[Sequence[Ids]]) -> list[tuple[float, ...]]:
        """See ``Way``."""
        return by_steps(self._forward, self, rows, tails)


def by_steps(
    forward: Forward, way: Way, rows: Sequence[tuple[Ids, Ids]], tails: Sequence[Sequence[Ids]]
) -> list[tuple[float, ...]]:
    """Score tails token by token after prompt and rationale read as one; see ``Way.tails``."""
    levels, width = len(tails[0]), max(len(tail) for row in tails for tail in row)
    prefixes = [(*prompt, *rationale) for prompt, rationale in rows]
    steps = way.steps(prefixes, width)
    last = torch.tensor([prefix[-1] for prefix in prefixes], device=forward.device)
    logits, total = steps.step(last), torch.zeros(len(rows) * levels, dtype=torch.float64)
    flat = [tail for row in tails for tail in row]
    repeated = [row for row in range(len(rows)) for _ in range(levels)]
    logits = logits[torch.tensor(repeated, device=logits.device)]
    for t in range(width):
        tokens = torch.tensor([tail[t] if t < len(tail) else tail[-1] for tail in flat], device=logits.device)
        real = torch.tensor([t < len(tail) for tail in flat])
        found = log_probs(logits.unsqueeze(1), tokens[:, None]).squeeze(1)
        total += found.double().cpu() * real
        if t + 1 < width:
            if t == 0:
                steps.keep(repeated)
            logits = steps.step(tokens)
    return [tuple(row) for row in total.view(len(rows), levels).tolist()]


def beginning(prompts: Sequence[Ids]) -> int:
    """Return the number of first tokens that all prompts share; 0 for a single prompt.

    >>> beginning([(1, 2, 3), (1, 2, 4, 5), (1, 2)])
    2
    """
    if len(prompts) < 2:
        return 0
    least, most = min(prompts), max(prompts)  # all others lie between these two
    return next((n for n, (a, b) in enumerate(zip(least, most, strict=False)) if a != b), min(len(least), len(most)))


def alike(prompts: Sequence[Ids], padding: int) -> Iterator[Sequence[Ids]]:
    """Yield parts of prompts sorted by length, such that each needs at most ``padding`` tokens of padding."""
    start, total = 0, 0
    for n, prompt in enumerate(prompts):
        total += len(prompt)
        # A prompt of one token has nothing to read: it stays with the next ones.
        if n > start and len(prompts[n - 1]) > 1 and (n + 1 - start) * len(prompt) - total > padding:
            yield prompts[start:n]
            start, total = n, len(prompt)
    yield prompts[start:]


def cut(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Yield the items in parts of ``size``."""
    return (items[start : start + size] for start in range(0, len(items), size))
