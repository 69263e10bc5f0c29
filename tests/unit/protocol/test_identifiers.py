"""Names that DPS and IoT Hub give to things, and which of them are allowed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.protocol.identifiers import (
    Endpoint,
    check_registration_id,
    check_template,
    is_device_id,
    is_host_name,
    is_id_scope,
    parse_endpoint,
)
from tests.unit.examples import ANY_TEXT, problem_of

ENDPOINTS = {
    "global.azure-devices-provisioning.net": Endpoint("global.azure-devices-provisioning.net", 8883),
    "localhost:443": Endpoint("localhost", 443),
    "127.0.0.1:1": Endpoint("127.0.0.1", 1),
    "[::1]": Endpoint("::1", 8883),
    "[2001:db8::7]:65535": Endpoint("2001:db8::7", 65535),
}
WRONG_ENDPOINTS = {
    "https://global.azure-devices-provisioning.net/path": "write 'global.azure-devices-provisioning.net'",
    "mqtts://dps.example:8883": "write 'dps.example:8883'",
    "https://[::1]:443/": r"write '\[::1\]:443'",
    "::1": "write an IPv6 address in brackets",
    "[dps.example]": "only an IPv6 address stands in brackets",
    "dps.example:": "port '' is not a number",
    "dps.example:0": "port '0'",
    "dps.example:65536": "port '65536'",
    "dps.example:8883x": "port '8883x'",
    "dps.example:٣": "port ",
    "dps example": "is not a host",
    "-dps.example": "is not a host",
    "dps..example": "is not a host",
    "[::g]:1": "is not a host",
    "": "is not a host",
}


@pytest.mark.parametrize("text", ENDPOINTS)
def test_an_endpoint_is_host_and_port(text: str) -> None:
    assert parse_endpoint(text) == ENDPOINTS[text]
    assert parse_endpoint(str(ENDPOINTS[text])) == ENDPOINTS[text]


@pytest.mark.parametrize("text", WRONG_ENDPOINTS)
def test_what_is_no_endpoint_is_answered_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=WRONG_ENDPOINTS[text]):
        parse_endpoint(text)


@given(ANY_TEXT | st.from_regex(r"[a-z0-9.:\[\]/-]*", fullmatch=True))
def test_any_text_is_an_endpoint_or_a_value_error(text: str) -> None:
    try:
        endpoint = parse_endpoint(text)
    except ValueError as error:
        assert re.fullmatch("[ -~]+", str(error))
    else:
        assert parse_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize("registration_id", ["pi-1", "a", "0", "-", "a.b_c:d-e", "a" * 64])
def test_an_allowed_registration_id_passes(registration_id: str) -> None:
    check_registration_id(registration_id, x509=True)


@pytest.mark.parametrize(
    ("registration_id", "said"),
    [
        ("", "only a-z"),
        ("pi.", "the last one"),
        ("pi_", "the last one"),
        ("pi:", "the last one"),
        ("pi 1", "only a-z"),
        ("pi\n", "only a-z"),
        ("pü", "only a-z"),
        ("pi/1", "only a-z"),
        ("a" * 65, "64 are allowed"),
    ],
)
def test_a_registration_id_that_dps_would_refuse_is_refused(registration_id: str, said: str) -> None:
    problem = problem_of("registration-id-invalid", lambda: check_registration_id(registration_id, x509=True))
    assert said in problem.sentence


def test_an_upper_case_template_is_shown_as_it_was_written() -> None:
    problem = problem_of("registration-id-invalid", lambda: check_template("X{serial}", x509=False))
    assert problem.sentence == "'X{serial}' has upper-case letters" and "lower case" in problem.hint


def test_an_upper_case_registration_id_is_answered_with_the_repaired_one() -> None:
    problem = problem_of("registration-id-invalid", lambda: check_registration_id("Pi-1", x509=True))
    assert problem.hint == "write it as 'pi-1'"


def test_a_registration_id_may_be_longer_with_a_symmetric_key() -> None:
    check_registration_id("a" * 128, x509=False)
    problem = problem_of("registration-id-invalid", lambda: check_registration_id("a" * 129, x509=False))
    assert "128 are allowed" in problem.sentence


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("contoso.azure-devices.net", True),
        ("a" * 63 + ".net", True),
        ("a" * 64 + ".net", False),
        (".".join(["a" * 63] * 4)[:253], True),
        (".".join(["a" * 63] * 4), False),
        ("", False),
        ("a.", False),
        ("-a.net", False),
        ("a-.net", False),
        ("a_b.net", False),
        ("a\n", False),
        ("hüb.net", False),
    ],
)
def test_a_host_name_has_dns_labels(text: str, allowed: bool) -> None:
    assert is_host_name(text) is allowed


@pytest.mark.parametrize("text", ["pi-1", "a" * 128, "A.b+c%d_e#f*g?h!i(j),k=l@m$n:o"])
def test_an_allowed_device_id_passes(text: str) -> None:
    assert is_device_id(text)


@given(st.text(max_size=3), st.sampled_from("\0\n\r \t'\"\\;/`&|<>é\x7f"), st.text(max_size=3))
def test_a_device_id_with_a_character_that_steers_others_is_refused(before: str, bad: str, after: str) -> None:
    assert not is_device_id(before + bad + after)
    assert not is_device_id("a" * 129)


@pytest.mark.parametrize(("text", "allowed"), [("0ne00AB12CD", True), ("0cn-x_1", True), ("", False), ("0ne/1", False)])
def test_an_id_scope_is_one_word(text: str, allowed: bool) -> None:
    assert is_id_scope(text) is allowed
