"""What agents get of the credential: in memory, before READY=1, at every boot and offline, and only if asked for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpsd.credentials.material import Material
from dpsd.sealing.seal import seal
from dpsd.secret import Secret
from dpsd.system.mounts import is_in_memory
from tests import azure_sdk, canaries
from tests.emulator_process import EmulatorProcess
from tests.processes.bad_answers import REFUSED
from tests.processes.board import Board, Daemon
from tests.processes.seals import other_key, places, put

MEMORY = "/dev/shm"
pytestmark = pytest.mark.skipif(not is_in_memory(MEMORY), reason=f"{MEMORY} is not in memory here")


@pytest.fixture
def board(board: Board) -> Iterator[Board]:
    """A board whose runtime directory is in memory, as /run is."""
    board.run = Path(tempfile.mkdtemp(dir=MEMORY))
    yield board
    shutil.rmtree(board.run)


def ask(board: Board, setting: str) -> None:
    board.set(f"outputs.{setting}", True)


def refuse(board: Board, setting: str) -> None:
    board.set(f"outputs.{setting}", False)


def reboot(board: Board) -> None:
    for path in board.run.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def released(board: Board) -> dict[str, str]:
    return {path.name: path.read_text() for path in (board.run / "credentials").glob("*")}


def connections(emulator: EmulatorProcess, since: int) -> int:
    return sum(one["event"] == "connect" for one in emulator.lines()[since:])


def connection_string(board: Board) -> str:
    connection = json.loads(board.connection.read_text())
    names = f"HostName={connection['iothub_hostname']};DeviceId={board.registration_id}"
    return f"{names};SharedAccessKey={board.secret}"


def give_certificate(board: Board) -> dict[str, str]:
    """Have a certificate and its key from systemd; return the service's environment."""
    board.use_certificate()
    board.set_credential(store="systemd")
    folder, device = board.folder / "credentials", board.emulator.device("x509-group")
    folder.mkdir()
    canaries.note((device / "device.key").read_bytes(), "systemd's credential", folder)
    for name, source in (("dpsd.certificate", "device.pem"), ("dpsd.private_key", "device.key")):
        (folder / name).write_bytes((device / source).read_bytes())
    return {"CREDENTIALS_DIRECTORY": str(folder)}


def test_a_connection_string_is_in_memory_and_nowhere_else(board: Board) -> None:
    ask(board, "connection_string")
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
    path = board.run / "credentials/connection_string"
    assert path.read_text() == connection_string(board)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert json.loads(board.connection.read_text())["authentication"]["connection_string_file"] == str(path)
    assert f"IOTHUB_CONNECTION_STRING_FILE='{path}'\n" in (board.state / "connection.env").read_text()
    others = [*board.state.rglob("*"), board.run / "status.json", daemon.log]
    assert not [file for file in others if file.is_file() and board.secret in file.read_text()]


def test_a_boot_puts_it_there_again_without_a_packet(board: Board, emulator: EmulatorProcess) -> None:
    ask(board, "connection_string")
    assert board.dpsctl("provision").returncode == 0
    reboot(board)
    since = len(emulator.lines())
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        assert released(board) == {"connection_string": connection_string(board)}
    assert connections(emulator, since) == 0


def test_a_restart_finds_it_and_makes_no_attempt(board: Board) -> None:
    ask(board, "connection_string")
    assert board.dpsctl("provision").returncode == 0
    before = (board.run / "credentials/connection_string").stat()
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
    assert "attempt" not in daemon.log.read_text() + "".join(daemon.notified)
    assert (board.run / "credentials/connection_string").stat() == before


def test_a_reload_turns_it_on_and_off_without_a_registration(board: Board, emulator: EmulatorProcess) -> None:
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        since = len(emulator.lines())
        ask(board, "connection_string")
        daemon.signal(signal.SIGHUP)
        daemon.await_(lambda: "connection_string" in board.connection.read_text())
        assert released(board) == {"connection_string": connection_string(board)}
        refuse(board, "connection_string")
        daemon.signal(signal.SIGHUP)
        daemon.await_(lambda: "connection_string" not in board.connection.read_text())
        daemon.await_(lambda: released(board) == {})
    assert connections(emulator, since) == 0


