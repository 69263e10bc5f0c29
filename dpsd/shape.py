"""Typed access to parsed JSON or TOML.

A `Table` knows its place in the document, so that an error names the dotted path of the wrong value.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

# Python can read a deeper text than it can write again or show, since those calls may begin deeper on the stack.
DEPTH_LIMIT = 64
"""Levels of a JSON text."""

NUMBER_LIMIT = 1e15
"""The largest number to calculate with: JSON has infinity, and integers that no float can hold."""


class ShapeError(ValueError):
    """A value is missing or has the wrong type; the message starts with its dotted path."""


class Table:
    """A JSON object or TOML table, read key by key.

    Each getter raises ShapeError for a value of another type. An optional one returns None for a missing or null value.
    """

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self.values = values
        self.path = path

    def string(self, key: str) -> str:
        """Return the string under `key`, which must be there."""
        return _expect(self._require(key), str, "a string", self._path(key))

    def optional_string(self, key: str) -> str | None:
        """Return the string under `key`, or None."""
        return None if self.values.get(key) is None else self.string(key)

    def integer(self, key: str) -> int:
        """Return the integer under `key`, which must be there; a boolean is not one."""
        return _expect(self._require(key), int, "an integer", self._path(key))

    def optional_integer(self, key: str) -> int | None:
        """Return the integer under `key`, or None."""
        return None if self.values.get(key) is None else self.integer(key)

    def optional_number(self, key: str) -> float | None:
        """Return the number under `key`, at most `NUMBER_LIMIT` either way, or None."""
        value = self.values.get(key)
        number = value if isinstance(value, float) else self.optional_integer(key)
        if number is not None and not abs(number) <= NUMBER_LIMIT:  # written so that NaN is refused as well
            raise ShapeError(f"{self._path(key)}: expected a number within {NUMBER_LIMIT:.0e}")
        return number

    def optional_boolean(self, key: str) -> bool | None:
        """Return the boolean under `key`, or None."""
        return None if self.values.get(key) is None else _expect(self.values[key], bool, "a boolean", self._path(key))

    def table(self, key: str) -> Table:
        """Return the object under `key`, which must be there."""
        return Table(_expect(self._require(key), dict, "an object", self._path(key)), self._path(key))

    def optional_table(self, key: str) -> Table | None:
        """Return the object under `key`, or None."""
        return None if self.values.get(key) is None else self.table(key)

    def list(self, key: str) -> list[Any]:
        """Return the list under `key`, which must be there; its items are of any type."""
        return _expect(self._require(key), list, "a list", self._path(key))

    def tables(self, key: str) -> Iterator[Table]:
        """Yield the objects of the list under `key`; a missing list counts as empty."""
        for index, value in enumerate(self.list(key) if self.values.get(key) is not None else ()):
            path = f"{self._path(key)}[{index}]"
            yield Table(_expect(value, dict, "an object", path), path)

    def check_names(self, known: Collection[str]) -> None:
        """Raise ShapeError for the first name that is not in `known`."""
        for name in self.values:
            if name not in known:
                raise ShapeError(f"{self._path(name)}: is not known here")

    def _require(self, key: str) -> Any:
        if key not in self.values:
            raise ShapeError(f"{self._path(key)}: is missing")
        return self.values[key]

    def _path(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def parse_object(text: str | bytes, path: str = "") -> Table:
    """Parse a JSON object. path: the object's name in errors. Any other text raises ShapeError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ShapeError(f"{path or 'value'}: is not JSON ({type(error).__name__})") from None
    if is_deeper(value, DEPTH_LIMIT):
        raise ShapeError(f"{path or 'value'}: has more than {DEPTH_LIMIT} levels")
    return Table(_expect(value, dict, "an object", path or "value"), path)


def is_deeper(value: Any, levels: int) -> bool:
    """Tell whether objects and lists are nested in more than `levels`."""
    layer = [value]  # level by level, since recursion could use up the stack
    for _ in range(levels):
        layer = [inner for outer in layer for inner in _members(outer)]
    return any(isinstance(one, (dict, list)) for one in layer)


def _members(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _expect(value: Any, expected: type[T], noun: str, path: str) -> T:
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is int):
        raise ShapeError(f"{path}: expected {noun}, found {_name_type(value)}")
    return value


def _name_type(value: object) -> str:
    names = {"dict": "an object", "list": "a list", "str": "a string", "bool": "a boolean", "NoneType": "null"}
    return names.get(type(value).__name__, f"{type(value).__name__}")
