"""A session with DPS or an IoT Hub, over the transports that the configuration allows.

With the transport `auto`, MQTT's own port comes first, and then WebSocket on port 443 if nothing on the first port
answered as a TLS server: a firewall that passes only the web's port looks like this. The transport that worked comes
first the next time.
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
"""Seconds for the first of two ways, so that both fit well into an attempt."""
# Any other problem would come on port 443 as well: a refusal, a failing name, link or proxy, and a certificate of
# whoever sits in between.
TRY_THE_OTHER = {
    "connection-refused", "connection-failed", "connection-lost", "no-answer", "tls-failed", "proxy-refused",
    "proxy-failed",
}  # fmt: skip
"""Problems of a port; many proxies pass CONNECT to port 443 alone."""


class Login(NamedTuple):
    """The login of MQTT CONNECT. password: a SAS token; None if the certificate proves the device."""

    client_id: str
    username: str
    password: str | None


Result = TypeVar("Result")


def try_each_key(
    credential: Credential, refusals: Container[str], report: Report, action: Callable[[Signer | None], Result]
) -> tuple[Result, bool]:
    """Call `action` with the primary key, and with the secondary one if the primary is refused.

    refusals: the codes of the Problems by which `action` says that the key is refused. Without keys, when a certificate
    proves the device, `action` gets None. Returns what `action` returns, and whether that was with the secondary key;
    raises what `action` raises.
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

    first: the transport that worked last time, if known. Raises the Problems of `make_context`, `make_dial`,
    `tcp.connect`, `open_tunnel`, `shake_hands`, `upgrade` and `Session.open`.
    """

    def log_in(stream: Stream, way: Way) -> Session:
        session = Session(stream, way, *login)
        try:
            session.open()
        except BaseException:
            session.close()
            raise
        return session

    return _open(endpoint, network, credential, report, first, log_in)


def open_stream(
    endpoint: Endpoint, network: Network, credential: Credential, report: Report, first: str | None = None
) -> tuple[Stream, Way]:
    """Connect as `open_session` does, but without MQTT; return the stream, which the caller closes, and its way."""
    return _open(endpoint, network, credential, report, first, lambda stream, way: (stream, way))


def _open(
    endpoint: Endpoint,
    network: Network,
    credential: Credential,
    report: Report,
    first: str | None,
    begin: Callable[[Stream, Way], Result],
) -> Result:
    """Return what `begin` makes of an open stream, which it takes over."""
    context = make_context(network.trusted_roots)
    if credential.x509 is not None:
        credential.x509.arm(context)
    connector = _Connector(make_dial(network, endpoint.host, report), context, report)
    way, *others = list_ways(network.transport, endpoint, first)
    return _open_either(connector, way, others[0], begin) if others else connector.open(way, STEP_LIMIT, begin)


class _Connector(NamedTuple):
    """Opens streams on the ways to one service."""

    dial: Dial
    context: ssl.SSLContext
    report: Report

    def open(self, way: Way, limit: float, begin: Callable[[Stream, Way], Result]) -> Result:
        """Connect on this way and begin; raises Problem, `no-answer` after `limit` seconds."""
        with step(f"connecting to {way}{self.dial}", self.report, limit=limit):
            return begin(self._open_stream(way), way)

    def _open_stream(self, way: Way) -> Stream:
        try:
            secured = shake_hands(self.dial.connect(way.endpoint), self.context, way.endpoint)
        except Problem as problem:
            raise self._add_presented(problem, way.endpoint) from None
        if way.path is None:
            return secured
        from dpsd.network.websocket import upgrade  # needed only on port 443

        return upgrade(secured, way.endpoint, way.path)

    def _add_presented(self, problem: Problem, endpoint: Endpoint) -> Problem:
        """Add to the problem of a certificate that was not accepted whose certificate it was."""
        if problem.code not in ("intercepted", "tls-wrong-name"):
            return problem
        from dpsd.network.issuer import add_presented  # loads cryptography, which an attempt with a key does without

        try:
            return add_presented(problem, self.dial.connect(endpoint), endpoint)
        except (Problem, TimeUp):
            return problem


def _open_either(connector: _Connector, first: Way, second: Way, begin: Callable[[Stream, Way], Result]) -> Result:
    """Begin on the first way, or on the second if nothing answered as a TLS server on the first."""
    try:
        return connector.open(first, FIRST_LIMIT, begin)
    except Problem as problem:
        if problem.code not in TRY_THE_OTHER:
            raise
        before = problem.sentence
    connector.report(Step(f"{before}; trying {second}"))
    try:
        return connector.open(second, STEP_LIMIT, begin)
    except Problem as problem:
        if problem.code not in TRY_THE_OTHER:
            raise
        raise problem.amend(f"{problem.sentence}; before that, {before}") from None
