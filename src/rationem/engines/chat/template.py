"""A model's chat template and its features, found by trials, not by its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from jinja2 import TemplateError, TemplateSyntaxError

from rationem.engines.chat.conversation import Conversation, dated
from rationem.errors import ConfigError, ModelError
from rationem.tasks.parse import THINK, THOUGHT

_SWITCH = "enable_thinking"
_QUESTION, _ANSWER, _SYSTEM = "\ue000question\ue001", "\ue000answer\ue001", "\ue000system\ue001"

#: Errors of a template that is broken or rejects a conversation. A template is a program of the model's publisher.
_REFUSED = (TemplateError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)

Turn = dict[str, Any]
#: (question, answer) of each earlier turn.
Earlier = Sequence[tuple[str, str]]


class ChatTemplate:
    """The chat template in use; without one (a base model) the text and a line break.

    ``folds`` says whether the system text is part of the user's turn, because the template has no system role.
    ``opening`` is the text between the user's text and the completion, ``opened`` the start of a thinking block in it
    ("<think>\\n"), ``lead`` the white space that the template writes before an answer, ``closing`` the text after an
    answer; None if it shows none. ``opens`` says whether the prompt begins the assistant's turn as the template does.

    Args:
        tokenizer: a transformers tokenizer.
        conversation: additions to the template.

    Raises:
        ModelError: the template cannot be used.
        ConfigError: the template does not support the conversation.
    """

    def __init__(self, tokenizer: Any, conversation: Conversation) -> None:
        self._tokenizer = tokenizer
        self.conversation = conversation
        self.text = _text(tokenizer)
        self.settings = _switched(conversation.thinking, self.text)
        self._program, self._told = dated(self.text, conversation.date)
        self._in_parts = False
        self.folds = bool(conversation.system) and not self.text
        self.opening, self.opened, self.lead, self.opens = "\n", "", "", True
        self.closing: str | None = None
        if self.text:
            self._find_form()
            self._find_places()

    def turns(self, text: str, system: str | None = None, earlier: Earlier = ()) -> list[Turn]:
        """Return the messages before the assistant's.

        Args:
            text: the user's text.
            system: a system text instead of the conversation's.
            earlier: (question, answer) of the turns before it.
        """
        system = self.conversation.system if system is None else system
        first, *more = [*(asked for asked, _ in earlier), text]
        begins = [self.turn("system", system)] if system and not self.folds else []
        turns = [*begins, self.turn("user", self.folded(first, system) if self.folds else first)]
        for (_, said), asked in zip(earlier, more, strict=True):
            turns += [self.turn("assistant", said), self.turn("user", asked)]
        return turns

    def turn(self, role: str, text: str) -> Turn:
        """Return a message in the form that the template expects."""
        return {"role": role, "content": [{"type": "text", "text": text}] if self._in_parts else text}

    def folded(self, text: str, system: str | None = None) -> str:
        """Return the system text and a user's text with an empty line between them."""
        system = self.conversation.system if system is None else system
        return f"{system}\n\n{text}" if system else text

    def render(self, turns: list[Turn], *, answered: bool = True) -> str:
        """Return the template's rendering of messages, as given to the model.

        Args:
            answered: whether the last turn is the assistant's; if not, the assistant's turn is opened.

        Raises:
            ModelError: the template rejects the messages.
        """
        try:
            return self._rendered(turns, opened=not answered)
        except _REFUSED as error:
            raise ModelError(f"The model's chat template refuses a conversation: {_reason(error)}") from error

    def _rendered(self, turns: list[Turn], *, opened: bool = False) -> str:
        rendered: str = self._tokenizer.apply_chat_template(
            turns,
            chat_template=self._program,
            tokenize=False,
            add_generation_prompt=opened,
            **self._told,
            **self.settings,
        )
        return rendered

    def _holds(self, turns: list[Turn], *texts: str) -> bool:
        try:
            rendered = self._rendered(turns, opened=True)
        except _REFUSED:
            return False
        return all(text in rendered for text in texts)

    def _find_form(self) -> None:
        """Find the form of a message's text, and whether there is a system role."""
        system = bool(self.conversation.system)
        for self._in_parts in (False, True):
            self.folds = False
            if self._holds(self.turns(_QUESTION, _SYSTEM if system else ""), _QUESTION, *[_SYSTEM] * system):
                return
            self.folds = system
            if system and self._holds(self.turns(_QUESTION), _QUESTION):
                return
        self._refuse()

    def _refuse(self) -> None:
        """Raise an error that says why the template cannot be used."""
        for self._in_parts in (False, True):
            if self._holds([self.turn("system", _SYSTEM), self.turn("user", _QUESTION)], _QUESTION):
                raise ModelError(
                    "This model's chat template needs a system turn before the user's. Give one: --system TEXT"
                )
        self._in_parts = False
        try:
            self._rendered([self.turn("user", _QUESTION)], opened=True)
        except TemplateSyntaxError as error:
            raise ModelError(
                f"The model's chat template is broken: line {error.lineno}: {error.message}. Correct "
                "chat_template.jinja (or chat_template in tokenizer_config.json) in the model's directory, or use "
                "another model."
            ) from error
        except _REFUSED as error:
            raise ModelError(
                f"The model's chat template refuses a conversation of one user turn: {_reason(error)} Use another "
                "model, or correct its chat template."
            ) from error
        raise ModelError(
            "The model's chat template leaves out the user's text. Use another model, or correct its chat template."
        )

    def _find_places(self) -> None:
        """Find the text that the template writes around an answer."""
        asked = self.turns(_QUESTION)
        prompt = self._rendered(asked, opened=True)
        self.opening = prompt.rpartition(_QUESTION)[2]
        begun = self.opening.rfind(THINK)
        self.opened = self.opening[begun:] if begun > self.opening.rfind(THOUGHT) else ""
        try:
            whole = self._rendered([*asked, self.turn("assistant", _ANSWER)])
        except _REFUSED:
            return
        before, found, closing = whole.rpartition(_ANSWER)
        if not found:
            return
        self.closing = closing
        more = before.removeprefix(prompt) if before.startswith(prompt) else ""
        self.lead = more if not more.strip() else ""
        # A thinking block or a channel may follow too: the model writes it. The prompt opens the turn if the request
        # for it changes the prompt, or if only white space is missing.
        self.opens = not more.strip() or prompt != self._rendered(asked)


