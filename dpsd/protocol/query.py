"""The `k=v&k=v` form that MQTT topics and usernames carry."""

from __future__ import annotations

from urllib.parse import quote, unquote


def parse_query(text: str) -> dict[str, str]:
    """Parse `k=v&k=v`; values are percent-decoded, `+` stays a plus, the first of equal names counts."""
    fields: dict[str, str] = {}
    for part in text.split("&"):
        name, _, value = part.partition("=")
        if name:
            fields.setdefault(unquote(name), unquote(value))
    return fields


def encode_query(fields: dict[str, str]) -> str:
    """Encode values; names are the protocol's own words and stand as they are (`$rid`)."""
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
