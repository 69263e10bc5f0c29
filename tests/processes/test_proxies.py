"""Proxies: Debian's own servers, and answers that only odd ones give."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.emulator_process import EmulatorProcess, next_address
from tests.processes.board import Board, Daemon
from tests.processes.proxies import PASSWORD, USER, Proxy, microsocks, tinyproxy
from tests.processes.relay import pump, server

DEAD = 9
WITH_PASSWORD = {
    tinyproxy: (f"BasicAuth {USER} {PASSWORD}",),
    microsocks: ("-u", USER, "-P", PASSWORD),
}
SERVERS = [tinyproxy, microsocks]


@pytest.fixture(scope="module", params=SERVERS, ids=lambda one: one.__name__)
def proxy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with request.param(tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture(scope="module", params=SERVERS, ids=lambda one: one.__name__)
def locked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that wants a user and a password."""
    with request.param(tmp_path_factory.mktemp("proxy"), *WITH_PASSWORD[request.param]) as running:
        yield running


def use(board: Board, proxy: str, transport: str = "mqtt", password: str | None = None, **replaced: str) -> Path:
    """Configure a proxy by its URL; return the password's file."""
    lines, file = [f'transport = "{transport}"', f'proxy = "{proxy}"'], board.folder / "proxy.password"
    if password is not None:
        board.write_key(file, password)
        lines.append(f'proxy_password_file = "{file}"')
    board.configure(network="\n".join(lines), **replaced)
    return file


@pytest.mark.mqtt
@pytest.mark.parametrize(("transport", "port"), [("mqtt", 8883), ("websocket", 443)])
def test_a_proxy_is_gone_through_and_published(
    transport: str, port: int, board: Board, emulator: EmulatorProcess, proxy: Proxy
) -> None:
    use(board, proxy.url(), transport)
    ended = board.dpsctl("provision")
    assert ended.returncode == 0, ended.stderr
    assert (board.mqtt()["proxy"], board.mqtt()["port"]) == (proxy.url(), port)
    assert f"{emulator.address}:{port}" in proxy.log.read_text()


def test_the_right_password_opens(board: Board, locked: Proxy) -> None:
    use(board, locked.url(USER), password=PASSWORD)
    ended = board.dpsctl("provision")
    assert ended.returncode == 0, ended.stderr
    assert board.mqtt()["proxy"] == locked.url(USER)


@pytest.mark.parametrize(("user", "password"), [("", None), (USER, None), (USER, "wrong-CANARY"), ("eve", PASSWORD)])
def test_any_other_login_is_unauthorized(user: str, password: str | None, board: Board, locked: Proxy) -> None:
    use(board, locked.url(user), password=password)
    ended = board.dpsctl("provision")
    assert ended.returncode == 77
    assert "dpsd: proxy-unauthorized: " in ended.stderr


def test_a_corrected_password_is_noticed(board: Board, locked: Proxy) -> None:
    file = use(board, locked.url(USER), password="wrong")
    with Daemon(board) as daemon:
        daemon.await_status("proxy-unauthorized")
        board.write_key(file, PASSWORD)
        daemon.await_notified("READY=1")
    assert PASSWORD not in daemon.log.read_text() + "".join(daemon.notified)


def test_a_password_that_others_can_read_is_refused(board: Board, locked: Proxy) -> None:
    use(board, locked.url(USER), password=PASSWORD).chmod(0o644)
    ended = board.dpsctl("provision")
    assert "dpsd: credential-insecure: " in ended.stderr
    assert ended.returncode == 78


def test_a_password_in_the_url_is_refused_and_not_shown(board: Board) -> None:
    use(board, f"http://{USER}:{PASSWORD}@127.0.0.1:3128")
    ended = board.dpsctl("config")
    assert ended.returncode == 78
    assert "network.proxy: holds a password; leave it out" in ended.stderr
    assert PASSWORD not in ended.stdout + ended.stderr


def test_an_endpoint_that_the_proxy_cannot_reach_is_a_failure(board: Board, proxy: Proxy) -> None:
    use(board, proxy.url(), global_endpoint=f'"{next_address()}:{DEAD}"')
    ended = board.dpsctl("provision")
    assert ended.returncode == 69
    assert f"dpsd: proxy-failed: the proxy {proxy.url()} has not connected to " in ended.stderr


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_is_not_there_is_unreachable(scheme: str, board: Board) -> None:
    nowhere = f"{next_address()}:{DEAD}"
    use(board, f"{scheme}://{nowhere}")
    ended = board.dpsctl("provision")
    assert ended.returncode == 69
    assert f"dpsd: proxy-unreachable: the proxy {scheme}://{nowhere} cannot be reached: " in ended.stderr


