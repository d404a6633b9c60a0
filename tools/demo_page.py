"""docs/demo.md and its figure from a finished demo: ``make demo-page``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
FIGURE = "accuracy-by-tokens.svg"
NOTE = """<!-- Written by `make demo-page` from the output of `rationem demo schemes`; not by hand. -->

This page is the output of `rationem demo schemes` (`make demo` from a clone): one seed of one tiny model on the
embedded world. One seed proves little; `rationem compare` runs several,
and the [studies](studies.md) say what they show."""


def main(demo: Path) -> None:
    title, _, rest = (demo / "demo.md").read_text(encoding="utf-8").partition("\n")
    page = f"{title}\n\n{NOTE}\n{rest.replace(FIGURE, 'demo.svg').rstrip()}\n"
    (DOCS / "demo.md").write_text(page, encoding="utf-8")
    shutil.copyfile(demo / FIGURE, DOCS / "demo.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
