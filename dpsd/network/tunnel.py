"""Connections through a proxy: HTTP CONNECT, and SOCKS5 by PySocks. Only this module imports socks.

CONNECT is written here, since `http.client` sends HTTP/1.0 without Host on some versions of Python, which not every
proxy takes (RFC 9110, 9.3.6; RFC 9112, 3.2).

The proxy's password is read from its file when it is needed, and not kept. Problems show a proxy's answer as a number:
its words may repeat what it was sent.
"""

from __future__ import annotations

import base64
import os
import re
import socket
import urllib.request
from typing import Any

from dpsd.configuration.proxy import ENVIRONMENT, HTTP, PASSWORD_LIMIT, Proxy, parse_proxy
from dpsd.credentials.secret_file import load_secret
from dpsd.errors import Problem, ProtocolError
from dpsd.protocol.identifiers import Endpoint
from dpsd.protocol.websocket import parse_upgrade_reply
from dpsd.text import printable

ANSWER_LIMIT = 20
"""Seconds that a proxy may be silent, while it waits for the endpoint itself."""
HEAD_LIMIT = 64 * 1024
"""Bytes of a proxy's answer to CONNECT."""
_SOCKS_LIMIT = 127
"""Bytes of the longest user or password that PySocks sends correctly; RFC 1929 allows 255."""
_NOT_ALLOWED = "0x02"
"""Connection not allowed by ruleset (RFC 1928, section 6)."""
_END_OF_HEAD = re.compile(rb"\n\r?\n")
_WHO_ARE_YOU = (407, 401)
"""HTTP statuses that ask for a password; tinyproxy answers a wrong one with 401."""
_USERLESS = "asks for a user"


def choose_proxy(setting: str | None, host: str) -> Proxy | None:
    """Return the proxy for this host, None for none; raises Problem `configuration-invalid`.

    setting: network.proxy. `environment` stands for https_proxy and no_proxy, in lower or upper case as for curl.
    """
    if setting != ENVIRONMENT:
        return None if setting is None else parse_proxy(setting)
    named = urllib.request.getproxies().get("https")
    if not named or urllib.request.proxy_bypass(host):
        return None
    try:
        return parse_proxy(named if "://" in named else f"{HTTP}://{named}")
    except ValueError as error:
        raise Problem("configuration-invalid", f"https_proxy in the environment {error}") from None


def open_tunnel(
    connection: socket.socket, proxy: Proxy, password_file: str | None, endpoint: Endpoint
) -> socket.socket:
    """Let the proxy connect to `endpoint`. connection: one to the proxy, which is closed if that fails.

    Raises Problem `proxy-refused`, `proxy-unauthorized`, `proxy-failed`, `credential-*`, `configuration-invalid`.
    """
    connection.settimeout(ANSWER_LIMIT)
    through = _use_http if proxy.scheme == HTTP else _use_socks
    try:
        tunnel = through(connection, proxy, password_file, endpoint)
    except BaseException:
        connection.close()
        raise
    tunnel.setblocking(True)
    return tunnel


def _use_http(connection: socket.socket, proxy: Proxy, password_file: str | None, endpoint: Endpoint) -> socket.socket:
    lines = [f"CONNECT {endpoint} HTTP/1.1", f"Host: {endpoint}", *_make_authorization(proxy, password_file)]
    try:
        connection.sendall("\r\n".join((*lines, "", "")).encode())
        head, rest = _read_head(connection)
        status = parse_upgrade_reply(head).status
    except OSError as error:
        raise _make_broken(proxy, endpoint, error) from None
    except ProtocolError as error:
        raise _make_failed(proxy, endpoint, f"answers something that is not HTTP ({error})") from None
    if status != 200:
        raise _make_status_problem(proxy, endpoint, status)
    if rest:  # the endpoint would not speak first
        raise _make_failed(proxy, endpoint, "goes on after its answer")
    return connection


def _make_authorization(proxy: Proxy, password_file: str | None) -> list[str]:
    if proxy.login is None:
        return []
    pair = proxy.login.encode() + b":" + _load_password(password_file)
    return ["Proxy-Authorization: Basic " + base64.b64encode(pair).decode()]


