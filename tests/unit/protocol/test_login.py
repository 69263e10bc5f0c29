"""What stands in CONNECT, for DPS and for IoT Hub."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.errors import ProtocolError
from dpsd.protocol.login import DpsLogin, HubLogin, parse_login
from tests.unit.examples import ANY_TEXT

NAME = st.from_regex(r"[A-Za-z0-9._:-]+", fullmatch=True)
DPS_USERNAME = "0ne00TEST01/registrations/rpi-0001/api-version=2019-03-31&ClientVersion=pid%2F1.0"
HUB_USERNAME = "hub-a.azure-devices.net/rpi-0001/?api-version=2021-04-12"


def test_the_dps_login_is_the_published_one() -> None:
    login = DpsLogin("0ne00TEST01", "rpi-0001", "2019-03-31", "pid/1.0")
    assert login.encode() == DPS_USERNAME
    assert DpsLogin("0ne00TEST01", "rpi-0001", "2019-03-31").encode() == DPS_USERNAME.partition("&")[0]


def test_the_hub_login_is_the_published_one() -> None:
    login = HubLogin("hub-a.azure-devices.net", "rpi-0001")
    assert login.encode() == HUB_USERNAME
    assert login.client_id() == "rpi-0001"
    assert login._replace(module_id="m").client_id() == "rpi-0001/m"


@given(st.builds(DpsLogin, NAME, NAME, NAME, st.text()) | st.builds(HubLogin, NAME, NAME, st.none() | NAME, NAME))
def test_a_login_is_parsed_back(login: DpsLogin | HubLogin) -> None:
    assert parse_login(login.encode()) == login


@pytest.mark.parametrize(
    ("username", "login"),
    [
        ("s/registrations/r/ClientVersion=a/b c&api-version=1&x=2", DpsLogin("s", "r", "1", "a/b c")),
        ("s/registrations/r/", DpsLogin("s", "r", "")),
        ("h/d/?api-version=1&DeviceClientType=x", HubLogin("h", "d", None, "1")),
        ("h/d/m/?api-version=1", HubLogin("h", "d", "m", "1")),
    ],
)
def test_the_login_of_other_clients_is_understood(username: str, login: DpsLogin | HubLogin) -> None:
    assert parse_login(username) == login


@pytest.mark.parametrize("username", ["", "s/registrations/r", "h/d", "h/d?api-version=1", "/d/?x", "h/d/m/n/?x"])
def test_a_username_that_is_neither_is_refused(username: str) -> None:
    with pytest.raises(ProtocolError, match="neither a DPS nor an IoT Hub login"):
        parse_login(username)


@given(ANY_TEXT | st.from_regex(r"[a/?=&%]*", fullmatch=True))
def test_any_username_is_a_login_or_a_protocol_error(username: str) -> None:
    try:
        login = parse_login(username)
    except ProtocolError:
        return
    assert isinstance(login, (DpsLogin, HubLogin))
    assert username.startswith(f"{login[0]}/")
