"""The `k=v&k=v` form of parameters in MQTT topics and usernames."""

from __future__ import annotations

from urllib.parse import quote, unquote


def parse_query(text: str) -> dict[str, str]:
    """Parse `k=v&k=v`: values are percent-decoded, `+` stays a plus, and the first of equal names counts."""
    fields: dict[str, str] = {}
    for part in text.split("&"):
        name, _, value = part.partition("=")
        if name:
            fields.setdefault(unquote(name), unquote(value))
    return fields


def encode_query(fields: dict[str, str]) -> str:
    """Return `k=v&k=v` with percent-encoded values; names are the protocol's own (`$rid`) and stay as they are."""
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
