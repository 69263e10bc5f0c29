"""A session with DPS or an IoT Hub, over whichever transport the configuration allows.

With the transport `auto` MQTT's own port comes first, and WebSocket on 443 where nobody has answered there as a TLS
server: nothing was decided about this device, and a firewall that passes only the web's port looks so. Any other
problem stands. A refusal would be the same on 443; a certificate that is not accepted names who sits in between, who
would sit on the web's port too; and a failing name, link or proxy fails for both. The transport that worked is the
first one the next time.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from dpsd.configuration.settings import Network
from dpsd.credentials.credential import Credential, Signer
from dpsd.errors import Problem
from dpsd.network.dialing import Dial, make_dial
from dpsd.network.mqtt import Session
from dpsd.network.tls import make_context, shake_hands
from dpsd.protocol import sas
from dpsd.protocol.identifiers import Endpoint
from dpsd.protocol.transports import Way, list_ways
from dpsd.state.messages import Step
from dpsd.system.clock import wall_clock
from dpsd.system.deadline import STEP_LIMIT, Report, TimeUp, step

if TYPE_CHECKING:
    from dpsd.network.mqtt import Stream

FIRST_LIMIT = 10
"""Seconds for a way when there is another one, so that both fit well into an attempt."""
TRY_THE_OTHER = {
    "connection-refused", "connection-failed", "connection-lost", "no-answer", "tls-failed", "proxy-refused",
    "proxy-failed",
}  # fmt: skip
"""Problems of a port. Many proxies pass CONNECT to port 443 alone."""


class Login(NamedTuple):
    """What stands in CONNECT. password: a SAS token; None where the certificate proves the device."""

    client_id: str
    username: str
    password: str | None


Result = TypeVar("Result")


def try_each_key(
    credential: Credential, refusals: Container[str], report: Report, action: Callable[[Signer | None], Result]
) -> tuple[Result, bool]:
    """Return what `action` returns, and whether that was with the secondary key.

    It gets None where the certificate proves the device, or the primary key; and the secondary key, where there is one,
    when it raises a Problem of one of the codes in `refusals`. Raises what it raises.
    """
    *primary, last = credential.keys or (None,)
    for key in primary:
        try:
            return action(key), False
        except Problem as problem:
            if problem.code not in refusals:
                raise
        report(Step("the primary key is not accepted, trying the secondary key"))
    return action(last), bool(primary)


def make_password(key: Signer | None, resource: str, lifetime: int, key_name: str | None = None) -> str | None:
    """Return a SAS token for `resource` that is valid for `lifetime` seconds; None without a key."""
    return None if key is None else sas.encode_token(resource, int(wall_clock()) + lifetime, key.sign, key_name)


def open_session(
    endpoint: Endpoint,
    network: Network,
    credential: Credential,
    login: Login,
    report: Report,
    first: str | None = None,
) -> Session:
    """Connect and log in, in one step for each way; the caller closes the session.

    first: the transport that worked the last time; the session tells which one works now. Raises Problem: those of
    `make_context`, `make_dial`, `tcp.connect`, `open_tunnel`, `shake_hands`, `upgrade` and `Session.open`.
    """
    context = make_context(network.trusted_roots)
    if credential.x509 is not None:
        credential.x509.arm(context)
    connector = _Connector(make_dial(network, endpoint.host, report), context, login, report)
    way, *others = list_ways(network.transport, endpoint, first)
    return _open_either(connector, way, others[0]) if others else connector.open(way, STEP_LIMIT)


class _Connector(NamedTuple):
    """What all ways to one service have in common."""

    dial: Dial
    context: ssl.SSLContext
    login: Login
    report: Report

    def open(self, way: Way, limit: float) -> Session:
        """Open a session on this way within `limit` seconds."""
        with step(f"connecting to {way}{self.dial}", self.report, limit=limit):
            session = Session(self._open_stream(way), way, *self.login)
            try:
                session.open()
            except BaseException:
                session.close()
                raise
        return session

    def _open_stream(self, way: Way) -> Stream:
        try:
            secured = shake_hands(self.dial.connect(way.endpoint), self.context, way.endpoint)
        except Problem as problem:
            raise self._add_presented(problem, way.endpoint) from None
        if way.path is None:
            return secured
        from dpsd.network.websocket import upgrade  # only where MQTT does not go by itself

        return upgrade(secured, way.endpoint, way.path)

    def _add_presented(self, problem: Problem, endpoint: Endpoint) -> Problem:
        """Add whose certificate it was to a certificate that was not accepted."""
        if problem.code not in ("intercepted", "tls-wrong-name"):
            return problem
        from dpsd.network.issuer import (
            add_presented,  # cryptography costs memory that an attempt with a key does not need
        )

        try:
            return add_presented(problem, self.dial.connect(endpoint), endpoint)
        except (Problem, TimeUp):
            return problem


def _open_either(connector: _Connector, first: Way, second: Way) -> Session:
    """Call on the first way, and on the second one if nobody has answered there as a TLS server."""
    try:
        return connector.open(first, FIRST_LIMIT)
    except Problem as problem:
        if problem.code not in TRY_THE_OTHER:
            raise
        before = problem.sentence
    connector.report(Step(f"{before}; trying {second}"))
    try:
        return connector.open(second, STEP_LIMIT)
    except Problem as problem:
        if problem.code not in TRY_THE_OTHER:
            raise
        raise problem.amend(f"{problem.sentence}; before that, {before}") from None
