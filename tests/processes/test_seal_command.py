"""dpsctl seal: what it takes, what it removes and when, what it says."""

from __future__ import annotations

import subprocess

import pytest

from tests import canaries
from tests.emulator_process import ROOT
from tests.processes.board import LIMIT, Board, Daemon, environment
from tests.processes.seals import STRANGER, other_key


def use_seal(board: Board) -> None:
    """Change the configuration as the command says."""
    board.set_credential(store="sealed")


def given(board: Board, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command with this on its standard input."""
    return subprocess.run(
        board.command("dpsd.dpsctl", "seal", *words), input=text, env=environment(), cwd=ROOT, text=True,
        capture_output=True, timeout=LIMIT, check=False,
    )  # fmt: skip


def test_a_configured_key_is_sealed_and_goes_once_nothing_names_it(board: Board) -> None:
    first = board.dpsctl("seal")
    assert first.returncode == 0, first.stderr
    number = next(n for n, line in enumerate(board.config.read_text().splitlines(), 1) if "primary_key_file" in line)
    assert f"  remove credential.primary_key_file ({board.config}:{number})\n" in first.stdout
    assert '  add credential.store = "sealed"\n' in first.stdout
    assert f"kept, since the configuration names it: {board.key}\n" in first.stdout
    assert board.dpsctl("provision").returncode == 0
    use_seal(board)
    again = f"sudo dpsctl seal --primary-key {board.key}\n"
    assert f"after the change this removes it: {again}" in first.stdout
    second = board.dpsctl(*again.split()[2:])
    assert f"removed {board.key}\nremoved is not erased on flash" in second.stdout
    assert not board.key.exists()
    since = len(board.emulator.lines())
    assert board.dpsctl("provision").returncode == 0
    assert board.emulator.lines()[since:] == [], "it is the same credential"


def test_what_systemd_has_is_not_asked_of_the_seal(board: Board) -> None:
    assert board.dpsctl("seal", "--systemd", "--check").returncode == 2


def test_a_pair_from_files_and_what_is_said_of_it(board: Board) -> None:
    board.use_certificate()
    source = board.emulator.device("x509-group")
    certificate, key = board.folder / "d.pem", board.folder / "d.key"
    certificate.write_bytes((source / "device.pem").read_bytes())
    canaries.note_folder(source)
    board.write_key(key, (source / "device.key").read_text())
    ended = board.dpsctl("seal", f"--certificate={certificate}", f"--private-key={key}", "--keep")
    assert (ended.returncode, key.exists()) == (0, True), ended.stderr
    checked = board.dpsctl("seal", "--check").stdout
    assert "it opens here and now" in checked and "  source: file\n" in checked
    assert "  CN: x509-group\n" in checked and "  ends: " in checked
    ended = board.dpsctl("seal", f"--certificate={certificate}", f"--private-key={key}")
    assert (ended.returncode, key.exists(), certificate.exists()) == (0, False, True), ended.stderr


def test_a_credential_of_another_type_than_the_configured_one_is_refused(board: Board) -> None:
    use_seal(board)
    source = board.emulator.device("x509-group")
    ended = board.dpsctl("seal", f"--certificate={source}/device.pem", f"--private-key={source}/device.key", "--keep")
    assert ended.returncode == 78 and not list(board.state.rglob("*.sealed"))
    assert "credential-invalid: credential.type is symmetric_key in the configuration, and this is x509" in ended.stderr


def test_standard_input_brings_a_pair_or_a_key(board: Board) -> None:
    use_seal(board)
    assert given(board, f"{board.secret}\n", "-").returncode == 0
    assert board.dpsctl("provision").returncode == 0
    board.set("credential.type", "x509")
    source = board.emulator.device("x509-group")
    both = (source / "device.key").read_text() + (source / "device.pem").read_text()
    assert "stays until this one has provisioned" in given(board, both, "-").stdout
    assert "  CN: x509-group\n" in board.dpsctl("seal", "--check").stdout


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("\n", "credential-missing"),
        ("short", "credential-invalid"),
        ("a b c", "credential-invalid"),
        ("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n", "credential-invalid"),
        ("x" * 140_000, "credential-invalid"),
    ],
)
def test_what_is_no_credential_seals_nothing(board: Board, text: str, code: str) -> None:
    ended = given(board, text, "-")
    assert (ended.returncode, f"dpsd: {code}: " in ended.stderr) == (78, True), ended.stderr
    assert not board.state.exists() and board.key.exists()


def test_a_key_with_another_name_is_not_taken(board: Board) -> None:
    board.write_key(board.folder / "other", board.secret)
    board.key.unlink()
    board.key.hardlink_to(board.folder / "other")
    assert "credential-insecure" in board.dpsctl("seal").stderr
    assert board.key.exists()


def test_a_new_credential_can_be_dropped(board: Board) -> None:
    use_seal(board)
    assert given(board, board.secret, "-").returncode == 0
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        assert given(board, STRANGER, "-").returncode == 0
        daemon.await_status("the newly sealed credential")
        assert board.dpsctl("seal", "--discard").stdout == "dropped the newly sealed credential; what is in use stays\n"
        daemon.await_(lambda: board.status()["problem"] is None)
    assert "there is nothing new to drop" in board.dpsctl("seal", "--discard").stdout


def test_the_running_daemon_takes_a_new_one_at_once(board: Board) -> None:
    use_seal(board)
    assert given(board, board.secret, "-").returncode == 0
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        assert given(board, other_key(board), "-").returncode == 0
        daemon.await_(lambda: not (board.state / "private/candidate.sealed").exists())


def test_it_is_sealed_anew_without_plaintext(board: Board) -> None:
    use_seal(board)
    assert given(board, board.secret, "-").returncode == 0
    sealed = board.state / "private/credential.sealed"
    before = sealed.read_bytes()
    assert board.dpsctl("seal", "--reseal", "--source=file").returncode == 0
    assert sealed.read_bytes() != before
    refused = board.dpsctl("seal", "--reseal", "--source=rpi-firmware")
    assert "dpsd: firmware-missing: " in refused.stderr
    assert board.dpsctl("provision").returncode == 0


@pytest.mark.parametrize(
    "words",
    [
        ("--check", "--reseal"),
        ("--check", "-"),
        ("--primary-key=/a", "-"),
        ("somewhere",),
        ("--source=tpm",),
    ],
)
def test_wrong_usage_is_told(board: Board, words: tuple[str, ...]) -> None:
    assert board.dpsctl("seal", *words).returncode == 2


def test_without_a_configuration_it_must_be_said_what(board: Board) -> None:
    board.config.unlink()
    assert "say what to seal" in board.dpsctl("seal").stderr
    assert board.dpsctl("seal", f"--primary-key={board.key}").returncode == 0
    assert not board.key.exists()


def test_with_a_damaged_configuration_nothing_is_removed(board: Board) -> None:
    board.config.write_text("[dps\n")
    assert board.dpsctl("seal", f"--primary-key={board.key}").returncode == 78
    assert board.key.exists()


def test_reset_takes_all_that_was_sealed(board: Board) -> None:
    use_seal(board)
    for key in (board.secret, other_key(board)):
        assert given(board, key, "-").returncode == 0
        assert board.dpsctl("provision").returncode == 0
    assert given(board, STRANGER, "-").returncode == 0
    said = board.dpsctl("reset", "--credential", "--yes").stdout
    for name in ("private/candidate.sealed", "private/credential.sealed", "private/keys/file.key"):
        assert f"removed {board.state}/{name}\n" in said
    left = {path.name for path in board.folder.rglob("*") if path.is_file()}
    assert left == {"dpsd.toml", "device.symkey", "lock", "seal.lock"}
