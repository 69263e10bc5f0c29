"""sd_notify over real sockets, by path and abstract."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpsd.system.notify import STATUS_LIMIT, Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The service manager's end; NOTIFY_SOCKET names it."""
    name = f"{tmp_path}/notify" if request.param == "path" else f"@dpsd-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0", 1) if name[0] == "@" else name)
        listener.settimeout(5)
        yield listener


def test_each_field_is_a_datagram_of_its_own(manager: socket.socket) -> None:
    notifier = Notifier()
    for tell in (notifier.send_ready, notifier.send_reloading, notifier.send_watchdog, notifier.send_stopping):
        tell()
    notifier.send_status("registering")
    assert notifier.supervised
    received = [manager.recv(4096) for _ in range(5)]
    assert received == [b"READY=1", b"RELOADING=1", b"WATCHDOG=1", b"STOPPING=1", b"STATUS=registering"]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("waiting \u2013 30 s", rb"waiting \xe2\x80\x93 30 s"),
        ("a\nREADY=1", rb"a\x0aREADY=1"),
        ("\ud800", rb"\xed\xa0\x80"),
        ("", b""),
    ],
)
def test_a_status_is_one_line_of_ascii(manager: socket.socket, text: str, sent: bytes) -> None:
    notifier = Notifier()
    notifier.send_status(text)
    notifier.send_ready()
    assert manager.recv(4096) == b"STATUS=" + sent
    assert manager.recv(4096) == b"READY=1"


def test_a_long_status_is_cut(manager: socket.socket) -> None:
    Notifier().send_status("x" * 100_000)
    assert len(manager.recv(100_000)) == len("STATUS=") + STATUS_LIMIT


def test_a_manager_that_went_away_ends_nothing(manager: socket.socket) -> None:
    notifier = Notifier()
    notifier.send_ready()
    assert manager.recv(4096) == b"READY=1"
    manager.close()
    notifier.send_status("still here")
    assert notifier.supervised


def test_without_a_manager_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.send_ready()
    assert not notifier.supervised
    assert notifier.watchdog_interval is None


def test_a_socket_that_nobody_listens_on_is_no_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/gone")
    notifier = Notifier()
    notifier.send_ready()
    assert not notifier.supervised


@pytest.mark.parametrize(
    ("microseconds", "pid", "interval"),
    [
        ("60000000", None, 30.0),
        ("60000000", "our own", 30.0),
        ("60000000", "1", None),
        ("", None, None),
        ("soon", None, None),
        ("²", None, None),
        ("0", None, None),
    ],
)
def test_the_watchdog_is_pinged_twice_as_often_as_asked(
    microseconds: str, pid: str | None, interval: float | None
) -> None:
    environment = {"WATCHDOG_USEC": microseconds}
    if pid is not None:
        environment["WATCHDOG_PID"] = str(os.getpid()) if pid == "our own" else pid
    assert Notifier(environment).watchdog_interval == interval
