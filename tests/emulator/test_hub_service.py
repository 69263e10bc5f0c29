from __future__ import annotations

import json
from typing import Any

import pytest

from dpsd.emulator.actions import SendMessage, WriteLog
from dpsd.emulator.dps.attestation import Credential
from dpsd.emulator.files import authority
from dpsd.emulator.files.authority import EXPIRED
from dpsd.emulator.files.certificates import get_thumbprints
from dpsd.emulator.hub.conversation import HubConversation
from dpsd.emulator.wire.packets import ACCEPTED, NOT_AUTHORIZED, Connect, Will
from dpsd.emulator.world import Authentication, Authorities, HubDevice, Keys, Thumbprints, World
from dpsd.errors import ProtocolError
from dpsd.protocol.login import HubLogin
from dpsd.protocol.sas import decode_base64
from dpsd.secret import Secret
from tests.emulator.device import token
from tests.emulator.worlds import KEY, NOW, OTHER_KEY, WRONG_KEY, with_chain, world

TWIN = "$iothub/twin/res/#"
KEYS = Keys(Secret(decode_base64(KEY.encode())), Secret(decode_base64(OTHER_KEY.encode())))
ROOT = authority.issue_authority("root")
LEAF = authority.issue_device("pi", ROOT)
LEAF_THUMBPRINTS = get_thumbprints(LEAF.certificate)
OTHER = authority.issue_device("other", ROOT)


def house(authentication: Authentication = KEYS) -> World:
    made = world()
    made.hubs["hub-a"].devices["pi"] = HubDevice("pi", authentication)
    return made


def sas(key: str = KEY, resource: str = "hub-a/devices/pi", expiry: float = NOW + 60) -> Credential:
    return Credential((), Secret(token(resource, key, int(expiry), None).encode()))


def packet(client_id: str = "pi", clean: bool = True, will: Will | None = None) -> Connect:
    return Connect(client_id, "", Secret(b""), clean, 60, 4, will)


def conversation(made: World, credential: Credential, who: HubLogin | None = None) -> HubConversation:
    return HubConversation(made, who or HubLogin("hub-a", "pi"), credential, lambda: None)


def connected(made: World | None = None, version: str = "2021-04-12") -> HubConversation:
    made = made or house()
    opened = conversation(made, sas(), HubLogin("hub-a", "pi", api_version=version))
    assert opened.connect(packet(), NOW) == ACCEPTED
    return opened


@pytest.mark.parametrize(
    ("credential", "code"),
    [
        pytest.param(sas(), ACCEPTED, id="primary"),
        pytest.param(sas(OTHER_KEY), ACCEPTED, id="secondary"),
        pytest.param(sas(WRONG_KEY), NOT_AUTHORIZED, id="wrong key"),
        pytest.param(sas(resource="hub-b/devices/pi"), NOT_AUTHORIZED, id="another hub's"),
        pytest.param(sas(resource="hub-a/devices/PI"), NOT_AUTHORIZED, id="device id in other case"),
        pytest.param(sas(expiry=NOW - 299), ACCEPTED, id="late by the drift"),
        pytest.param(sas(expiry=NOW - 300), NOT_AUTHORIZED, id="expired"),
        pytest.param(with_chain(LEAF), NOT_AUTHORIZED, id="certificate"),
        pytest.param(with_chain(), NOT_AUTHORIZED, id="nothing"),
        pytest.param(Credential((), Secret(b"\xff")), NOT_AUTHORIZED, id="no text"),
    ],
)
def test_a_key_device_logs_in_with_a_token(credential: Credential, code: int) -> None:
    assert conversation(house(), credential).connect(packet(), NOW) == code


@pytest.mark.parametrize(
    ("who", "client_id"),
    [
        (HubLogin("hub-b", "pi"), "pi"),
        (HubLogin("elsewhere", "pi"), "pi"),
        (HubLogin("hub-a", "PI"), "PI"),
        (HubLogin("hub-a", "pi"), "other"),
        (HubLogin("hub-a", "pi", "module"), "pi/module"),
    ],
)
def test_a_login_that_is_not_in_the_registry_is_refused(who: HubLogin, client_id: str) -> None:
    assert conversation(house(), sas(), who).connect(packet(client_id), NOW) == NOT_AUTHORIZED


