"""What a proxy setting says: a URL without a password, or that the environment decides."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from dpsd.protocol.identifiers import Endpoint, parse_endpoint
from dpsd.text import printable

ENVIRONMENT = "environment"
HTTP = "http"
SOCKS5 = "socks5"
PASSWORD_LIMIT = 1024
"""Bytes of a password file."""
_SCHEMES = {"http": HTTP, "socks5": SOCKS5, "socks5h": SOCKS5}
"""curl's socks5h says that the proxy resolves names; with dpsd it always does."""
_USER = re.compile(r"[A-Za-z0-9._~!$&*+,=%-]+")
_LOGIN = re.compile(r"[^:\x00-\x1f\x7f\ufffd]+")
"""A colon would end the user in HTTP's basic authentication."""


class Proxy(NamedTuple):
    """user: as in the URL, percent-encoded; the password is never here."""

    scheme: str
    endpoint: Endpoint
    user: str | None

    @property
    def login(self) -> str | None:
        """The user as the proxy knows it."""
        return None if self.user is None else unquote(self.user)

    def __str__(self) -> str:
        user = "" if self.user is None else f"{self.user}@"
        return f"{self.scheme}://{user}{self.endpoint}"


def parse_proxy(text: str) -> Proxy:
    """Parse http://[user@]host:port or socks5://[user@]host:port; raises ValueError, which never shows a password."""
    scheme, separator, rest = text.partition("://")
    user, at, place = rest.removesuffix("/").rpartition("@")
    if ":" in user:
        raise ValueError("holds a password; leave it out, and name a file with it in network.proxy_password_file")
    if not separator or scheme.lower() not in _SCHEMES:
        raise ValueError("is not http://[user@]host:port or socks5://[user@]host:port")
    if at and not (_USER.fullmatch(user) and _LOGIN.fullmatch(unquote(user))):
        raise ValueError("has a user with a character that cannot stand there; write letters, digits, . _ - or %XX")
    endpoint = parse_endpoint(place, default_port=0)
    if not endpoint.port:
        raise ValueError(f"has no port; write {_SCHEMES[scheme.lower()]}://{printable(place)}:PORT")
    return Proxy(_SCHEMES[scheme.lower()], endpoint, user if at else None)
