"""Prompt -> token ids by the model's own chat template. Text is data: it can never become a control token.

Where a text holds no control token, the ids equal ``tokenizer.apply_chat_template(messages, tokenize=True)``. Where
it does hold one ("<|im_end|>" in a user's file), that string is encoded as the plain characters it is: the template
is rendered with a sentinel in its place, the pieces around it are encoded as they are, and the control string is
encoded in two halves, neither of which is a token of the template's vocabulary. Every piece is encoded behind the one
before (``tokens``), and so is a completion behind its prompt.

What a run adds to the template is a ``Conversation``. It is kept with the tokenizer, in ``tokenizer_config.json`` of
every checkpoint, so that whoever reads a checkpoint asks as it was trained.
"""

from __future__ import annotations

import re
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
#: Characters that mean nothing: one that a text does not hold marks a place in it. No prompt is long enough for all.
_PRIVATE = (*range(0xE000, 0xF8FF), *range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE))


class Chat:
    """A tokenizer seen as a conversation: one user turn in, one assistant turn out.

    ``opened`` is the beginning of a thinking block where the template writes one into the prompt ("<think>\\n"), else
    "": the completion's text begins with it. ``thinks`` says whether the template knows of thinking at all, ``folds``
    whether the system text is part of the user's turn, because the template has no system role, ``settings`` is what
    the template is told beside the messages.

    Args:
        tokenizer: a transformers tokenizer, and the ``Conversation`` that it carries. Without a chat template (a base
            model) the prompt is the tokenizer's own special tokens, the bare text and a line break, and the turn ends
            with the tokenizer's eos token.

    Raises:
        ModelError: the template cannot be used, or there is neither one that ends a turn nor an eos token.
        ConfigError: the template cannot be asked as the conversation wants.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.conversation = Conversation.of(tokenizer)
        self.template = template = ChatTemplate(tokenizer, self.conversation)
        self.tokens = TextEncoder(tokenizer)
        self.settings, self.folds, self.opened = template.settings, template.folds, template.opened
        self.thinks = THINK in template.text or THOUGHT in template.text
        self.end_of_turn = self._find_end_of_turn()
        # The text in front of every completion. It is the same for all prompts: a completion's ids depend on none.
        self._opening = template.opening or "\n"
        self._before = self.tokens.ids(self._opening)
        self._shown = len(self.decode(self._before))
        self.encode = lru_cache(maxsize=_CACHED_PROMPTS)(self._encode)

    def encode_completion(self, text: str, behind: str = "") -> tuple[int, ...]:
        """Return the ids of a completion, with the end-of-turn token behind it; what the prompt opened is not in them.

        Args:
            text: the completion, with the beginning of the thinking block that the prompt opened, or without it; or
                the end of one.
            behind: the part of the completion before the text; the ids returned are those of the text alone.
        """
        ids = self.tokens.plain(text, behind) if behind else self.encode_said(text.removeprefix(self.opened))
        return (*ids, self.end_of_turn)

    def encode_said(self, text: str) -> tuple[int, ...]:
        """Encode what stands behind the prompt: data like any other text, but for the tags of its thinking block."""
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
        """Return the text of a completion: the beginning of the thinking block that the prompt opened, and the ids'.

        The ids are read behind a prompt, as they were drawn: alone, some tokenizers hide their first blank.
        """
        said = self.decode((*self._before, *token_ids))[self._shown :]
        return self.opened + said.removeprefix(self.template.lead)

    def decode(self, token_ids: tuple[int, ...]) -> str:
        """Return the text of ids, exactly: no clean-up of blanks, nothing skipped."""
        text: str = self.tokenizer.decode(
            list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    def turns(self, text: str) -> list[Turn]:
        """Return the messages that come before the assistant's."""
        return self.template.turns(text)

    def folded(self, text: str) -> str:
        """Return a user's text with the system text in front of it, a blank line between."""
        return self.template.folded(text)

    def render(self, turns: list[Turn], *, answered: bool = True) -> str:
        """Return what the template makes of messages; see ``Template.render``."""
        return self.template.render(turns, answered=answered)

    def encode_plain(self, text: str) -> tuple[int, ...]:
        """Encode a text that begins a sequence, and in which nothing is a control token."""
        return self.tokens.plain(text)

    def _encode(self, prompt: Prompt) -> tuple[int, ...]:
        tokens, system = self.tokens, self.conversation.system
        if not self.template.text:
            return (*tokens.begins, *tokens.plain(f"{self.folded(prompt.text)}\n"))
        if tokens.control is None or not tokens.control.search(f"{system}\n{prompt.text}"):
            return tokens.ids(self._asked(prompt.text))
        ids = tokens.pieces(self._pieces(prompt.text, system))
        # Proof, not trust: the turn holds exactly the control tokens that the template itself puts there.
        if tokens.controls(ids) != tokens.controls(tokens.ids(self._asked("x", "x" if system else ""))):
            raise ModelError(
                "This tokenizer turns a control string inside a text into a control token in a way that could not "
                f"be prevented. Text: {prompt.text[:80]!r}. Remove the string from the data."
            )
        return ids

    def _asked(self, text: str, system: str | None = None) -> str:
        return self.template.render(self.template.turns(text, system), answered=False)

    def _pieces(self, text: str, system: str) -> list[tuple[str, bool]]:
        """Return the rendered prompt in pieces: the control strings of both texts are data, what is around them not."""
        assert self.tokens.control is not None
        used, hidden = {*text, *system}, list[str]()
        mark = next(character for character in map(chr, _PRIVATE) if character not in used)

        def hide(match: re.Match[str]) -> str:
            hidden.append(match[0])
            return f"{mark}{len(hidden) - 1}{mark}"

        guarded = [self.tokens.control.sub(hide, one) for one in (text, system)]
        pieces = re.split(f"{mark}([0-9]+){mark}", self._asked(*guarded))
        return [(hidden[int(piece)], True) if n % 2 else (piece, False) for n, piece in enumerate(pieces)]

    def _find_end_of_turn(self) -> int:
        """Return the first control token that the template writes behind an assistant's text."""
        for token in self.tokens.controls(self.tokens.ids(self.template.closing or "")):
            return int(token)
        if self.tokenizer.eos_token_id is None:
            raise ModelError(
                "The tokenizer has no end-of-turn token: neither its chat template nor eos_token names one."
            )
        return int(self.tokenizer.eos_token_id)
