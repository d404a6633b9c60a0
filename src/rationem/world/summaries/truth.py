"""Whether what a rationale claims is true of the texts: the share of those that are is told in every report."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from rationem.types import Fields
from rationem.world.summaries.posts import kept, read
from rationem.world.summaries.readers import WEIGHTS

_KINDS = "[a-z]+(?: [a-z]+)*"
_WRITTEN = re.compile(f"keep (?P<keep>{_KINDS}); drop (?P<drop>{_KINDS})")
_COMPARED = re.compile(f"A (?P<a>{_KINDS}) B (?P<b>{_KINDS}); keep (?P<keep>{_KINDS}); A (?P<x>[0-9]) B (?P<y>[0-9])")


def faithful(fields: Fields, rationale: str) -> bool | None:
    """Say whether what a rationale claims holds; None where it claims nothing that can be checked.

    Of a summary to write the claim is ``keep KINDS; drop KINDS``: together they are what the post states. Of two to
    compare it is ``A KINDS B KINDS; keep KINDS; A n B n``: what either states, and what it covers of the kept kinds.
    Whether these are the kinds that matter is no claim about the texts, and not checked.

    >>> faithful({"prompt": "trip. well spent five, in rome."}, "keep place; drop cost")
    True
    >>> faithful({"prompt": "trip. well spent five, in rome."}, "paid five in rome") is None
    True
    """
    said = read(fields["prompt"])
    if said is None:
        return None
    if "response_a" not in fields:
        found = _WRITTEN.fullmatch(rationale.strip())
        return None if found is None else _same(f"{found['keep']} {found['drop']}".split(), said.facts)
    found = _COMPARED.fullmatch(rationale.strip())
    if found is None:
        return None
    stated = {name: kept(fields[f"response_{name}"]) for name in "ab"}
    return all(_same(found[name].split(), kinds) for name, kinds in stated.items()) and all(
        int(found[claim]) == _worth(found["keep"].split(), stated[name]) for claim, name in ("xa", "yb")
    )


def _worth(keep: Sequence[str], stated: Collection[str]) -> int:
    return sum(weight for weight, kind in zip(WEIGHTS, keep, strict=False) if kind in stated)


def _same(claimed: Sequence[str], true: Collection[str]) -> bool:
    return sorted(claimed) == sorted(true)
