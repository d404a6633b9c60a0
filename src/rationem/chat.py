"""Prompt -> token ids by the model's own chat template. Text is data: it can never become a control token.

Where a text holds no control token, the ids equal ``tokenizer.apply_chat_template(messages, tokenize=True)``. Where
it does hold one ("<|im_end|>" in a user's file), that string is encoded as the plain characters it is: the template
is rendered with a sentinel in its place, the pieces around it are encoded as they are, and the control string is
encoded in two halves, neither of which is a token of the template's vocabulary.

What a run adds to the template, a system text and a switch for thinking, is a ``Conversation``. It is kept with the
tokenizer, in ``tokenizer_config.json`` of every checkpoint, so that whoever reads a checkpoint asks as it was trained.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import TemplateError

from rationem.errors import ConfigError, ModelError
from rationem.parse import THINK, THOUGHT
from rationem.types import Prompt

_CACHED_PROMPTS = 8192
_KEY = "rationem"
_SWITCH = "enable_thinking"

#: Some templates write today's date into the prompt. A run's prompts must not change at midnight: this one is shown.
DATE = "26 Jul 2024"


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a run adds to a model's chat template.

    Args:
        system: the text of a system turn before the user's; "" is none, and leaves a template's own default alone.
        thinking: the template's switch ``enable_thinking``; "auto" leaves the template's default alone.
    """

    system: str = ""
    thinking: Literal["auto", "on", "off"] = "auto"

    @classmethod
    def of(cls, tokenizer: Any) -> Conversation:
        """Return what a tokenizer carries."""
        return cls(**tokenizer.init_kwargs.get(_KEY, {}))

    def carried_by(self, tokenizer: Any) -> Any:
        """Return the tokenizer, which now carries this, and writes it into every checkpoint that it is saved with."""
        tokenizer.init_kwargs.pop(_KEY, None)
        if self != Conversation():
            tokenizer.init_kwargs[_KEY] = asdict(self)
        return tokenizer

    def written_to(self, checkpoint: Path) -> None:
        """Let a checkpoint that was saved with another conversation, or none, carry this one."""
        path = checkpoint / "tokenizer_config.json"
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        wanted = {key: value for key, value in found.items() if key != _KEY}
        if self != Conversation():
            wanted[_KEY] = asdict(self)
        if wanted != found:
            path.write_text(json.dumps(wanted, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class Chat:
    """A tokenizer seen as a conversation: one user turn in, one assistant turn out.

    ``opened`` is the beginning of a thinking block where the template writes one into the prompt ("<think>\\n"), else
    "": the completion's text begins with it. ``thinks`` says whether the template knows of thinking at all, ``folds``
    whether the system text stands in the user's turn, for want of a system role, ``settings`` is what the template is
    told beside the messages.

    Args:
        tokenizer: a transformers tokenizer, and the ``Conversation`` that it carries. Without a chat template (a base
            model) the prompt is the bare text and a line break, and the turn ends with the tokenizer's eos token.

    Raises:
        ModelError: the tokenizer has neither a chat template that ends a turn nor an eos token.
        ConfigError: thinking is to be switched, and the template has no switch.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.conversation = Conversation.of(tokenizer)
        template = _template(tokenizer)
        self.settings = _switched(self.conversation.thinking, template)
        # Some tokenizers add runs of blanks as tokens: those are text. Everything else that was added is control.
        added = {token: i for token, i in tokenizer.get_added_vocab().items() if len(token.strip()) > 1}
        # Longest first, so that "<|im_end|>extra" is found before "<|im_end|>".
        control = sorted(added, key=len, reverse=True)
        self._control = re.compile("|".join(re.escape(token) for token in control)) if control else None
        self._control_ids = frozenset(added.values())
        self.folds = bool(self.conversation.system) and not self._has_system_role()
        self.opened = self._find_opened()
        self.thinks = THINK in template or THOUGHT in template
        self.end_of_turn = self._find_end_of_turn()
        self.encode = lru_cache(maxsize=_CACHED_PROMPTS)(self._encode)

    def encode_completion(self, text: str) -> tuple[int, ...]:
        """Return the ids of a completion, with the end-of-turn token behind it; what the prompt opened is not in them.

        Args:
            text: the completion, with the beginning of the thinking block that the prompt opened, or without it.
        """
        return (*self.encode_said(text.removeprefix(self.opened)), self.end_of_turn)

    def encode_said(self, text: str) -> tuple[int, ...]:
        """Encode what stands behind the prompt: data like any other text, but for the tags of its thinking block."""
        begins = text.lstrip().startswith(THINK)
        if not (begins or self.opened):
            return self.encode_plain(text)
        begin = text.index(THINK) + len(THINK) if begins else 0
        close = text.find(THOUGHT, begin)
        end = len(text) if close < 0 else close + len(THOUGHT)
        close = len(text) if close < 0 else close
        tags = self._ids(text[:begin]), self._ids(text[close:end])
        return (*tags[0], *self.encode_plain(text[begin:close]), *tags[1], *self.encode_plain(text[end:]))

    def read(self, token_ids: tuple[int, ...]) -> str:
        """Return the text of a completion: the beginning of the thinking block that the prompt opened, and the ids'."""
        return self.opened + self.decode(token_ids)

    def decode(self, token_ids: tuple[int, ...]) -> str:
        """Return the text of ids, exactly: no clean-up of blanks, nothing skipped."""
        text: str = self.tokenizer.decode(
            list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    def _encode(self, prompt: Prompt) -> tuple[int, ...]:
        system = self.conversation.system
        if not self.tokenizer.chat_template:
            return self.encode_plain(f"{self.folded(prompt.text)}\n")
        if self._control is None or not self._control.search(f"{system}\n{prompt.text}"):
            return self._ids(self._render(self.turns(prompt.text)))
        guarded, hidden = self._guard(prompt.text, system)
        ids = self._pieces(self._render(self.turns(*guarded)), hidden)
        # Proof, not trust: the turn holds exactly the control tokens that the template itself puts there.
        harmless = self._render(self.turns("x", "x" if system else ""))
        expected = [i for i in self._ids(harmless) if i in self._control_ids]
        if [i for i in ids if i in self._control_ids] != expected:
            raise ModelError(
                "This tokenizer turns a control string inside a text into a control token in a way that could not "
                f"be prevented. Text: {prompt.text[:80]!r}. Remove the string from the data."
            )
        return ids

    def turns(self, text: str, system: str | None = None) -> list[dict[str, str]]:
        """Return the messages that come before the assistant's.

        Args:
            text: the user's.
            system: another system text than the conversation's.
        """
        system = self.conversation.system if system is None else system
        if not system or self.folds:
            return [_turn("user", self.folded(text, system))]
        return [_turn("system", system), _turn("user", text)]

    def folded(self, text: str, system: str | None = None) -> str:
        """Return a user's text with the system text in front of it, a blank line between."""
        system = self.conversation.system if system is None else system
        return f"{system}\n\n{text}" if system else text

    def render(self, turns: list[dict[str, str]], *, answered: bool = True) -> str:
        """Return what the template makes of messages, as it is fed to the model.

        Args:
            answered: whether the last turn is the assistant's; else it is opened.
        """
        rendered: str = self.tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=not answered, date_string=DATE, **self.settings
        )
        return rendered

    def _render(self, turns: list[dict[str, str]]) -> str:
        return self.render(turns, answered=False)

    def _guard(self, text: str, system: str) -> tuple[tuple[str, str], dict[str, str]]:
        """Replace every control string of both texts by a sentinel that occurs nowhere in them."""
        assert self._control is not None
        mark = "\ue000"
        while mark in text or mark in system:
            mark += "\ue000"
        hidden: dict[str, str] = {}

        def hide(match: re.Match[str]) -> str:
            sentinel = f"{mark}{len(hidden)}\ue001"
            hidden[sentinel] = match[0]
            return sentinel

        return (self._control.sub(hide, text), self._control.sub(hide, system)), hidden

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

    def _has_system_role(self) -> bool:
        """Try: a template without the role raises, or leaves the text out."""
        if not self.tokenizer.chat_template:
            return False
        probe = "\ue000system\ue001"
        try:
            return probe in self._render([_turn("system", probe), _turn("user", "question")])
        except TemplateError:
            return False

    def _find_opened(self) -> str:
        """Return the thinking block's beginning that the template writes behind the user's turn and leaves open."""
        if not self.tokenizer.chat_template:
            return ""
        probe = "\ue000question\ue001"
        behind = self._render(self.turns(probe)).rpartition(probe)[2]
        opened = behind.rfind(THINK)
        return behind[opened:] if opened > behind.rfind(THOUGHT) else ""

    def _find_end_of_turn(self) -> int:
        """Return the first control token that the template writes behind an assistant's text."""
        if self.tokenizer.chat_template:
            probe = "answer"
            rendered = self.render([_turn("user", "question"), _turn("assistant", probe)])
            behind = self._ids(rendered[rendered.rindex(probe) + len(probe) :])
            for token in behind:
                if token in self._control_ids:
                    return int(token)
        if self.tokenizer.eos_token_id is None:
            raise ModelError(
                "The tokenizer has no end-of-turn token: neither its chat template nor eos_token names one."
            )
        return int(self.tokenizer.eos_token_id)


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _template(tokenizer: Any) -> str:
    """Return the text of the template in use; of several that have names, the default one."""
    template = tokenizer.chat_template
    return str(template if isinstance(template, str) else tokenizer.get_chat_template()) if template else ""


def _switched(thinking: Literal["auto", "on", "off"], template: str) -> dict[str, bool]:
    """Return the template's argument that switches thinking; none where it is left alone, or is so already.

    Raises:
        ConfigError: the template has no switch, and does otherwise.
    """
    if thinking == "auto":
        return {}
    if _SWITCH in template:
        return {_SWITCH: thinking == "on"}
    if (THINK in template or THOUGHT in template) == (thinking == "on"):
        return {}
    does = "always thinks" if thinking == "off" else "knows no thinking"
    raise ConfigError(
        f"--thinking {thinking}: this model's chat template has no switch ({_SWITCH}) and {does}. Leave --thinking "
        "out, or take a model whose template can be switched."
    )
