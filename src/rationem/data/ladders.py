"""Rating words in their order, worst first: fixed ladders, and words graded by degree ("very", "not at all")."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from fractions import Fraction
from itertools import chain

from rationem.data.ladders_elsewhere import LADDERS

#: Ladders of words that share no stem.
_LADDERS: tuple[tuple[str, ...], ...] = (
    ("no", "yes"),
    ("no", "partially", "yes"),
    ("no", "partly", "yes"),
    ("no", "maybe", "yes"),
    ("n", "y"),
    ("false", "true"),
    ("f", "t"),
    ("fail", "partial", "pass"),
    ("failed", "partial", "passed"),
    ("bad", "good"),
    ("reject", "weak reject", "borderline", "weak accept", "accept"),
    ("strong reject", "reject", "weak reject", "borderline", "weak accept", "accept", "strong accept"),
    ("incorrect", "partially correct", "mostly correct", "correct"),
    ("wrong", "partly right", "right"),
    ("very low", "low", "medium", "moderate", "high", "very high"),
    ("thumbs down", "thumbs up"),
    ("👎", "👍"),
    (
        *("🤬", "😡", "😠", "😭", "😢", "😞", "😟", "☹", "🙁", "😕", "😐", "😑", "😶", "🙂", "☺", "😊", "😀", "😃"),
        *("😄", "😁", "🤩", "😍"),
    ),
    ("❌", "✅"),
    ("💔", "❤"),
    ("dislike", "like"),
    ("critical", "severe", "major", "moderate", "minor", "no issue", "no issues"),
    (
        *(
            "never",
            "almost never",
            "very rarely",
            "rarely",
            "seldom",
            "occasionally",
            "sometimes",
            "about half the time",
        ),
        *("often", "frequently", "usually", "most of the time", "very often", "almost always", "always"),
    ),
    ("not at all", "a little", "slightly", "somewhat", "moderately", "quite a bit", "very much", "very", "extremely"),
    ("none at all", "a little", "a moderate amount", "a lot", "a great deal"),
    (
        *("much worse", "worse", "somewhat worse", "slightly worse", "about the same", "the same", "same", "equal"),
        *("slightly better", "somewhat better", "better", "much better"),
    ),
    ("strongly disagree", "disagree", "neutral", "neither agree nor disagree", "agree", "strongly agree"),
    ("needs improvement", "meets expectations", "exceeds expectations"),
    ("does not meet expectations", "partially meets expectations", "meets expectations", "exceeds expectations"),
    ("below expectations", "meets expectations", "above expectations"),
    (
        *("terrible", "awful", "very bad", "very poor", "bad", "poor", "could be improved", "below average"),
        *(
            "mediocre",
            "fair",
            "average",
            "neutral",
            "ok",
            "okay",
            "acceptable",
            "satisfactory",
            "above average",
            "good",
        ),
        *("great", "very good", "excellent", "outstanding", "perfect"),
    ),
)
#: School grades; a ladder only if the lowest or four of them occur, because "A" and "B" are also names.
_GRADES = ("f", "e", "d-", "d", "d+", "c-", "c", "c+", "b-", "b", "b+", "a-", "a", "a+")
_FEWEST_GRADES = 4

#: Minuses and pluses of word processors, and what stands between minus and plus.
_SIGNS = str.maketrans({"−": "-", "–": "-", "—": "-", "‒": "-", "＋": "+"})
_BETWEEN_SIGNS = {"0", "o", "~", "=", "±", "+/-", "+-", "-/+", "/"}

#: A word of degree -> how far its stem applies.
_DEGREES = {
    **dict.fromkeys(("barely", "hardly", "slightly", "a little", "a bit", "minimally"), 0.7),
    **dict.fromkeys(("somewhat", "partially", "partly", "in part"), 1.2),
    **dict.fromkeys(("moderately", "fairly", "rather", "reasonably"), 1.5),
    **dict.fromkeys(("mostly", "largely", "generally", "mainly"), 1.7),
    "": 2.0,
    **dict.fromkeys(("very", "highly", "really"), 3.0),
    **dict.fromkeys(("extremely", "strongly", "completely", "totally", "fully", "entirely", "absolutely"), 4.0),
}
#: Words that deny a stem -> how far; a prefix counts as its own stem, turned round.
_DENIALS = {"not at all": -4.0, "not": -3.0, "not very": -0.5, "not so": -0.5, "not particularly": -0.5}
_NEUTRAL = {"neutral", "neither", "undecided", "mixed", "neither one", "no opinion either way"}
_NEITHER = re.compile(r"neither (\w+) (?:n?or) (\w+)")
_OPPOSITE = re.compile(r"(?:un|dis|in|im|ir|non)(?:-)?(\w{3,})")


def ladder(words: Collection[str]) -> list[str] | None:
    """Return words in their order, worst first; None if none is known. Case, ``_`` and ``-`` do not matter.

    >>> ladder(["Very helpful", "Not helpful", "somewhat_helpful"])
    ['Not helpful', 'somewhat_helpful', 'Very helpful']
    >>> ladder(["Unlikely", "Very likely", "Neutral", "Likely", "Very unlikely"])
    ['Very unlikely', 'Unlikely', 'Neutral', 'Likely', 'Very likely']
    >>> ladder(["red", "blue"]) is None
    True
    """
    if (found := signs(words)) is not None:
        return found
    folded = {normal(word): word for word in words}
    if len(folded) < len(set(words)) or len(folded) < 2:
        return None
    ladders = (*_LADDERS, *chain.from_iterable(LADDERS.values()))
    known = _GRADES if _are_grades(folded) else next((one for one in ladders if set(folded) <= set(one)), None)
    if known is not None:
        return [folded[word] for word in known if word in folded]
    return _graded(folded)


def signs(words: Collection[str]) -> list[str] | None:
    """Return pluses and minuses, and what stands between them, in their order; None without a plus or with others.

    >>> signs(["+", "0", "--", "++", "-"]), signs(["-", "n/a"])
    (['--', '-', '0', '+', '++'], None)
    """
    degrees = {word: _sign_degree(word) for word in words}
    known = [degree for degree in degrees.values() if degree is not None]
    if len(known) < len(degrees) or len(set(known)) < max(len(known), 2) or max(known) <= 0:
        return None
    return sorted(degrees, key=lambda word: degrees[word] or 0)


def _sign_degree(word: str) -> int | None:
    text = word.strip().translate(_SIGNS)
    if text in _BETWEEN_SIGNS:
        return 0
    return {"+": len(text), "-": -len(text)}[text[0]] if text and set(text) in ({"+"}, {"-"}) else None


def falls(words: Mapping[Fraction, str]) -> bool | None:
    """Say whether words beside numbers get worse as the numbers rise; None if no order of the words is known.

    >>> falls({Fraction(1): "very good", Fraction(5): "very bad"}), falls({Fraction(1): "bad", Fraction(2): "good"})
    (True, False)
    """
    said = {number: word for number, word in sorted(words.items()) if word}
    order = ladder(list(said.values()))
    if order is None or len(order) < len(said):
        return None
    words_in_order = list(said.values())
    return False if words_in_order == order else True if words_in_order == order[::-1] else None


def normal(word: str) -> str:
    """Return a word as compared: case, blanks, ``_`` and ``-`` between letters do not matter."""
    shown = word.replace("\ufe0f", "")
    return " ".join(re.sub(r"(?<=[^\W\d])[_-](?=[^\W\d])", " ", shown).casefold().replace("\u2019", "'").split())


def _are_grades(folded: Collection[str]) -> bool:
    several = "f" in folded or len(folded) >= _FEWEST_GRADES
    return several and set(folded) <= set(_GRADES)


def _graded(folded: dict[str, str]) -> list[str] | None:
    """Return words of one stem by degree; None if stems differ, or two words have the same degree."""
    parts = {word: _parts(word) for word in folded if not _is_neutral(word)}
    stems = {stem for _, stem in parts.values()}
    base = next((stem for stem in sorted(stems, key=len) if all(_sign(one, stem) for one in stems)), None)
    if base is None or not base:
        return None
    degree = dict.fromkeys(folded, 0.0) | {word: of * _sign(stem, base) for word, (of, stem) in parts.items()}
    order = sorted(folded, key=degree.__getitem__)
    return [folded[word] for word in order] if len(set(degree.values())) == len(order) else None


def _is_neutral(word: str) -> bool:
    return word in _NEUTRAL or _NEITHER.fullmatch(word) is not None


def _parts(word: str) -> tuple[float, str]:
    """Return the degree of a word and its stem: (-3, "helpful") of "not helpful"."""
    for said, degree in sorted({**_DENIALS, **_DEGREES}.items(), key=lambda item: -len(item[0])):
        if said and word.startswith(f"{said} "):
            return degree, word[len(said) + 1 :]
    return _DEGREES[""], word


def _sign(stem: str, base: str) -> int:
    """Return 1 for the same stem, -1 for its opposite, else 0."""
    if stem == base:
        return 1
    match = _OPPOSITE.fullmatch(stem)
    return -1 if match and match[1] == base else 0
