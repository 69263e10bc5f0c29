"""Typed getters over parsed JSON or TOML.

A `Table` knows where it stands, so that an error names the dotted path of the value that is wrong.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
N = TypeVar("N", bound="tuple[Any, ...]")
"""A NamedTuple."""


DEPTH_LIMIT = 64
"""Levels of a JSON text; what is deeper can be read but perhaps not written again, or shown, deeper on the stack."""

NUMBER_LIMIT = 1e15
"""What a number may come to that is calculated with: JSON has infinity, and integers that no float can hold."""


class ShapeError(ValueError):
    """A value is missing or has the wrong type; the message starts with its dotted path."""


class Table:
    """A JSON object or TOML table, read key by key; every getter raises ShapeError."""

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self.values = values
        self.path = path

    def string(self, key: str) -> str:
        return _typed(self._required(key), str, "a string", self._dotted(key))

    def optional_string(self, key: str) -> str | None:
        return None if self.values.get(key) is None else self.string(key)

    def integer(self, key: str) -> int:
        return _typed(self._required(key), int, "an integer", self._dotted(key))

    def optional_integer(self, key: str) -> int | None:
        return None if self.values.get(key) is None else self.integer(key)

    def number(self, key: str) -> float:
        value = self._required(key)
        number = value if isinstance(value, float) else self.integer(key)
        if not abs(number) <= NUMBER_LIMIT:
            raise ShapeError(f"{self._dotted(key)}: expected a number within {NUMBER_LIMIT:.0e}")
        return number

    def optional_number(self, key: str) -> float | None:
        return None if self.values.get(key) is None else self.number(key)

    def boolean(self, key: str) -> bool:
        return _typed(self._required(key), bool, "a boolean", self._dotted(key))

    def optional_boolean(self, key: str) -> bool | None:
        return None if self.values.get(key) is None else self.boolean(key)

    def table(self, key: str) -> Table:
        return Table(_typed(self._required(key), dict, "an object", self._dotted(key)), self._dotted(key))

    def optional_table(self, key: str) -> Table | None:
        return None if self.values.get(key) is None else self.table(key)

    def list(self, key: str) -> list[Any]:
        return _typed(self._required(key), list, "a list", self._dotted(key))

    def tables(self, key: str) -> Iterator[Table]:
        """Yield the objects of a list; a missing list is empty."""
        for index, value in enumerate(self.list(key) if self.values.get(key) is not None else ()):
            path = f"{self._dotted(key)}[{index}]"
            yield Table(_typed(value, dict, "an object", path), path)

    def strings(self) -> dict[str, str]:
        """Return the values, each of which is a string."""
        return {key: self.string(key) for key in self.values}

    def check_names(self, known: Collection[str]) -> None:
        """Raise ShapeError for the first name that is not known."""
        for name in self.values:
            if name not in known:
                raise ShapeError(f"{self._dotted(name)}: is not known here")

    def _required(self, key: str) -> Any:
        if key not in self.values:
            raise ShapeError(f"{self._dotted(key)}: is missing")
        return self.values[key]

    def _dotted(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def parse_object(text: str | bytes, path: str = "") -> Table:
    """Parse a JSON object; anything else, however deep or odd, raises ShapeError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ShapeError(f"{path or 'value'}: is not JSON ({type(error).__name__})") from None
    if is_deeper(value, DEPTH_LIMIT):
        raise ShapeError(f"{path or 'value'}: has more than {DEPTH_LIMIT} levels")
    return Table(_typed(value, dict, "an object", path or "value"), path)


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
    "dict[str, Any]": lambda table, name: dict(table.table(name).values),
    "Mapping[str, str]": lambda table, name: table.table(name).strings(),
}


def is_deeper(value: Any, levels: int) -> bool:
    """Tell whether objects and lists stand in each other in more than `levels`, without going down on the stack."""
    layer = [value]
    for _ in range(levels):
        layer = [inner for outer in layer for inner in _members(outer)]
    return any(isinstance(one, (dict, list)) for one in layer)


def _members(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _typed(value: Any, expected: type[T], noun: str, path: str) -> T:
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is int):
        raise ShapeError(f"{path}: expected {noun}, found {_noun(value)}")
    return value


def _noun(value: object) -> str:
    names = {"dict": "an object", "list": "a list", "str": "a string", "bool": "a boolean", "NoneType": "null"}
    return names.get(type(value).__name__, f"{type(value).__name__}")
