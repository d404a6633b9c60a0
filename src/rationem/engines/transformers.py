"""The default engine: transformers ``generate`` on CPU or GPU, exact token ids, one stream of noise per request.

Sampling is done in a logits processor, by the inverse of the distribution function: token t of a request takes
uniform number t of the request's own seed, so neither the other rows of a batch nor their order can change a row
(up to rounding of the logits themselves, which depends on the shape of the batch in the last bits).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

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
from rationem.types import Draft, Finish, LevelQuery, Prompt, Request, Sampling


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
    """

    honours_seeds = True

    def __init__(self, loaded: Loaded, *, marker: str, batch_size: int = 64) -> None:
        self._model = loaded.model.eval()
        self._chat = Chat(loaded.tokenizer)
        self._stop_ids = sorted(loaded.stop_ids | {self._chat.end_of_turn})
        self._pad = pad_id(loaded.tokenizer, self._chat.end_of_turn)
        self._marker = marker
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
        output = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=self._prefill(prompts).cache,
            generation_config=self._generation_config(sampling),
            logits_processor=LogitsProcessorList([_InverseCdf(requests, ids.shape[1])]),
            stopping_criteria=StoppingCriteriaList([_VerdictLine(self._chat, self._marker, ids.shape[1])]),
        )
        completions = output[:, ids.shape[1] :].tolist()
        return [self._draft(row, len(prompt)) for row, prompt in zip(completions, prompts, strict=True)]

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
        picked: torch.Tensor = logits.gather(2, targets.unsqueeze(2)).squeeze(2).float()
        log_probs = picked - torch.logsumexp(logits.float(), dim=2)
        return (log_probs.double() * real).sum(dim=1)

    def _rationale_and_tails(self, query: LevelQuery) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
        """Split a draft at its marker: all tokens that end before it does, and per level the tokens to come.

        A token that reaches beyond the marker ("rating: 4" in one token) is dropped, and its part up to the marker is
        encoded again with each level, so that every level is a continuation of the same ids.
        """
        text = query.draft.text[: query.upto]
        ids = query.draft.token_ids
        count = self._tokens_within(ids, len(text))
        rest = text[len(self._chat.decode(ids[:count])) :]
        tails = (self._chat.encode_completion(rest + continuation) for continuation in query.continuations)
        return ids[:count], tuple(tails)

    def _tokens_within(self, ids: tuple[int, ...], characters: int) -> int:
        low, high = 0, len(ids)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if len(self._chat.decode(ids[:middle])) <= characters else (low, middle - 1)
        return low

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

    def _draft(self, row: list[int], prompt_tokens: int) -> Draft:
        stops = [t for t, token in enumerate(row) if token in self._stop_ids]
        if stops:
            ids = tuple(row[: stops[0] + 1])
            return Draft(self._chat.decode(ids[:-1]), ids, Finish.STOP, prompt_tokens)
        # A row that stopped behind its verdict line was padded while the others went on; any other row is whole.
        bare = list(row)
        while bare and bare[-1] == self._pad:
            bare.pop()
        text = self._chat.decode(tuple(bare))
        if _verdict_is_closed(text, self._marker):
            return Draft(text, tuple(bare), Finish.STOP, prompt_tokens)
        return Draft(self._chat.decode(tuple(row)), tuple(row), Finish.LENGTH, prompt_tokens)


def pad_id(tokenizer: Any, end_of_turn: int) -> int:
    """Return a token for padding; masked everywhere, so that even the end-of-turn token can serve."""
    pad = tokenizer.pad_token_id
    return int(pad) if pad is not None else end_of_turn


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Return each token's position in its own row, whatever the padding to its left."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


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
        self._uniforms = torch.from_numpy(np.stack([uniforms(request.seed, length) for request in requests]))

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        step = input_ids.shape[1] - self._prompt_width
        token = self._pick(input_ids, scores, self._uniforms[:, step].to(scores.device))
        return torch.full_like(scores, -torch.inf).scatter_(1, token.unsqueeze(1), 0.0)

    def _pick(self, input_ids: Any, scores: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        sampling = self._sampling
        if sampling.temperature == 0:
            return scores.argmax(dim=1)
        warped = scores.float() / sampling.temperature
        if sampling.top_k:
            warped = TopKLogitsWarper(sampling.top_k)(input_ids, warped)
        if sampling.top_p < 1:
            warped = TopPLogitsWarper(sampling.top_p)(input_ids, warped)
        # In double precision: over 150,000 tokens the rounding of a single-precision sum would be visible.
        cumulative = warped.softmax(dim=1).cumsum(dim=1, dtype=torch.float64)
        threshold = uniform.unsqueeze(1) * cumulative[:, -1:]
        return torch.searchsorted(cumulative, threshold, right=True).squeeze(1).clamp(max=scores.shape[1] - 1)


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
