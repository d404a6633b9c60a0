"""Addresses of servers and the keys that are sent there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from rationem.errors import ConfigError


def address(url: str) -> str:
    """Return the url that paths such as /v1/completions are put behind; a ConfigError where it is none."""
    if re.search("//[^/]*@", url):
        raise ConfigError("An address must not hold a password: it would be shown. Give the key by the environment.")
    if not re.fullmatch(r"https?://(\[[0-9a-fA-F:.]+\]|[^/?#:\s\[\]]+)(:\d{1,5})?(/[^?#]*)?", url):
        raise ConfigError(f"{url!r} is not the address of a server. Give one like http://localhost:8000/v1.")
    return re.sub(r"(/v1)?(/(chat/)?completions)?/*$", "", url.rstrip("/"))


def check_urls(urls: Iterable[str]) -> None:
    """Refuse what is no address of a server, or holds a password.

    Raises:
        ConfigError: names it.
    """
    for url in urls:
        address(url)


def is_exposed(url: str) -> bool:
    """Say whether what is sent there can be read on the way: plain http to another machine.

    >>> [is_exposed(f"http://{host}:80") for host in ("localhost", "127.0.0.1", "[::1]", "10.0.0.1", "127.0.0.1.evil")]
    [False, False, False, True, True]
    """
    parts = urlsplit(url)
    if parts.scheme != "http":
        return False
    host = parts.hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:  # a name
        return host != "localhost" and not host.endswith(".localhost")


def usable_key(key: str | None) -> str:
    """Return the key as it is sent, "" for none; a ConfigError where it holds what no key has."""
    key = (key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("The server's key holds characters that no key has (not shown here). Set it again.")
    return key
