"""A symmetric key in the Raspberry Pi's firmware, which a stand-in for the command rpi-fw-crypto signs with."""

from __future__ import annotations

import json

import pytest

from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon
from tests.processes.firmware import use_firmware

WORDS = {
    "firmware-key-missing": ("Last crypto error: 6 (Key not set (all zeros))", 78),
    "firmware-not-permitted": ("Failed to open /dev/vcio: Permission denied\nLast crypto error: -1", 78),
    "firmware-failed": ("Last crypto error: 8 (Operation not supported)", 69),
}


def test_every_token_is_signed_by_the_firmware(otp: Board, emulator: EmulatorProcess) -> None:
    since = len(emulator.lines())
    with Daemon(otp) as daemon:
        daemon.await_notified("READY=1")
    authentication = json.loads(otp.connection.read_text())["authentication"]
    assert authentication == {"type": "sas"}
    assert {line["service"] for line in emulator.lines()[since:] if line["event"] == "connect"} == {"dps", "hub"}


def test_a_key_that_moved_into_the_firmware_is_the_same_device(board: Board) -> None:
    assert board.dpsctl("provision").returncode == 0
    use_firmware(board)
    since = len(board.emulator.lines())
    assert board.dpsctl("provision").returncode == 0
    assert board.emulator.lines()[since:] == []


@pytest.mark.parametrize("code", WORDS)
def test_what_the_command_says_is_named(code: str, otp: Board, emulator: EmulatorProcess) -> None:
    said, status = WORDS[code]
    (otp.folder / "rpi-fw-crypto").write_text(f"#!/bin/sh\ncat >/dev/null\necho '{said}' >&2\nexit 255\n")
    since = len(emulator.lines())
    ended = otp.dpsctl("provision")
    assert (ended.returncode, f"dpsd: {code}: " in ended.stderr) == (status, True), ended.stderr
    assert emulator.lines()[since:] == []


def test_a_command_that_is_installed_later_is_noticed(otp: Board) -> None:
    command = otp.folder / "rpi-fw-crypto"
    command.rename(command.with_name("aside"))
    with Daemon(otp) as daemon:
        daemon.await_status("firmware-missing")
        command.with_name("aside").rename(command)
        daemon.await_notified("READY=1")


def test_output_that_is_no_signature_is_not_used(otp: Board) -> None:
    (otp.folder / "rpi-fw-crypto").write_text("#!/bin/sh\ncat >/dev/null\necho done\n")
    assert "dpsd: firmware-failed: " in otp.dpsctl("provision").stderr


def test_a_key_file_does_not_stand_in_for_a_missing_command(otp: Board) -> None:
    (otp.folder / "rpi-fw-crypto").unlink()
    ended = otp.dpsctl("provision")
    assert (ended.returncode, "dpsd: firmware-missing: " in ended.stderr) == (78, True)
    assert otp.key.exists()
