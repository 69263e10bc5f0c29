"""The MQTT client over real TLS, and what a server could make it keep in memory."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from dpsd.emulator.files.authority import issue_authority, issue_server
from dpsd.network.mqtt import Session
from dpsd.network.tls import make_context, shake_hands
from dpsd.protocol.identifiers import Endpoint
from dpsd.protocol.transports import MQTT, Way
from tests.fuzz.endings import problems
from tests.fuzz.network import FROM_DPS
from tests.fuzz.session import FROM_MQTT, converse, session_on, wired
from tests.fuzz.strategies import OPENING, inputs, packet
from tests.unit.examples import problem_of

pytestmark = pytest.mark.mqtt

ADDRESS = "127.0.0.1"
TOPIC = b"$dps/registrations/res/200/?$rid=another"
MESSAGE = len(TOPIC).to_bytes(2, "big") + TOPIC + b"\0\7{}"
"""Topic, packet id and body of a PUBLISH that nobody waits for."""


class Server:
    """Sends to whoever connects what it is told, and closes its direction."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor, listener: socket.socket) -> None:
        authority = issue_authority("fuzz")
        issued = issue_server([ADDRESS], authority)
        (folder / "server.pem").write_text(issued.pem() + issued.key_pem())
        self.roots = folder / "roots.pem"
        self.roots.write_text(authority.pem())
        self.endpoint = Endpoint(ADDRESS, listener.getsockname()[1])
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.pem")
        self._pool, self._listener = pool, listener

    @contextlib.contextmanager
    def sending(self, data: bytes) -> Iterator[None]:
        served = self._pool.submit(self._serve, data)
        yield
        served.result()

    def _serve(self, data: bytes) -> None:
        accepted, _ = self._listener.accept()
        with contextlib.suppress(OSError), self._context.wrap_socket(accepted, server_side=True) as connection:
            connection.recv(1024)
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1024):
                pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with socket.create_server((ADDRESS, 0)) as listener, ThreadPoolExecutor(1) as pool:
        yield Server(tmp_path_factory.mktemp("server"), pool, listener)


@settings(max_examples=80, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=inputs("mqtt-bytes"))
def test_any_bytes_over_tls_end_well(server: Server, data: bytes) -> None:
    context = make_context(str(server.roots))
    with server.sending(data), problems(*FROM_MQTT, *FROM_DPS):
        stream = shake_hands(socket.create_connection(server.endpoint), context, server.endpoint)
        with contextlib.closing(Session(stream, Way(MQTT, server.endpoint), "pi-1", "user", None)) as session:
            converse(session)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "data",
    {
        "256 MB": b"\x30\xff\xff\xff\x7fxx",
        "a byte too much": b"\x30\x81\x80\x20xx",
        "quality of service 2": packet(0x34, MESSAGE),
        "more than it reads answers to": packet(0x32, MESSAGE) * 1000,
    }.items(),
    ids=lambda pair: pair[0],
)
def test_what_a_server_could_fill_the_memory_with_ends_the_session(data: tuple[str, bytes]) -> None:
    with wired(OPENING + data[1], ends=False, deaf=True) as wire, contextlib.closing(session_on(wire)) as session:
        problem_of("dps-reply-invalid", lambda: converse(session))


def test_a_message_of_qos_2_that_nobody_asked_for_is_named() -> None:
    with wired(OPENING + packet(0x34, MESSAGE)) as wire, contextlib.closing(session_on(wire)) as session:
        problem = problem_of("dps-reply-invalid", lambda: converse(session))
    assert problem.sentence == "dps.test:8883 sent a message of QoS 2, which it was not asked for"
