"""Typed getters name the path of what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.shape import DepthError, ShapeError, Table, parse_object, read_fields
from tests.unit.examples import ANY_TEXT, JSON_VALUES

GETTERS: dict[str, tuple[Callable[[Table, str], Any], type]] = {
    "string": (Table.string, str),
    "integer": (Table.integer, int),
    "boolean": (Table.boolean, bool),
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


@pytest.mark.parametrize("text", ["", "[]", "1", "null", '"a"', "{", b"\xff{}", '{"a":1}x', "9" * 5000])
def test_what_is_no_json_object_is_refused(text: str | bytes) -> None:
    with pytest.raises(ShapeError, match=r"^reply: (is not JSON|expected an object)"):
        parse_object(text, "reply")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_a_text_may_be_nested_64_levels_deep(opening: str, closing: str) -> None:
    def nested(levels: int) -> str:
        return '{"a":' + opening * levels + "1" + closing * levels + "}"

    assert parse_object(nested(63)).values
    with pytest.raises(DepthError, match=r"^reply: has more than 64 levels$"):
        parse_object(nested(64), "reply")
    with pytest.raises(DepthError, match=r"^reply: has more than 64 levels$"):
        parse_object(opening * 100_000, "reply")


@pytest.mark.parametrize("text", ["1e999", "-1e999", "NaN", "1e16", "1" + "0" * 400, "true", '"1"'])
def test_a_number_that_nobody_can_calculate_with_is_refused(text: str) -> None:
    assert parse_object('{"a": 1e15, "b": -0.5}').optional_number("a") == 1e15
    with pytest.raises(ShapeError, match=r"^reply\.a: expected "):
        parse_object(f'{{"a": {text}}}', "reply").optional_number("a")


class Inner(NamedTuple):
    text: str
    size: int = 7


class Outer(NamedTuple):
    name: str
    moment: float
    inner: Inner
    note: str | None
    values: dict[str, Any] | None = None
    flag: bool = False
    other: Inner | None = None
    rest: Inner = Inner("", 1)
    names: Mapping[str, str] = {}


LEAST = {"name": "a", "moment": 0.5, "inner": {"text": "b"}}
READ = Outer("a", 0.5, Inner("b"), None)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, READ),
        (dict.fromkeys(["note", "values", "flag", "other", "rest", "names"]), READ),
        ({"note": "", "flag": True, "unknown": 1}, READ._replace(note="", flag=True)),
        ({"inner": {"text": "b", "size": 0}, "moment": 1}, READ._replace(inner=Inner("b", 0), moment=1)),
        ({"names": {"a": "b"}}, READ._replace(names={"a": "b"})),
        ({"values": {"a": [1]}, "other": {"text": "c"}}, READ._replace(values={"a": [1]}, other=Inner("c"))),
    ],
)
def test_a_record_is_read_by_its_names_and_annotations(more: dict[str, Any], expected: Outer) -> None:
    assert read_fields(Outer, Table({**LEAST, **more})) == expected


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": None}, "name: expected a string, found null"),
        ({"moment": None}, "moment: expected an integer, found null"),
        ({"moment": "1"}, "moment: expected an integer, found a string"),
        ({"moment": 1e16}, "moment: expected a number within 1e+15"),
        ({"inner": {}}, "inner.text: is missing"),
        ({"inner": {"text": "b", "size": True}}, "inner.size: expected an integer, found a boolean"),
        ({"inner": []}, "inner: expected an object, found a list"),
        ({"note": 1}, "note: expected a string, found int"),
        ({"values": "x"}, "values: expected an object, found a string"),
        ({"flag": 1}, "flag: expected a boolean, found int"),
        ({"other": {}}, "other.text: is missing"),
        ({"names": {"a": "b", "c": None}}, "names.c: expected a string, found null"),
        ({"rest": False}, "rest: expected an object, found a boolean"),
    ],
)
def test_a_field_of_another_type_is_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ShapeError) as caught:
        read_fields(Outer, Table({**LEAST, **changed}, "outer"))
    assert str(caught.value) == f"outer.{said}"


@pytest.mark.parametrize("missing", LEAST)
def test_a_field_without_a_default_is_required(missing: str) -> None:
    document = {name: value for name, value in LEAST.items() if name != missing}
    with pytest.raises(ShapeError, match=f"^{missing}: is missing$"):
        read_fields(Outer, Table(document))


@given(st.binary() | ANY_TEXT | JSON_VALUES.map(json.dumps))
def test_any_text_is_a_table_or_a_shape_error(text: str | bytes) -> None:
    try:
        assert parse_object(text).values == json.loads(text)
    except ShapeError as error:
        assert str(error).startswith("value: ")
