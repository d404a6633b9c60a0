"""What a run adds to a model's chat template: a system text, a switch for thinking, the date that it is shown."""

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

#: The date that templates show. Some ask for today's; a run's prompts must not change at midnight.
DATE = "26 Jul 2024"
_FORMAT = "%d %b %Y"
#: Stands for "%%" while the codes of a format are replaced.
_PERCENT = "\ue0fe"

#: How transformers lets a template ask for the time, and how it is answered: by the same texts every day.
_CLOCK = "strftime_now"
_FIXED_CLOCK = (
    "{%- macro strftime_now(format) -%}{%- set shown = namespace(text=format) -%}"
    "{%- for code, text in rationem_clock.items() -%}{%- set shown.text = shown.text | replace(code, text) -%}"
    "{%- endfor -%}{{ shown.text }}{%- endmacro -%}"
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a run adds to a model's chat template.

    Args:
        system: the text of a system turn before the user's; "" is none, and leaves a template's own default alone.
        thinking: the template's switch ``enable_thinking``; "auto" leaves the template's default alone.
        date: what a template that shows a date is told, as "26 Jul 2024".
    """

    system: str = ""
    thinking: Literal["auto", "on", "off"] = "auto"
    date: str = DATE

    @classmethod
    def of(cls, tokenizer: Any) -> Conversation:
        """Return what a tokenizer carries.

        Raises:
            ModelError: it is not of the form that is written here.
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
        """Return the tokenizer, which now carries this, and writes it into every checkpoint that it is saved with."""
        tokenizer.init_kwargs.pop(_KEY, None)
        if self._is_told(str(tokenizer.chat_template)):
            tokenizer.init_kwargs[_KEY] = asdict(self)
        return tokenizer

    def written_to(self, checkpoint: Path) -> None:
        """Let a checkpoint that was saved with another conversation, or none, carry this one."""
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
        """Say whether a checkpoint must carry this: it is not the default, or the prompt shows its date."""
        return self != Conversation() or shows_a_date(template)


def _damaged(carried: object) -> str:
    return (
        f"tokenizer_config.json of this model says under {_KEY!r}: {reprlib.repr(carried)}. Known are system (a text), "
        f"thinking ({', '.join(_THINKING)}) and date (as {DATE!r}). Take the file as it was written, or remove the key."
    )


def shows_a_date(template: str) -> bool:
    """Say whether a template can show a date."""
    return _CLOCK in template or "date_string" in template


def dated(template: str, date: str) -> tuple[str, Mapping[str, Any]]:
    """Return a template to which it is always the same day, and what it is told for that.

    Args:
        template: the text of a chat template.
        date: as "26 Jul 2024".
    """
    told: dict[str, Any] = {"date_string": date}
    if _CLOCK not in template:
        return template, told
    # transformers hands templates its own clock, and lets no function of ours take its place: a macro does.
    return _FIXED_CLOCK + template, told | {"rationem_clock": _codes(date)}


@cache
def _codes(date: str) -> dict[str, str]:
    """Return what each code of ``strftime`` becomes at the beginning of a day."""
    day = datetime.strptime(date, _FORMAT)
    codes = [f"%{minus}{letter}" for letter in ascii_letters for minus in ("", "-")]
    return {"%%": _PERCENT} | {code: day.strftime(code) for code in codes} | {_PERCENT: "%"}