def _reason(error: Exception) -> str:
    told = (str(error).strip().splitlines() or [""])[0] or type(error).__name__
    return told if told.endswith((".", "!", "?")) else f"{told}."


def _text(tokenizer: Any) -> str:
    """Return the text of the template in use; of several named templates, the default one.

    Raises:
        ModelError: there are several, and none is the default.
    """
    template = tokenizer.chat_template
    if isinstance(template, dict) and "default" not in template:
        raise ModelError(
            f"This model has several chat templates ({', '.join(map(str, template))}), and none is named default. "
            "Name one of them default in its tokenizer_config.json, or keep only that one, as chat_template.jinja."
        )
    return str(template["default"] if isinstance(template, dict) else template) if template else ""


def _switched(thinking: Literal["auto", "on", "off"], template: str) -> dict[str, bool]:
    """Return the template's argument that switches thinking; empty if nothing must be switched.

    Raises:
        ConfigError: the template has no switch, and its behaviour is the other one.
    """
    if thinking == "auto":
        return {}
    if _SWITCH in template:
        return {_SWITCH: thinking == "on"}
    if (THINK in template or THOUGHT in template) == (thinking == "on"):
        return {}
    does = "always thinks" if thinking == "off" else "does not support thinking"
    raise ConfigError(
        f"--thinking {thinking}: this model's chat template has no switch ({_SWITCH}) and {does}. Leave --thinking "
        "out, or use a model whose template has the switch."
    )
