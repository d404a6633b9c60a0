"""Text -> ids, in the context of the text before it. Nothing in a user's text becomes a control token.

A tokenizer can encode a text alone differently from the same text in context: Llama 2's puts a mark before every text
(" 3" alone is ``▁▁ 3``, after "rating:" it is ``▁ 3``). Completions are sampled and trained after a prompt, so scoring
must encode them in that context too. The context and the whole are encoded, and the difference is taken::

    ids(before + text) = ids(before) + tail

If the tokenizer joins the context's last character with the text's first, there is no such tail, and the context's ids
are already fixed. The text is then encoded in another context, which does not change its own tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

#: Characters of context that are encoded to find the ids of the text after it.
_CONTEXT = 64
#: Contexts to use instead of one whose last character is joined with the text.
_NEUTRAL = ("\n", ":", "x", "1")
_CACHED_PIECES = 8192

#: Added tokens that are text: one character, runs of spaces, and HTML elements (Gemma has tokens for them). All other
#: added tokens are control tokens, whether called special or not.
_ELEMENTS = (
    "a|b|i|u|s|em|strong|sub|sup|code|blockquote|h[1-6]|ul|ol|li|p|br|hr|pre|div|span|img|iframe|html|head|body|footer|"
    "table|caption|thead|tbody|tfoot|tr|th|td"
)
_TEXT = re.compile(rf"[\s▁]*|\s*\S\s*|</?({_ELEMENTS})>")


class TextEncoder:
    """A tokenizer that encodes pieces of a text in context.

    ``begins`` are the special tokens that the tokenizer itself writes before a text. ``control`` finds the control
    strings in a text; ``control_ids`` are their tokens.

    Args:
        tokenizer: a transformers tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        added = {
            token: i for token, i in tokenizer.get_added_vocab().items() if i in special or not _TEXT.fullmatch(token)
        }
        # Longest first, so that "<|im_end|>extra" is found before "<|im_end|>".
        control = sorted(added, key=len, reverse=True)
        self.control = re.compile("|".join(re.escape(token) for token in control)) if control else None
        self.control_ids = frozenset(added.values())
        self.begins = self._find_begins()
        # In a text full of control strings most pieces are equal.
        self._behind = lru_cache(maxsize=_CACHED_PIECES)(self._find_behind)

    def ids(self, text: str) -> tuple[int, ...]:
        """Encode a text alone, control strings as control tokens."""
        if not text:
            return ()
        return tuple(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def plain(self, text: str, behind: str = "") -> tuple[int, ...]:
        """Encode a text without control tokens.

        Args:
            text: data of a user or a model.
            behind: the text before it.
        """
        return self.pieces([(text, True)], behind)

    def pieces(self, pieces: Iterable[tuple[str, bool]], behind: str = "") -> tuple[int, ...]:
        """Encode pieces of one text, each in the context of the previous one.

        Args:
            pieces: (text, is data); data has no control tokens.
            behind: the text before the pieces; "" if there is none.
        """
        ids: list[int] = []
        before = behind
        for text, is_data in pieces:
            for part in self._cut(text) if is_data else [text] * bool(text):
                find = self._behind if len(part) <= _CONTEXT else self._find_behind
                ids += find(before[-_CONTEXT:], part, is_data)
                before = part
        return tuple(ids)

    def controls(self, ids: Iterable[int]) -> list[int]:
        """Return the ids that are control tokens, in order."""
        return [i for i in ids if i in self.control_ids]

    def _find_behind(self, before: str, text: str, is_data: bool) -> tuple[int, ...]:
        for context in (before, *_NEUTRAL) if before else ():
            head, whole = self.ids(context), self.ids(context + text)
            tail = whole[len(head) :]
            if head == whole[: len(head)] and not (is_data and self.controls(tail)):
                return tail
        return self.ids(text)

    def _cut(self, text: str) -> Iterator[str]:
        """Cut every control string after its first character, so that no piece holds one."""
        begin = 0
        while self.control is not None and (match := self.control.search(text, begin)):
            yield text[begin : match.start() + 1]
            begin = match.start() + 1
        if begin < len(text):
            yield text[begin:]

    def _find_begins(self) -> tuple[int, ...]:
        alone, whole = self.ids("x"), tuple(self._tokenizer("x", verbose=False)["input_ids"])
        at = next((n for n in range(len(whole)) if whole[n : n + len(alone)] == alone), 0)
        return whole[:at]
