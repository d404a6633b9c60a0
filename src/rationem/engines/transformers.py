"""The default engine: any transformers causal model on CPU or GPU, exact token ids, one random stream per request.

Sampling uses the inverse distribution function: token t of a request uses uniform number t of the request's own seed,
so neither other rows of a batch nor their order can change a row (up to rounding of the logits, whose last bits depend
on the batch's shape). A model's own generation settings are ignored: its forward is called, never its ``generate``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from rationem.engines.cache import closed_up
from rationem.engines.chat import Chat
from rationem.engines.completion import CompletionReader
from rationem.engines.forward import Forward
from rationem.engines.inverse_cdf import InverseCdf
from rationem.engines.layout_choice import agreed_way
from rationem.engines.layouts import cut
from rationem.engines.memory import Fitting
from rationem.engines.models import LoadedModel
from rationem.engines.steps import Steps
from rationem.engines.stops import pad_id
from rationem.errors import ModelError
from rationem.metrics.evidence import Enumeration
from rationem.types import Draft, Finish, LevelQuery, Prompt, Request, TokenQuery

#: Most logits in memory at once in scoring: 256 MiB in single precision.
LOGITS_AT_ONCE = 2**26


@dataclass(slots=True)
class _Row:
    """One growing completion."""

    ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    finish: Finish = Finish.LENGTH


class TransformersEngine:
    """Generates with a loaded model; scores levels by teacher forcing on the stored ids.

    Args:
        loaded: the model, its tokenizer and its stop tokens.
        marker: the text that opens the verdict line; generation stops after that line.
        batch_size: rows generated together; must stay the same for a resumed run to be bitwise equal.
        logits_at_once: upper limit of rows x positions x vocabulary in a pass of ``score_tokens`` (at least one
            position of a batch).
    """

    honours_seeds = True

    def __init__(
        self, loaded: LoadedModel, *, marker: str, batch_size: int = 64, logits_at_once: int = LOGITS_AT_ONCE
    ) -> None:
        self._model = loaded.model.eval()
        self._chat = Chat(loaded.tokenizer)
        self._reader = CompletionReader(self._chat, marker, loaded.stop_ids)
        self._stop_ids = self._reader.stop_ids
        self._marker = marker
        self._logits_at_once = logits_at_once
        self._way = agreed_way(Forward(self._model, pad_id(loaded.tokenizer, self._chat.end_of_turn)))
        self.batch_size = batch_size
        self._drawing = Fitting("drawing completions", batch_size)
        self._levels = Fitting("scoring levels", batch_size)
        self._tokens = Fitting("scoring tokens", batch_size)

    def prompt_tokens(self, prompt: Prompt) -> int:
        """Return the length of the prompt as the model sees it, template included."""
        return len(self._chat.encode(prompt))

    def encode_completion(self, text: str, behind: str = "") -> tuple[int, ...]:
        """Return the ids of a completion, or of its end ``behind`` the rest of it, end-of-turn token included."""
        return self._chat.encode_completion(text, behind)

    @torch.inference_mode()
    def sample(self, requests: Sequence[Request]) -> list[Draft]:
        """Sample one completion per request. All requests of a call share their ``Sampling``; seeds differ."""
        return self._drawing(requests, self.sample_at_once)

    @torch.inference_mode()
    def sample_at_once(self, requests: Sequence[Request]) -> list[Draft]:
        """Sample all rows in one batch; passes on PyTorch's error if they do not fit into memory."""
        prompts = [self._chat.encode(request.prompt) for request in requests]
        last = torch.tensor([prompt[-1] for prompt in prompts], device=self._model.device)
        draw = InverseCdf(requests, self._model.device)
        rows = self._decode(self._way.steps(prompts, draw.length), last, draw)
        return [
            self._reader.draft(row.ids, row.finish, len(prompt), row.logps)
            for row, prompt in zip(rows, prompts, strict=True)
        ]

    @torch.inference_mode()
    def score_levels(self, queries: Sequence[LevelQuery]) -> list[tuple[float, ...]]:
        """Return log pi(level, end of turn | x, z) for every level."""
        return self._levels(queries, self._level_scores)

    def _level_scores(self, queries: Sequence[LevelQuery]) -> list[tuple[float, ...]]:
        rationales, tails = zip(*(self._reader.rationale_and_tails(query) for query in queries), strict=True)
        prompts = [self._chat.encode(query.prompt) for query in queries]
        return self._way.tails(list(zip(prompts, rationales, strict=True)), tails)

    @torch.inference_mode()
    def score_tokens(self, queries: Sequence[TokenQuery]) -> list[tuple[float, ...]]:
        """Return log pi(token_t | prompt, token_<t) of every stored token, in nats at temperature 1.

        At most ``logits_at_once`` logits are in memory, normalised in single precision.
        """
        scores: list[tuple[float, ...]] = [()] * len(queries)
        prompts = [self._chat.encode(query.prompt) for query in queries]
        asked = [n for n, query in enumerate(queries) if query.draft.token_ids]
        distinct = sorted({prompts[n] for n in asked}, key=lambda prompt: (len(prompt), prompt))
        for group in cut(distinct, self.batch_size):
            place = {prompt: i for i, prompt in enumerate(group)}
            members = sorted((n for n in asked if prompts[n] in place), key=lambda n: place[prompts[n]])
            rows = [(prompts[n], queries[n].draft.token_ids) for n in members]
            for n, logps in zip(members, self._tokens(rows, self._token_scores), strict=True):
                scores[n] = logps
        return scores

    def _token_scores(self, rows: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> list[tuple[float, ...]]:
        return self._way.tokens(rows, self.batch_size, self._logits_at_once)

    def completions(self, query: LevelQuery) -> tuple[tuple[int, ...], ...]:
        """Return the draft's ids up to the marker with each continuation behind: the tokens of ``score_levels``."""
        return self._reader.completions(query)

    def tokens_within(self, draft: Draft, characters: int) -> int:
        """Return how many of the draft's tokens end within the first so many characters of its text."""
        return self._reader.tokens_within(draft, characters)

    def enumerate(
        self, prompts: Sequence[Prompt], continuations: Sequence[str], *, threshold: float, max_new_tokens: int
    ) -> list[Enumeration]:
        """Return per prompt every rationale whose prefixes are all more probable than ``threshold``."""
        from rationem.engines.enumeration import enumerate_rationales

        return enumerate_rationales(
            LoadedModel(self._model, self._chat.tokenizer, frozenset(self._stop_ids)),
            prompts,
            continuations,
            marker=self._marker,
            threshold=threshold,
            max_new_tokens=max_new_tokens,
        )

    def close(self) -> None:
        """Let go of the weights."""
        self._model = self._way = None  # type: ignore[assignment]
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _decode(self, steps: Steps, tokens: torch.Tensor, draw: InverseCdf) -> list[_Row]:
        """Grow every row, token by token, until its turn or verdict line ends or the length limit is reached."""
        rows = [_Row() for _ in tokens]
        held, growing = list(range(len(rows))), set(range(len(rows)))
        for step in range(draw.length):
            tokens, logps = draw(steps.step(tokens), held, step)
            # One transfer for both; exact, because token ids are far below 2^53.
            for n, token, logp in zip(held, *torch.stack([tokens.double(), logps.double()]).tolist(), strict=True):
                if n in growing and self._ends(rows[n], int(token), logp):
                    growing.remove(n)
            if not growing:
                break
            if len(growing) < len(held) and len(growing) <= steps.share * len(held):
                stay = closed_up([n in growing for n in held])
                steps.keep(stay)
                tokens, held = tokens[stay], [held[i] for i in stay]
        return rows

    def _ends(self, row: _Row, token: int, logp: float) -> bool:
        """Add a token to a row; return whether the row ends with it."""
        if not math.isfinite(logp):
            raise ModelError(
                "The model's logits are not finite, so no token can be sampled. Its weights are broken or too large "
                "for half precision: try another checkpoint, or a CPU."
            )
        row.ids.append(token)
        row.logps.append(logp)
        if self._reader.ends(row.ids):
            row.finish = Finish.STOP
        return row.finish is Finish.STOP
