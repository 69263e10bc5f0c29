"""What an attempt makes of the earlier assignment: it is kept, given up for another, or refused to this board.

The attempt is the real one; its DPS is a port at which nobody listens, so that `connection-refused` shows that it went
on to register.
"""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpsd.errors import Problem
from dpsd.provisioning.attempt import attempt
from dpsd.provisioning.device import open_device
from dpsd.state.connection import Mqtt
from dpsd.state.messages import Carry, Event, Orders, Renewed, Step
from dpsd.state.places import Places
from dpsd.state.record import Binding, Record, render_record
from dpsd.state.trial import Trial
from dpsd.system import board
from dpsd.system.clock import boot_clock
from tests.unit.examples import CONNECTION, RECORD, problem_of

HERE, ELSEWHERE = "10000000aaaa0001", "10000000aaaa0002"


class Here:
    """A board with a key, a configuration, and a record that was made of both."""

    def __init__(self, places: Places, folder: Path, port: int) -> None:
        self.places, self.folder, self.port = places, folder, port
        self.serial, self.key = folder / "serial-number", folder / "device.key"
        self.put_serial(HERE)
        self.put_key(b"k" * 32)
        self.configure()
        self.record = self.recorded()

    def put_serial(self, serial_number: str) -> None:
        self.serial.write_text(f"{serial_number}\0")

    def put_key(self, key: bytes) -> None:
        self.key.touch(mode=0o600)
        self.key.write_bytes(base64.b64encode(key))

    def configure(self, more: str = "", registration_id: str = "pi-1", key: str = "primary_key_file") -> None:
        Path(self.places.configuration[0]).write_text(
            f'[dps]\nid_scope = "0ne00TEST01"\nglobal_endpoint = "127.0.0.1:{self.port}"\n'
            f'registration_id = "{registration_id}"\n'
            f'[credential]\ntype = "symmetric_key"\n{key} = "{self.key}"\n{more}\n'
        )

    def recorded(self) -> Record:
        """The record that an attempt would have made here before."""
        device = open_device(self.places)
        mqtt = Mqtt(**{**CONNECTION.mqtt._asdict(), "host": CONNECTION.iothub_hostname})
        connection = CONNECTION._replace(authentication=device.credential.authentication, mqtt=mqtt)
        return RECORD._replace(binding=device.binding, inputs=device.inputs, connection=connection)

    def attempt(self, orders: Orders = Orders(), record: Record | None = None) -> tuple[str, list[Event]]:  # noqa: B008
        """Make an attempt; return how it ended, `kept` where nobody was asked, and what it said."""
        said: list[Event] = []
        try:
            done = attempt(self.places, record or self.record, orders, said.append)
        except Problem as problem:
            return problem.code, said
        assert not done.registered
        return "kept", said

    def is_renewed(self, orders: Orders = Orders()) -> bool:  # noqa: B008
        """Tell whether the daemon is told that the credential alone was renewed."""
        ended, said = self.attempt(orders)
        assert ended == "connection-refused"
        return Renewed() in said


