"""Whether what a rationale claims is true of the texts: the share of those that are is told in every report."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from rationem.types import Fields
from rationem.world.summaries.posts import kept, read
from rationem.world.summaries.readers import owner

_KINDS = "[a-z]+(?: [a-z]+)*"
_OWNED = "[a-z]+ (?:A|B|both|none)"
_ALL_OWNED = f"{_OWNED}(?: {_OWNED})*"
_WRITTEN = re.compile(f"(?P<topic>[a-z]+) keep (?P<keep>{_KINDS}); drop (?P<drop>{_KINDS})")
_COMPARED = re.compile(f"(?P<topic>[a-z]+) says (?P<stated>{_ALL_OWNED}); keep (?P<keep>{_ALL_OWNED})")


def faithful(fields: Fields, rationale: str) -> bool | None:
    """Say whether what a rationale claims holds; None where it claims nothing that can be checked.

    Every rationale begins with the topic. Of a summary to write it claims ``keep KINDS; drop KINDS``: together they are
    what the post states. Of two to compare it says which of them states each kind of fact: first all that either
    states, then those that are kept. Whether these are the ones that matter is no claim about the texts.

    >>> faithful({"prompt": "trip. well spent five, in rome."}, "trip keep place; drop cost")
    True
    >>> faithful({"prompt": "trip. well spent five, in rome."}, "paid five in rome") is None
    True
    """
    said = read(fields["prompt"])
    if said is None:
        return None
    if "response_a" not in fields:
        found = _WRITTEN.fullmatch(rationale.strip())
        if found is None:
            return None
        return found["topic"] == said.topic and _same(f"{found['keep']} {found['drop']}".split(), said.facts)
    found = _COMPARED.fullmatch(rationale.strip())
    if found is None:
        return None
    one, other = (kept(fields[f"response_{name}"]) for name in "ab")
    stated, keep = _pairs(found["stated"]), _pairs(found["keep"])
    owned = all(owner(kind, one, other) == said_of for kind, said_of in stated + keep)
    return found["topic"] == said.topic and owned and _same([kind for kind, _ in stated], {*one, *other})


def _pairs(text: str) -> list[tuple[str, str]]:
    words = text.split()
    return list(zip(words[::2], words[1::2], strict=True))


def _same(claimed: Sequence[str], true: Collection[str]) -> bool:
    return sorted(claimed) == sorted(true)
