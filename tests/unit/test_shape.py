"""Typed getters name the path of what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.shape import ShapeError, Table, parse_object
from tests.unit.examples import ANY_TEXT, JSON_VALUES

GETTERS: dict[str, tuple[Callable[[Table, str], Any], type]] = {
    "string": (Table.string, str),
    "integer": (Table.integer, int),
    "list": (Table.list, list),
    "optional_string": (Table.optional_string, str),
    "optional_integer": (Table.optional_integer, int),
    "optional_boolean": (Table.optional_boolean, bool),
}
DOCUMENT: dict[str, Any] = {"string": "s", "integer": 7, "list": [1], "boolean": True, "object": {}, "float": 1.5}


@pytest.mark.parametrize("getter", GETTERS)
@pytest.mark.parametrize("key", DOCUMENT)
def test_a_getter_returns_its_own_type_only(getter: str, key: str) -> None:
    get, expected = GETTERS[getter]
    if type(DOCUMENT[key]) is expected:
        assert get(Table(DOCUMENT), key) == DOCUMENT[key]
    else:
        with pytest.raises(ShapeError, match=f"^outer.{key}: expected "):
            get(Table(DOCUMENT, "outer"), key)


@pytest.mark.parametrize("getter", [name for name in GETTERS if name.startswith("optional")])
def test_an_optional_value_may_be_missing_or_null(getter: str) -> None:
    get, _ = GETTERS[getter]
    assert get(Table({}), "key") is None
    assert get(Table({"key": None}), "key") is None


def test_a_missing_value_is_named_by_its_dotted_path() -> None:
    table = parse_object('{"outer": {"inner": {}}}', "reply")
    with pytest.raises(ShapeError, match=r"^reply\.outer\.inner\.leaf: is missing$"):
        table.table("outer").table("inner").string("leaf")
    assert table.optional_table("other") is None


def test_a_list_of_objects_names_the_one_that_is_none() -> None:
    table = Table({"units": [{"a": 1}, "b"]})
    found = table.tables("units")
    assert next(found).integer("a") == 1
    with pytest.raises(ShapeError, match=r"^units\[1\]: expected an object, found a string$"):
        next(found)
    assert list(table.tables("others")) == []


def test_an_unknown_name_is_named() -> None:
    table = Table({"known": 1, "unknwon": 2}, "dps")
    table.check_names(["known", "unknwon"])
    with pytest.raises(ShapeError, match=r"^dps\.unknwon: is not known here$"):
        table.check_names(["known", "unknown"])


@pytest.mark.parametrize("text", ["", "[]", "1", "null", '"a"', "{", b"\xff{}", '{"a":1}x', "[" * 100_000, "9" * 5000])
def test_what_is_no_json_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(ShapeError, match=r"^reply: (is not JSON|expected an object)"):
        parse_object(text, "reply")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_text_may_be_nested_64_levels_deep(opening: str, closing: str) -> None:
    def nested(levels: int) -> str:
        return '{"a":' + opening * levels + "1" + closing * levels + "}"

    assert parse_object(nested(63)).values
    with pytest.raises(ShapeError, match=r"^reply: has more than 64 levels$"):
        parse_object(nested(64), "reply")


@pytest.mark.parametrize("text", ["1e999", "-1e999", "NaN", "1e16", "1" + "0" * 400, "true", '"1"'])
def test_a_number_that_nobody_can_calculate_with_is_refused(text: str) -> None:
    assert parse_object('{"a": 1e15, "b": -0.5}').optional_number("a") == 1e15
    with pytest.raises(ShapeError, match=r"^reply\.a: expected "):
        parse_object(f'{{"a": {text}}}', "reply").optional_number("a")


@given(st.binary() | ANY_TEXT | JSON_VALUES.map(json.dumps))
def test_any_text_is_a_table_or_a_shape_error(text: str | bytes) -> None:
    try:
        assert parse_object(text).values == json.loads(text)
    except ShapeError as error:
        assert str(error).startswith("value: ")
