"""What a bundle may set, and the file in which it stays."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.configuration.merge import parse_import, parse_tables
from dpsd.configuration.settings import SETTINGS, Layer
from dpsd.importing.settings import check_allowed, check_brings_credential, merge, render, with_credential
from tests.unit.examples import problem_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ANYBODYS = {
    "dps.id_scope", "dps.global_endpoint", "dps.registration_id", "dps.payload", "dps.api_version",
    "credential.type", "credential.store", "credential.firmware_key_id",
    "network.transport", "network.proxy",
}  # fmt: skip
"""What whoever can write to a card may set, here a second time: a setting more is to be thought over twice."""
TEXT = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.booleans() | st.integers() | TEXT | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
TABLES = st.dictionaries(TEXT, st.dictionaries(TEXT, VALUES, max_size=3), max_size=3)


@given(TABLES)
def test_what_is_rendered_is_read_again(tables: dict[str, dict[str, Any]]) -> None:
    assert tomllib.loads(render(tables).decode()) == tables


@pytest.mark.parametrize("key", sorted(ANYBODYS))
def test_without_a_signature_a_bundle_says_who_the_device_is_and_which_way_it_goes(key: str) -> None:
    table, _, name = key.partition(".")
    check_allowed({table: {name: "x"}}, "bundle")


@pytest.mark.parametrize("key", sorted(SETTINGS.keys() - ANYBODYS))
def test_without_a_signature_nothing_else_is_set(key: str) -> None:
    table, _, name = key.partition(".")
    problem = problem_of("bundle-not-signed", lambda: check_allowed({table: {name: "x"}}, "bundle"))
    assert problem.sentence == f"bundle sets {key} and is not signed by the fleet's key"


def test_all_refused_settings_are_named() -> None:
    tables: dict[str, dict[str, Any]] = {
        "hub": {"allow": ["*"]},
        "dps": {"payload_file": "/etc/shadow", "id_scope": "s"},
    }
    problem = problem_of("bundle-not-signed", lambda: check_allowed(tables, "bundle"))
    assert len([problem.sentence, *problem.also]) == 2


def test_a_table_replaces_that_of_an_earlier_bundle_but_for_what_was_signed() -> None:
    old = {"dps": {"id_scope": "old"}, "network": {"proxy": "http://p:1", "trusted_roots": "azure"}}
    merged = merge(old, {"network": {"transport": "auto"}})
    assert merged == {"dps": {"id_scope": "old"}, "network": {"transport": "auto", "trusted_roots": "azure"}}
    files = {"credential": {"type": "x509", "certificate_file": "/etc/a"}}
    assert merge(files, {"credential": {"type": "x509", "store": "sealed"}})["credential"]["store"] == "sealed"


def test_a_credential_that_comes_along_is_sealed() -> None:
    assert with_credential({}, "x509", "bundle") == {"credential": {"type": "x509", "store": "sealed"}}
    for other in ({"type": "symmetric_key"}, {"store": "files"}, {"type": "x509", "certificate_file": "/etc/a"}):
        tables = {"credential": other}
        problem_of("bundle-invalid", lambda tables=tables: with_credential(tables, "x509", "bundle"))  # type: ignore[misc]


def test_a_credential_that_does_not_come_along_is_missed() -> None:
    problem_of("bundle-invalid", lambda: check_brings_credential({"credential": {"type": "x509"}}, "bundle"))
    for present in ({}, {"credential": {"store": "rpi-firmware"}}, {"credential": {"certificate_file": "/etc/a"}}):
        check_brings_credential(present, "bundle")


def test_a_prepared_device_is_not_a_configured_one() -> None:
    prepared = '[import]\nreplace = true\n[network]\ntransport = "auto"\n[fleet]\nwindow = 60\n'
    preparation = parse_import([Layer("image.toml", prepared)])
    assert (preparation.rights.replace, preparation.rights.usb, preparation.configured) == (True, False, False)
    assert parse_import([Layer("image.toml", prepared), Layer("dpsd.toml", 'dps.id_scope = "s"')]).configured


@pytest.mark.parametrize("text", ["[dps", "[nonsense]", "[import]\nusb = 1", 'dps = "x"', "[dps]\nid_scope = 7"])
def test_a_broken_layer_is_named_with_its_place(text: str) -> None:
    problem = problem_of("configuration-invalid", lambda: parse_tables(Layer("/b/dpsd.toml", text)))
    assert problem.sentence.startswith("/b/dpsd.toml")
