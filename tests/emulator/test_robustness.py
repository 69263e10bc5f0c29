"""Whatever a peer sends, the emulator lives on and stays silent on stderr (its fixture checks that)."""

from __future__ import annotations

import contextlib
import json
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.emulator.device import connect_packet, packet, publish_packet
from tests.emulator.registering import at_dps, open_device, register
from tests.emulator_process import EmulatorProcess

FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PACKETS = st.builds(packet, st.integers(0, 255), st.binary(max_size=40))
CANARY = "canary7f3a"


@FEW
@given(st.binary(max_size=200))
def test_random_bytes_before_tls(emulator: EmulatorProcess, data: bytes) -> None:
    for port in (emulator.port, emulator.websocket_port or emulator.port):
        with socket.create_connection((emulator.address, port), 5) as tcp:
            tcp.sendall(data)
    register(emulator, "x509-individual")


@FEW
@given(st.one_of(st.binary(max_size=200), st.lists(PACKETS).map(b"".join)))
def test_random_bytes_inside_tls(emulator: EmulatorProcess, data: bytes) -> None:
    with open_device(emulator, "x509-individual") as device:
        device.send(data)
    with at_dps(emulator, "x509-individual") as device:
        device.send(data)
    register(emulator, "x509-group")


def test_a_flood_of_connections_that_say_nothing(emulator: EmulatorProcess) -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(100):
            opened.enter_context(socket.create_connection((emulator.address, emulator.port), 5))
        assert register(emulator, "x509-individual")["status"] == "assigned"


def test_no_secret_is_in_the_log(emulator: EmulatorProcess) -> None:
    for name in ("symmetric-individual", "symmetric-group"):
        register(emulator, name)
    with open_device(emulator, "symmetric-individual") as device:
        device.send(connect_packet("symmetric-individual", "x", f"SharedAccessSignature sr={CANARY}"))
    emulator.wait_for("connect", code=5)
    output = emulator.output()
    keys = [file.read_text().strip() for file in emulator.directory.rglob("*.key")]
    bodies = [line for key in keys for line in key.splitlines() if len(line) > 20 and "-----" not in line]
    assert len(bodies) >= 6
    assert not [secret for secret in (CANARY, "SharedAccessSignature", "sig=", *bodies) if secret in output]


def test_outside_text_cannot_leave_its_line(emulator: EmulatorProcess) -> None:
    with open_device(emulator, "x509-individual") as device:
        device.connect('pi"\n{"event":"fake"}\x1b[2J\u2028', "x")
    lines = (emulator.directory / "events.jsonl").read_bytes()
    assert lines.isascii()
    assert b"\x1b" not in lines
    assert all(json.loads(line)["event"] != "fake" for line in lines.splitlines())


def test_a_request_whose_reply_no_packet_can_hold_ends_the_connection(emulator: EmulatorProcess) -> None:
    since = len(emulator.lines())
    with at_dps(emulator, "x509-individual") as device:
        device.send(publish_packet("$dps/registrations/PUT/iotdps-register/?$rid=" + "\u20ac" * 20_000))
        assert device.is_hung_up()
    reason = emulator.wait_for("disconnect", since=since)["reason"]
    assert reason.endswith(" bytes, 65535 are possible")


@pytest.mark.parametrize("size", [0, 1])
def test_an_empty_connection_is_no_trouble(emulator: EmulatorProcess, size: int) -> None:
    since = len(emulator.lines())
    with socket.create_connection((emulator.address, emulator.port), 5) as tcp:
        tcp.sendall(b"\x16" * size)
    assert emulator.wait_for("disconnect", since=since)
