"""A frozen teacher on /v1/chat/completions: another model, often a larger one, that writes rationales as text.

Its text is encoded once with the student's tokenizer, marked as ``encoded``, and never weighted.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Any, Never

from rationem.engines.chat import Chat
from rationem.engines.completion import Texts
from rationem.engines.remote.client import Client
from rationem.engines.remote.completions import gather, read_text
from rationem.errors import RunError
from rationem.types import Draft, LevelQuery, Prompt, Request, TokenQuery

_PATH = "/v1/chat/completions"


class ChatEngine(Texts):
    """Gets completions from a chat server; implements ``types.Concurrent`` except for scoring.

    Args:
        client: the servers; closed with the engine.
        chat: the *student's* tokenizer, which measures texts and limits.
        model: the teacher's name on the server.
        marker: the text that opens the verdict line; the text after that line is cut off.
        stop_ids: tokens with which the student may end its turn, beside the end-of-turn token.
        concurrency: the servers' preferred number of concurrent requests.
        on_close: called once, when the engine closes.
    """

    honours_seeds = False

    def __init__(
        self,
        client: Client,
        chat: Chat,
        *,
        model: str,
        marker: str,
        stop_ids: Collection[int] = (),
        concurrency: int = 256,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(chat, marker, stop_ids)
        self._client, self._model = client, model
        self._on_close: Callable[[], None] | None = on_close
        self._lock = Lock()
        self.concurrency = concurrency
        self.batch_size = 4 * concurrency

    def submit(self, request: Request) -> Future[Draft]:
        """Start one completion; its future raises ``RunError`` if the server cannot serve it."""
        return self._client.run(self._complete(request))

    def sample(self, requests: Sequence[Request]) -> list[Draft]:
        """Return one completion per request, in order."""
        return gather([self.submit(request) for request in requests])

    def submit_levels(self, query: LevelQuery) -> Never:
        """Raise ``RunError``: another model's likelihoods cannot be asked for."""
        raise self._cannot("the levels behind a rationale")

    def score_levels(self, queries: Sequence[LevelQuery]) -> Never:
        """Raise ``RunError``: another model's likelihoods cannot be asked for."""
        raise self._cannot("the levels behind a rationale")

    def score_tokens(self, queries: Sequence[TokenQuery]) -> Never:
        """Raise ``RunError``: another model's likelihoods cannot be asked for."""
        raise self._cannot("a completion's tokens")

    def close(self) -> None:
        """Close the connection. May be called repeatedly."""
        self._client.close()
        with self._lock:
            on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def _body(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        # Many servers reject unknown fields, and top_k is not a common one.
        top_k = {"top_k": sampling.top_k} if sampling.top_k else {}
        return {
            "model": self._model, "messages": self._messages(request.prompt),
            "max_tokens": sampling.max_new_tokens, "temperature": sampling.temperature, "top_p": sampling.top_p,
            **top_k, "seed": request.seed, "n": 1, "stream": False,
        }  # fmt: skip

    def _messages(self, prompt: Prompt) -> list[dict[str, str]]:
        """Return the messages, demonstrations first; the system text is in front of the first question."""
        asked = [*(one.asked for one in prompt.earlier), prompt.text]
        asked[0] = self._chat.folded(asked[0])
        said = [one.said for one in prompt.earlier]
        turns = [[("user", question), ("assistant", answer)] for question, answer in zip(asked, said, strict=False)]
        told = [*(turn for pair in turns for turn in pair), ("user", asked[-1])]
        return [{"role": role, "content": content} for role, content in told]

    async def _complete(self, request: Request) -> Draft:
        answer = await self._client.ask(_PATH, self._body(request))
        choices = answer.get("choices")
        choice = choices[0] if isinstance(choices, list) and len(choices) == 1 else None
        message = (choice.get("message") or {}) if isinstance(choice, Mapping) else None
        if choice is None or not isinstance(message, Mapping):
            raise RunError(
                f"The server at {self._client.where} did not answer {_PATH} with one choice with a message: "
                f"{reprlib.repr(answer)}. Check whether it implements the common form of chat completions."
            )
        text = None if message.get("refusal") else message.get("content")
        text = self._reader.adopted(text) if isinstance(text, str) else text
        length, asked = self.prompt_tokens(request.prompt), request.sampling.max_new_tokens
        return read_text(self._reader, text, choice.get("finish_reason"), length, asked)

    def _cannot(self, what: str) -> RunError:
        return RunError(
            f"The teacher {self._model!r} at {self._client.where} was asked for the likelihood of {what}. A teacher's "
            "log-probabilities are not available: score with the trained model, and do not weight a teacher's drafts."
        )
