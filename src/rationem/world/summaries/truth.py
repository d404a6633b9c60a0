"""Whether a rationale's claims are true of the texts; every report states the share of true rationales."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from rationem.tasks.pairs import responses
from rationem.types import Fields
from rationem.world.summaries.posts import Post, kept, read
from rationem.world.summaries.readers import owner

_KINDS = "[a-z]+(?: [a-z]+)*"
_OWNED = "[a-z]+ (?:A|B|both|none)"
_ALL_OWNED = f"{_OWNED}(?: {_OWNED})*"
_WRITTEN = re.compile(f"(?P<topic>[a-z]+) keep (?P<keep>{_KINDS}); drop (?P<drop>{_KINDS})")
_COMPARED = re.compile(f"(?P<topic>[a-z]+) says (?P<stated>{_ALL_OWNED}); keep (?P<keep>{_ALL_OWNED})")


def faithful(fields: Fields, rationale: str) -> bool | None:
    """Say whether a rationale's claims are true; None if it claims nothing that can be checked.

    Every rationale begins with the topic. The rationale of a summary claims ``keep KINDS; drop KINDS``: together the
    kinds that the post states. The rationale of a comparison claims which summary states each kind of fact: first for
    all stated kinds, then for the kept ones. Which kinds matter to the reader is not checked.

    >>> faithful({"prompt": "trip. well spent five, in rome."}, "trip keep place; drop cost")
    True
    >>> faithful({"prompt": "trip. well spent five, in rome."}, "paid five in rome") is None
    True
    """
    said = read(fields["prompt"])
    if said is None:
        return None
    compared = responses(fields)
    form, is_true = _CLAIMS[len(compared)]
    found = form.fullmatch(rationale.strip())
    return found and found["topic"] == said.topic and is_true(found, said, compared)


def _summary_is_true(found: re.Match[str], said: Post, _: Sequence[str]) -> bool:
    return _same(f"{found['keep']} {found['drop']}".split(), said.facts)


def _comparison_is_true(found: re.Match[str], _: Post, compared: Sequence[str]) -> bool:
    one, other = map(kept, compared)
    stated, keep = _pairs(found["stated"]), _pairs(found["keep"])
    owned = all(owner(kind, one, other) == said_of for kind, said_of in stated + keep)
    return owned and _same([kind for kind, _ in stated], {*one, *other})


def _pairs(text: str) -> list[tuple[str, str]]:
    words = text.split()
    return list(zip(words[::2], words[1::2], strict=True))


def _same(claimed: Sequence[str], true: Collection[str]) -> bool:
    return sorted(claimed) == sorted(true)


#: The form of the claims and the check of them, by the number of summaries that an item compares.
_CLAIMS = {0: (_WRITTEN, _summary_is_true), 2: (_COMPARED, _comparison_is_true)}
