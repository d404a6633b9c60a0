"""The environment variables that other programs get: all except possible secrets.

This is a deny list, because vLLM, torch and the drivers read hundreds of variables. It denies names with key, token,
secret, password or credential (``HF_TOKEN``, ``OPENAI_API_KEY``, ``AWS_SECRET_ACCESS_KEY``), sockets of agents, and
values that are a URL with a password.
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
    """Return the environment without possible secrets.

    >>> without_secrets({"HF_TOKEN": "x", "TOKENIZERS_PARALLELISM": "1", "INDEX": "https://me:word@example.org"})
    {'TOKENIZERS_PARALLELISM': '1'}
    """
    return {name: value for name, value in environment.items() if not (_NAMES.search(name) or _URL.search(value))}
