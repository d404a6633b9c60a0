"""The prose of code and pages is plain English: words of the old dialect may only become fewer."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = sorted((ROOT / "src" / "rationem").rglob("*.py"))
#: Pages that people read; the log and the studies are records and stay as they were written.
PAGES = [
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.stem != "log" and not path.stem.endswith("-study")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "Makefile")),
]
#: Archaic words and riddles, and what to write. "mend": correct; "whoever reads": a reader; "on offer": offered;
#: "is told" of a program: prints, or reports; "speaks of": mentions; "all the same": anyway; "begin anew": start again.
ODD = re.compile(
    r"\b(?:lest|whoever|mend|as it stands|that which|anew|of no account|is told|are told|nobody|no longer any|"
    r"of which no|on offer|speaks? of|what became of|what people said|all the same|in an order of its own|put back)\b",
    re.IGNORECASE,
)
#: May only fall: the code outside ``report/``, ``report/``, the pages.
MOST = (0, 0, 1)


def found(text):
    return ODD.findall(" ".join(text.split()))


def count(paths):
    return sum(len(found(path.read_text(encoding="utf-8"))) for path in paths)


def test_words_of_the_old_dialect_become_fewer():
    report = [path for path in SOURCE if "report" in path.parts]
    assert report
    rest = [path for path in SOURCE if path not in report]
    counts = (count(rest), count(report), count(PAGES))
    assert all(one <= most for one, most in zip(counts, MOST, strict=True)), counts


def test_the_words_are_seen():
    assert found("Lest both count, whoever\nreads it must mend it") == ["Lest", "whoever", "mend"]
    assert found("These scores are all the\nsame text") == ["all the same"]
