"""Proxy URLs: what is taken, and that a password is never shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.configuration.proxy import Proxy, parse_proxy
from dpsd.network.tunnel import choose_proxy
from dpsd.protocol.identifiers import Endpoint
from tests.unit.examples import problem_of

GOOD = {
    "http://proxy.example:3128": Proxy("http", Endpoint("proxy.example", 3128), None),
    "HTTP://10.0.0.1:80/": Proxy("http", Endpoint("10.0.0.1", 80), None),
    "http://[2001:db8::1]:3128": Proxy("http", Endpoint("2001:db8::1", 3128), None),
    "socks5://me@proxy.example:1080": Proxy("socks5", Endpoint("proxy.example", 1080), "me"),
    "socks5h://me%40work@proxy.example:1080": Proxy("socks5", Endpoint("proxy.example", 1080), "me%40work"),
}
BAD = {
    "proxy.example:3128": "is not http://",
    "https://proxy.example:3128": "is not http://",
    "socks4://proxy.example:1080": "is not http://",
    "http://proxy.example": "has no port; write http://proxy.example:PORT",
    "http://:3128": "is not a host",
    "http://proxy.example:3128/path": "is not a number",
    "http://@proxy.example:3128": "has a user with a character",
    "http://a b@proxy.example:3128": "has a user with a character",
    "http://a%3Ab@proxy.example:3128": "has a user with a character",
    "http://a%0Ab@proxy.example:3128": "has a user with a character",
    "": "is not http://",
}


@pytest.mark.parametrize("text", GOOD)
def test_a_url_is_taken_and_written_again(text: str) -> None:
    proxy = parse_proxy(text)
    assert proxy == GOOD[text]
    assert parse_proxy(str(proxy)) == proxy


def test_a_user_is_decoded_for_the_proxy_only() -> None:
    proxy = parse_proxy("http://me%40work@proxy.example:3128")
    assert proxy.login == "me@work"
    assert "me%40work@" in str(proxy)


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_refused_with_what_is_wrong(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_proxy(text)
    assert BAD[text] in str(caught.value)


@given(st.sampled_from(["http://", "socks5://", "ftp://", ""]), st.text(max_size=5), st.text(max_size=9))
def test_a_password_is_refused_and_never_shown(scheme: str, user: str, rest: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_proxy(f"{scheme}{user}:CANARY{rest}@proxy.example:3128")
    assert "CANARY" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_proxy_or_a_value_error(text: str) -> None:
    for candidate in (text, f"http://{text}", f"http://{text}@a:1", f"socks5://a:{text}"):
        try:
            assert str(parse_proxy(candidate)).isascii()
        except ValueError as error:
            assert str(error).isprintable()


VARIABLES = ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "http_proxy", "mqtt_proxy")


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_the_environment_decides_only_when_it_is_asked(clean: pytest.MonkeyPatch) -> None:
    clean.setenv("https_proxy", "proxy.example:3128")
    assert choose_proxy(None, "dps.example") is None
    assert str(choose_proxy("environment", "dps.example")) == "http://proxy.example:3128"
    assert str(choose_proxy("http://other.example:1", "dps.example")) == "http://other.example:1"


@pytest.mark.parametrize(("exceptions", "through"), [("dps.example", False), (".example", False), ("*", False)])
def test_no_proxy_names_exceptions(exceptions: str, through: bool, clean: pytest.MonkeyPatch) -> None:
    clean.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    clean.setenv("no_proxy", exceptions)
    assert (choose_proxy("environment", "dps.example") is not None) == through
    assert (choose_proxy("environment", "dps.test") is not None) == (exceptions != "*")


@pytest.mark.parametrize("value", ["http://me:CANARY@proxy.example:3128", "ftp://proxy.example:3128", "http://x"])
def test_a_variable_that_cannot_be_used_is_named(value: str, clean: pytest.MonkeyPatch) -> None:
    clean.setenv("https_proxy", value)
    problem = problem_of("configuration-invalid", lambda: choose_proxy("environment", "dps.example"))
    assert problem.sentence.startswith("https_proxy in the environment ")
    assert "CANARY" not in str(problem)
