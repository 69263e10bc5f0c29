"""What an import bundle brings to a device that works: it is tried first, and the device is what it was until then."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from dpsd.importing.adopt import adopt
from dpsd.importing.reading import load_bundle
from dpsd.protocol.sas import derive_device_key, parse_key
from dpsd.state.places import Places
from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon
from tests.unit.authority import make_certificate, make_key, pem_of, pem_of_key
from tests.unit.bundles import Content, put_folder

STRANGERS_PAIR = {
    "certificate.pem": pem_of(make_certificate(make_key("ec"), "stranger")),
    "private_key.pem": pem_of_key(make_key("ec")),
}


def bring(board: Board, content: Content) -> None:
    """Adopt a bundle; the daemon is not told."""
    places = Places((str(board.config),), str(board.state), str(board.run))
    adopt(load_bundle(str(put_folder(board.folder / "bundle", content))), places)
    for path in (board.folder / "bundle").iterdir():
        path.unlink()


def settings(board: Board, **replaced: str) -> bytes:
    """A bundle's dpsd.toml for the emulator; replaced: TOML text by key."""
    values = {
        "id_scope": f'"{board.emulator.id_scope}"',
        "global_endpoint": f'"{board.emulator.address}:{board.emulator.port}"',
        "registration_id": f'"{board.registration_id}"',
        **replaced,
    }
    return ("[dps]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())).encode()


def key_of(board: Board, registration_id: str) -> bytes:
    """The key of another device of the board's group."""
    group = (board.emulator.directory / "groups/symmetric-fleet/primary.key").read_bytes()
    return base64.b64encode(derive_device_key(parse_key(group), registration_id))


@pytest.fixture
def imported(board: Board) -> Board:
    """A board that was provisioned by a bundle, and by what a signed one has set."""
    board.key.unlink()
    board.config.unlink()
    board.config = board.state / "imported.toml"
    board.state.mkdir()
    board.config.write_text(f'[network]\ntrusted_roots = "{board.emulator.ca}"\n[fleet]\nvolatile_window = 0\n')
    bring(board, {"dpsd.toml": settings(board), "primary_key": board.secret.encode()})
    assert board.dpsctl("provision").returncode == 0
    return board


def candidates(board: Board) -> list[str]:
    return sorted(path.name for path in board.state.rglob("candidate.*"))


def everything(board: Board) -> tuple[str, bytes, bytes]:
    """What the device is: its settings, its credential and its connection."""
    sealed = board.state / "private/credential.sealed"
    return board.config.read_text(), sealed.read_bytes(), board.connection.read_bytes()


BAD: dict[str, tuple[str, dict[str, str], Content]] = {
    "a mistyped id scope": ("mqtt-unauthorized", {"id_scope": '"0ne00TYPO01"'}, {}),
    "a wrong endpoint": ("connection-refused", {"global_endpoint": '"127.0.0.1:1"'}, {}),
    "another type of credential": ("dps-", {"registration_id": '"stranger"'}, STRANGERS_PAIR),
}


@pytest.mark.parametrize(("code", "replaced", "credential"), BAD.values(), ids=BAD)
def test_what_cannot_register_leaves_the_device_what_it_was(
    imported: Board, code: str, replaced: dict[str, str], credential: Content
) -> None:
    before = everything(imported)
    bring(imported, {"dpsd.toml": settings(imported, **replaced), **credential})
    with Daemon(imported) as daemon:
        daemon.await_notified("READY=1")
        daemon.await_status("provisioned by an earlier assignment; waiting, attempt 2 in ")
        told = imported.dpsctl("status")
        assert told.returncode == 0 and f"problem: {code}" in told.stdout and ": the newly imported " in told.stdout
        assert "settings: newly imported ones wait to be tried" in told.stdout
    assert everything(imported) == before and "candidate.toml" in candidates(imported)
    assert "candidate.toml waits to be tried" in imported.dpsctl("config").stdout
    assert "dropped the newly imported settings" in imported.dpsctl("seal", "--discard").stdout
    assert candidates(imported) == []
    assert imported.dpsctl("provision", "--force").returncode == 0
    assert everything(imported)[:2] == before[:2]


def test_what_registers_replaces_settings_and_credential_together(imported: Board) -> None:
    other = f"{imported.registration_id}-b"
    bundle = {"dpsd.toml": settings(imported, registration_id=f'"{other}"'), "primary_key": key_of(imported, other)}
    before = everything(imported)
    bring(imported, bundle)
    assert everything(imported) == before and candidates(imported) == ["candidate.sealed", "candidate.toml"]
    with Daemon(imported) as daemon:
        daemon.await_notified("READY=1")
        daemon.await_(lambda: candidates(imported) == [])
        daemon.await_(lambda: imported.status()["state"] == "provisioned" and imported.status()["problem"] is None)
    assert other in imported.config.read_text() and "trusted_roots" in imported.config.read_text()
    assert json.loads(imported.connection.read_text())["device_id"] == other
    with Daemon(imported) as daemon:
        daemon.await_notified("READY=1")
        assert imported.status()["attempt"] <= 1


def test_settings_that_lost_a_line_are_mended_by_a_bundle_that_the_daemon_notices(imported: Board) -> None:
    whole = imported.config.read_text()
    imported.config.write_text("".join(line for line in whole.splitlines(True) if "id_scope" not in line))
    with Daemon(imported) as daemon:
        daemon.await_notified("READY=1")
        daemon.await_status("configuration-invalid: dps.id_scope: is missing")
        bring(imported, {"dpsd.toml": settings(imported)})
        daemon.await_(lambda: imported.config.read_text() == whole)
        daemon.await_(lambda: imported.status()["problem"] is None)


def test_settings_that_bind_to_the_same_are_tried_too(imported: Board, emulator: EmulatorProcess) -> None:
    before, since = everything(imported), len(emulator.lines())
    bring(imported, {"dpsd.toml": b'[network]\nproxy = "http://127.0.0.1:1"\n'})
    ended = imported.dpsctl("provision")
    assert ended.returncode == 69 and "proxy-unreachable: the newly imported settings: " in ended.stderr
    assert everything(imported) == before
    bring(imported, {"dpsd.toml": b'[network]\ntransport = "auto"\n'})
    assert imported.dpsctl("provision").returncode == 0
    assert '"transport" = "auto"' in imported.config.read_text() and candidates(imported) == []
    assert [one["event"] for one in emulator.lines()[since:]].count("register") == 1


def test_a_cut_between_record_and_promotion_is_rolled_forward_offline(
    imported: Board, emulator: EmulatorProcess
) -> None:
    old = imported.config.read_text()
    bring(imported, {"dpsd.toml": settings(imported, payload='{ a = "b" }')})
    assert imported.dpsctl("provision").returncode == 0
    new, since = imported.config.read_text(), len(emulator.lines())
    imported.config.write_text(old)
    Path(imported.state, "candidate.toml").write_text(new)
    with Daemon(imported) as daemon:
        daemon.await_notified("READY=1")
        assert imported.status()["attempt"] == 0
    assert imported.config.read_text() == new and candidates(imported) == []
    assert emulator.lines()[since:] == []
