"""A picture of a page of a report, for a light and for a dark background: ``make pictures``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZE = {"width": 1100, "height": 640}


def main(page: Path, target: Path) -> None:
    """Write TARGET-light.png and TARGET-dark.png."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            view = browser.new_page(viewport=SIZE, color_scheme=scheme)
            view.goto(page.resolve().as_uri())
            view.screenshot(path=f"{target}-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
