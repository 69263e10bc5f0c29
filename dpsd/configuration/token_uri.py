"""The URI of a key on a token, without its PIN. Source: RFC 7512."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

_CHARACTERS = re.compile(r"pkcs11:[A-Za-z0-9\-._~%:\[\]@!$()*+,=&;]+")
"""Those of RFC 7512 but the quote, which connection.env cannot carry; a query is refused for what it would say."""
_TOKEN = ("token", "manufacturer", "model", "serial")
_KEY = ("object", "id")


class TokenKey(NamedTuple):
    """token: what is wanted of CK_TOKEN_INFO's texts, by their names in the URI. label, id: of the private key."""

    uri: str
    token: dict[str, str]
    label: str | None
    id: bytes | None


def parse_token_uri(text: str) -> TokenKey:
    """Parse a URI that names one token and one private key on it; raises ValueError with what is wrong.

    A token has to be named, since the PIN is tried on it.
    """
    path, question, query = text.partition("?")
    if question:
        raise ValueError(_query_fault(query))
    if not _CHARACTERS.fullmatch(path):
        raise ValueError("is not a URI such as pkcs11:token=NAME;object=KEY;type=private")
    found: dict[str, bytes] = {}
    for part in path.removeprefix("pkcs11:").split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value or name not in (*_TOKEN, *_KEY, "type") or name in found:
            raise ValueError(f"'{name}' is not one of {', '.join((*_TOKEN, *_KEY, 'type'))}, each once with a value")
        found[name] = unquote_to_bytes(value)
    if "type" not in found:
        path += ";type=private"  # or OpenSSL's provider may take the public half, which has the same name
    elif found["type"] != b"private":
        raise ValueError("type is not private")
    if not found.keys() & {"token", "serial"} or not found.keys() & {*_KEY}:
        raise ValueError("names no token (token or serial), or no key on it (object or id)")
    texts = {name: value.decode("utf-8", "replace") for name, value in found.items()}
    return TokenKey(path, {name: texts[name] for name in _TOKEN if name in texts}, texts.get("object"), found.get("id"))


def _query_fault(query: str) -> str:
    """Say what to do instead, without repeating what may be a PIN."""
    if "pin-" in query:
        return "holds a PIN or where it is; put the PIN into a file and name that by credential.pin_file"
    return "has a query (after the question mark); name the module by credential.module"
