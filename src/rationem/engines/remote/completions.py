"""An engine on a server's /v1/completions: prompts are sent, and completions returned, as token ids.

Every sampling field is sent, so a model's own generation settings have no effect. The completion's end is found here
(``CompletionReader``), as for any other engine: the server may stop early but does not decide. An answer that does not
have vLLM's form is an error that says so.
"""

from __future__ import annotations

import asyncio
import math
import reprlib
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Any, TypeVar

from rationem import progress
from rationem.engines.chat import Chat
from rationem.engines.completion import CompletionReader
from rationem.engines.remote.client import Client
from rationem.errors import ConfigError, RunError
from rationem.types import Draft, Finish, LevelQuery, Prompt, Request, Sampling, TokenQuery

#: Concurrent requests for a prompt's log-probabilities: their answers need much of the server's memory.
_SCORED_AT_ONCE = 32

#: Most tokens per position for which vLLM returns log-probabilities.
_NAMED_AT_ONCE = 128

#: vLLM raises temperatures between 0 and this one to it, and says so only in its log.
_COLDEST = 0.01

#: Padding rows that an embedding may have after its tokenizer's last token; they can be sampled.
_PADDING = 4096

_PATH = "/v1/completions"

#: Most characters, and most tokens of another tokenizer, that a server may send per requested token.
_CHARACTERS, _TOKENS = 64, 8

_Ids = tuple[int, ...]
_T = TypeVar("_T")


class NotTold(RunError):
    """The server does not return log-probabilities of given tokens."""