def test_a_disabled_device_is_refused() -> None:
    made = house()
    made.hubs["hub-a"].devices["pi"].enabled = False
    assert conversation(made, sas()).connect(packet(), NOW) == NOT_AUTHORIZED


def test_either_spelling_of_a_hubs_name_is_taken() -> None:
    made = World(world().enrollments, ["a.azure-devices.net"], world().switches)
    made.hubs["a.azure-devices.net"].devices["pi"] = HubDevice("pi", KEYS)
    for name in ("a.azure-devices.net", "A.device.azure-devices.net"):
        login = HubLogin(name, "pi")
        assert conversation(made, sas(resource=f"{name}/devices/pi"), login).connect(packet(), NOW) == ACCEPTED


@pytest.mark.parametrize(
    ("authentication", "leaf", "code"),
    [
        pytest.param(Thumbprints(LEAF_THUMBPRINTS), LEAF, ACCEPTED, id="its thumbprint"),
        pytest.param(Thumbprints(frozenset({max(LEAF_THUMBPRINTS)})), LEAF, ACCEPTED, id="one form of it"),
        pytest.param(Thumbprints(get_thumbprints(OTHER.certificate)), LEAF, NOT_AUTHORIZED, id="another's thumbprint"),
        pytest.param(Authorities((ROOT.certificate,)), LEAF, ACCEPTED, id="its authority"),
        pytest.param(Authorities((ROOT.certificate,)), OTHER, NOT_AUTHORIZED, id="its authority, another's name"),
        pytest.param(Authorities((LEAF.certificate,)), LEAF, NOT_AUTHORIZED, id="another authority"),
        pytest.param(
            Authorities((ROOT.certificate,)), authority.issue_device("pi", ROOT, EXPIRED), NOT_AUTHORIZED, id="expired"
        ),
    ],
)
def test_a_certificate_device_logs_in(authentication: Authentication, leaf: authority.Issued, code: int) -> None:
    assert conversation(house(authentication), with_chain(leaf)).connect(packet(), NOW) == code


def test_a_new_connection_ends_the_old_one() -> None:
    made, ended = house(), []
    old = HubConversation(made, HubLogin("hub-a", "pi"), sas(), lambda: ended.append("old"))
    old.connect(packet(), NOW)
    new = connected(made)
    old.close(graceful=False, now=NOW)
    assert ended == ["old"]
    assert made.hubs["hub-a"].devices["pi"].disconnect is not None
    new.close(graceful=True, now=NOW)
    assert made.hubs["hub-a"].devices["pi"].disconnect is None


def test_the_connection_ends_with_its_token() -> None:
    assert connected().deadline == NOW + 60


def test_a_session_is_present_without_clean_session_only() -> None:
    made = house()
    first = conversation(made, sas())
    first.connect(packet(clean=False), NOW)
    first.subscribe(((TWIN, 1),))
    second = conversation(made, sas())
    second.connect(packet(clean=False), NOW)
    assert (second.session_present, second.granted) == (True, {TWIN: 1})
    third = connected(made)
    assert (third.session_present, third.granted) == (False, {})


def test_telemetry_is_kept_with_its_properties() -> None:
    made = house()
    (event,) = connected(made).publish("devices/pi/messages/events/a=b%20c&%24.mid=1", b"hello", True, NOW)
    (message,) = made.hubs["hub-a"].devices["pi"].messages
    assert (message.body, message.properties) == (b"hello", {"a": "b c", "$.mid": "1", "mqtt-retain": "true"})
    assert isinstance(event, WriteLog)
    assert event.fields["body"] == "hello"


