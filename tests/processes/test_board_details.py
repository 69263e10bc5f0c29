"""What else is known of board and card: told when it changes, and never a reason not to use the assignment."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon

pytestmark = pytest.mark.root
SERIAL = "10000000aaaa0001"
MODEL = "Raspberry Pi 4 Model B Rev 1.5"
SCRIPT = 'mount --bind "$1" /sys/firmware && mount --bind "$2" /sys/dev/block && shift 2 && exec "$@"'


def on_board(folder: Path, card: str, **tree: str) -> list[str]:
    """Return the command in front of a program that shall find itself on a board with this card and firmware."""
    firmware = folder / "firmware/devicetree/base"
    (firmware / "chosen").mkdir(parents=True, exist_ok=True)
    for name, text in {"serial-number": SERIAL, "model": MODEL, **tree}.items():
        (firmware / name.replace("rpi_machine_id", "chosen/rpi-machine-id")).write_text(f"{text}\0")
    disk, found = folder / "mmcblk0", os.stat(folder).st_dev
    (disk / "mmcblk0p2").mkdir(parents=True, exist_ok=True)
    (disk / "device").mkdir(exist_ok=True)
    (disk / "device/cid").write_text(f"{card}\n")
    devices = folder / "block"
    devices.mkdir(exist_ok=True)
    link = devices / f"{os.major(found)}:{os.minor(found)}"
    if not link.is_symlink():
        link.symlink_to(disk / "mmcblk0p2")
    return ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", str(firmware.parents[1]), str(devices)]


def details(board: Board) -> dict[str, str]:
    found: dict[str, str] = json.loads((board.state / "private/assignment.json").read_text())["details"]
    return found


@pytest.fixture
def provisioned(board: Board) -> Board:
    with Daemon(board, within=on_board(board.folder, "card-1")) as daemon:
        daemon.await_notified("READY=1")
        assert f"board: model {MODEL}, serial number {SERIAL}, card card-1\n" in board.dpsctl("status").stdout
    assert details(board) == {"model": MODEL, "rpi_machine_id": "", "card": "card-1"}
    return board


def test_an_id_that_the_firmware_adds_is_told_once(provisioned: Board, emulator: EmulatorProcess) -> None:
    since, before = len(emulator.lines()), provisioned.connection.read_bytes()
    for _ in range(2):
        with Daemon(provisioned, within=on_board(provisioned.folder, "card-1", rpi_machine_id="5ec3e7")) as daemon:
            daemon.await_notified("READY=1")
            daemon.await_(lambda: details(provisioned)["rpi_machine_id"] == "5ec3e7")
    log = daemon.log.read_text()
    assert log.count("dpsd: the firmware gives an rpi-machine-id\n") == 1
    assert "5ec3e7" not in log + "".join(daemon.notified) + (provisioned.run / "status.json").read_text()
    assert emulator.lines()[since:] == [] and provisioned.connection.read_bytes() == before


def test_a_card_that_is_another_one_is_told_and_its_state_used(provisioned: Board, emulator: EmulatorProcess) -> None:
    since = len(emulator.lines())
    with Daemon(provisioned, within=on_board(provisioned.folder, "card-2")) as daemon:
        daemon.await_notified("READY=1")
        daemon.await_(lambda: details(provisioned)["card"] == "card-2")
        daemon.await_(lambda: provisioned.status()["board"]["card"] == "card-2")
    assert "dpsd: the card is card-2, it was card-1\n" in daemon.log.read_text()
    assert emulator.lines()[since:] == []


def test_an_attempt_tells_it_too(provisioned: Board) -> None:
    os.utime(provisioned.key)  # as a copy to a new card does
    with Daemon(provisioned, within=on_board(provisioned.folder, "card-3")) as daemon:
        daemon.await_notified("READY=1")
    assert daemon.log.read_text().count("dpsd: the card is card-3, it was card-1") == 1
    assert details(provisioned)["card"] == "card-3"
