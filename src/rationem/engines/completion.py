"""A completion as token ids and as text: where it ends, where its rationale does, and what may follow."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from rationem.engines.chat import Chat
from rationem.tasks.parse import THINK, THOUGHT, find_verdict, marker_pattern
from rationem.types import Draft, Finish, LevelQuery

#: Characters of a completion behind which a level is encoded.
_CONTEXT = 64
_CACHED_LINES = 1024

_Ids = tuple[int, ...]


class CompletionReader:
    """Reads completions for an engine: all that depends on tokenizer and marker, and on no weights.

    Args:
        chat: the model's tokenizer and conversation format.
        marker: the text that opens the verdict line; a completion ends behind that line.
        stop_ids: tokens at which the model may end its turn, beside the end-of-turn token.
    """

    def __init__(self, chat: Chat, marker: str, stop_ids: Collection[int] = ()) -> None:
        self.chat = chat
        self.stop_ids = frozenset(stop_ids) | {chat.end_of_turn}
        self._pattern = marker_pattern(marker)
        self._breaks: dict[int, bool] = {}
        # Of judges the same few lines and levels come again and again; an open answer is scored once.
        self._joined = lru_cache(maxsize=_CACHED_LINES)(self._find_joined)
        self._tails = lru_cache(maxsize=_CACHED_LINES)(self._find_tails)

    def ends(self, ids: Sequence[int]) -> bool:
        """Say whether a completion ends with its last token: the turn's end, or the end of the first verdict line.

        Only where the last token holds a line break is anything decoded.
        """
        return ids[-1] in self.stop_ids or (self._breaks_line(ids[-1]) and self._verdict_is_closed(tuple(ids)))

    def length(self, ids: Sequence[int]) -> int | None:
        """Return how many of the tokens belong to the completion; None where it has no end among them."""
        return next((n for n in range(1, len(ids) + 1) if self.ends(ids[:n])), None)

    def draft(
        self, ids: Sequence[int], finish: Finish, prompt_tokens: int, logps: Sequence[float], *, encoded: bool = False
    ) -> Draft:
        """Return the draft of these tokens; see ``Draft``. A thinking block that the prompt opened begins its text."""
        ended = bool(ids) and ids[-1] in self.stop_ids
        text = self.chat.read(tuple(ids[:-1] if ended else ids))
        return Draft(text, tuple(ids), finish, prompt_tokens, tuple(logps), encoded)

    def tokens_within(self, draft: Draft, characters: int) -> int:
        """Return how many of the draft's tokens end within the first so many characters of its text."""
        ids, low, high = draft.token_ids, 0, len(draft.token_ids)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if len(self.chat.read(ids[:middle])) <= characters else (low, middle - 1)
        return low

    def rationale_and_tails(self, query: LevelQuery) -> tuple[_Ids, tuple[_Ids, ...]]:
        """Split a draft at its marker: all tokens that end before it does, and per level the tokens to come.

        Every level is a continuation of the same ids, and is encoded behind the text before it, as it would be drawn.
        A token that reaches beyond the marker ("rating: 4" in one token) is dropped, and its part up to the marker is
        encoded again with each level; so is what the tokenizer would join with one of the levels.
        """
        text = query.draft.text[: query.upto]
        ids, continuations = query.draft.token_ids, tuple(query.continuations)
        count = self.tokens_within(query.draft, len(text) - self._joined(_last_line(text), continuations))
        at = len(self.chat.read(ids[:count]))
        return ids[:count], self._tails(_last_line(text[:at]), text[at:], continuations)

    def tails(self, text: str, continuations: tuple[str, ...]) -> tuple[_Ids, ...]:
        """Return the tokens of every continuation behind the beginning of a completion that ends where a token does."""
        return self._tails(_last_line(text), "", continuations)

    def _find_joined(self, line: str, continuations: tuple[str, ...]) -> int:
        """Return how many of a line's last characters are in a token with the beginning of a continuation."""
        ids = self.chat.encode_plain(line)
        wholes = [self.chat.encode_plain(line + continuation) for continuation in continuations]
        common = min((_common(ids, whole) for whole in wholes), default=len(ids))
        return 0 if common == len(ids) else len(line) - len(self.chat.decode(ids[:common]))

    def _find_tails(self, before: str, rest: str, continuations: tuple[str, ...]) -> tuple[_Ids, ...]:
        # Behind the marker is no thinking block: a tag in an open y* is the user's text.
        return tuple(self.chat.encode_completion(rest + continuation, before) for continuation in continuations)

    def adopted(self, text: str) -> str:
        """Return another model's completion as this model is to write it.

        Where the prompt of this model opens a thinking block, the other's rationale is what is thought.
        """
        if not self.chat.opened:
            return text
        if text.lstrip().startswith(THINK):
            return text.lstrip().removeprefix(THINK).lstrip("\n")
        line = find_verdict(self._pattern, text)
        return text if line is None else f"{text[: line.begin].strip()}\n{THOUGHT}\n\n{text[line.begin :]}"

    def _breaks_line(self, token: int) -> bool:
        if token not in self._breaks:
            self._breaks[token] = not {"\n", "\r"}.isdisjoint(self.chat.decode((token,)))
        return self._breaks[token]

    def _verdict_is_closed(self, ids: tuple[int, ...]) -> bool:
        text = self.chat.read(ids)
        line = find_verdict(self._pattern, text)
        return line is not None and bool(text[line.marker_end : line.end].strip()) and line.end < len(text)


def _last_line(text: str) -> str:
    """Return the end of a text as far as it bears on how a tokenizer goes on: its last line and the break before."""
    return text[max(text.rfind("\n", 0, -1), 0) :][-_CONTEXT:]


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """Return how many ids two sequences begin with alike."""
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