@pytest.mark.parametrize(
    "topic",
    ["devices/other/messages/events/", "devices/pi/modules/m/messages/events/", "$iothub/methods/res/200/", "x"],
)
def test_a_message_elsewhere_ends_the_connection(topic: str) -> None:
    with pytest.raises(ProtocolError):
        connected().publish(topic, b"", False, NOW)


def test_only_a_devices_own_filters_may_be_subscribed_and_five_at_most() -> None:
    opened = connected()
    assert opened.subscribe((("devices/other/messages/devicebound/#", 1),)) is None
    assert opened.subscribe((("#", 1),)) is None
    assert opened.subscribe(((TWIN, 2), ("devices/pi/messages/devicebound/#", 0))) == [1, 0]
    opened.granted.update(dict.fromkeys("abc", 1))
    assert opened.subscribe((("$iothub/methods/POST/#", 1),)) is None


def asked(opened: HubConversation, topic: str, body: bytes = b"") -> tuple[str, Any]:
    (message,) = opened.publish(topic, body, False, NOW)
    assert isinstance(message, SendMessage)
    return message.topic, json.loads(message.body) if message.body else None


def test_a_twin_is_read_and_reported_properties_are_merged() -> None:
    opened = connected()
    patch = "$iothub/twin/PATCH/properties/reported/?$rid=1"
    assert asked(opened, patch, b'{"a":{"b":1,"c":2},"d":3}') == ("$iothub/twin/res/204/?$rid=1&$version=2", None)
    assert asked(opened, patch, b'{"a":{"b":null},"d":null}')[0].endswith("$version=3")
    topic, twin = asked(opened, "$iothub/twin/GET/?$rid=2")
    assert topic == "$iothub/twin/res/200/?$rid=2"
    assert twin == {"desired": {"$version": 1}, "reported": {"a": {"c": 2}, "$version": 3}}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"a":' * 11 + b"1" + b"}" * 11])
def test_a_wrong_patch_is_a_bad_request(body: bytes) -> None:
    assert (
        asked(connected(), "$iothub/twin/PATCH/properties/reported/?$rid=1", body)[0] == "$iothub/twin/res/400/?$rid=1"
    )


def test_a_twin_request_without_rid_is_not_answered() -> None:
    assert connected().publish("$iothub/twin/GET/?rid=1", b"", False, NOW) == []


def test_without_api_version_there_is_no_twin() -> None:
    opened = connected(version="")
    assert asked(opened, "$iothub/twin/GET/?$rid=1")[0] == "$iothub/twin/res/400/?$rid=1"
    assert opened.publish("devices/pi/messages/events/", b"", False, NOW)


@pytest.mark.parametrize(("graceful", "count"), [(True, 0), (False, 1)])
def test_a_will_becomes_a_message_when_the_connection_is_lost(graceful: bool, count: int) -> None:
    made = house()
    opened = conversation(made, sas())
    opened.connect(packet(will=Will("devices/pi/messages/events/", b"gone")), NOW)
    opened.close(graceful, NOW)
    messages = made.hubs["hub-a"].devices["pi"].messages
    assert [one.properties["iothub-MessageType"] for one in messages] == ["Will"] * count


def test_a_computed_vector_of_a_hub_token_is_taken() -> None:
    made = World(world().enrollments, ["hub-a.azure-devices.net"], world().switches)
    key = Secret(decode_base64(b"y2FzL9uXj4MoJbT0vHSD0ovcys914dsspOrHbzrJnwA="))
    made.hubs["hub-a.azure-devices.net"].devices["rpi-0001"] = HubDevice("rpi-0001", Keys(key, key))
    text = (
        "SharedAccessSignature sr=hub-a.azure-devices.net%2Fdevices%2Frpi-0001"
        "&sig=xHqZwTnBg2annxK7Ij33YBsOYfH3BMyrGI0sgYZB%2BXE%3D&se=1893456000"
    )
    who = HubLogin("hub-a.azure-devices.net", "rpi-0001")
    opened = conversation(made, Credential((), Secret(text.encode())), who)
    assert opened.connect(packet("rpi-0001"), 1893455000) == ACCEPTED
