"""MQTT alone and inside WebSocket, and the choice between them, against the emulator and against odd servers."""

from __future__ import annotations

import re
import socket
import ssl
import time

import pytest
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.sync.server import ServerConnection
from websockets.typing import Subprotocol

from tests.emulator_process import EmulatorProcess, next_address
from tests.processes.board import Board, Daemon
from tests.processes.relay import Shape, relay, server, server_context

pytestmark = pytest.mark.mqtt

WEBSOCKET = 'transport = "websocket"'
AUTO = 'transport = "auto"'
DEAD = 9
"""A port where nobody listens."""


@pytest.fixture(autouse=True)
def needs_443(emulator: EmulatorProcess) -> None:
    if not emulator.websocket_port:
        pytest.skip("port 443 is not permitted here")


@pytest.mark.parametrize("credential", ["key", "certificate"])
def test_websocket_registers_and_publishes_how(credential: str, board: Board, emulator: EmulatorProcess) -> None:
    board.configure(network=WEBSOCKET)
    if credential == "certificate":
        board.use_certificate(network=WEBSOCKET)
    ended = board.dpsctl("provision")
    assert ended.returncode == 0, ended.stderr
    assert f"connecting to {emulator.address}:443 by WebSocket" in ended.stderr
    mqtt = board.mqtt()
    assert (mqtt["transport"], mqtt["port"], mqtt["path"]) == ("websocket", 443, "/$iothub/websocket")
    environment = (board.state / "connection.env").read_text()
    assert "IOTHUB_MQTT_TRANSPORT='websocket'\nIOTHUB_MQTT_PORT='443'\n" in environment


def test_mqtt_publishes_no_path(board: Board) -> None:
    assert board.dpsctl("provision").returncode == 0
    assert "path" not in board.mqtt()
    assert (board.mqtt()["transport"], board.mqtt()["port"]) == ("mqtt", 8883)


def test_another_transport_is_published_without_registering(board: Board, emulator: EmulatorProcess) -> None:
    assert board.dpsctl("provision").returncode == 0
    since = len(emulator.lines())
    board.configure(network=WEBSOCKET)
    assert board.dpsctl("provision").returncode == 0
    assert board.mqtt()["port"] == 443
    assert emulator.lines()[since:] == []


def test_websocket_waits_and_polls(board: Board, emulator: EmulatorProcess) -> None:
    board.configure(network=WEBSOCKET)
    emulator.replace(faults=[{"on": "poll-reply", "do": "reply", "retryAfter": "1", "status": 202}])
    assert board.dpsctl("provision").returncode == 0


# What frames hold


def in_single_bytes(client: ServerConnection, data: bytes) -> None:
    for byte in data:
        client.send(bytes([byte]))


def in_fragments(client: ServerConnection, data: bytes) -> None:
    client.send([data[:1], b"", data[1:]])


def with_pings(client: ServerConnection, data: bytes) -> None:
    """Ping before each half, and send nothing more before the pong is there."""
    for half in (data[: len(data) // 2], data[len(data) // 2 :]):
        assert client.ping(b"are you there" * 9).wait(10)
        client.send(half)


def whole(client: ServerConnection, data: bytes) -> None:
    client.send(data)


def together() -> Shape:
    """The PUBACK and the reply after it in one frame."""
    held: list[bytes] = []

    def send(client: ServerConnection, data: bytes) -> None:
        held.append(data)
        if data[0] >> 4 != 4 or len(data) > 4:  # not a PUBACK alone
            client.send(b"".join(held))
            held.clear()

    return send


SHAPES = {"bytes": in_single_bytes, "fragments": in_fragments, "pings": with_pings, "one frame": together()}


@pytest.mark.parametrize("name", SHAPES)
def test_frames_and_packets_need_not_coincide(name: str, board: Board, emulator: EmulatorProcess) -> None:
    with relay(emulator, SHAPES[name]) as where:
        board.configure(network=WEBSOCKET, global_endpoint=f'"{where}"')
        ended = board.dpsctl("provision")
    assert ended.returncode == 0, ended.stderr
    assert f"connecting to {where} by WebSocket" in ended.stderr


def test_a_close_frame_is_a_lost_connection(board: Board, emulator: EmulatorProcess) -> None:
    with relay(emulator, lambda client, data: client.close(1001)) as where:
        board.configure(network=WEBSOCKET, global_endpoint=f'"{where}"')
        ended = board.dpsctl("provision")
    assert "dpsd: connection-lost: " in ended.stderr


def test_a_close_frame_is_enough_behind_data_on_an_open_connection(board: Board, emulator: EmulatorProcess) -> None:
    def talk(connection: socket.socket) -> None:
        protocol = ServerProtocol(subprotocols=[Subprotocol("mqtt")])
        protocol.receive_data(connection.recv(4096))
        (request,) = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        connection.sendall(b"".join(protocol.data_to_send()))
        connection.recv(4096)
        protocol.send_binary(b"\x20\x02\0\0")
        protocol.send_close(1001)
        connection.sendall(b"".join(protocol.data_to_send()))
        time.sleep(40)

    with server(emulator.address, talk, server_context(emulator)) as where:
        board.configure(network=WEBSOCKET, global_endpoint=f'"{where}"')
        ended = board.dpsctl("provision")
    assert "dpsd: connection-lost: " in ended.stderr


def test_text_is_not_mqtt(board: Board, emulator: EmulatorProcess) -> None:
    with relay(emulator, lambda client, data: client.send("hello")) as where:
        board.configure(network=WEBSOCKET, global_endpoint=f'"{where}"')
        ended = board.dpsctl("provision")
    assert "dpsd: mqtt-rejected: " in ended.stderr


# Who answers

HTML = b"Content-Length: 2\r\nConnection: close\r\n\r\nhi"
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
ANSWERS = {
    "a login page": (b"HTTP/1.1 200 OK\r\nServer: Portal \x1b[2J\r\n" + HTML, "HTTP status 200 from Portal \\x1b[2J"),
    "a block page": (b"HTTP/1.1 403 Forbidden\r\n" + HTML, "HTTP status 403"),
    "a redirection": (b"HTTP/1.1 302 Found\r\nLocation: https://portal.example/\r\n" + HTML, "HTTP status 302"),
    "another key's answer": (UPGRADED + b"Sec-WebSocket-Accept: AAAA\r\n\r\n", "it has not read the request"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "no HTTP"),
    "a head without end": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000, "HTTP status 200"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_any_other_answer_is_intercepted_and_names_the_issuer(
    name: str, board: Board, emulator: EmulatorProcess
) -> None:
    answer, said = ANSWERS[name]

    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)
        connection.recv(4096)

    with server(emulator.address, talk, server_context(emulator)) as where:
        board.configure(network=WEBSOCKET, global_endpoint=f'"{where}"')
        ended = board.dpsctl("provision")
    assert ended.returncode == 69
    assert f"dpsd: intercepted: {where} does not answer as a WebSocket: {said}; " in ended.stderr
    assert "issued by CN=dpsd-emulator root" in ended.stderr


def test_a_certificate_of_a_stranger_names_its_issuer(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "certificate", "which": "unknown-ca", "times": 0}])
    ended = board.dpsctl("provision")
    assert "; it is issued by CN=dpsd-emulator unknown root\n" in ended.stderr


