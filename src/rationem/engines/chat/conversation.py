"""A run's additions to a model's chat template: a system text, a switch for thinking, and a fixed date."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from string import ascii_letters
from typing import Any, Literal

from rationem.errors import ModelError

_KEY = "rationem"
_THINKING = ("auto", "on", "off")

#: The date that templates show. Some would show today's, but a run's prompts must not change at midnight.
DATE = "26 Jul 2024"
_FORMAT = "%d %b %Y"
#: Replaces "%%" while the codes of a format are substituted.
_PERCENT = "\ue0fe"

#: The template function for the time in transformers, and its replacement, which returns the same texts every day.
_CLOCK = "strftime_now"
_FIXED_CLOCK = (
    "{%- macro strftime_now(format) -%}{%- set shown = namespace(text=format) -%}"
    "{%- for code, text in rationem_clock.items() -%}{%- set shown.text = shown.text | replace(code, text) -%}"
    "{%- endfor -%}{{ shown.text }}{%- endmacro -%}"
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A run's additions to a model's chat template.

    Args:
        system: the text of a system turn before the user's; "" keeps the template's default.
        thinking: the template's switch ``enable_thinking``; "auto" keeps the template's default.
        date: the date for templates that show one, as "26 Jul 2024".
    """

    system: str = ""
    thinking: Literal["auto", "on", "off"] = "auto"
    date: str = DATE

    @classmethod
    def of(cls, tokenizer: Any) -> Conversation:
        """Return the conversation stored in a tokenizer.

        Raises:
            ModelError: it does not have the form that this class writes.
        """
        carried = tokenizer.init_kwargs.get(_KEY, {})
        try:
            found = cls(**carried)
            datetime.strptime(found.date, _FORMAT)
        except (TypeError, ValueError) as error:
            raise ModelError(_damaged(carried)) from error
        if not isinstance(found.system, str) or found.thinking not in _THINKING:
            raise ModelError(_damaged(carried))
        return found

    def carried_by(self, tokenizer: Any) -> Any:
        """Store this in a tokenizer, which then writes it into every checkpoint; return the tokenizer."""
        tokenizer.init_kwargs.pop(_KEY, None)
        if self._is_told(str(tokenizer.chat_template)):
            tokenizer.init_kwargs[_KEY] = asdict(self)
        return tokenizer

    def written_to(self, checkpoint: Path) -> None:
        """Store this in a checkpoint that was saved with another conversation or without one."""
        path = checkpoint / "tokenizer_config.json"
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        wanted = {key: value for key, value in found.items() if key != _KEY}
        jinja = checkpoint / "chat_template.jinja"
        template = jinja.read_text(encoding="utf-8") if jinja.is_file() else str(found.get("chat_template"))
        if self._is_told(template):
            wanted[_KEY] = asdict(self)
        if wanted != found:
            path.write_text(json.dumps(wanted, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def _is_told(self, template: str) -> bool:
        """Say whether a checkpoint must store this: it is not the default, or the prompt shows its date."""
        return self != Conversation() or shows_a_date(template)


def _damaged(carried: object) -> str:
    return (
        f"tokenizer_config.json of this model says under {_KEY!r}: {reprlib.repr(carried)}. Keys: system (a text), "
        f"thinking ({', '.join(_THINKING)}) and date (as {DATE!r}). Restore the original file, or remove the key."
    )


def shows_a_date(template: str) -> bool:
    """Say whether a template can show a date."""
    return _CLOCK in template or "date_string" in template


def dated(template: str, date: str) -> tuple[str, Mapping[str, Any]]:
    """Return a template with a fixed date, and the arguments that it needs.

    Args:
        template: the text of a chat template.
        date: the date, as "26 Jul 2024".
    """
    told: dict[str, Any] = {"date_string": date}
    if _CLOCK not in template:
        return template, told
    # transformers passes its own clock to templates and does not accept another function, so a macro replaces it.
    return _FIXED_CLOCK + template, told | {"rationem_clock": _codes(date)}


@cache
def _codes(date: str) -> dict[str, str]:
    """Return the text of each code of ``strftime`` at the start of a day."""
    day = datetime.strptime(date, _FORMAT)
    codes = [f"%{minus}{letter}" for letter in ascii_letters for minus in ("", "-")]
    return {"%%": _PERCENT} | {code: day.strftime(code) for code in codes} | {_PERCENT: "%"}
