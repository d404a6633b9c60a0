"""Untrusted texts in an HTML file: they cannot end their element, run, or load anything.

Texts in the page's HTML are escaped by the template. Texts for the browser of rationales are in one JSON block that is
made here, and the page's script writes them as text. The policy allows only the page's own style and script, by hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

from rationem.report.escape import clean

#: Characters that could end a script element, open a comment, or end a line of JavaScript.
_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_SURROGATE = re.compile("[\ud800-\udfff]")


def script_json(value: Any) -> str:
    r"""Return a value as JSON that is safe inside a script element.

    >>> script_json({"text": "</script><!-- \ud800"})
    '{"text":"\\u003c/script\\u003e\\u003c!-- \\ud800"}'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in _UNSAFE.items():
        text = text.replace(character, escape)
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def policy(style: str, script: str) -> str:
    """Return the content security policy of a page with this style and this script, and no other active content."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def data_url(svg: str) -> str:
    """Return a picture as a URL that holds it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(clean(svg).encode()).decode()}"


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
