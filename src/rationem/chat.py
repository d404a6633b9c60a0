"""Prompt -> token ids by the model's own chat template. Text is data: it can never become a control token.

Where a text holds no control token, the ids equal ``tokenizer.apply_chat_template(messages, tokenize=True)``. Where
it does hold one ("<|im_end|>" in a user's file), that string is encoded as the plain characters it is: the template
is rendered with a sentinel in its place, the pieces around it are encoded as they are, and the control string is
encoded in two halves, neither of which is a token of the template's vocabulary.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from rationem.errors import ModelError
from rationem.types import Prompt

_CACHED_PROMPTS = 8192

#: Some templates write today's date into the prompt. A run's prompts must not change at midnight: this one is shown.
DATE = "26 Jul 2024"


class Chat:
    """A tokenizer seen as a conversation: one user turn in, one assistant turn out.

    Args:
        tokenizer: a transformers tokenizer. Without a chat template (a base model) the prompt is the bare text and a
            line break, and the turn ends with the tokenizer's eos token.

    Raises:
        ModelError: the tokenizer has neither a chat template that ends a turn nor an eos token.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        # Some tokenizers add runs of blanks as tokens: those are text. Everything else that was added is control.
        added = {token: i for token, i in tokenizer.get_added_vocab().items() if len(token.strip()) > 1}
        # Longest first, so that "<|im_end|>extra" is found before "<|im_end|>".
        control = sorted(added, key=len, reverse=True)
        self._control = re.compile("|".join(re.escape(token) for token in control)) if control else None
        self._control_ids = frozenset(added.values())
        self.end_of_turn = self._find_end_of_turn()
        self.encode = lru_cache(maxsize=_CACHED_PROMPTS)(self._encode)

    def encode_completion(self, text: str) -> tuple[int, ...]:
        """Return the ids of a completion, with the end-of-turn token behind it."""
        return (*self.encode_plain(text), self.end_of_turn)

    def decode(self, token_ids: tuple[int, ...]) -> str:
        """Return the text of ids, exactly: no clean-up of blanks, nothing skipped."""
        text: str = self.tokenizer.decode(
            list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    def _encode(self, prompt: Prompt) -> tuple[int, ...]:
        if not self.tokenizer.chat_template:
            return self.encode_plain(f"{prompt.text}\n")
        if self._control is None or not self._control.search(prompt.text):
            return self._ids(self._render(prompt.text))
        guarded, hidden = self._guard(prompt.text)
        ids = self._pieces(self._render(guarded), hidden)
        # Proof, not trust: the turn holds exactly the control tokens that the template itself puts there.
        expected = [i for i in self._ids(self._render("x")) if i in self._control_ids]
        if [i for i in ids if i in self._control_ids] != expected:
            raise ModelError(
                "This tokenizer turns a control string inside a text into a control token in a way that could not "
                f"be prevented. Text: {prompt.text[:80]!r}. Remove the string from the data."
            )
        return ids

    def _render(self, text: str) -> str:
        rendered: str = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True, date_string=DATE
        )
        return rendered

    def _guard(self, text: str) -> tuple[str, dict[str, str]]:
        """Replace every control string by a sentinel that occurs nowhere in the text."""
        assert self._control is not None
        mark = "\ue000"
        while mark in text:
            mark += "\ue000"
        hidden: dict[str, str] = {}

        def hide(match: re.Match[str]) -> str:
            sentinel = f"{mark}{len(hidden)}\ue001"
            hidden[sentinel] = match[0]
            return sentinel

        return self._control.sub(hide, text), hidden

    def _pieces(self, rendered: str, hidden: dict[str, str]) -> tuple[int, ...]:
        pieces = re.split("|".join(re.escape(s) for s in sorted(hidden, key=len, reverse=True)), rendered)
        order = sorted(hidden, key=rendered.index)
        ids: list[int] = list(self._ids(pieces[0]))
        for sentinel, piece in zip(order, pieces[1:], strict=True):
            ids.extend(self.encode_plain(hidden[sentinel]))
            ids.extend(self._ids(piece))
        return tuple(ids)

    def encode_plain(self, text: str) -> tuple[int, ...]:
        """Encode a text in which nothing is a control token: every control string is cut after one character."""
        ids: list[int] = []
        while self._control is not None and (match := self._control.search(text)):
            cut = match.start() + 1
            ids.extend(self._ids(text[:cut]))
            text = text[cut:]
        return (*ids, *self._ids(text))

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) if text else ()

    def _find_end_of_turn(self) -> int:
        """Return the first control token that the template writes behind an assistant's text."""
        if self.tokenizer.chat_template:
            probe = "answer"
            turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": probe}]
            rendered: str = self.tokenizer.apply_chat_template(turns, tokenize=False, date_string=DATE)
            behind = self._ids(rendered[rendered.rindex(probe) + len(probe) :])
            for token in behind:
                if token in self._control_ids:
                    return int(token)
        if self.tokenizer.eos_token_id is None:
            raise ModelError(
                "The tokenizer has no end-of-turn token: neither its chat template nor eos_token names one."
            )
        return int(self.tokenizer.eos_token_id)