@pytest.fixture
def here(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    monkeypatch.setattr(board, "SERIAL_NUMBER", f"{tmp_path}/serial-number")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # not listening: whoever connects is refused
        yield Here(places, tmp_path, nobody.getsockname()[1])


def test_an_assignment_whose_binding_is_the_same_is_kept_without_a_packet(here: Here) -> None:
    assert here.attempt()[0] == "kept"
    assert here.record.binding == Binding("0ne00TEST01", "pi-1", f"127.0.0.1:{here.port}", *here.record.binding[3:])
    assert here.record.binding.board == HERE


@pytest.mark.parametrize("orders", [Orders(force=True), Orders(trial=Trial({"/there": "/here"}))])
def test_what_is_asked_for_is_registered_even_if_the_binding_is_the_same(here: Here, orders: Orders) -> None:
    assert here.attempt(orders)[0] == "connection-refused"


def test_on_another_board_the_old_identity_is_not_used(here: Here) -> None:
    here.put_serial(ELSEWHERE)
    problem = problem_of("board-changed", lambda: attempt(here.places, here.record, Orders(), lambda event: None))
    assert problem.sentence.endswith(f"was made on board {HERE}, this is {ELSEWHERE}")


@pytest.mark.parametrize("orders", [Orders(force=True), Orders(first=True)])
def test_nobody_can_ask_for_a_registration_on_another_board(here: Here, orders: Orders) -> None:
    here.put_serial(ELSEWHERE)
    assert here.attempt(orders)[0] == "board-changed"


def test_a_clone_that_may_reprovision_registers_as_its_board_and_keeps_nothing(here: Here) -> None:
    here.configure('[board]\nclone_guard = "reprovision"')
    assert here.attempt()[0] == "kept"
    here.put_serial(ELSEWHERE)
    assert here.attempt()[0] == "connection-refused"


@pytest.mark.parametrize(("then", "now"), [("", HERE), (HERE, ""), ("", "")])
def test_a_board_without_a_serial_number_may_be_any(here: Here, then: str, now: str) -> None:
    here.put_serial(now)
    record = here.record._replace(binding=here.record.binding._replace(board=then))
    assert here.attempt(record=record)[0] == "kept"


def test_a_check_that_is_switched_off_is_owed_no_more(here: Here) -> None:
    here.configure('[hub]\ncheck = "off"')
    ended, said = here.attempt(Orders(carry=Carry(check_hub=True, transport="mqtt")))
    assert ended == "kept" and [event for event in said if isinstance(event, Carry)] == [Carry(transport="mqtt")]


def test_another_identity_registers(here: Here) -> None:
    here.configure(registration_id="pi-2")
    assert not here.is_renewed()


def test_a_hub_that_is_not_allowed_any_more_is_not_kept(here: Here) -> None:
    here.configure('[hub]\nallow = ["*.azure-devices.net"]')
    assert here.attempt()[0] == "kept"
    here.configure('[hub]\nallow = ["other.azure-devices.net"]')
    assert not here.is_renewed()


def test_a_credential_that_alone_was_renewed_is_told(here: Here) -> None:
    here.put_key(b"n" * 32)
    assert here.is_renewed()
    assert here.is_renewed(Orders(force=True))


def test_a_renewed_certificate_has_another_thumbprint(here: Here) -> None:
    here.put_key(b"n" * 32)
    known = here.record.connection.authentication._replace(thumbprint="00")
    here.record = here.record._replace(connection=here.record.connection._replace(authentication=known))
    assert here.is_renewed()


def test_the_same_credential_is_no_renewed_one(here: Here) -> None:
    assert not here.is_renewed(Orders(force=True))


def test_a_renewed_credential_that_agents_look_for_elsewhere_is_not_told(here: Here) -> None:
    here.put_key(b"n" * 32)
    known = here.record.connection.authentication._replace(identity_socket="/elsewhere")
    here.record = here.record._replace(connection=here.record.connection._replace(authentication=known))
    assert not here.is_renewed()


def test_a_credential_that_was_renewed_on_another_board_is_not_told(here: Here) -> None:
    here.configure('[board]\nclone_guard = "reprovision"')
    here.put_key(b"n" * 32)
    here.put_serial(ELSEWHERE)
    assert not here.is_renewed()


def test_what_a_renewal_has_registered_is_kept_in_the_place_of_the_earlier_record(here: Here) -> None:
    earlier = here.record
    here.put_key(b"n" * 32)
    assert here.attempt(record=earlier)[0] == "connection-refused"
    Path(here.places.state.renewed).write_bytes(render_record(here.recorded()))
    assert here.attempt(record=earlier)[0] == "kept"
    here.put_key(b"o" * 32)
    assert here.attempt(record=earlier)[0] == "connection-refused"
    here.put_key(b"k" * 32)
    assert here.attempt(record=earlier)[0] == "kept", "the earlier one, for its own credential"


@pytest.mark.parametrize(
    ("orders", "waits"),
    [
        (Orders(first=True), True),
        (Orders(first=True, force=True), False),  # whoever asks does not wait
        (Orders(), False),  # neither does a person in the foreground, nor a later attempt
    ],
)
def test_the_first_attempt_to_register_waits_for_its_turn(here: Here, orders: Orders, waits: bool) -> None:
    here.configure("[fleet]\nwindow = 86400", registration_id="pi-2")
    assert here.attempt(orders)[0] == ("fleet-spread" if waits else "connection-refused")


def test_an_assignment_that_is_kept_waits_for_no_turn(here: Here) -> None:
    here.configure("[fleet]\nwindow = 86400")
    assert here.attempt(Orders(first=True))[0] == "kept"


def test_without_an_earlier_assignment_it_registers(here: Here) -> None:
    problem_of("connection-refused", lambda: attempt(here.places, None, Orders(), lambda event: None))


HUB = "127.213.7.9"
"""An address of this computer at which nobody listens."""


@pytest.mark.parametrize(
    ("check", "carry", "refused_for", "asked"),
    [
        ("before-ready", Carry(), None, None),
        ("before-ready", Carry(check_hub=True), None, HUB),
        ("after-ready", Carry(check_hub=True), None, HUB),
        ("off", Carry(check_hub=True), None, None),
        ("before-ready", Carry(check_hub=True), 5, HUB),
        ("before-ready", Carry(check_hub=True), 100, "127.0.0.1"),
    ],
)
def test_a_hub_that_is_owed_is_tried_and_dps_asked_again_where_it_refuses_for_long(
    here: Here, check: str, carry: Carry, refused_for: float | None, asked: str | None
) -> None:
    here.configure(f'[hub]\ncheck = "{check}"\nreprovision_after = 60')
    here.record = here.record._replace(connection=here.record.connection._replace(iothub_hostname=HUB))
    if refused_for is not None:
        carry = carry._replace(refused_since=boot_clock() - refused_for)
    ended, said = here.attempt(Orders(carry=carry))
    assert ended == ("kept" if asked is None else "connection-refused")
    assert asked is None or any(asked in event.text for event in said if isinstance(event, Step))
