"""Proxy servers: Debian's tinyproxy and microsocks, each as a process on an address of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.emulator_process import next_address

USER, PASSWORD = "board", "CANARY-of-the-proxy"
HTTP_PORT, SOCKS_PORT = 3128, 1080
START_SECONDS = 10


class Proxy(NamedTuple):
    """scheme and place make its URL; log: what it says of its clients."""

    scheme: str
    place: str
    log: Path

    def url(self, user: str = "") -> str:
        return f"{self.scheme}://{user + '@' if user else ''}{self.place}"


def binary(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextmanager
def tinyproxy(folder: Path, *settings: str) -> Iterator[Proxy]:
    """An HTTP proxy. settings: further lines of its configuration."""
    address, log, config = next_address(), folder / "tinyproxy.log", folder / "tinyproxy.conf"
    lines = (f"Port {HTTP_PORT}", f"Listen {address}", "Allow 127.0.0.0/8", "Timeout 30", "LogLevel Connect")
    config.write_text("\n".join((*lines, f'LogFile "{log}"', *settings, "")))
    log.touch()
    with _running([binary("tinyproxy"), "-d", "-c", str(config)], folder, address, HTTP_PORT):
        yield Proxy("http", f"{address}:{HTTP_PORT}", log)


@contextmanager
def microsocks(folder: Path, *options: str) -> Iterator[Proxy]:
    """A SOCKS5 proxy. options: more of its command line."""
    address = next_address()
    command = [binary("microsocks"), "-i", address, "-p", str(SOCKS_PORT), *options]
    with _running(command, folder, address, SOCKS_PORT) as log:
        yield Proxy("socks5", f"{address}:{SOCKS_PORT}", log)


@contextmanager
def _running(command: list[str], folder: Path, address: str, port: int) -> Iterator[Path]:
    output = folder / f"{Path(command[0]).name}.output"
    with output.open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        _await_listening(process, address, port, output)
        yield output
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _await_listening(process: subprocess.Popen[bytes], address: str, port: int, output: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection((address, port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"{process.args!r} does not listen: {output.read_text()}")