def test_the_key_that_dps_took_is_given_also_after_a_boot(board: Board) -> None:
    wrong = board.folder / "wrong.symkey"
    board.write_key(wrong, "A" * 43 + "=")
    board.configure(primary_key_file=f'"{wrong}"', more=f'secondary_key_file = "{board.key}"')
    ask(board, "connection_string")
    for _ in range(2):
        assert board.dpsctl("provision").returncode == 0
        assert released(board) == {"connection_string": connection_string(board)}
        reboot(board)


def test_of_a_groups_key_the_devices_own_is_given(board: Board) -> None:
    board.use_group_key(allow=True)
    ask(board, "connection_string")
    assert board.dpsctl("provision").returncode == 0
    assert released(board) == {"connection_string": connection_string(board)}


def test_the_keys_of_systemd_are_given(board: Board) -> None:
    given = board.use_systemd()
    ask(board, "connection_string")
    assert board.dpsctl("provision", extra=given).returncode == 0
    assert released(board) == {"connection_string": connection_string(board)}


def test_certificate_and_key_are_given_and_named(board: Board, emulator: EmulatorProcess) -> None:
    given = give_certificate(board)
    ask(board, "release_private_key")
    with Daemon(board, extra=given) as daemon:
        daemon.await_notified("READY=1")
    device, folder = emulator.device("x509-group"), board.run / "credentials"
    expected = {"certificate.pem": "device.pem", "private_key.pem": "device.key"}
    assert released(board) == {name: (device / source).read_text() for name, source in expected.items()}
    named = {"certificate_file": f"{folder}/certificate.pem", "private_key_file": f"{folder}/private_key.pem"}
    assert board.authentication() == {"type": "x509", **named}
    assert f"X509_KEY_FILE='{folder}/private_key.pem'\n" in (board.state / "connection.env").read_text()


def test_certificate_and_key_that_are_not_asked_for_are_not_given(board: Board) -> None:
    given = give_certificate(board)
    assert board.dpsctl("provision", extra=given).returncode == 0
    assert board.authentication() == {"type": "x509", "store": "systemd"}
    assert not (board.run / "credentials").exists()


def sealed_key(board: Board) -> None:
    """Have the board's key sealed, and in no file."""
    board.set_credential(store="sealed")
    board.key.unlink()
    put(board, board.secret)


def test_a_sealed_key_is_given_at_each_boot(board: Board, emulator: EmulatorProcess) -> None:
    sealed_key(board)
    ask(board, "connection_string")
    assert board.dpsctl("provision").returncode == 0
    reboot(board)
    since = len(emulator.lines())
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        assert released(board) == {"connection_string": connection_string(board)}
    assert connections(emulator, since) == 0


def test_a_sealed_key_that_took_the_place_of_another_is_given_then(board: Board) -> None:
    sealed_key(board)
    ask(board, "connection_string")
    assert board.dpsctl("provision").returncode == 0
    old, new = board.secret, other_key(board)
    put(board, new)
    board.secret = old
    assert released(board) == {"connection_string": connection_string(board)}
    with Daemon(board) as daemon:
        daemon.await_(lambda: not (board.state / "private/candidate.sealed").exists())
    board.secret = new
    assert released(board) == {"connection_string": connection_string(board)}


@pytest.mark.parametrize("asked", [True, False])
def test_a_sealed_certificate_is_given_only_if_asked_for(asked: bool, board: Board) -> None:
    device = board.emulator.device("x509-group")
    board.use_certificate()
    board.set_credential(store="sealed")
    key = Secret((device / "device.key").read_bytes())
    seal(places(board), Material((device / "device.pem").read_bytes(), key))
    if asked:
        ask(board, "release_private_key")
    assert board.dpsctl("provision").returncode == 0
    told = board.authentication()
    if asked:
        assert told["private_key_file"] == f"{board.run}/credentials/private_key.pem"
        assert released(board)["private_key.pem"] == (device / "device.key").read_text()
    else:
        assert (told, released(board)) == ({"type": "x509", "store": "sealed"}, {})


