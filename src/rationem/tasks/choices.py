r"""Multiple choice: letters by position, a new order for each item, and the letters that an item does not offer.

An item's choices are its fields ``choice_a``, ``choice_b``, ...; the field ``labels`` holds the file's labels in the
shown order. Levels are letters, as many as the item with the most choices has. An item with fewer choices lists its
own, and any other letter is never correct and has probability 0.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rationem.seeds import generator
from rationem.tasks.scale import Scale
from rationem.types import Example, Fields

#: The levels; a scale uses as many as it needs.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: The field of an item's published labels, a JSON list; it is never shown.
LABELS = "labels"
#: The field of an item's subject, by which reports are divided.
SUBJECT = "subject"

_PREFIX = "choice_"
# All characters that some reader treats as a line break.
_BREAK = re.compile(r"(\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])")
_INDENTED = r"\1   "


def scale_of(count: int) -> Scale:
    """Return the scale of ``count`` letters, 2 to 26, without an order.

    >>> scale_of(3).sentence()
    'A | B | C'
    """
    return Scale(tuple(LETTERS[:count]), ordered=False)


def field_of(letter: str) -> str:
    """Return the name of a letter's field.

    >>> field_of("B")
    'choice_b'
    """
    return f"{_PREFIX}{letter.lower()}"


def is_choice(name: str) -> bool:
    """Return whether a field is one of an item's choices."""
    return name.startswith(_PREFIX)


def fields_of(texts: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """Return the fields of an item's choices and of the file's labels, in this order."""
    named = {field_of(letter): text for letter, text in zip(LETTERS, texts, strict=False)}
    return {**named, LABELS: json.dumps(list(labels), ensure_ascii=False)}


def inputs_of(fields: Fields) -> tuple[tuple[str, str], ...]:
    """Return the inputs of an item of any kind, without the criterion; choices without their order and labels."""
    left_out = ("criterion", LABELS)
    named = [("choice" if is_choice(name) else name, text) for name, text in fields.items() if name not in left_out]
    return tuple(sorted(named))


def letters(fields: Mapping[str, object]) -> tuple[str, ...]:
    """Return the letters of an item's own choices; none if it is not multiple choice."""
    return tuple(letter for letter in LETTERS if field_of(letter) in fields)


def listed(fields: Fields) -> str:
    r"""Return the choices as the prompt lists them; line breaks inside a text are indented, so that none starts a
    choice.

    >>> print(listed({"choice_a": "dry", "choice_b": "wet\nC. oily"}))
    A. dry
    B. wet
       C. oily
    """
    return "\n".join(f"{letter}. {_BREAK.sub(_INDENTED, fields[field_of(letter)])}" for letter in letters(fields))


def shuffled(example: Example, seed: int) -> Example:
    """Return the example with its choices in an order drawn from the seed and its id; the same texts are correct.

    Labels stay with their texts, and the answer and the ratings move with them.
    """
    own = letters(example.fields)
    order = [own[at] for at in generator(seed, "choices", example.id).permutation(len(own))]
    new = dict(zip(order, own, strict=True))
    moved: Mapping[str, str] = {field_of(new[old]): example.fields[field_of(old)] for old in own}
    labels = dict(zip(own, json.loads(example.fields[LABELS]), strict=True))
    fields = {name: moved.get(name, text) for name, text in example.fields.items()}
    fields[LABELS] = json.dumps([labels[old] for old in order], ensure_ascii=False)
    ratings = tuple(new[rating] for rating in example.ratings)
    return replace(example, fields=fields, answer=new[example.answer], ratings=ratings)
