"""The default engine: transformers ``generate`` on CPU or GPU, exact token ids, one stream of noise per request.

Sampling is done in a logits processor, by the inverse of the distribution function: token t of a request takes
uniform number t of the request's own seed, so neither the other rows of a batch nor their order can change a row
(up to rounding of the logits themselves, which depends on the shape of the batch in the last bits).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from rationem.chat import Chat
from rationem.models import Loaded
from rationem.parse import marker_pattern
from rationem.seeds import uniforms
from rationem.types import Draft, Finish, LevelQuery, Prompt, Request, Sampling, TokenQuery

#: Logits that scoring holds at once, as a count of numbers: 256 MiB of them in single precision.
LOGITS_AT_ONCE = 2**26

_Item = TypeVar("_Item")


class _Read(NamedTuple):
    """What a model has read: the keys and values, and which columns of them are real."""

    cache: Any
    mask: torch.Tensor


class TransformersEngine:
    """Generates with a loaded model; scores levels by teacher forcing on the stored ids.

    Args:
        loaded: the model, its tokenizer and its stop tokens.
        marker: the text that opens the verdict line; generation stops behind that line.
        batch_size: rows generated together; part of what makes a resumed run bitwise equal.
        logits_at_once: rows x positions x vocabulary of a scoring pass stays below this count of numbers (one position
            of a batch at the least).
    """

    honours_seeds = True

    def __init__(
        self, loaded: Loaded, *, marker: str, batch_size: int = 64, logits_at_once: int = LOGITS_AT_ONCE
    ) -> None:
        self._model = loaded.model.eval()
        self._chat = Chat(loaded.tokenizer)
        self._stop_ids = sorted(loaded.stop_ids | {self._chat.end_of_turn})
        self._pad = pad_id(loaded.tokenizer, self._chat.end_of_turn)
        self._marker = marker
        self._logits_at_once = logits_at_once
        self.batch_size = batch_size

    def prompt_tokens(self, prompt: Prompt) -> int:
        """Return the length of the prompt as the model sees it, template included."""
        return len(self._chat.encode(prompt))

    def encode_completion(self, text: str) -> tuple[int, ...]:
        """Return the ids of a given completion, end-of-turn token included."""
        return self._chat.encode_completion(text)

    @torch.inference_mode()
    def sample(self, requests: Sequence[Request]) -> list[Draft]:
        """Draw one completion per request. All requests of a call share their ``Sampling``, the seed is their own."""
        if not requests:
            return []
        (sampling,) = {request.sampling for request in requests}
        prompts = [self._chat.encode(request.prompt) for request in requests]
        ids, mask = self._left_padded(prompts)
        draw = _InverseCdf(requests, ids.shape[1])
        output = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=self._prefill(prompts).cache,
            generation_config=self._generation_config(sampling),
            logits_processor=LogitsProcessorList([draw]),
            stopping_criteria=StoppingCriteriaList([_VerdictLine(self._chat, self._marker, ids.shape[1])]),
        )
        completions, logps = output[:, ids.shape[1] :].tolist(), torch.stack(draw.logps, dim=1).tolist()
        rows = zip(completions, logps, prompts, strict=True)
        return [self._draft(row, row_logps, len(prompt)) for row, row_logps, prompt in rows]

    @torch.inference_mode()
    def score_levels(self, queries: Sequence[LevelQuery]) -> list[tuple[float, ...]]:
        """Return log pi(level, end of turn | x, z) for every level.

        Each prompt is read once for all its drafts, and each draft once for all its levels.
        """
        if not queries:
            return []
        prompts = [self._chat.encode(query.prompt) for query in queries]
        rationales, tails = zip(*(self._rationale_and_tails(query) for query in queries), strict=True)
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
            read, row = self._prefill(group), {prompt: i for i, prompt in enumerate(group)}
            members = sorted((n for n in asked if prompts[n] in row), key=lambda n: len(queries[n].draft.token_ids))
            for batch in _cut(members, self.batch_size):
                chosen = _rows_of(read, [row[prompts[n]] for n in batch])
                completions = [queries[n].draft.token_ids for n in batch]
                found = self._completions(chosen, [prompts[n][-1] for n in batch], completions)
                for n, logps in zip(batch, found, strict=True):
                    scores[n] = tuple(logps[: len(queries[n].draft.token_ids)])
        return scores

    def tokens_within(self, draft: Draft, characters: int) -> int:
        """Return how many of the draft's tokens end within the first so many characters of its text."""
        ids, low, high = draft.token_ids, 0, len(draft.token_ids)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if len(self._chat.decode(ids[:middle])) <= characters else (low, middle - 1)
        return low

    def close(self) -> None:
        """Let go of the weights."""
        self._model = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _prefill(self, prompts: Sequence[tuple[int, ...]]) -> _Read:
        """Read all tokens but the last of every prompt, each distinct prompt once, one row per given prompt."""
        distinct = list(dict.fromkeys(prompts))
        ids, mask = self._left_padded(distinct)
        ids, mask = ids[:, :-1], mask[:, :-1]
        output = self._model(
            input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=True, logits_to_keep=1
        )
        rows = torch.tensor([distinct.index(prompt) for prompt in prompts], device=ids.device)
        if len(distinct) < len(prompts):
            output.past_key_values.batch_select_indices(rows)
        return _Read(output.past_key_values, mask[rows])

    def _read_on(self, read: _Read, ids: torch.Tensor, mask: torch.Tensor, keep: int = 1) -> tuple[_Read, torch.Tensor]:
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
        return _Read(output.past_key_values, whole), output.logits

    def _completions(
        self, read: _Read, last: Sequence[int], completions: Sequence[tuple[int, ...]]
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
        self, read: _Read, logits: torch.Tensor, targets: torch.Tensor, real: torch.Tensor, levels: int
    ) -> torch.Tensor:
        """Return sum_t log pi(target_t | read, target_<t) over the real targets, shape (rows * levels,)."""
        logits, width = logits.repeat_interleave(levels, dim=0), targets.shape[1]
        if width > 1:
            read.cache.batch_repeat_interleave(levels)
            repeated = _Read(read.cache, read.mask.repeat_interleave(levels, dim=0))
            _, further = self._read_on(repeated, targets[:, :-1], real[:, :-1], keep=width - 1)
            logits = torch.cat([logits, further], dim=1)
        return (_log_probs(logits, targets).double() * real).sum(dim=1)

    def _rationale_and_tails(self, query: LevelQuery) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
        """Split a draft at its marker: all tokens that end before it does, and per level the tokens to come.

        A token that reaches beyond the marker ("rating: 4" in one token) is dropped, and its part up to the marker is
        encoded again with each level, so that every level is a continuation of the same ids.
        """
        text = query.draft.text[: query.upto]
        ids = query.draft.token_ids
        count = self.tokens_within(query.draft, len(text))
        rest = text[len(self._chat.decode(ids[:count])) :]
        tails = (self._chat.encode_completion(rest + continuation) for continuation in query.continuations)
        return ids[:count], tuple(tails)

    def _left_padded(self, rows: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
        width = max(len(row) for row in rows)
        ids = torch.tensor([[self._pad] * (width - len(row)) + list(row) for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        return ids.to(self._model.device), mask.to(self._model.device)

    def _generation_config(self, sampling: Sampling) -> GenerationConfig:
        # Every field that a model's own generation_config.json could have set is stated here; the draw itself is the
        # processor's, so generate only has to follow its single finite logit.
        return GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=sampling.max_new_tokens,
            min_new_tokens=0,
            repetition_penalty=1.0,
            eos_token_id=self._stop_ids,
            pad_token_id=self._pad,
            bos_token_id=None,
            use_cache=True,
        )

    def _draft(self, row: list[int], logps: list[float], prompt_tokens: int) -> Draft:
        count, text_count, finish = self._end(row)
        text = self._chat.decode(tuple(row[:text_count]))
        return Draft(text, tuple(row[:count]), finish, prompt_tokens, tuple(logps[:count]))

    def _end(self, row: list[int]) -> tuple[int, int, Finish]:
        """Return how many ids a generated row holds, how many of them are text, and why it ended."""
        stops = [t for t, token in enumerate(row) if token in self._stop_ids]
        if stops:
            return stops[0] + 1, stops[0], Finish.STOP
        # A row that stopped behind its verdict line was padded while the others went on; any other row is whole.
        bare = len(row)
        while bare and row[bare - 1] == self._pad:
            bare -= 1
        if _verdict_is_closed(self._chat.decode(tuple(row[:bare])), self._marker):
            return bare, bare, Finish.STOP
        return len(row), len(row), Finish.LENGTH


def pad_id(tokenizer: Any, end_of_turn: int) -> int:
    """Return a token for padding; masked everywhere, so that even the end-of-turn token can serve."""
    pad = tokenizer.pad_token_id
    return int(pad) if pad is not None else end_of_turn


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Return each token's position in its own row, whatever the padding to its left."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def _cut(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _rows_of(read: _Read, rows: Sequence[int]) -> _Read:
    """Return copies of some rows of what was read, in a cache of their own."""
    cache = copy.copy(read.cache)
    cache.layers = [copy.copy(layer) for layer in read.cache.layers]
    index = torch.tensor(rows, device=read.mask.device)
    cache.batch_select_indices(index)
    return _Read(cache, read.mask[index])


def _log_probs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return log softmax(logits)[target] in single precision, shapes (rows, T, V) and (rows, T) -> (rows, T)."""
    picked: torch.Tensor = logits.gather(2, targets.unsqueeze(2)).squeeze(2).float()
    return picked - torch.logsumexp(logits.float(), dim=2)


def _verdict_is_closed(text: str, marker: str) -> bool:
    match = marker_pattern(marker).search(text)
    return match is not None and bool(match["verdict"].strip()) and match.end() < len(text)


class _InverseCdf(LogitsProcessor):
    """Replace the logits by the one token that each row's own uniform picks.

    token = min{v : F(v) > u} with F the distribution function of softmax(logits / temperature) after top-k and
    top-p. One uniform per row and step: cheaper than Gumbel noise over the vocabulary, the same distribution.
    """

    def __init__(self, requests: Sequence[Request], prompt_width: int) -> None:
        self._sampling = requests[0].sampling
        self._prompt_width = prompt_width
        length = self._sampling.max_new_tokens
        self.logps: list[torch.Tensor] = []
        self._uniforms = torch.from_numpy(np.stack([uniforms(request.seed, length) for request in requests]))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = input_ids.shape[1] - self._prompt_width
        token = self._pick(input_ids, scores, self._uniforms[:, step].to(scores.device))
        return torch.full_like(scores, -torch.inf).scatter_(1, token.unsqueeze(1), 0.0)

    def _pick(self, input_ids: Any, scores: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        sampling = self._sampling
        if sampling.temperature == 0:
            self.logps.append(torch.zeros(len(scores), device=scores.device))
            return scores.argmax(dim=1)
        warped = scores.float() / sampling.temperature
        if sampling.top_k:
            warped = TopKLogitsWarper(sampling.top_k)(input_ids, warped)
        if sampling.top_p < 1:
            warped = TopPLogitsWarper(sampling.top_p)(input_ids, warped)
        # In double precision: over 150,000 tokens the rounding of a single-precision sum would be visible.
        probabilities = warped.softmax(dim=1)
        cumulative = probabilities.cumsum(dim=1, dtype=torch.float64)
        threshold = uniform.unsqueeze(1) * cumulative[:, -1:]
        token = torch.searchsorted(cumulative, threshold, right=True).clamp(max=scores.shape[1] - 1)
        self.logps.append(probabilities.gather(1, token).squeeze(1).log())
        return token.squeeze(1)


class _VerdictLine(StoppingCriteria):
    """Stop a row behind its first verdict line: only rows whose last token holds a line break are looked at."""

    def __init__(self, chat: Chat, marker: str, prompt_width: int) -> None:
        self._chat = chat
        self._marker = marker
        self._prompt_width = prompt_width
        self._breaks: dict[int, bool] = {}

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        last = input_ids[:, -1].tolist()
        done = [self._has_break(token) and self._closed(input_ids[i]) for i, token in enumerate(last)]
        return torch.tensor(done, device=input_ids.device, dtype=torch.bool)

    def _has_break(self, token: int) -> bool:
        if token not in self._breaks:
            self._breaks[token] = "\n" in self._chat.decode((token,))
        return self._breaks[token]

    def _closed(self, row: torch.Tensor) -> bool:
        text = self._chat.decode(tuple(row[self._prompt_width :].tolist()))
        return _verdict_is_closed(text, self._marker)