def _read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return an answer up to its empty line, and what came after that; raises OSError, ProtocolError."""
    received = b""
    while not (end := _END_OF_HEAD.search(received)):
        if len(received) > HEAD_LIMIT:
            raise ProtocolError("it does not end")
        chunk = connection.recv(4096)
        if not chunk:
            raise ConnectionResetError
        received += chunk
    return received[: end.start()], received[end.end() :]


def _make_status_problem(proxy: Proxy, endpoint: Endpoint, status: int) -> Problem:
    said = f"answers CONNECT with HTTP status {status}"
    if status in _WHO_ARE_YOU:
        return _make_unauthorized(proxy, said)
    return _make_refused(proxy, endpoint, said) if 400 <= status < 500 else _make_failed(proxy, endpoint, said)


def _use_socks(connection: socket.socket, proxy: Proxy, password_file: str | None, endpoint: Endpoint) -> socket.socket:
    socks = _import_socks()
    user, password = (proxy.login, _load_password(password_file)) if proxy.login is not None else (None, b"")
    if len((user or "").encode()) > _SOCKS_LIMIT or len(password) > _SOCKS_LIMIT:
        said = f"a user or password for SOCKS5 may have {_SOCKS_LIMIT} bytes here"
        raise Problem("credential-invalid", f"network.proxy_password_file: {said}")
    through: Any = socks.socksocket(connection.family, connection.type, fileno=os.dup(connection.fileno()))
    try:
        through.settimeout(ANSWER_LIMIT)
        through.set_proxy(socks.SOCKS5, proxy.endpoint.host, proxy.endpoint.port, True, user, _decode(password))
        through._negotiate_SOCKS5(endpoint.host, endpoint.port)
    except socks.SOCKS5AuthError:
        raise _make_unauthorized(proxy, "does not accept the user and password" if user else _USERLESS) from None
    except socks.SOCKS5Error as error:
        named = _make_refused if str(error).startswith(_NOT_ALLOWED) else _make_failed
        raise named(proxy, endpoint, f"answers with {printable(error)}") from None
    except socks.ProxyError:
        raise _make_failed(proxy, endpoint, "does not speak SOCKS5, or hangs up") from None
    except OSError as error:
        raise _make_broken(proxy, endpoint, error) from None
    finally:
        through.close()
    return connection


def _import_socks() -> Any:
    try:
        import socks
    except ImportError:
        said = "network.proxy: SOCKS5 needs the Python package socks (PySocks), which is not installed"
        raise Problem("configuration-invalid", said, hint="install it: apt-get install python3-socks") from None
    return socks


def _load_password(password_file: str | None) -> bytes:
    """Return the password without the newline that editors add; empty if there is no file."""
    if password_file is None:
        return b""
    return load_secret(password_file, PASSWORD_LIMIT).rstrip(b"\r\n")


def _decode(password: bytes) -> str | None:
    """Return the password in PySocks's form: None if there is none, so that no user is offered."""
    try:
        return password.decode() or None
    except UnicodeDecodeError:
        raise Problem("credential-invalid", "network.proxy_password_file is not UTF-8") from None


def _make_refused(proxy: Proxy, endpoint: Endpoint, said: str) -> Problem:
    return Problem("proxy-refused", f"the proxy {proxy} does not connect to {endpoint}: it {said}")


def _make_failed(proxy: Proxy, endpoint: Endpoint, said: str) -> Problem:
    return Problem("proxy-failed", f"the proxy {proxy} has not connected to {endpoint}: it {said}")


def _make_unauthorized(proxy: Proxy, said: str) -> Problem:
    return Problem("proxy-unauthorized", f"the proxy {proxy} does not let this device in: it {said}")


def _make_broken(proxy: Proxy, endpoint: Endpoint, error: OSError) -> Problem:
    said = f"does not answer within {ANSWER_LIMIT} s" if isinstance(error, TimeoutError) else "closes the connection"
    return _make_failed(proxy, endpoint, said)
