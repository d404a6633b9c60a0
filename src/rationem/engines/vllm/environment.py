"""What of our environment a program that is not ours is shown: everything but what could be a secret.

A list of what is denied, and not of what is allowed: vLLM, torch and the drivers read hundreds of variables. Denied is
what its name calls a key, token, secret, password or credential (``HF_TOKEN``, ``OPENAI_API_KEY``,
``AWS_SECRET_ACCESS_KEY``), what opens an agent, and whatever has the form of a URL with a password in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAMES = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|(?<=_)PWD$"
    r"|(^|_)(KEYS?|TOKENS?|PAT|AUTH|COOKIES?)(_|$)|SSH_AUTH_SOCK|GPG_AGENT_INFO",
    re.IGNORECASE,
)
_URL = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what could be a secret.

    >>> without_secrets({"HF_TOKEN": "x", "TOKENIZERS_PARALLELISM": "1", "INDEX": "https://me:word@example.org"})
    {'TOKENIZERS_PARALLELISM': '1'}
    """
    return {name: value for name, value in environment.items() if not (_NAMES.search(name) or _URL.search(value))}
