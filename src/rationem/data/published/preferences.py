"""Preferences as trainers of preference models store them: "chosen" and "rejected", with or without a "prompt".

Which of two answers is better is in the keys. So that neither side is always the better one, the answers are put in an
order that their texts decide. Texts or lists of messages are read; without a prompt it is what both have in common: the
first messages, or the text up to the last turn of the assistant, as in Anthropic's HH-RLHF (Bai et al. 2022, arXiv
2204.05862).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from rationem.data.columns import Columns
from rationem.data.conversations import conversation
from rationem.data.nested import structure
from rationem.data.published.preset import Cells, Preset
from rationem.tasks.scale import Scale

_TURN = "\n\nAssistant:"


def _flatten(cells: Cells) -> dict[str, object]:
    prompt, chosen, rejected = _parts(cells.get("prompt"), structure(cells["chosen"]), structure(cells["rejected"]))
    if chosen == rejected:
        raise ValueError("chosen and rejected are equal: neither is the better one.")
    first, second = sorted((chosen, rejected), key=lambda text: hashlib.sha256(text.encode(errors="replace")).digest())
    return {"prompt": prompt, "first": first, "second": second, "better": "A" if first == chosen else "B"}


def _parts(prompt: object, chosen: object, rejected: object) -> tuple[str, str, str]:
    """Return the prompt and both answers as texts."""
    if isinstance(chosen, Sequence) and isinstance(rejected, Sequence) and str not in {type(chosen), type(rejected)}:
        shared = _shared(chosen, rejected)
        told = _text(prompt) if prompt else _text(chosen[:shared])
        return told, _text(chosen[shared:]), _text(rejected[shared:])
    texts = [_text(one) for one in (chosen, rejected)]
    if prompt:
        asked = _text(prompt)
        return asked, *(text.removeprefix(asked).strip() or text for text in texts)  # type: ignore[return-value]
    at = texts[0].rfind(_TURN)
    if at < 0 or texts[1][: at + len(_TURN)] != texts[0][: at + len(_TURN)]:
        raise ValueError("there is no prompt, and both texts have no beginning up to an assistant's turn in common.")
    start = at + len(_TURN)
    return texts[0][:at].strip(), texts[0][start:].strip(), texts[1][start:].strip()


def _shared(chosen: Sequence[object], rejected: Sequence[object]) -> int:
    """Return how many messages both begin with; at least one remains of each."""
    most = min(len(chosen), len(rejected)) - 1
    return next((n for n in range(most) if chosen[n] != rejected[n]), max(most, 0))


def _text(value: object) -> str:
    """Return a text, or messages as text: of a single one its content alone."""
    value = structure(value)
    if isinstance(value, str):
        return value
    messages = value if isinstance(value, list) else [value]
    found = conversation(messages)
    if found is None:
        raise ValueError(f"a text or a list of messages is expected; found {type(value).__name__}.")
    return found if len(messages) > 1 else found.partition(": ")[2]


PREFERENCES = Preset(
    name="chosen-rejected",
    schema='{"prompt", "chosen", "rejected"}, with or without "prompt"',
    scale=Scale.parse("A | B"),
    columns=Columns("prompt", "first,second", "better"),
    inputs=("chosen", "rejected"),
    labels=(),
    flatten=_flatten,
    extras=("prompt",),
    empty="(empty)",
)
