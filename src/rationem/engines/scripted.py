"""An engine with scripted completions: for tests, examples, and models small enough to be a table.

``say(request)`` returns the completion's text; ``levels(query)`` the log-probabilities of the levels; ``tokens(query)``
those of a completion's tokens, which are its characters. All may use the request's seed, so a scripted engine can be a
random model given by a table (see ``tests/toy.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rationem.types import Draft, Finish, LevelQuery, Prompt, Request, TokenQuery


class ScriptedEngine:
    """Answers each request with a given text; a ``None`` is an engine failure.

    >>> from rationem.types import Sampling
    >>> engine = ScriptedEngine(lambda request: "polite\\nFinal rating: 4")
    >>> engine.sample([Request(Prompt("x"), Sampling(), seed=0)])[0].text
    'polite\\nFinal rating: 4'
    """

    honours_seeds = True

    def __init__(
        self,
        say: Callable[[Request], str | None],
        levels: Callable[[LevelQuery], Sequence[float]] | None = None,
        batch_size: int = 64,
        tokens: Callable[[TokenQuery], Sequence[float]] | None = None,
    ) -> None:
        self._say = say
        self._levels = levels
        self._tokens = tokens
        self.batch_size = batch_size

    def prompt_tokens(self, prompt: Prompt) -> int:
        """Return the number of characters, demonstrations included: a scripted engine's token is a character."""
        return len(prompt.whole)

    def encode_completion(self, text: str, behind: str = "") -> tuple[int, ...]:
        """Return the code points of the text, with 0 as the end-of-turn token."""
        return (*(ord(character) for character in text), 0)

    def sample(self, requests: Sequence[Request]) -> list[Draft]:
        """Return the scripted drafts, in order."""
        return [self._draft(request) for request in requests]

    def score_levels(self, queries: Sequence[LevelQuery]) -> list[tuple[float, ...]]:
        """Return log pi(level | x, z) as scripted; without a script every level is equally likely."""
        return [self._score(query) for query in queries]

    def score_tokens(self, queries: Sequence[TokenQuery]) -> list[tuple[float, ...]]:
        """Return the tokens' log-probabilities as scripted; an error without a script."""
        if self._tokens is None:
            return [() for _ in queries]
        return [tuple(self._tokens(query)) for query in queries]

    def completions(self, query: LevelQuery) -> tuple[tuple[int, ...], ...]:
        """Return the ids of the draft up to the marker with each continuation behind it."""
        text = query.draft.text[: query.upto]
        return tuple(self.encode_completion(f"{text}{continuation}") for continuation in query.continuations)

    def tokens_within(self, draft: Draft, characters: int) -> int:
        """Return the number of characters: each is a token."""
        return min(characters, len(draft.text))

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _draft(self, request: Request) -> Draft:
        text = self._say(request)
        if text is None:
            return Draft("", (), Finish.FAILED, self.prompt_tokens(request.prompt))
        draft = Draft(text, self.encode_completion(text), Finish.STOP, self.prompt_tokens(request.prompt))
        (logps,) = self.score_tokens([TokenQuery(request.prompt, draft)])
        return replace(draft, token_logps=logps)

    def _score(self, query: LevelQuery) -> tuple[float, ...]:
        from math import log

        if self._levels is None:
            return tuple(-log(len(query.continuations)) for _ in query.continuations)
        return tuple(self._levels(query))
