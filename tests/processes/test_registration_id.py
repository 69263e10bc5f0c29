"""The registration id from a template: this board's own, or nothing is sent."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator_process import ROOT, EmulatorProcess
from tests.processes.board import Board, Daemon, environment
from tests.processes.firmware import on_board
from workshop.lab.network import Network

SERIAL = "10000000ABCD1234"
TRANSIENT = 'mount -t tmpfs tmpfs /mnt && echo "$0" >/mnt/id && mount --bind /mnt/id /etc/machine-id && exec "$@"'
"""What systemd does at the first boot of a read-only root."""


def config(board: Board, *within: str) -> subprocess.CompletedProcess[str]:
    words = [*within, *board.command("dpsd.dpsctl", "config")]
    return subprocess.run(words, env=environment(), cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.root
def test_a_serial_number_makes_the_id_that_is_registered(tmp_path: Path, emulator: EmulatorProcess) -> None:
    board = Board(tmp_path / "board", emulator, f"pi-{SERIAL.lower()}")
    board.configure(registration_id='"pi-{serial}"')
    within = on_board(SERIAL, board.folder)
    assert f"# registration id: pi-{SERIAL.lower()}\n" in config(board, *within).stdout
    with Daemon(board, within=within) as daemon:
        daemon.await_notified("READY=1")
        assert f"pi-{SERIAL.lower()}" in board.connection.read_text()


@pytest.mark.root
def test_an_id_that_dps_would_not_take_is_never_sent(board: Board, emulator: EmulatorProcess) -> None:
    board.configure(registration_id='"pi-{serial}"')
    since = len(emulator.lines())
    with Daemon(board, within=on_board("Serial No. 7!", board.folder)) as daemon:
        daemon.await_status("registration-id-invalid: registration id 'pi-serial no. 7!': only a-z")
    assert emulator.lines()[since:] == []


def test_without_a_serial_number_nothing_is_sent(board: Board, emulator: EmulatorProcess) -> None:
    board.configure(registration_id='"pi-{serial}"')
    since = len(emulator.lines())
    ended = board.dpsctl("provision")
    assert ended.returncode == 78
    assert "dpsd: registration-id-unavailable: {serial}: this board's firmware gives no serial number" in ended.stderr
    assert "hint: use {mac:INTERFACE}, {machine_id} or {cn} in dps.registration_id instead" in ended.stderr
    assert emulator.lines()[since:] == []


@pytest.mark.root
def test_a_transient_machine_id_is_refused(board: Board) -> None:
    board.configure(registration_id='"pi-{machine_id}"')
    ended = config(board, "unshare", "--mount", "sh", "-c", TRANSIENT, "0123456789abcdef0123456789abcdef")
    assert ended.returncode == 78
    assert "this machine id is transient" in ended.stderr


def test_the_certificates_cn_can_be_a_part_of_the_template(board: Board) -> None:
    board.use_certificate()
    board.set("dps.registration_id", "{cn}")
    assert board.dpsctl("provision").returncode == 0
    board.set("dps.registration_id", "site-{cn}")
    ended = board.dpsctl("config")
    assert ended.returncode == 78
    assert "dpsd: registration-id-mismatch: dps.registration_id gives 'site-" in ended.stderr


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.mark.root
def test_an_interface_is_waited_for(tmp_path: Path, network: Network) -> None:
    mounting = 'mount -t sysfs sysfs /sys && exec "$@"'
    inside = [*network.enter, "unshare", "--mount", "sh", "-c", mounting, "sh"]
    with EmulatorProcess(tmp_path / "emulator", switches={"polls": 0}, enter=network.enter) as emulator:
        board = Board(tmp_path / "board", emulator, "pi-02000000000a")
        board.configure(registration_id='"pi-{mac:usb0}"')
        with Daemon(board, within=inside) as daemon:
            daemon.await_(lambda: "there is no network interface usb0" in daemon.log.read_text())
            link = "ip link add name usb0 address 02:00:00:00:00:0a type veth peer name other"
            subprocess.run([*network.enter, *link.split()], check=True)
            daemon.await_((board.run / "provisioned").exists)
            assert "pi-02000000000a" in board.connection.read_text()
