"""Prompt -> token ids by the model's own chat template. Text is data: it can never become a control token.

If a text has no control string, the ids equal ``tokenizer.apply_chat_template(messages, tokenize=True)``. If it has one
("<|im_end|>" in a user's file), that string is encoded as plain characters: the template is rendered with a sentinel in
its place, the pieces around it are encoded normally, and the control string is encoded in two halves, neither of which
is a token of the template's vocabulary. Every piece is encoded in the context of the piece before it (``tokens``), and
a completion in the context of its prompt.

A run's additions to the template are a ``Conversation``. It is stored with the tokenizer, in ``tokenizer_config.json``
of every checkpoint, so that every reader of a checkpoint builds the prompts of its training.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rationem.engines.chat.conversation import DATE, Conversation, shows_a_date
from rationem.engines.chat.template import ChatTemplate, Turn
from rationem.engines.chat.tokens import TextEncoder
from rationem.errors import ModelError
from rationem.tasks.parse import THINK, THOUGHT
from rationem.types import Prompt

__all__ = ["DATE", "Chat", "Conversation", "Turn", "shows_a_date"]

_CACHED_PROMPTS = 8192
#: Private-use characters: one that a text does not contain marks a place in it. No prompt contains all of them.
_PRIVATE = (*range(0xE000, 0xF8FF), *range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE))


class Chat:
    """A tokenizer seen as a conversation: one user turn in, after demonstrations if any, and one assistant turn out.

    ``opened`` is the start of a thinking block if the template writes one into the prompt ("<think>\\n"), else "". The
    completion's text begins with it. ``thinks`` says whether the template supports thinking. ``folds`` says whether the
    system text is part of the user's turn, because the template has no system role. ``settings`` are the template's
    arguments beside the messages.

    Args:
        tokenizer: a transformers tokenizer with its stored ``Conversation``. Without a chat template (a base model) the
            prompt is the tokenizer's own special tokens, the bare text and a line break, and the turn ends with the
            tokenizer's eos token.

    Raises:
        ModelError: the template cannot be used, or neither it nor an eos token ends a turn.
        ConfigError: the template does not support the conversation.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.conversation = Conversation.of(tokenizer)
        self.template = template = ChatTemplate(tokenizer, self.conversation)
        self.tokens = TextEncoder(tokenizer)
        self.settings, self.folds, self.opened = template.settings, template.folds, template.opened
        self.thinks = THINK in template.text or THOUGHT in template.text
        self.end_of_turn = self._find_end_of_turn()
        # The text before every completion is the same for all prompts, so a completion's ids do not depend on them.
        self._opening = template.opening or "\n"
        self._before = self.tokens.ids(self._opening)
        self._shown = len(self.decode(self._before))
        self.encode = lru_cache(maxsize=_CACHED_PROMPTS)(self._encode)

    def encode_completion(self, text: str, behind: str = "") -> tuple[int, ...]:
        """Return the ids of a completion and the end-of-turn token, without the text that the prompt opened.

        Args:
            text: the completion, with or without the start of the thinking block that the prompt opened; or the end of
                a completion.
            behind: the completion's text before ``text``; only the ids of ``text`` are returned.
        """
        ids = self.tokens.plain(text, behind) if behind else self.encode_said(text.removeprefix(self.opened))
        return (*ids, self.end_of_turn)

    def encode_said(self, text: str) -> tuple[int, ...]:
        """Encode text after the prompt: as data, except for the tags of its thinking block."""
        if not text:
            return ()
        begins = text.lstrip().startswith(THINK)
        said = self.template.lead + text
        if not (begins or self.opened):
            return self.tokens.plain(said, self._opening)
        begin = said.index(THINK) + len(THINK) if begins else 0
        close = said.find(THOUGHT, begin)
        end = len(said) if close < 0 else close + len(THOUGHT)
        close = len(said) if close < 0 else close
        pieces = [(said[:begin], False), (said[begin:close], True), (said[close:end], False), (said[end:], True)]
        return self.tokens.pieces(pieces, self._opening)

    def read(self, token_ids: tuple[int, ...]) -> str:
        """Return the text of a completion, including the start of the thinking block that the prompt opened.

        The ids are decoded in the context of a prompt; without it some tokenizers drop the first space.
        """
        said = self.decode((*self._before, *token_ids))[self._shown :]
        return self.opened + said.removeprefix(self.template.lead)

    def decode(self, token_ids: tuple[int, ...]) -> str:
        """Return the exact text of ids: no clean-up of spaces, no skipped tokens."""
        text: str = self.tokenizer.decode(
            list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    def turns(self, text: str) -> list[Turn]:
        """Return the messages before the assistant's."""
        return self.template.turns(text)

    def messages(self, prompt: Prompt) -> list[Turn]:
        """Return a prompt's messages, demonstrations included."""
        return self.template.turns(prompt.text, earlier=_told(prompt))

    def folded(self, text: str) -> str:
        """Return the system text and a user's text with an empty line between them."""
        return self.template.folded(text)

    def render(self, turns: list[Turn], *, answered: bool = True) -> str:
        """Return the template's rendering of messages; see ``ChatTemplate.render``."""
        return self.template.render(turns, answered=answered)

    def encode_plain(self, text: str) -> tuple[int, ...]:
        """Encode a text at the start of a sequence, without control tokens."""
        return self.tokens.plain(text)

    def _encode(self, prompt: Prompt) -> tuple[int, ...]:
        tokens = self.tokens
        if not self.template.text:
            return (*tokens.begins, *tokens.plain(self.bare(prompt)))
        texts = _Texts(self.conversation.system, prompt.text, tuple(part for pair in _told(prompt) for part in pair))
        if tokens.control is None or not any(map(tokens.control.search, texts.all)):
            return tokens.ids(self._asked(texts))
        ids = tokens.pieces(self._pieces(texts))
        # Verify that the turns have exactly the control tokens of the template itself.
        if tokens.controls(ids) != tokens.controls(tokens.ids(self._asked(texts.changed(lambda text: text and "x")))):
            guilty = next(text for text in texts.all if tokens.control.search(text))
            raise ModelError(
                "This tokenizer turns a control string inside a text into a control token in a way that could not "
                f"be prevented. Text: {guilty[:80]!r}. Remove the string from the data."
            )
        return ids

    def bare(self, prompt: Prompt) -> str:
        """Return the text of a prompt for a model without a chat template: paragraphs of question and answer."""
        return f"{self.folded(prompt.whole)}\n"

    def _asked(self, texts: _Texts) -> str:
        turns = self.template.turns(texts.text, texts.system, texts.pairs)
        return self.template.render(turns, answered=False)

    def _pieces(self, texts: _Texts) -> list[tuple[str, bool]]:
        """Return the rendered prompt as (piece, is data): only the control strings of the texts are data."""
        assert self.tokens.control is not None
        used, hidden = set().union(*texts.all), list[str]()
        mark = next(character for character in map(chr, _PRIVATE) if character not in used)

        def hide(match: re.Match[str]) -> str:
            hidden.append(match[0])
            return f"{mark}{len(hidden) - 1}{mark}"

        control = self.tokens.control
        guarded = texts.changed(lambda text: control.sub(hide, text))
        pieces = re.split(f"{mark}([0-9]+){mark}", self._asked(guarded))
        return [(hidden[int(piece)], True) if n % 2 else (piece, False) for n, piece in enumerate(pieces)]

    def _find_end_of_turn(self) -> int:
        """Return the first control token that the template writes after an assistant's text."""
        for token in self.tokens.controls(self.tokens.ids(self.template.closing or "")):
            return int(token)
        if self.tokenizer.eos_token_id is None:
            raise ModelError(
                "The tokenizer has no end-of-turn token: neither its chat template nor eos_token names one."
            )
        return int(self.tokenizer.eos_token_id)


@dataclass(frozen=True, slots=True)
class _Texts:
    """All texts of a prompt that are data: the system text, the user's, and questions and answers before it."""

    system: str
    text: str
    earlier: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """The texts."""
        return (self.system, self.text, *self.earlier)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The questions and answers before the user's text."""
        return list(zip(self.earlier[::2], self.earlier[1::2], strict=True))

    def changed(self, change: Callable[[str], str]) -> _Texts:
        """Return the texts, each changed by a function."""
        return _Texts(change(self.system), change(self.text), tuple(map(change, self.earlier)))


def _told(prompt: Prompt) -> list[tuple[str, str]]:
    return [(one.asked, one.said) for one in prompt.earlier]
