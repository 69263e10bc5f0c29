"""Addresses in turns, literal ones without DNS, and a race among real sockets."""

from __future__ import annotations

import socket

import pytest

from dpsd.network.resolve import Address, parse_address, resolve
from dpsd.network.tcp import connect, interleave
from dpsd.protocol.identifiers import Endpoint

V6, V4 = socket.AF_INET6, socket.AF_INET


def address(family: int, number: int) -> Address:
    return Address(family, (f"2001:db8::{number}", 0, 0, 0) if family == V6 else (f"192.0.2.{number}", 0))


@pytest.mark.parametrize(
    ("families", "expected"),
    [
        ([V6, V6, V6, V4, V4], [(V6, 0), (V4, 3), (V6, 1), (V4, 4), (V6, 2)]),
        ([V4, V6, V6], [(V4, 0), (V6, 1), (V6, 2)]),
        ([V4, V4], [(V4, 0), (V4, 1)]),
    ],
)
def test_families_take_turns_the_systems_favourite_first(families: list[int], expected: list[tuple[int, int]]) -> None:
    found = interleave([address(family, number) for number, family in enumerate(families)])
    assert found == [address(family, number) for family, number in expected]


@pytest.mark.parametrize(
    ("host", "family"), [("192.0.2.1", V4), ("2001:db8::1", V6), ("64:ff9b::c000:201", V6), ("::ffff:192.0.2.1", V6)]
)
def test_a_literal_address_is_taken_as_it_is(host: str, family: int) -> None:
    (found,) = resolve(host)
    assert (found.family, found.at(443)[:2]) == (family, (host, 443))


@pytest.mark.parametrize("host", ["dps.example", "1.2.3.4.5", "localhost"])
def test_a_name_is_no_literal(host: str) -> None:
    assert parse_address(host) == ()


def test_the_address_that_answers_is_taken_and_the_others_are_closed() -> None:
    refused, good = parse_address("127.77.0.1"), parse_address("127.77.0.2")
    with socket.create_server(("127.77.0.2", 0)) as server:
        port = server.getsockname()[1]
        with connect(Endpoint("x", port), refused * 3 + good) as connected:
            assert connected.getpeername() == ("127.77.0.2", port)
            assert connected.gettimeout() is None
