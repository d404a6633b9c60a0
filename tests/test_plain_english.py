"""The prose of the code is plain English: words of the old dialect may only become fewer."""

import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "rationem"
#: Archaic words and riddles. "mend" is "correct", "behind" a text is "after" it, "whoever reads" is a reader.
ODD = re.compile(r"\b(?:lest|[Ww]hoever|mend|as it stands|lies in|that which|anew|of no account|is told|are told)\b")
#: May only fall.
MOST = 22


def found(text):
    return ODD.findall(text)


def test_words_of_the_old_dialect_become_fewer():
    assert sum(len(found(path.read_text(encoding="utf-8"))) for path in sorted(SOURCE.rglob("*.py"))) <= MOST


def test_the_words_are_seen():
    assert found("Lest; lest both count, whoever reads it must mend it") == ["lest", "whoever", "mend"]
