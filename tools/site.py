"""Hooks of the documentation site: pages of the root, decisions in the menu, links that leave docs/, formulas."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
#: Pages of the root, by their name on the site.
PAGES = {"index.md": "README.md", **{name: name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")}}
_PICTURE = re.compile(r"<picture>.*?</picture>", re.DOTALL)
_BOTH = """![The top of a report](report-light.png#only-light)
![The top of a report](report-dark.png#only-dark)"""
_FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)
_LINK = re.compile(r"\[([^\]\n]+)\]\(([^)\s]+)\)")


def on_config(config: Any) -> Any:
    """Put all decisions into the menu."""
    decisions = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    config["nav"].append({"Decisions": [f"decisions/{name}" for name in decisions]})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the root."""
    for name, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = _PICTURE.sub(_BOTH, text).replace("](docs/decisions)", "](decisions/001-inverse-cdf.md)")
        text = text.replace("](docs/", "](").replace("](README.md", "](index.md")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Keep links to pages of the site; show others, such as those to code, as text."""
    inside = {"decisions": "decisions/001-inverse-cdf.md"}
    depth = page.file.src_uri.count("/")

    def kept(found: re.Match[str]) -> str:
        text, target = found.groups()
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        up = target.count("../")
        if up <= depth and target not in inside and not (up == 0 and not depth and _outside(target)):
            return found[0]
        name = target.rsplit("../", 1)[-1]
        if name in inside:
            return f"[{text}]({inside[name]})"
        if name.partition("#")[0] in PAGES.values():
            return f"[{text}]({'../' * depth}{name})"
        return text if "`" in text else f"{text} (`{name}`)" if text != name else f"`{name}`"

    return _LINK.sub(kept, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Write formulas as MathML: the site needs no script for them."""
    return _FORMULA.sub(lambda found: _formula(found[2], block=found[1] == "div"), html)


def _formula(text: str, *, block: bool) -> str:
    tex = unescape(text).strip()[2:-2].strip()
    made = convert(tex, display="block" if block else "inline")
    return f'<div class="formula">{made}</div>' if block else made


def _outside(target: str) -> bool:
    return not target.partition("#")[0].endswith((".md", ".svg", ".png"))