class CompletionsEngine:
    """Generates and scores on one or more equal servers; implements ``types.Concurrent``.

    Args:
        client: the servers; closed with the engine.
        chat: the served model's tokenizer and conversation format.
        model: the model's name on the server.
        marker: the text that opens the verdict line; a completion ends after that line.
        stop_ids: tokens with which the model may end its turn, beside the end-of-turn token.
        closings: whole verdict lines ("Final rating: 4\\n") at which the server may stop; only for servers that include
            them in the text (vLLM); others would omit the verdict.
        concurrency: the servers' preferred number of concurrent requests.
        processed: whether the server's log-probabilities are those of the tokens as sampled (vLLM's
            ``--logprobs-mode processed_logprobs``). If not, only drafts of exact sampling have them.
        on_close: called once, when the engine closes.
        handover: the record of the weights' hand-over, see ``types.HandedOver``; empty if there was none.
    """

    honours_seeds = True

    def __init__(
        self,
        client: Client,
        chat: Chat,
        *,
        model: str,
        marker: str,
        stop_ids: Collection[int] = (),
        closings: Sequence[str] = (),
        concurrency: int = 256,
        processed: bool = True,
        on_close: Callable[[], None] | None = None,
        handover: Mapping[str, Any] | None = None,
    ) -> None:
        self.handover = handover or {}
        self._client, self._chat, self._model = client, chat, model
        self._reader = CompletionReader(chat, marker, stop_ids)
        self._tokens = max(chat.tokenizer.get_vocab().values()) + 1 + _PADDING
        # A verdict line inside a thinking block ends nothing, and a server cannot distinguish it.
        self._closings, self._processed = [] if chat.thinks else list(closings), processed
        self._on_close: Callable[[], None] | None = on_close
        self._lock = Lock()
        self._scoring = asyncio.Semaphore(_SCORED_AT_ONCE)
        self._names_tokens = True
        self._warned = False
        self.concurrency = concurrency
        self.batch_size = 4 * concurrency

    def prompt_tokens(self, prompt: Prompt) -> int:
        """Return the length of the prompt as the model sees it, template included."""
        return len(self._chat.encode(prompt))

    def encode_completion(self, text: str, behind: str = "") -> _Ids:
        """Return the ids of a completion, or of its end ``behind`` the rest of it, end-of-turn token included."""
        return self._chat.encode_completion(text, behind)

    def completions(self, query: LevelQuery) -> tuple[_Ids, ...]:
        """Return the draft's ids up to the marker with each continuation behind: the tokens of ``score_levels``."""
        return self._reader.completions(query)

    def tokens_within(self, draft: Draft, characters: int) -> int:
        """Return how many of the draft's tokens end within the first so many characters of its text."""
        return self._reader.tokens_within(draft, characters)

    def submit(self, request: Request) -> Future[Draft]:
        """Start one completion; its future raises ``RunError`` if the server cannot serve it.

        Raises:
            ConfigError: the server would change the temperature.
        """
        if 0 < request.sampling.temperature < _COLDEST:
            raise ConfigError(
                f"A temperature of {request.sampling.temperature:g} is not possible: vLLM raises it to {_COLDEST}. "
                f"Use 0 for greedy, or at least {_COLDEST}."
            )
        return self._client.run(self._complete(request, self._chat.encode(request.prompt)))

    def sample(self, requests: Sequence[Request]) -> list[Draft]:
        """Sample one completion per request, in order."""
        return gather([self.submit(request) for request in requests])

    def submit_levels(self, query: LevelQuery) -> Future[tuple[float, ...]]:
        """Start scoring one draft's levels; see ``score_levels``."""
        rationale, tails = self._reader.rationale_and_tails(query)
        return self._client.run(self._levels(self._chat.encode(query.prompt) + rationale, tails))

    def score_levels(self, queries: Sequence[LevelQuery]) -> list[tuple[float, ...]]:
        """Return log pi(level, end of turn | x, z) of every level, per query."""
        return gather([self.submit_levels(query) for query in queries])

    def score_tokens(self, queries: Sequence[TokenQuery]) -> list[tuple[float, ...]]:
        """Return log pi(token_t | prompt, token_<t) of every stored token, in nats at temperature 1."""
        return gather([self._client.run(self._score(q.prompt, q.draft.token_ids)) for q in queries])

    def close(self) -> None:
        """Close the connection, and release the server if it is ours. May be called repeatedly."""
        self._client.close()
        with self._lock:
            on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def _body(self, prompt: Sequence[int] | Sequence[_Ids], sampling: Sampling, **more: Any) -> dict[str, Any]:
        """Return a request with every field that affects sampling."""
        return {
            "model": self._model, "prompt": prompt, "max_tokens": sampling.max_new_tokens, "n": 1, "stream": False,
            "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k, "min_p": 0,
            "repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0, "ignore_eos": True,
            "skip_special_tokens": False, "add_special_tokens": False, "return_token_ids": True,
            "return_tokens_as_token_ids": True, "include_stop_str_in_output": True, **more,
        }  # fmt: skip

    async def _complete(self, request: Request, prompt: _Ids) -> Draft:
        """Sample one completion; again without closings if the server stopped before the completion's end.

        Example: "Final rating:\\nFinal rating: 4\\n". The first verdict line is empty and decides.
        """
        choice = await self._drawn(request, prompt, self._closings)
        if choice.get("token_ids") is None:
            self._no_ids()
            asked = request.sampling.max_new_tokens
            return read_text(self._reader, choice.get("text"), choice.get("finish_reason"), len(prompt), asked)
        draft = self._read(choice, request.sampling, prompt)
        if draft.finish is Finish.FAILED and choice.get("finish_reason") == "stop" and self._closings:
            choice = await self._drawn(request, prompt, [])
            draft = self._read(choice, request.sampling, prompt)
        return draft

    async def _drawn(self, request: Request, prompt: _Ids, closings: Sequence[str]) -> dict[str, Any]:
        stops = {"stop_token_ids": sorted(self._reader.stop_ids), "stop": closings}
        body = self._body(prompt, request.sampling, seed=request.seed, logprobs=0, **stops)
        (choice,) = self._choices(await self._client.ask(_PATH, body), 1)
        self._same_prompt(choice, prompt)
        return choice

    def _read(self, choice: Mapping[str, Any], sampling: Sampling, prompt: _Ids) -> Draft:
        """Return the draft of the answer's ids, up to the completion's end."""
        ids = self._integers(choice.get("token_ids"))
        logps = self._logps(choice, len(ids), sampling)[: sampling.max_new_tokens]
        ids = ids[: sampling.max_new_tokens]  # a server may ignore the length limit
        length = self._reader.length(ids)
        if length is not None:
            return self._reader.draft(ids[:length], Finish.STOP, len(prompt), logps[:length])
        if choice.get("finish_reason") == "length" and len(ids) == sampling.max_new_tokens:
            return self._reader.draft(ids, Finish.LENGTH, len(prompt), logps)
        return Draft("", (), Finish.FAILED, len(prompt))

    def _logps(self, choice: Mapping[str, Any], count: int, sampling: Sampling) -> list[float]:
        """Return log q of each token; empty if the server does not return it."""
        told = (choice.get("logprobs") or {}).get("token_logprobs")
        if told is None:
            return []
        if len(told) != count:
            raise self._wrong(f"{count} tokens and {len(told)} log-probabilities")
        logps = [self._number(logp) for logp in told]
        if sampling.temperature == 0:
            return [0.0] * count
        return logps if self._processed or sampling.exact else []

    async def _levels(self, prefix: _Ids, tails: Sequence[_Ids]) -> tuple[float, ...]:
        """Sum log pi along each tail through the tree of tails; every inner node is a prompt."""
        nodes = sorted({tail[:n] for tail in tails for n in range(len(tail))})
        tokens = sorted({token for tail in tails for token in tail})
        found = await self._children(prefix, nodes, tokens) if len(tokens) <= _NAMED_AT_ONCE else {}
        if any((tail[:n], tail[n]) not in found for tail in tails for n in range(len(tail))):
            return tuple(await asyncio.gather(*(self._tail(prefix, tail) for tail in tails)))
        return tuple(math.fsum(found[tail[:n], tail[n]] for n in range(len(tail))) for tail in tails)

    async def _children(
        self, prefix: _Ids, nodes: Sequence[_Ids], tokens: Sequence[int]
    ) -> dict[tuple[_Ids, int], float]:
        """Return log pi(token | prefix, node) by (node, token); empty if the server does not name tokens."""
        if not self._names_tokens:
            return {}
        body = self._body(
            [prefix + node for node in nodes], Sampling(max_new_tokens=1), logprobs=1, logprob_token_ids=tokens
        )
        found = {}
        for node, choice in zip(nodes, self._choices(await self._client.ask(_PATH, body), len(nodes)), strict=True):
            self._same_prompt(choice, prefix + node)
            told = ((choice.get("logprobs") or {}).get("top_logprobs") or [{}])[0] or {}
            self._names_tokens &= all(f"token_id:{token}" in told for token in tokens)
            if not self._names_tokens:
                return {}
            found.update({(node, token): self._number(told[f"token_id:{token}"]) for token in tokens})
        return found

    async def _tail(self, prefix: _Ids, tail: _Ids) -> float:
        return math.fsum(await self._behind(prefix, tail))

    async def _score(self, prompt: Prompt, ids: _Ids) -> tuple[float, ...]:
        return await self._behind(self._chat.encode(prompt), ids) if ids else ()

    async def _behind(self, prefix: _Ids, ids: _Ids) -> tuple[float, ...]:
        """Return log pi(id | prefix, ids before it) of every id, from a prompt's log-probabilities."""
        prompt = prefix + ids
        async with self._scoring:
            answer = await self._client.ask(_PATH, self._body(prompt, Sampling(max_new_tokens=1), prompt_logprobs=0))
        (choice,) = self._choices(answer, 1)
        self._same_prompt(choice, prompt)
        told = choice.get("prompt_logprobs")
        if told is None:
            raise NotTold(
                f"The server at {self._client.where} does not return log-probabilities of given tokens (neither "
                "logprob_token_ids nor prompt_logprobs), so it cannot score completions and levels. Judge "
                "without scores (--fast), or use another engine (--engine vllm or transformers)."
            )
        if len(told) != len(prompt):
            raise self._wrong(f"log-probabilities of {len(told)} tokens for a prompt of {len(prompt)}")
        return tuple(
            self._number(((entry or {}).get(str(token)) or {}).get("logprob"))
            for token, entry in zip(ids, told[-len(ids) :], strict=True)
        )

    def _choices(self, answer: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
        """Return the answer's choices in order, after checking their form."""
        choices = answer.get("choices")
        if not isinstance(choices, list) or len(choices) != count:
            raise self._wrong(f"not {count} choices: {reprlib.repr(answer)}")
        if not all(_well_formed(choice) for choice in choices):
            raise self._wrong(f"choices of an unknown form: {reprlib.repr(choices)}")
        return sorted(choices, key=lambda choice: choice.get("index", 0))

    def _same_prompt(self, choice: Mapping[str, Any], prompt: _Ids) -> None:
        read = choice.get("prompt_token_ids")
        if read is not None and tuple(read) != prompt:
            raise RunError(
                f"The server at {self._client.where} read another prompt than was sent: {len(read)} tokens instead of "
                f"{len(prompt)}. It has another tokenizer, or adds tokens. Serve the checkpoint whose tokenizer is "
                "used here, without a template or special tokens of the server's own."
            )

    def _integers(self, ids: Sequence[Any] | None) -> list[int]:
        if ids is None or not all(type(token) is int and 0 <= token < self._tokens for token in ids):
            raise self._wrong(f"token ids that are not integers of this vocabulary: {reprlib.repr(ids)}")
        return list(ids)

    def _number(self, logp: Any) -> float:
        if not isinstance(logp, int | float) or not abs(logp) <= sys.float_info.max:
            raise self._wrong(f"a log-probability that is not finite ({reprlib.repr(logp)})")
        return float(logp)

    def _wrong(self, what: str) -> RunError:
        return RunError(
            f"The server at {self._client.where} answered {_PATH} with {what}. Its model's weights are broken, or it "
            "does not implement vLLM's form of this request; check its log, or use another engine."
        )

    def _no_ids(self) -> None:
        """Report once that texts are encoded here; reject a server that may have omitted verdict lines."""
        if self._closings:
            raise RunError(
                f"The server at {self._client.where} sends no token ids, so it may not be vLLM and may omit the "
                "verdict lines at which it stops. Use it without closings."
            )
        if not self._warned:
            self._warned = True
            progress.say(
                f"The server at {self._client.where} sends no token ids: texts are encoded here and cannot be weighted."
            )


def _well_formed(choice: object) -> bool:
    """Say whether a choice has vLLM's form; fields may be missing or null."""
    if not isinstance(choice, dict) or type(choice.get("index", 0)) is not int:
        return False
    logprobs, told = choice.get("logprobs") or {}, choice.get("prompt_logprobs")
    if not isinstance(logprobs, dict):
        return False
    top = logprobs.get("top_logprobs")
    lists = (choice.get("token_ids"), choice.get("prompt_token_ids"), logprobs.get("token_logprobs"), top, told)
    if not all(one is None or isinstance(one, list) for one in lists):
        return False
    maps = [*(top or []), *(told or [])]
    maps += [entry for one in told or [] if isinstance(one, dict) for entry in one.values()]
    return all(one is None or isinstance(one, dict) for one in maps)


def gather(futures: Sequence[Future[_T]]) -> list[_T]:
    """Return all results in order; the first failure cancels the others."""
    try:
        return [future.result() for future in futures]
    except BaseException:  # also after an interrupt no request must stay open; re-raised
        for future in futures:
            future.cancel()
        raise


def read_text(reader: CompletionReader, text: object, finish_reason: object, prompt_tokens: int, asked: int) -> Draft:
    """Return the draft of a text that came without ids: encoded once, cut after its verdict line.

    The end-of-turn token is added only if the server says that the model stopped by itself.

    Args:
        reader: encodes with the student's tokenizer.
        text: the server's text.
        finish_reason: the server's finish reason.
        prompt_tokens: length of the prompt.
        asked: the requested number of tokens; a much longer text is cut before encoding.
    """
    if not isinstance(text, str) or not _encodable(text) or finish_reason not in ("stop", "length"):
        return Draft("", (), Finish.FAILED, prompt_tokens)
    for ending in (reader.chat.decode((token,)) for token in sorted(reader.stop_ids)):
        text = text.removesuffix(ending) if ending.strip() and finish_reason == "stop" else text
    if len(text) > _CHARACTERS * asked:
        text, finish_reason = text[: _CHARACTERS * asked], "length"
    ids = reader.chat.encode_said(text)
    if len(ids) > _TOKENS * asked:
        ids, finish_reason = ids[: _TOKENS * asked], "length"
    length = reader.length(ids)
    if length is not None:
        return reader.draft(ids[:length], Finish.STOP, prompt_tokens, (), encoded=True)
    if finish_reason == "stop":
        return reader.draft(reader.chat.encode_completion(text), Finish.STOP, prompt_tokens, (), encoded=True)
    return reader.draft(ids, Finish.LENGTH, prompt_tokens, (), encoded=True)


def _encodable(text: str) -> bool:
    """Say whether a text can be encoded: JSON can hold half a surrogate pair, UTF-8 cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