def test_files_on_disk_do_not_stand_in_for_a_seal(board: Board, emulator: EmulatorProcess) -> None:
    sealed_key(board)
    board.write_key(board.key, board.secret)
    path, since = board.state / "private/credential.sealed", len(emulator.lines())
    path.rename(board.folder / "away")
    assert "dpsd: seal-missing: " in board.dpsctl("provision").stderr
    (board.folder / "away").rename(path)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert "dpsd: seal-damaged: " in board.dpsctl("provision").stderr
    board.set("credential.primary_key_file", str(board.key))
    said = "credential.primary_key_file: does not belong to credential.store sealed"
    assert said in board.dpsctl("provision").stderr
    assert connections(emulator, since) == 0


def test_without_the_credential_a_boot_is_not_ready_before_it_is_back(board: Board) -> None:
    ask(board, "connection_string")
    assert board.dpsctl("provision").returncode == 0
    reboot(board)
    board.key.rename(board.folder / "away")
    with Daemon(board) as daemon:
        daemon.await_status("credential-missing")
        assert "READY=1" not in daemon.notified and not (board.run / "provisioned").exists()
        (board.folder / "away").rename(board.key)
        daemon.await_notified("READY=1")
        assert released(board) == {"connection_string": connection_string(board)}


def test_a_damaged_configuration_does_not_keep_it_from_agents(board: Board, emulator: EmulatorProcess) -> None:
    ask(board, "connection_string")
    assert board.dpsctl("provision").returncode == 0
    reboot(board)
    board.add("[outputs")
    since = len(emulator.lines())
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        daemon.await_status("provisioned by an earlier assignment; ")
        assert released(board) == {"connection_string": connection_string(board)}
    assert connections(emulator, since) == 0


def test_a_damaged_configuration_gives_no_other_key(board: Board) -> None:
    ask(board, "connection_string")
    assert board.dpsctl("provision").returncode == 0
    reboot(board)
    board.add("[outputs")
    board.write_key(board.key, "A" * 43 + "=")
    with Daemon(board) as daemon:
        daemon.await_status("configuration-invalid")
    assert (released(board), "READY=1" in daemon.notified) == ({}, False)


def test_on_a_disk_nothing_is_written_and_nobody_is_contacted(board: Board, emulator: EmulatorProcess) -> None:
    memory, board.run = board.run, board.folder / "run"
    if is_in_memory(str(board.folder)):
        pytest.skip("the tests' folder is in memory")
    ask(board, "connection_string")
    since = len(emulator.lines())
    ended = board.dpsctl("provision")
    board.run = memory
    assert (ended.returncode, "dpsd: release-not-in-memory: " in ended.stderr) == (78, True), ended.stderr
    assert connections(emulator, since) == 0 and not (board.folder / "run/credentials").exists()


def test_a_reset_takes_it_back(board: Board) -> None:
    ask(board, "connection_string")
    assert board.dpsctl("provision").returncode == 0
    assert f"removed {board.run}/credentials/connection_string\n" in board.dpsctl("reset", "--yes").stdout
    assert released(board) == {}


def test_a_record_that_is_gone_takes_it_along(board: Board) -> None:
    ask(board, "connection_string")
    assert board.dpsctl("provision").returncode == 0
    (board.state / "private/assignment.json").unlink()
    board.key.unlink()
    with Daemon(board) as daemon:
        daemon.await_status("credential-missing")
    assert released(board) == {}


def test_a_hub_that_refuses_holds_it_back(board: Board, emulator: EmulatorProcess) -> None:
    ask(board, "connection_string")
    emulator.replace(faults=[REFUSED])
    with Daemon(board) as daemon:
        daemon.await_status("does not let the device in yet")
        assert not os.path.lexists(board.run / "credentials/connection_string")


def test_microsofts_sdk_connects_by_the_string(board: Board, emulator: EmulatorProcess) -> None:
    ask(board, "connection_string")
    assert board.dpsctl("provision").returncode == 0
    words = [str(board.run / "credentials/connection_string"), str(emulator.ca), "hello by the string"]
    ended = azure_sdk.run(Path(__file__).with_name("azure_agent.py"), *words)
    assert ended.returncode == 0, ended.stderr
    assert emulator.wait_for("message", client=board.registration_id)["body"] == words[-1]
