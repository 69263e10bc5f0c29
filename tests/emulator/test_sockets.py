"""The decision table over TLS: what ends a connection, what is answered, and in which order."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from tests.emulator.device import Device, packet, publish_packet, subscribe_packet
from tests.emulator.registering import (
    POLL,
    REGISTER,
    REPLIES,
    at_dps,
    log_in_to_hub,
    open_device,
    password,
    register,
)
from tests.emulator_process import EmulatorProcess

DEVICES = ("x509-individual", "x509-group", "symmetric-individual", "symmetric-group")


@pytest.mark.parametrize("name", DEVICES)
def test_a_ready_made_device_registers_and_uses_its_hub(emulator: EmulatorProcess, name: str) -> None:
    state = register(emulator, name)
    assert (state["status"], state["deviceId"], state["assignedHub"] in emulator.hubs) == ("assigned", name, True)
    with open_device(emulator, name, state["assignedHub"]) as device:
        assert log_in_to_hub(emulator, device, name, state["assignedHub"]) == 0
        device.send(publish_packet(f"devices/{name}/messages/events/", b"hello", packet_id=9))
        assert device.read() == (0x40, b"\0\x09")
    assert emulator.wait_for("message", client=name)["body"] == "hello"


def test_puback_comes_before_the_reply(emulator: EmulatorProcess) -> None:
    with at_dps(emulator, "x509-individual") as device:
        device.send(publish_packet(REGISTER, packet_id=9))
        assert device.read() == (0x40, b"\0\x09")
        assert device.read()[0] == 0x32


def test_a_reply_comes_at_the_granted_qos(emulator: EmulatorProcess) -> None:
    with at_dps(emulator, "x509-individual", subscribed=False) as device:
        assert device.subscribe(REPLIES, qos=0) == 0
        device.send(publish_packet(REGISTER, qos=0))
        assert device.read()[0] == 0x30


def test_a_subscription_at_qos_2_is_granted_as_1(emulator: EmulatorProcess) -> None:
    with at_dps(emulator, "x509-individual", subscribed=False) as device:
        assert device.subscribe(REPLIES, qos=2) == 1


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(subscribe_packet(1, ("$dps/#", 1)), id="another filter"),
        pytest.param(publish_packet(REGISTER, qos=2), id="QoS 2"),
        pytest.param(publish_packet("devices/x/messages/events/"), id="another topic"),
        pytest.param(publish_packet("$dps/+"), id="wildcard"),
        pytest.param(packet(0x10, b"\0\4MQTT\4\2\0\0\0\0"), id="second CONNECT"),
        pytest.param(b"\xff" * 50, id="no packet"),
    ],
)
def test_what_dps_does_not_allow_ends_the_connection(emulator: EmulatorProcess, data: bytes) -> None:
    with at_dps(emulator, "x509-individual") as device:
        device.send(data)
        assert device.is_hung_up()


def test_a_register_before_the_subscription_is_processed_and_its_reply_lost(emulator: EmulatorProcess) -> None:
    since = len(emulator.lines())
    with at_dps(emulator, "x509-individual", subscribed=False) as device:
        device.send(publish_packet(REGISTER), packet(0xC0))
        assert [device.read()[0] for _ in range(2)] == [0x40, 0xD0]
    assert emulator.wait_for("lost", since=since)


def test_a_wrong_key_passes_connect_and_is_hung_up_on_after_its_401(emulator: EmulatorProcess) -> None:
    name = "symmetric-individual"
    with open_device(emulator, name) as device:
        username = f"{emulator.id_scope}/registrations/{name}/api-version=2019-03-31"
        assert device.connect(name, username, "SharedAccessSignature sr=a&sig=YWJj&se=1") == 0
        device.subscribe(REPLIES)
        topic, body = device.request(REGISTER)
        assert (topic, body["errorCode"]) == ("$dps/registrations/res/401/?$rid=r1", 401000)
        assert device.is_hung_up()


@pytest.mark.parametrize(
    ("client_id", "username", "options", "code"),
    [
        ("x509-individual", "{scope}/registrations/x509-individual/api-version=2019-03-31", {"level": 3}, 1),
        ("x509-individual", "{scope}/registrations/x509-individual/api-version=2019-03-31", {"level": 5}, 1),
        ("x509-individual", "{scope}/registrations/x509-individual/?api-version=2019-03-31", {}, 5),
        ("another", "{scope}/registrations/x509-individual/api-version=2019-03-31", {}, 5),
        ("x509-individual", "nothing", {}, 5),
        ("", "{scope}/registrations/x509-individual/api-version=2019-03-31", {}, 5),
    ],
    ids=["MQTT 3.1", "MQTT 5", "a hub's question mark", "client id of another", "no login", "no client id"],
)
def test_a_wrong_connect_is_refused(
    emulator: EmulatorProcess, client_id: str, username: str, options: dict[str, Any], code: int
) -> None:
    with open_device(emulator, "x509-individual") as device:
        assert device.connect(client_id, username.format(scope=emulator.id_scope), **options) == code
        assert device.is_hung_up()


def test_session_is_never_present_at_dps(emulator: EmulatorProcess) -> None:
    with open_device(emulator, "x509-individual") as device:
        username = f"{emulator.id_scope}/registrations/x509-individual/api-version=2019-03-31"
        assert device.connect("x509-individual", username, clean=False) == 0


def test_the_first_packet_must_be_connect(emulator: EmulatorProcess) -> None:
    with open_device(emulator, "x509-individual") as device:
        device.send(packet(0xC0))
        assert device.is_hung_up()


def test_a_silent_client_is_disconnected_after_its_keep_alive(emulator: EmulatorProcess) -> None:
    since = len(emulator.lines())
    with open_device(emulator, "x509-individual") as device:
        username = f"{emulator.id_scope}/registrations/x509-individual/api-version=2019-03-31"
        device.connect("x509-individual", username, keep_alive=1)
        assert device.is_hung_up()
    assert emulator.wait_for("disconnect", since=since, reason="nothing was heard in time")


def test_any_listener_serves_any_hub(emulator: EmulatorProcess) -> None:
    hub = register(emulator, "symmetric-group")["assignedHub"]
    for address in (emulator.address, *emulator.hubs):
        with open_device(emulator, "symmetric-group", address) as device:
            assert log_in_to_hub(emulator, device, "symmetric-group", hub, "secondary") == 0


def test_a_newer_connection_to_the_hub_ends_the_older(emulator: EmulatorProcess) -> None:
    hub = register(emulator, "x509-group")["assignedHub"]
    with open_device(emulator, "x509-group") as old, open_device(emulator, "x509-group") as new:
        assert log_in_to_hub(emulator, old, "x509-group", hub) == 0
        assert log_in_to_hub(emulator, new, "x509-group", hub) == 0
        assert old.is_hung_up()
        new.send(packet(0xC0))
        assert new.read() == (0xD0, b"")


def test_a_hub_ends_a_connection_when_its_token_expires(emulator: EmulatorProcess) -> None:
    name, since = "symmetric-individual", len(emulator.lines())
    hub = register(emulator, name)["assignedHub"]
    with open_device(emulator, name) as device:
        secret = password(emulator, name, f"{hub}/devices/{name}", seconds=2)
        assert device.connect(name, f"{hub}/{name}/?api-version=2021-04-12", secret) == 0
        assert device.is_hung_up()
    assert emulator.wait_for("disconnect", since=since, client=name, reason="its time is over")


def test_a_hub_does_not_know_a_device_that_has_not_registered(emulator: EmulatorProcess) -> None:
    hub = next(iter(emulator.hubs))
    with open_device(emulator, "x509-individual") as device:
        assert device.connect("nobody", f"{hub}/nobody/?api-version=2021-04-12") == 5


def test_tls_is_1_2_with_a_chain_that_strict_verifiers_take(emulator: EmulatorProcess) -> None:
    context = ssl.create_default_context(cafile=str(emulator.ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with Device(emulator.address, emulator.port, emulator.ca, context=context) as device:
        assert device.version() == "TLSv1.2"


def test_a_client_that_insists_on_tls_1_3_is_refused(emulator: EmulatorProcess) -> None:
    context = ssl.create_default_context(cafile=str(emulator.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with pytest.raises(ssl.SSLError):
        Device(emulator.address, emulator.port, emulator.ca, context=context)


def test_an_operation_outlives_its_connection(emulator: EmulatorProcess) -> None:
    with at_dps(emulator, "symmetric-individual") as device:
        operation_id = device.request(REGISTER)[1]["operationId"]
    with at_dps(emulator, "symmetric-individual") as device:
        assert device.request(POLL + operation_id)[1]["status"] == "assigned"