def test_a_certificate_for_another_name_says_for_which(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "accept", "do": "certificate", "which": "wrong-name", "times": 0}])
    ended = board.dpsctl("provision")
    assert "; it is for wrong-name.invalid\n" in ended.stderr


def heard_of(connection: ssl.SSLSocket) -> bytes:
    """Return what comes before the end, with or without TLS's own goodbye."""
    try:
        return connection.recv(4096)
    except ssl.SSLError:
        return b""


def test_nothing_is_said_to_a_stranger(board: Board, emulator: EmulatorProcess) -> None:
    """Neither a client certificate nor a byte of MQTT goes to whoever is not trusted."""
    heard: list[tuple[object, bytes]] = []

    def listen(connection: socket.socket) -> None:
        assert isinstance(connection, ssl.SSLSocket)
        heard.append((connection.getpeercert(binary_form=True), heard_of(connection)))

    context = server_context(emulator, "unknown-ca")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0  # writing them fails when the other side has gone, and then nothing would be heard of it
    context.load_verify_locations(cafile=emulator.directory / "groups/x509-fleet/root.pem")
    board.use_certificate()
    with server(emulator.address, listen, context) as where:
        board.set("dps.global_endpoint", where)
        assert "dpsd: intercepted: " in board.dpsctl("provision").stderr
    assert heard == [(None, b"")]


def test_a_stranger_who_hangs_up_on_the_question_is_still_one(board: Board, emulator: EmulatorProcess) -> None:
    emulator.replace(
        faults=[
            {"on": "accept", "do": "certificate", "which": "unknown-ca"},
            {"on": "accept", "do": "drop", "times": 0},
        ]
    )
    ended = board.dpsctl("provision")
    assert "dpsd: intercepted: " in ended.stderr
    assert "it is issued by" not in ended.stderr


def test_an_alert_is_named(board: Board, emulator: EmulatorProcess) -> None:
    """A server that insists on a client certificate ends TLS 1.2 in the handshake, and TLS 1.3 after it."""
    context = server_context(emulator)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cafile=emulator.ca)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.maximum_version = version
        with server(emulator.address, lambda connection: None, context) as where:
            board.configure(global_endpoint=f'"{where}"')
            ended = board.dpsctl("provision")
        assert re.search(f"dpsd: tls-alert: {where} ended TLS with the alert: (handshake|certificate)", ended.stderr)


SERVER_HELLO_OF_TLS_1_1 = bytes.fromhex("160302002a020000260302" + "00" * 32 + "00c01400")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (SERVER_HELLO_OF_TLS_1_1, "offers only TLS versions that are too old"),
        (b"220 smtp.example\r\n", "does not speak TLS on this port"),
    ],
)
def test_old_tls_and_no_tls_are_told_apart(answer: bytes, said: str, board: Board, emulator: EmulatorProcess) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(answer)
        connection.recv(4096)

    with server(emulator.address, talk) as where:
        board.configure(global_endpoint=f'"{where}"')
        ended = board.dpsctl("provision")
    assert f"dpsd: tls-failed: TLS with {where} failed: the server {said}" in ended.stderr


