"""Values that cannot be printed: their repr, str and format are a fixed word."""

from __future__ import annotations

import hmac

HIDDEN = "<secret>"


class Hidden:
    """A value that cannot be printed or copied out of its process."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __reduce__(self) -> str:  # pickle and copy call this
        raise TypeError("a secret cannot be copied out of its process")


class Secret(Hidden):
    """Bytes that only `reveal` shows; they are compared in constant time."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the bytes."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)
