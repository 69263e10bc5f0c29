"""A session over connections of the device's own, with the emulated hub: each credential and transport, and faults."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from dpsd.configuration.files import load_layers
from dpsd.configuration.merge import parse_config
from dpsd.credentials import open_credential
from dpsd.hub.opening import DirectOpener
from dpsd.hub.session import Session
from dpsd.protocol.hub.events import Failed, Ready, Reported, Sent, TwinRead
from dpsd.protocol.hub.twin import Section, Twin
from dpsd.protocol.hub.wishes import Wish
from dpsd.protocol.mqtt.packets import Connect
from dpsd.shape import parse_object
from dpsd.state.connection import parse_connection
from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board
from tests.unit.examples import problem_of

LIMIT = 60.0
"""Seconds that anything may take on a busy machine."""


def session_of(board: Board, patience: float | None = None, wish: Wish = Wish.ALL) -> Session:
    """A session of a board that is provisioned."""
    config = parse_config(load_layers([str(board.config)], frozenset({board.config.stat().st_uid}))).config
    connection = parse_connection(parse_object(board.connection.read_bytes()))
    login = Connect(connection.mqtt.client_id, connection.mqtt.username)
    opener = DirectOpener(
        connection, config.network, open_credential(config.credential), login, report=lambda event: None
    )
    return Session(opener, connection.device_id, wish, connection.iothub_hostname, patience=patience)


def provision(board: Board) -> None:
    ended = board.dpsctl("provision")
    assert ended.returncode == 0, ended.stderr


def becomes_ready(session: Session) -> None:
    assert session.next_event(LIMIT) == Ready(False)


@pytest.fixture
def ready(board: Board) -> Iterator[Board]:
    provision(board)
    yield board


@pytest.mark.parametrize("credential", ["key", "certificate"])
@pytest.mark.parametrize("transport", ["mqtt", "websocket"])
def test_the_hub_is_spoken_to(credential: str, transport: str, board: Board, emulator: EmulatorProcess) -> None:
    if transport == "websocket":
        board.use_websocket()
    if credential == "certificate":
        board.use_certificate(network=f'transport = "{transport}"')
        board.registration_id = "x509-group"
    provision(board)
    since = len(emulator.lines())
    with session_of(board) as session:
        becomes_ready(session)
        sent = session.send({"$.ct": "application/json"}, b'{"temperature":21.5}')
        assert session.result(sent, LIMIT) == Sent(sent)
        reported = session.report({"transport": {credential: transport}})
        outcome = session.result(reported, LIMIT)
        assert isinstance(outcome, Reported) and outcome.version is not None
        read = session.result(session.get_twin(), LIMIT)
        assert isinstance(read, TwinRead)
        assert read.twin.reported.properties["transport"][credential] == transport
        assert (read.twin.reported.version, read.twin.desired) == (outcome.version, Section({}, 1))
    assert emulator.wait_for("message", since=since, client=board.registration_id)["body"] == '{"temperature":21.5}'


@pytest.mark.parametrize("fault", [{"on": "telemetry", "do": "drop"}, {"on": "puback", "do": "cut", "size": 1}])
def test_a_message_whose_connection_is_lost_is_sent_on_the_next_one(
    fault: dict[str, object], ready: Board, emulator: EmulatorProcess
) -> None:
    emulator.replace(faults=[{**fault, "service": "hub"}])
    since = len(emulator.lines())
    with session_of(ready) as session:
        tickets = [session.send({}, body) for body in (b"first", b"second")]
        assert [session.result(ticket, LIMIT) for ticket in tickets] == [Sent(ticket) for ticket in tickets]
    for body in ("first", "second"):
        emulator.wait_for("message", since=since, client=ready.registration_id, body=body)


def test_a_token_that_ends_is_followed_by_a_new_one(
    ready: Board, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dpsd.hub.opening.TOKEN_LIFETIME", 5)
    with session_of(ready, wish=Wish.NOTHING) as session:
        becomes_ready(session)
        becomes_ready(session)
        ticket = session.send({}, b"with a new token")
        assert session.result(ticket, LIMIT) == Sent(ticket)


def test_an_answer_that_never_comes_fails_its_request_alone(
    ready: Board, emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dpsd.protocol.hub.requests.ANSWER_LIMIT", 1)
    emulator.replace(faults=[{"on": "twin-reply", "do": "omit"}])
    with session_of(ready) as session:
        becomes_ready(session)
        outcome = session.result(session.get_twin(), LIMIT)
        assert isinstance(outcome, Failed) and outcome.problem.code == "hub-no-answer"
        monkeypatch.undo()
        assert isinstance(session.result(session.get_twin(), LIMIT), TwinRead)


def test_the_secondary_key_is_tried_at_once(ready: Board, emulator: EmulatorProcess) -> None:
    other = ready.folder / "other.symkey"
    ready.write_key(other, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    ready.set_credential(primary_key_file=str(other), secondary_key_file=str(ready.key))
    begin = time.monotonic()
    with session_of(ready) as session:
        becomes_ready(session)
    assert time.monotonic() - begin < 300  # the least wait after a refusal


def test_a_device_that_the_hub_refuses_is_told_so(ready: Board) -> None:
    ready.write_key(ready.key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    with session_of(ready, patience=0) as session:
        problem_of("hub-refused", lambda: session.next_event(LIMIT))


def test_two_clients_of_one_device_do_not_evict_each_other_without_a_pause(ready: Board) -> None:
    logins, begin = 0, time.monotonic()
    with session_of(ready, wish=Wish.NOTHING) as one, session_of(ready, wish=Wish.NOTHING) as other:
        while logins < 5 and time.monotonic() < begin + LIMIT:
            for session in (one, other):
                logins += isinstance(session.next_event(0.1), Ready)
    assert logins == 5 and time.monotonic() - begin > 3 * 2 - 0.5  # whoever is evicted waits for 2 s at least


def test_the_twin_is_what_the_hub_holds(ready: Board) -> None:
    with session_of(ready) as session:
        for patch in ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}, "d": "é"}):
            assert isinstance(session.result(session.report(patch), LIMIT), Reported)
        read = session.result(session.get_twin(), LIMIT)
    assert isinstance(read, TwinRead)
    assert read.twin == Twin(Section({}, 1), Section({"a": {"c": 2}, "d": "é"}, 3))
    assert json.dumps(read.twin.reported.as_json())