# auto


def auto(board: Board, port: int = DEAD) -> None:
    board.configure(network=AUTO, global_endpoint=f'"{board.emulator.address}:{port}"')


def test_auto_stays_with_mqtt_where_it_works(board: Board, emulator: EmulatorProcess) -> None:
    board.configure(network=AUTO)
    assert "WebSocket" not in board.dpsctl("provision").stderr
    assert board.mqtt()["transport"] == "mqtt"


def test_auto_goes_on_to_443_and_says_so(board: Board, emulator: EmulatorProcess) -> None:
    auto(board)
    ended = board.dpsctl("provision")
    where = emulator.address
    assert f"{where}:{DEAD} refuses the connection; trying {where}:443 by WebSocket\n" in ended.stderr
    assert ended.stderr.count("trying") == 1  # the hub is tried as DPS was reached
    assert (board.mqtt()["transport"], board.mqtt()["port"]) == ("websocket", 443)


def test_auto_publishes_what_works_for_the_hub(board: Board, emulator: EmulatorProcess) -> None:
    board.configure(network=AUTO)
    emulator.replace(faults=[{"on": "connect", "do": "drop", "service": "hub"}])
    ended = board.dpsctl("provision")
    assert ended.stderr.count("trying") == 1
    assert board.mqtt()["transport"] == "websocket"


def test_auto_begins_the_next_registration_with_what_worked(board: Board) -> None:
    auto(board)
    assert board.dpsctl("provision").returncode == 0
    assert "refuses" not in board.dpsctl("provision", "--force").stderr
    assert board.mqtt()["transport"] == "websocket"


def test_auto_begins_the_next_attempt_with_what_worked(board: Board, emulator: EmulatorProcess) -> None:
    auto(board)
    emulator.replace(faults=[{"on": "register-reply", "do": "drop"}])
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
    assert len([one for one in daemon.notified if "refuses the connection; trying" in one]) == 1


def test_auto_keeps_the_transport_for_the_secondary_key(board: Board) -> None:
    wrong = board.folder / "wrong.symkey"
    board.write_key(wrong, "A" * 43 + "=")
    where = f'"{board.emulator.address}:{DEAD}"'
    keys = {"primary_key_file": f'"{wrong}"', "more": f'secondary_key_file = "{board.key}"'}
    board.configure(network=AUTO, global_endpoint=where, **keys)
    ended = board.dpsctl("provision")
    assert ended.returncode == 0
    assert ended.stderr.count("refuses the connection; trying") == 1


def test_auto_takes_the_other_one_when_what_worked_fails(
    board: Board, tmp_path_factory: pytest.TempPathFactory
) -> None:
    auto(board)
    assert board.dpsctl("provision").returncode == 0
    folder = tmp_path_factory.mktemp("no-443")
    with EmulatorProcess(folder, switches={"polls": 0}, websocket_port=0) as other:
        elsewhere = Board(board.folder / "elsewhere", other)
        board.config = elsewhere.config
        elsewhere.configure(network=AUTO)
        ended = board.dpsctl("provision")
    assert f"{other.address}:443 refuses the connection; trying {other.address}:8883\n" in ended.stderr
    assert board.mqtt()["transport"] == "mqtt"


def test_auto_does_not_ask_twice_for_a_refusal(board: Board, emulator: EmulatorProcess) -> None:
    board.configure(network=AUTO, id_scope='"0neFFFFFFFF"')
    since = len(emulator.lines())
    assert "dpsd: mqtt-unauthorized: " in board.dpsctl("provision").stderr
    assert [one["event"] for one in emulator.lines()[since:]].count("connect") == 1


def test_auto_does_not_go_around_an_interception(board: Board, emulator: EmulatorProcess) -> None:
    board.configure(network=AUTO)
    emulator.replace(faults=[{"on": "accept", "do": "certificate", "which": "unknown-ca", "times": 0}])
    ended = board.dpsctl("provision")
    assert "dpsd: intercepted: " in ended.stderr
    assert "trying" not in ended.stderr


def test_auto_goes_on_when_nothing_answers_in_time(board: Board, emulator: EmulatorProcess) -> None:
    with server(emulator.address, lambda connection: time.sleep(30)) as silent:
        board.configure(network=AUTO, global_endpoint=f'"{silent}"')
        ended = board.dpsctl("provision")
    assert f"no answer within 10 s while connecting to {silent}; trying {emulator.address}:443" in ended.stderr
    assert ended.returncode == 0


def test_auto_tells_of_both_when_both_fail(board: Board, emulator: EmulatorProcess) -> None:
    nowhere = next_address()
    board.configure(network=AUTO, global_endpoint=f'"{nowhere}:{DEAD}"')
    ended = board.dpsctl("provision")
    assert ended.returncode == 69
    said = f"{nowhere}:443 refuses the connection; before that, {nowhere}:{DEAD} refuses the connection"
    assert f"dpsd: connection-refused: {said}\n" in ended.stderr