def test_a_port_that_the_proxy_forbids_is_refused_and_auto_takes_the_other(
    board: Board, emulator: EmulatorProcess, tmp_path: Path
) -> None:
    with tinyproxy(tmp_path, "ConnectPort 443") as proxy:
        use(board, proxy.url())
        ended = board.dpsctl("provision")
        assert "dpsd: proxy-refused: " in ended.stderr
        assert ended.returncode == 77
        use(board, proxy.url(), "auto")
        assert board.dpsctl("provision").returncode == 0
        assert f"{emulator.address}:443" in proxy.log.read_text()
    assert (board.mqtt()["transport"], board.mqtt()["proxy"]) == ("websocket", proxy.url())


def test_auto_never_goes_around_the_proxy(board: Board, emulator: EmulatorProcess) -> None:
    use(board, f"http://{next_address()}:{DEAD}", "auto")
    since = len(emulator.lines())
    assert "dpsd: proxy-unreachable: " in board.dpsctl("provision").stderr
    assert emulator.lines()[since:] == []


# The environment

VARIABLES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "mqtt_proxy", "MQTT_PROXY")


@pytest.mark.mqtt
def test_the_environment_is_not_consulted_unless_asked(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, f"http://{next_address()}:{DEAD}")
    assert board.dpsctl("provision").returncode == 0
    assert board.mqtt()["proxy"] is None


@pytest.mark.mqtt
@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY"])
def test_the_environment_is_consulted_when_asked(
    name: str, board: Board, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, proxy.url())
    use(board, "environment")
    assert board.dpsctl("provision").returncode == 0
    assert board.mqtt()["proxy"] == proxy.url()


