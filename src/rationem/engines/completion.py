"""A completion as token ids and as text: its end, its rationale's end, and the levels that may follow."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from rationem.engines.chat import Chat
from rationem.tasks.parse import THINK, THOUGHT, find_verdict, marker_pattern
from rationem.types import Draft, Finish, LevelQuery, Prompt

#: Characters of context for encoding a level.
_CONTEXT = 64
_CACHED_LINES = 1024

_Ids = tuple[int, ...]


class CompletionReader:
    """Reads completions for an engine: everything that depends on tokenizer and marker but not on weights.

    Args:
        chat: the model's tokenizer and conversation format.
        marker: the text that opens the verdict line; a completion ends after that line.
        stop_ids: tokens with which the model may end its turn, beside the end-of-turn token.
    """

    def __init__(self, chat: Chat, marker: str, stop_ids: Collection[int] = ()) -> None:
        self.chat = chat
        self.stop_ids = frozenset(stop_ids) | {chat.end_of_turn}
        self._pattern = marker_pattern(marker)
        self._breaks: dict[int, bool] = {}
        # Judges repeat the same few lines and levels; an open answer is scored once.
        self._joined = lru_cache(maxsize=_CACHED_LINES)(self._find_joined)
        self._tails = lru_cache(maxsize=_CACHED_LINES)(self._find_tails)

    def ends(self, ids: Sequence[int]) -> bool:
        """Say whether a completion ends with its last token: at the turn's end or after the first verdict line.

        Decodes only if the last token holds a line break.
        """
        return ids[-1] in self.stop_ids or (self._breaks_line(ids[-1]) and self._verdict_is_closed(tuple(ids)))

    def length(self, ids: Sequence[int]) -> int | None:
        """Return the number of tokens that belong to the completion; None if it does not end among them."""
        return next((n for n in range(1, len(ids) + 1) if self.ends(ids[:n])), None)

    def draft(
        self, ids: Sequence[int], finish: Finish, prompt_tokens: int, logps: Sequence[float], *, encoded: bool = False
    ) -> Draft:
        """Return the draft of these tokens (``Draft``). Its text includes the thinking block that the prompt opened."""
        ended = bool(ids) and ids[-1] in self.stop_ids
        text = self.chat.read(tuple(ids[:-1] if ended else ids))
        return Draft(text, tuple(ids), finish, prompt_tokens, tuple(logps), encoded)

    def tokens_within(self, draft: Draft, characters: int) -> int:
        """Return the number of the draft's tokens that end within its first ``characters`` characters."""
        ids, low, high = draft.token_ids, 0, len(draft.token_ids)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if len(self.chat.read(ids[:middle])) <= characters else (low, middle - 1)
        return low

    def rationale_and_tails(self, query: LevelQuery) -> tuple[_Ids, tuple[_Ids, ...]]:
        """Split a draft at its marker: the tokens that end before it, and per level the tokens that follow.

        Every level continues the same ids and is encoded in context, as it would be sampled. A token that spans the
        marker's end ("rating: 4" in one token) is dropped, and its part up to the marker is encoded again with each
        level. The same holds for text that the tokenizer would join with a level.
        """
        text = query.draft.text[: query.upto]
        ids, continuations = query.draft.token_ids, tuple(query.continuations)
        count = self.tokens_within(query.draft, len(text) - self._joined(_last_line(text), continuations))
        at = len(self.chat.read(ids[:count]))
        return ids[:count], self._tails(_last_line(text[:at]), text[at:], continuations)

    def completions(self, query: LevelQuery) -> tuple[_Ids, ...]:
        """Return the ids of the draft up to its marker with each continuation behind it."""
        ids, tails = self.rationale_and_tails(query)
        return tuple((*ids, *tail) for tail in tails)

    def tails(self, text: str, continuations: tuple[str, ...]) -> tuple[_Ids, ...]:
        """Return the tokens of every continuation of a text, which must end at a token boundary."""
        return self._tails(_last_line(text), "", continuations)

    def _find_joined(self, line: str, continuations: tuple[str, ...]) -> int:
        """Return the number of a line's last characters that share a token with the start of a continuation."""
        ids = self.chat.encode_plain(line)
        wholes = [self.chat.encode_plain(line + continuation) for continuation in continuations]
        common = min((_common(ids, whole) for whole in wholes), default=len(ids))
        return 0 if common == len(ids) else len(line) - len(self.chat.decode(ids[:common]))

    def _find_tails(self, before: str, rest: str, continuations: tuple[str, ...]) -> tuple[_Ids, ...]:
        # There is no thinking block after the marker: a tag in an open y* is the user's text.
        return tuple(self.chat.encode_completion(rest + continuation, before) for continuation in continuations)

    def adopted(self, text: str) -> str:
        """Return another model's completion in this model's form.

        If this model's prompt opens a thinking block, the other's rationale becomes the content of that block.
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
    """Return the end of a text that affects the tokens after it: its last line and the line break before it."""
    return text[max(text.rfind("\n", 0, -1), 0) :][-_CONTEXT:]


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """Return the length of the common prefix of two sequences."""
    return next((n for n, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


class Texts:
    """The part of an engine that needs no weights: prompts and completions as tokens.

    Args:
        chat: the tokenizer and its conversation format.
        marker: the text that opens the verdict line.
        stop_ids: tokens with which the model may end its turn, beside the end-of-turn token.
    """

    def __init__(self, chat: Chat, marker: str, stop_ids: Collection[int] = ()) -> None:
        self._chat, self._reader = chat, CompletionReader(chat, marker, stop_ids)

    def prompt_tokens(self, prompt: Prompt) -> int:
        """Return the length of the prompt as the model sees it, template included."""
        return len(self._chat.encode(prompt))

    def encode_completion(self, text: str, behind: str = "") -> tuple[int, ...]:
        """Return the ids of a completion, or of its end ``behind`` the rest of it, end-of-turn token included."""
        return self._chat.encode_completion(text, behind)

    def completions(self, query: LevelQuery) -> tuple[tuple[int, ...], ...]:
        """Return the draft's ids up to the marker with each continuation behind: the tokens of ``score_levels``."""
        return self._reader.completions(query)

    def tokens_within(self, draft: Draft, characters: int) -> int:
        """Return how many of the draft's tokens end within the first so many characters of its text."""
        return self._reader.tokens_within(draft, characters)
