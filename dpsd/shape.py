"""Typed access to parsed JSON or TOML.

A `Table` knows its place in the document, so that an error names the dotted path of the wrong value.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
N = TypeVar("N", bound="tuple[Any, ...]")
"""A NamedTuple."""

# Python can read a deeper text than it can write again or show, since those calls may begin deeper on the stack.
DEPTH_LIMIT = 64
"""Levels of a JSON text."""

NUMBER_LIMIT = 1e15
"""The largest number to calculate with: JSON has infinity, and integers that no float can hold."""


class ShapeError(ValueError):
    """A value is missing or has the wrong type; the message starts with its dotted path."""


class DepthError(ShapeError):
    """Objects and lists are nested in too many levels."""


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

    def number(self, key: str) -> float:
        """Return the number under `key`, at most `NUMBER_LIMIT` either way."""
        value = self._require(key)
        number = value if isinstance(value, float) else self.integer(key)
        if not abs(number) <= NUMBER_LIMIT:  # written so that NaN is refused as well
            raise ShapeError(f"{self._path(key)}: expected a number within {NUMBER_LIMIT:.0e}")
        return number

    def optional_number(self, key: str) -> float | None:
        return None if self.values.get(key) is None else self.number(key)

    def boolean(self, key: str) -> bool:
        return _expect(self._require(key), bool, "a boolean", self._path(key))

    def optional_boolean(self, key: str) -> bool | None:
        """Return the boolean under `key`, or None."""
        return None if self.values.get(key) is None else self.boolean(key)

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

    def strings(self) -> dict[str, str]:
        """Return the values, each of which is a string."""
        return {key: self.string(key) for key in self.values}

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
    """Parse a JSON object. path: the object's name in errors. Raises ShapeError, or its kind DepthError."""
    try:
        value = json.loads(text)
        deep = is_deeper(value, DEPTH_LIMIT)
    except ValueError as error:
        raise ShapeError(f"{path or 'value'}: is not JSON ({type(error).__name__})") from None
    except RecursionError:
        deep = True
    if deep:
        raise DepthError(f"{path or 'value'}: has more than {DEPTH_LIMIT} levels")
    return Table(_expect(value, dict, "an object", path or "value"), path)


def read_fields(kind: type[N], table: Table) -> N:
    """Read a NamedTuple out of a table: each field by its name, as its annotation says; raises ShapeError.

    A field that is missing or null has its default, or None if the annotation allows that. The annotation is one of
    `_GETTERS` or the name of another NamedTuple in the same module, each with or without `| None`.
    """
    described: Any = kind
    return kind(**{name: _read_field(described, name, table) for name in described._fields})


def _read_field(kind: Any, name: str, table: Table) -> Any:
    # typing.get_type_hints would do the same, but it compiles each annotation: 0.2 MiB in the resident daemon.
    annotation = kind.__annotations__[name].__forward_arg__
    required = annotation.removesuffix(" | None")
    if table.values.get(name) is None and (name in kind._field_defaults or required != annotation):
        return kind._field_defaults.get(name)
    if required in _GETTERS:
        return _GETTERS[required](table, name)
    return read_fields(vars(sys.modules[kind.__module__])[required], table.table(name))


_GETTERS: dict[str, Callable[[Table, str], Any]] = {
    "str": Table.string,
    "int": Table.integer,
    "float": Table.number,
    "bool": Table.boolean,
    "Any": lambda table, name: table.values.get(name),
    "dict[str, Any]": lambda table, name: dict(table.table(name).values),
    "Mapping[str, str]": lambda table, name: table.table(name).strings(),
}


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