@pytest.mark.mqtt
def test_no_proxy_goes_around_when_the_environment_decides(
    board: Board, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://{next_address()}:{DEAD}")
    monkeypatch.setenv("no_proxy", ",".join([emulator.address, *emulator.hubs]))
    use(board, "environment")
    assert board.dpsctl("provision").returncode == 0


def test_a_password_in_the_environment_is_refused_and_not_shown(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", f"http://{USER}:{PASSWORD}@127.0.0.1:3128")
    use(board, "environment")
    ended = board.dpsctl("provision")
    assert "dpsd: configuration-invalid: https_proxy in the environment holds a password" in ended.stderr
    assert PASSWORD not in ended.stderr


def test_socks_without_its_package_says_what_to_install(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "socks.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    with server(next_address(), lambda connection: None) as where:
        use(board, f"socks5://{where}")
        ended = board.dpsctl("provision")
    assert "dpsd: configuration-invalid: network.proxy: SOCKS5 needs the Python package socks" in ended.stderr
    assert "\nhint: install it: apt-get install python3-socks\n" in ended.stderr


# Odd HTTP proxies

Say = Callable[[socket.socket], None]


def said(*pieces: bytes, pause: float = 0.2) -> Say:
    """Say the pieces in segments of their own, once the request is there."""

    def say(connection: socket.socket) -> None:
        heard(connection)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)

    return say


def heard(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    return request


GOOD: dict[str, Say] = {
    "split over two segments": said(b"HTTP/1.1 200 Connec", b"tion established\r\nProxy-Agent: x\r\n\r\n"),
    "split in the empty line": said(b"HTTP/1.1 200 OK\r\n\r", b"\n"),
    "HTTP/1.0": said(b"HTTP/1.0 200 Connection established\r\n\r\n"),
    "no reason": said(b"HTTP/1.1 200\r\n\r\n"),
    "lines without carriage return": said(b"HTTP/1.1 200 OK\nVia: x\n\n"),
    "a long header": said(b"HTTP/1.1 200 OK\r\nVia: " + b"x" * 60_000 + b"\r\n\r\n"),
}


@pytest.mark.parametrize("name", GOOD)
def test_any_good_answer_to_connect_is_taken(name: str, board: Board, emulator: EmulatorProcess) -> None:
    def talk(connection: socket.socket) -> None:
        GOOD[name](connection)
        pump(connection, emulator.address, emulator.port)

    with server(next_address(), talk) as where:
        use(board, f"http://{where}")
        ended = board.dpsctl("provision")
    assert ended.returncode == 0, ended.stderr


BAD: dict[str, tuple[Say, str]] = {
    "407": (said(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), "proxy-unauthorized"),
    "403": (said(b"HTTP/1.1 403 CANARY\r\n\r\n"), "proxy-refused"),
    "405": (said(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n"), "proxy-refused"),
    "502": (said(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), "proxy-failed"),
    "301": (said(b"HTTP/1.1 301 Moved\r\nLocation: http://x/\r\n\r\n"), "proxy-failed"),
    "garbage": (said(b"SSH-2.0-CANARY\r\n\r\n"), "proxy-failed"),
    "binary": (said(bytes(range(256)) * 8), "proxy-failed"),
    "a line too long": (said(b"HTTP/1.1 200 OK\r\nVia: " + b"x" * 70_000 + b"\r\n\r\n"), "proxy-failed"),
    "bytes behind the answer": (said(b"HTTP/1.1 200 OK\r\n\r\nCANARY"), "proxy-failed"),
    "hanging up at once": (lambda connection: None, "proxy-failed"),
    "hanging up after the request": (said(), "proxy-failed"),
    "hanging up in the middle": (said(b"HTTP/1.1 2"), "proxy-failed"),
    "silence": (lambda connection: time.sleep(40), "proxy-failed"),
}


@pytest.mark.parametrize("name", BAD)
def test_any_bad_answer_to_connect_is_named(name: str, board: Board) -> None:
    say, code = BAD[name]
    with server(next_address(), say) as where:
        use(board, f"http://{where}")
        ended = board.dpsctl("provision")
    assert f"dpsd: {code}: the proxy http://{where} " in ended.stderr
    assert "CANARY" not in ended.stderr and "Traceback" not in ended.stderr


def test_connect_names_the_endpoint_and_the_user(board: Board) -> None:
    requests: list[bytes] = []
    with server(next_address(), lambda connection: requests.append(heard(connection))) as where:
        use(board, f"http://a%40b@{where}", password="s3cret", global_endpoint='"dps.example"')
        board.dpsctl("provision")
    assert requests[0].startswith(b"CONNECT dps.example:8883 HTTP/1.1\r\nHost: dps.example:8883\r\n")
    assert b"\r\nProxy-Authorization: Basic YUBiOnMzY3JldA==\r\n" in requests[0]


def test_connect_names_an_ipv6_address_in_brackets(board: Board) -> None:
    requests: list[bytes] = []
    with server(next_address(), lambda connection: requests.append(heard(connection))) as where:
        use(board, f"http://{where}", global_endpoint='"[2001:db8::1]"')
        board.dpsctl("provision")
    assert requests[0].startswith(b"CONNECT [2001:db8::1]:8883 HTTP/1.1\r\nHost: [2001:db8::1]:8883\r\n")


# Odd SOCKS proxies

HELLO, REQUEST = b"\5\0", b"\5\1\0\3\x0bdps.example\x22\xb3"
SOCKS: dict[str, tuple[tuple[bytes, ...], str]] = {
    "no method": ((b"\5\xff",), "proxy-unauthorized"),
    "another version": ((b"\4\0",), "proxy-failed"),
    "HTTP": ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "proxy-failed"),
    "not allowed": ((HELLO, b"\5\2\0\1\0\0\0\0\0\0"), "proxy-refused"),
    "no such host": ((HELLO, b"\5\4\0\1\0\0\0\0\0\0"), "proxy-failed"),
    "refused": ((HELLO, b"\5\5\0\1\0\0\0\0\0\0"), "proxy-failed"),
    "an error unheard of": ((HELLO, b"\5\x77\0\1\0\0\0\0\0\0"), "proxy-failed"),
    "hanging up": ((HELLO,), "proxy-failed"),
    "hanging up at once": ((), "proxy-failed"),
}


@pytest.mark.parametrize("name", SOCKS)
def test_any_bad_answer_of_socks_is_named(name: str, board: Board) -> None:
    """The name goes to the proxy unresolved: it is one that nobody here can resolve."""
    answers, code = SOCKS[name]
    requests: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        for answer in answers:
            requests.append(connection.recv(4096))
            connection.sendall(answer)

    with server(next_address(), talk) as where:
        use(board, f"socks5://{where}", global_endpoint='"dps.example"')
        ended = board.dpsctl("provision")
    assert f"dpsd: {code}: the proxy socks5://{where} " in ended.stderr, ended.stderr
    assert "Traceback" not in ended.stderr
    assert requests[1:] in ([], [REQUEST])
