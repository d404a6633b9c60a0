"""The default engine: any transformers causal model on CPU or GPU, exact token ids, one stream of noise per request.

Sampling is by the inverse of the distribution function: token t of a request takes uniform number t of the request's
own seed, so neither the other rows of a batch nor their order can change a row (up to rounding of the logits
themselves, which depends on the shape of the batch in the last bits). Nothing of a model's own generation settings is
consulted: the model's forward is called, never its ``generate``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch.nn.functional import pad
from transformers import TopKLogitsWarper, TopPLogitsWarper

from rationem.chat import Chat
from rationem.engines.cache import Ahead, Read, assembled, closed_up, is_plain, keep, rows_of, with_room
from rationem.engines.completion import Reader
from rationem.engines.memory import Fitting
from rationem.errors import ModelError
from rationem.evidence import Enumeration
from rationem.models import Loaded, pad_id
from rationem.seeds import uniforms
from rationem.types import Draft, Finish, LevelQuery, Prompt, Request, TokenQuery

#: Logits that scoring holds at once, as a count of numbers: 256 MiB of them in single precision.
LOGITS_AT_ONCE = 2**26

#: Ended rows leave the batch when no more than this share still grows, where leaving costs more than a row's move.
_STILL_GROWING = 0.75

#: Padding that costs about as much as one more forward: prompts are read together while they need no more of it.
_PADDING = {"cpu": 256, "cuda": 8192}

#: Neighbouring tokens whose probabilities are summed in single precision before the sums are added in double.
_BLOCK = 128

#: Tokens between two copies of a growing cache.
_ROOM = 64

_Item = TypeVar("_Item")


@dataclass(slots=True)
class _Row:
    """One completion while it grows."""

    ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    finish: Finish = Finish.LENGTH


class TransformersEngine:
    """Generates with a loaded model; scores levels by teacher forcing on the stored ids.

    Args:
        loaded: the model, its tokenizer and its stop tokens.
        marker: the text that opens the verdict line; generation stops behind that line.
        batch_size: rows generated together; part of what makes a resumed run bitwise equal.
        logits_at_once: rows x positions x vocabulary of a pass of ``score_tokens`` stays below this count of numbers
            (one position of a batch at the least).
    """

    honours_seeds = True

    def __init__(
        self, loaded: Loaded, *, marker: str, batch_size: int = 64, logits_at_once: int = LOGITS_AT_ONCE
    ) -> None:
        self._model = loaded.model.eval()
        self._chat = Chat(loaded.tokenizer)
        self._reader = Reader(self._chat, marker, loaded.stop_ids)
        self._stop_ids = self._reader.stop_ids
        self._pad = pad_id(loaded.tokenizer, self._chat.end_of_turn)
        self._marker = marker
        self._logits_at_once = logits_at_once
        self.batch_size = batch_size
        self._drawing = Fitting("drawing completions", batch_size)
        self._levels = Fitting("scoring levels", batch_size)
        self._tokens = Fitting("scoring tokens", batch_size)

    def prompt_tokens(self, prompt: Prompt) -> int:
        """Return the length of the prompt as the model sees it, template included."""
        return len(self._chat.encode(prompt))

    def encode_completion(self, text: str) -> tuple[int, ...]:
        """Return the ids of a given completion, end-of-turn token included."""
        return self._chat.encode_completion(text)

    @torch.inference_mode()
    def sample(self, requests: Sequence[Request]) -> list[Draft]:
        """Draw one completion per request. All requests of a call share their ``Sampling``, the seed is their own."""
        return self._drawing(requests, self.sample_at_once)

    @torch.inference_mode()
    def sample_at_once(self, requests: Sequence[Request]) -> list[Draft]:
        """Draw as ``sample`` does, all rows together; raises what PyTorch raises where they do not fit into memory."""
        prompts = [self._chat.encode(request.prompt) for request in requests]
        last = torch.tensor([prompt[-1] for prompt in prompts], device=self._model.device)
        rows = self._decode(self._prefill(prompts, _ROOM), last, _InverseCdf(requests, self._model.device))
        return [
            self._reader.draft(row.ids, row.finish, len(prompt), row.logps)
            for row, prompt in zip(rows, prompts, strict=True)
        ]

    @torch.inference_mode()
    def score_levels(self, queries: Sequence[LevelQuery]) -> list[tuple[float, ...]]:
        """Return log pi(level, end of turn | x, z) for every level.

        Each prompt is read once for all its drafts, and each draft once for all its levels.
        """
        return self._levels(queries, self._level_scores)

    def _level_scores(self, queries: Sequence[LevelQuery]) -> list[tuple[float, ...]]:
        prompts = [self._chat.encode(query.prompt) for query in queries]
        rationales, tails = zip(*(self._reader.rationale_and_tails(query) for query in queries), strict=True)
        read = self._prefill(prompts)
        rest = [(prompt[-1], *rationale) for prompt, rationale in zip(prompts, rationales, strict=True)]
        read, logits = self._read_on(read, *self._left_padded(rest))
        levels, width = len(tails[0]), max(len(tail) for row in tails for tail in row)
        targets = torch.tensor([tail + (self._pad,) * (width - len(tail)) for row in tails for tail in row])
        real = torch.tensor([[t < len(tail) for t in range(width)] for row in tails for tail in row])
        log_probs = self._tails(read, logits, targets.to(logits.device), real.to(logits.device), levels)
        return [tuple(row) for row in log_probs.view(len(queries), levels).tolist()]

    @torch.inference_mode()
    def score_tokens(self, queries: Sequence[TokenQuery]) -> list[tuple[float, ...]]:
        """Return log pi(token_t | prompt, token_<t) of every stored token, in nats at temperature 1.

        Each distinct prompt is read once. The completions are read in batches of like length and in pieces of
        positions, so that never more than ``logits_at_once`` logits are held, normalised in single precision.
        """
        scores: list[tuple[float, ...]] = [()] * len(queries)
        prompts = [self._chat.encode(query.prompt) for query in queries]
        asked = [n for n, query in enumerate(queries) if query.draft.token_ids]
        distinct = sorted({prompts[n] for n in asked}, key=lambda prompt: (len(prompt), prompt))
        for group in _cut(distinct, self.batch_size):
            place = {prompt: i for i, prompt in enumerate(group)}
            members = sorted((n for n in asked if prompts[n] in place), key=lambda n: place[prompts[n]])
            rows = [(prompts[n], queries[n].draft.token_ids) for n in members]
            for n, logps in zip(members, self._tokens(rows, self._token_scores), strict=True):
                scores[n] = logps
        return scores

    def _token_scores(self, rows: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> list[tuple[float, ...]]:
        """Score completions, each with its prompt, in batches of like length; each distinct prompt is read once."""
        scores: list[tuple[float, ...]] = [()] * len(rows)
        distinct = list(dict.fromkeys(prompt for prompt, _ in rows))
        read, place = self._prefill(distinct), {prompt: i for i, prompt in enumerate(distinct)}
        for batch in _cut(sorted(range(len(rows)), key=lambda n: len(rows[n][1])), self.batch_size):
            chosen = rows_of(read, torch.tensor([place[rows[n][0]] for n in batch], device=read.mask.device))
            found = self._completions(chosen, [rows[n][0][-1] for n in batch], [rows[n][1] for n in batch])
            for n, logps in zip(batch, found, strict=True):
                scores[n] = tuple(logps[: len(rows[n][1])])
        return scores

    def tokens_within(self, draft: Draft, characters: int) -> int:
        """Return how many of the draft's tokens end within the first so many characters of its text."""
        return self._reader.tokens_within(draft, characters)

    def enumerate(
        self, prompts: Sequence[Prompt], continuations: Sequence[str], *, threshold: float, max_new_tokens: int
    ) -> list[Enumeration]:
        """Return every rationale whose prefixes are all more probable than ``threshold``, per prompt."""
        from rationem.engines.enumeration import enumerate_rationales

        return enumerate_rationales(
            Loaded(self._model, self._chat.tokenizer, frozenset(self._stop_ids)),
            prompts,
            continuations,
            marker=self._marker,
            threshold=threshold,
            max_new_tokens=max_new_tokens,
        )

    def close(self) -> None:
        """Let go of the weights."""
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _prefill(self, prompts: Sequence[tuple[int, ...]], room: int = 0) -> Read:
        """Read all tokens but the last of every prompt, each distinct prompt once, one row per given prompt.

        Prompts of like length are read together and padded to the longest only then: padding costs as much as text.
        """
        distinct = sorted(dict.fromkeys(prompts), key=len)
        pieces = list(_alike(distinct, _PADDING.get(self._model.device.type, _PADDING["cuda"])))
        read = [self._first_read(pieces[0])]
        place = {prompt: n for n, prompt in enumerate(distinct)}
        rows = torch.tensor([place[prompt] for prompt in prompts], device=self._model.device)
        if is_plain(read[0]):
            return assembled([*read, *(self._first_read(piece) for piece in pieces[1:])], rows, room)
        whole = read[0] if len(pieces) == 1 else self._first_read(distinct)
        return with_room(rows_of(whole, rows), room) if room else rows_of(whole, rows)

    def _first_read(self, prompts: Sequence[tuple[int, ...]]) -> Read:
        ids, mask = self._left_padded(prompts)
        ids, mask = ids[:, :-1], mask[:, :-1]
        output = self._model(
            input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=True, logits_to_keep=1
        )
        return Read(output.past_key_values, mask)

    def _decode(self, read: Read, tokens: torch.Tensor, draw: _InverseCdf) -> list[_Row]:
        """Grow every row, token by token, until its turn or its verdict line ends or the length is reached."""
        rows = [_Row() for _ in tokens]
        # Where the cache can close up in place, an ended row leaves at once. A GPU's step hardly costs less without it.
        share = 1.0 if is_plain(read) and tokens.device.type == "cpu" else _STILL_GROWING
        config = self._model.config
        # Models with alibi build their biases from the mask of columns, and cannot take one that is made for them.
        made = config._attn_implementation == "sdpa" and not getattr(config, "alibi", False)
        plain = is_plain(read) and made
        ahead = Ahead(read, draw.length, self._model.dtype if plain else None)
        held, growing = list(range(len(rows))), set(range(len(rows)))
        for step in range(draw.length):
            mask, position = ahead.at(step)
            logits = self._model(
                input_ids=tokens.unsqueeze(1),
                attention_mask=mask,
                position_ids=position,
                past_key_values=read.cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits
            tokens, logps = draw(logits[:, -1], held, step)
            # One transfer for both: exact, for token ids are far below 2^53.
            for n, token, logp in zip(held, *torch.stack([tokens.double(), logps.double()]).tolist(), strict=True):
                if n in growing and self._ends(rows[n], int(token), logp):
                    growing.remove(n)
            if not growing:
                break
            if len(growing) < len(held) and len(growing) <= share * len(held):
                stay = closed_up([n in growing for n in held])
                chosen = torch.tensor(stay, device=tokens.device)
                keep(read.cache, stay, chosen)
                ahead.keep(chosen)
                tokens, held = tokens[chosen], [held[i] for i in stay]
        return rows

    def _ends(self, row: _Row, token: int, logp: float) -> bool:
        """Add a token to a row; tell whether the row ends with it."""
        if not math.isfinite(logp):
            raise ModelError(
                "The model's logits are not finite numbers, so that no token can be drawn from them. Its weights are "
                "broken, or too large for half precision: try another checkpoint, or a CPU."
            )
        row.ids.append(token)
        row.logps.append(logp)
        if self._reader.ends(row.ids):
            row.finish = Finish.STOP
        return row.finish is Finish.STOP

    def _read_on(self, read: Read, ids: torch.Tensor, mask: torch.Tensor, keep: int = 1) -> tuple[Read, torch.Tensor]:
        """Read further tokens behind what was read; return the logits of the last ``keep`` of them."""
        whole = torch.cat([read.mask, mask.to(read.mask.dtype)], dim=1)
        output = self._model(
            input_ids=ids,
            attention_mask=whole,
            position_ids=positions(whole)[:, read.mask.shape[1] :],
            past_key_values=read.cache,
            use_cache=True,
            logits_to_keep=keep,
        )
        return Read(output.past_key_values, whole), output.logits

    def _completions(
        self, read: Read, last: Sequence[int], completions: Sequence[tuple[int, ...]]
    ) -> list[list[float]]:
        """Return log pi(token | read, tokens before it), padded to the longest, piece by piece through the cache."""
        width = max(len(ids) for ids in completions)
        # Padded on the right: no gap opens between prompt and completion, so sliding windows see what they should.
        rows = [[*ids, *[self._pad] * (width - len(ids))] for ids in completions]
        targets = torch.tensor(rows, device=self._model.device)
        inputs = torch.cat([torch.tensor(last, device=self._model.device).unsqueeze(1), targets[:, :-1]], dim=1)
        lengths = torch.tensor([len(ids) for ids in completions], device=self._model.device)
        mask = torch.arange(width, device=self._model.device) < lengths.unsqueeze(1)
        vocabulary = self._model.config.get_text_config().vocab_size
        piece = max(1, self._logits_at_once // (len(rows) * vocabulary))
        pieces = []
        for start in range(0, width, piece):
            part = slice(start, start + piece)
            read, logits = self._read_on(read, inputs[:, part], mask[:, part], keep=min(piece, width - start))
            pieces.append(_log_probs(logits, targets[:, part]))
        scored: list[list[float]] = torch.cat(pieces, dim=1).tolist()
        return scored

    def _tails(
        self, read: Read, logits: torch.Tensor, targets: torch.Tensor, real: torch.Tensor, levels: int
    ) -> torch.Tensor:
        """Return sum_t log pi(target_t | read, target_<t) over the real targets, shape (rows * levels,)."""
        logits, width = logits.repeat_interleave(levels, dim=0), targets.shape[1]
        if width > 1:
            read.cache.batch_repeat_interleave(levels)
            repeated = Read(read.cache, read.mask.repeat_interleave(levels, dim=0))
            _, further = self._read_on(repeated, targets[:, :-1], real[:, :-1], keep=width - 1)
            logits = torch.cat([logits, further], dim=1)
        return (_log_probs(logits, targets).double() * real).sum(dim=1)

    def _left_padded(self, rows: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
        width = max(len(row) for row in rows)
        ids = torch.tensor([[self._pad] * (width - len(row)) + list(row) for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        return ids.to(self._model.device), mask.to(self._model.device)


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Return each token's position in its own row, whatever the padding to its left."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def _alike(prompts: Sequence[tuple[int, ...]], padding: int) -> Iterator[Sequence[tuple[int, ...]]]:
    """Cut prompts sorted by length into parts of like length: none needs more than so many tokens of padding."""
    start, total = 0, 0
    for n, prompt in enumerate(prompts):
        total += len(prompt)
        # A prompt of one token has nothing to be read: it stays with those behind it.
        if n > start and len(prompts[n - 1]) > 1 and (n + 1 - start) * len(prompt) - total > padding:
            yield prompts[start:n]
            start, total = n, len(prompt)
    yield prompts[start:]


def _cut(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _log_probs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return log softmax(logits)[target] in single precision, shapes (rows, T, V) and (rows, T) -> (rows, T)."""
    picked: torch.Tensor = logits.gather(2, targets.unsqueeze(2)).squeeze(2).float()
    return picked - torch.logsumexp(logits.float(), dim=2)


class _InverseCdf:
    """Draw for each row the one token that the row's own uniform picks.

    token = min{v : F(v) > u} with F the distribution function of softmax(logits / temperature) after top-k and
    top-p. One uniform per row and step: cheaper than Gumbel noise over the vocabulary, the same distribution.

    Raises:
        ValueError: the requests do not share one ``Sampling``.
    """

    def __init__(self, requests: Sequence[Request], device: Any = "cpu") -> None:
        (self._sampling,) = {request.sampling for request in requests}
        self.length = self._sampling.max_new_tokens
        numbers = np.stack([uniforms(request.seed, self.length) for request in requests])
        self._uniforms = torch.from_numpy(numbers).to(device)

    def __call__(self, logits: torch.Tensor, held: Sequence[int], step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a token and its log q for each row of logits; row i belongs to request ``held[i]``."""
        sampling = self._sampling
        if sampling.temperature == 0:
            best, token = logits.max(dim=1)
            return token, best - best  # log 1; not a number where the best is none
        warped: Any = logits.float()
        if sampling.temperature != 1:
            warped = warped / sampling.temperature
        if sampling.top_k:
            warped = TopKLogitsWarper(sampling.top_k)(None, warped)
        if sampling.top_p < 1:
            warped = TopPLogitsWarper(sampling.top_p)(None, warped)
        probabilities = warped.softmax(dim=1)
        token = _inverse_cdf(probabilities, self._uniforms[list(held), step])
        return token, probabilities.gather(1, token.unsqueeze(1)).squeeze(1).log()


def _inverse_cdf(probabilities: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Return min{v : F(v) > u F(last)}, shapes (rows, V) and (rows,) -> (rows,): first the block, then the token.

    A running sum over 150,000 tokens needs double precision and is slow in it. So blocks are summed in single
    precision, and only the running sums, over the blocks and within the one block, are double.
    """
    blocks = pad(probabilities, (0, -probabilities.shape[1] % _BLOCK)).view(len(probabilities), -1, _BLOCK)
    cumulative = blocks.sum(dim=2).cumsum(dim=1, dtype=torch.float64)
    target = uniform * cumulative[:, -1]
    block = _first_beyond(cumulative, target)
    before = pad(cumulative, (1, 0)).gather(1, block).squeeze(1)
    within = blocks.gather(1, block.unsqueeze(2).expand(-1, -1, _BLOCK)).squeeze(1).cumsum(dim=1, dtype=torch.float64)
    token = block * _BLOCK + _first_beyond(within, target - before)
    return token.clamp(max=probabilities.shape[1] - 1).squeeze(1)


def _first_beyond(cumulative: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    # Rounding may lift a target to the total; below it, the entry found has mass.
    total = cumulative[:, -1]
    below = target.minimum(torch.nextafter(total, torch.zeros_like(total))).unsqueeze(1)
    return torch.searchsorted(cumulative, below, right=True).clamp(max=cumulative.shape[1] - 1)
