"""Addresses of servers and the keys that are sent there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from rationem.errors import ConfigError


def address(url: str) -> str:
    """Return the base url for paths such as /v1/completions; a ConfigError if it is not a url."""
    if re.search("//[^/]*@", url):
        raise ConfigError("An address must not contain a password, which would be shown. Set the key by environment.")
    if not re.fullmatch(r"https?://(\[[0-9a-fA-F:.]+\]|[^/?#:\s\[\]]+)(:\d{1,5})?(/[^?#]*)?", url):
        raise ConfigError(f"{url!r} is not the address of a server. Give one like http://localhost:8000/v1.")
    return re.sub(r"(/v1)?(/(chat/)?completions)?/*$", "", url.rstrip("/"))


def check_urls(urls: Iterable[str]) -> None:
    """Reject invalid server addresses, and addresses with a password.

    Raises:
        ConfigError: names the address.
    """
    for url in urls:
        address(url)


def is_exposed(url: str) -> bool:
    """Say whether traffic to the url can be read in transit: plain http to another machine.

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
    """Return the key as sent, "" for none; a ConfigError if it has invalid characters."""
    key = (key or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("The server's key has invalid characters (not shown here). Set it again.")
    return key
