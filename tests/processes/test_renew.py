"""`dpsctl renew`: the new pair registers before it takes the place of the old one, wherever the power is cut."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dpsd.emulator.files.authority import Issued, issue_device, load
from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon
from tests.processes.certificates import chain, credential_of, intermediate, issue


@pytest.fixture
def old(board: Board) -> Issued:
    """A provisioned board with a certificate of its own."""
    issued = issue(board)
    board.use_own_certificate(chain(board, issued), issued.key_pem())
    assert board.dpsctl("provision").returncode == 0
    return issued


def words(board: Board, new: Issued, *, key: bool = True, certificate: str = "") -> list[str]:
    """Put new files on the bench, and return the command that takes them."""
    bench = board.folder / "bench"
    bench.mkdir(exist_ok=True)
    found = ["renew", "--certificate", str(board.put("bench/fresh.pem", certificate or chain(board, new)))]
    return [*found, "--private-key", str(board.put("bench/fresh.key", new.key_pem()))] if key else found


def pair_of(board: Board) -> tuple[str, str]:
    return (board.folder / "device.pem").read_text(), (board.folder / "device.key").read_text()


def left_over(board: Board) -> list[str]:
    return [path.name for path in [*board.folder.glob("*.new"), *board.state.rglob("renewed*")]]


@pytest.mark.parametrize("running", [True, False])
def test_a_new_pair_is_registered_once_and_takes_the_place_of_the_old_one(
    board: Board, old: Issued, emulator: EmulatorProcess, running: bool
) -> None:
    since, before, published = len(emulator.lines()), credential_of(board), board.connection.read_bytes()
    new = issue(board)
    if running:
        with Daemon(board) as daemon:
            daemon.await_notified("READY=1")
            ended = board.dpsctl(*words(board, new))
    else:
        ended = board.dpsctl(*words(board, new))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"renewed: {board.registration_id} at ")
    assert pair_of(board) == (chain(board, new), new.key_pem())
    assert credential_of(board) != before
    changed = json.loads(published)
    changed["authentication"]["thumbprint"] = credential_of(board).removeprefix("x509:")
    assert json.loads(board.connection.read_bytes()) == changed
    assert [one["event"] for one in emulator.lines()[since:]].count("register") == 1
    assert left_over(board) == []


def test_a_new_certificate_for_the_same_key(board: Board, old: Issued) -> None:
    new = issue_device(board.registration_id, load(*intermediate(board)), key=old.key)
    assert board.dpsctl(*words(board, new, key=False)).returncode == 0
    assert pair_of(board) == (chain(board, new), old.key_pem())


def test_the_next_boot_is_ready_without_a_packet(board: Board, old: Issued, emulator: EmulatorProcess) -> None:
    assert board.dpsctl(*words(board, issue(board))).returncode == 0
    since = len(emulator.lines())
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        assert board.status()["attempt"] == 0
    assert emulator.lines()[since:] == []


def stranger(board: Board) -> list[str]:
    new = issue_device(board.registration_id)
    return words(board, new, certificate=new.pem())


REFUSED: dict[str, tuple[Callable[[Board], list[str]], int]] = {
    "dps-unauthorized": (stranger, 77),
    "credential-mismatch": (lambda board: words(board, issue(board), key=False), 78),
    "registration-id-mismatch": (lambda board: [*words(board, issue(board, "somebody-else"))], 78),
    "credential-invalid": (lambda board: words(board, issue(board), certificate="no certificate"), 78),
    "credential-missing": (lambda board: ["renew", "--certificate", "/nowhere.pem"], 78),
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_is_refused_leaves_the_old_pair(board: Board, old: Issued, code: str) -> None:
    board.set("dps.registration_id", board.registration_id)
    prepare, status = REFUSED[code]
    before = pair_of(board), (board.state / "private/assignment.json").read_bytes()
    ended = board.dpsctl(*prepare(board))
    assert f"dpsd: {code}: " in ended.stderr
    assert ended.returncode == status
    assert ".new" not in ended.stderr, "what is staged is gone"
    assert (pair_of(board), (board.state / "private/assignment.json").read_bytes()) == before
    assert left_over(board) == []


def test_a_certificate_of_another_device_is_refused_without_a_name_in_the_configuration(
    board: Board, old: Issued, emulator: EmulatorProcess
) -> None:
    before, since = pair_of(board), len(emulator.lines())
    ended = board.dpsctl(*words(board, issue(board, "somebody-else")))
    assert "dpsd: registration-id-mismatch: the new certificate is of 'somebody-else'" in ended.stderr
    assert pair_of(board) == before and left_over(board) == [] and emulator.lines()[since:] == []


def test_a_network_that_is_down_leaves_the_old_pair(board: Board, old: Issued, emulator: EmulatorProcess) -> None:
    emulator.replace(faults=[{"on": "connect", "do": "drop", "times": 0}])
    before = pair_of(board)
    assert board.dpsctl(*words(board, issue(board))).returncode == 69
    assert pair_of(board) == before and left_over(board) == []


def test_another_store_is_not_renewed_by_files(board: Board) -> None:
    ended = board.dpsctl("renew", "--certificate", str(board.key))
    assert ended.returncode == 2
    assert "the credential is symmetric_key in the store files" in ended.stderr


def test_a_renewal_of_files_that_are_not_configured_any_more_is_forgotten(board: Board) -> None:
    """Or else each boot would try again to finish it, and fail."""
    assert board.dpsctl("provision").returncode == 0
    noted = board.state / "private/renewed.json"
    noted.write_bytes((board.state / "private/assignment.json").read_bytes())
    assert (board.dpsctl("renew").returncode, noted.exists()) == (0, False)


def test_without_anything_to_finish_files_are_asked_for(board: Board, old: Issued) -> None:
    assert board.dpsctl("renew").returncode == 2


@pytest.fixture
def cut(board: Board, old: Issued) -> Callable[[int], Issued]:
    """Return what leaves the board as a power cut does after so many of the two renames."""

    def after(renames: int) -> Issued:
        new, before = issue(board), [(board.folder / name).read_bytes() for name in ("device.pem", "device.key")]
        aside = board.folder / "aside"
        shutil.copytree(board.state, aside)
        assert board.dpsctl(*words(board, new)).returncode == 0
        noted = (board.state / "private/assignment.json").read_bytes()
        shutil.rmtree(board.state)
        aside.rename(board.state)
        for name, text in list(zip(("device.pem", "device.key"), before, strict=True))[renames:]:
            (board.folder / name).rename(board.folder / f"{name}.new")
            board.put(name, text.decode())
        renewed = board.state / "private/renewed.json"
        renewed.touch(mode=0o600)
        renewed.write_bytes(noted)
        return new

    return after


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_cut_after_the_registration_is_finished_and_needs_no_network(
    board: Board, cut: Callable[[int], Issued], emulator: EmulatorProcess, renames: int
) -> None:
    new = cut(renames)
    since = len(emulator.lines())
    assert board.dpsctl("renew").returncode == 0
    assert pair_of(board) == (chain(board, new), new.key_pem())
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
    assert emulator.lines()[since:] == [] and left_over(board) == []


def test_a_cut_between_the_renames_is_named_by_the_daemon_which_stays_ready(
    board: Board, cut: Callable[[int], Issued]
) -> None:
    cut(1)
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        daemon.await_status("credential-mismatch")
        assert board.status()["problem"]["hint"] == "a renewal was cut short, finish it: sudo dpsctl renew"
        assert board.dpsctl("renew").returncode == 0
        daemon.await_(lambda: left_over(board) == [] and board.status()["problem"] is None)


def test_a_cut_before_the_registration_leaves_the_old_pair_and_the_next_renewal_cleans_up(
    board: Board, old: Issued
) -> None:
    for name in ("device.pem.new", "device.key.new"):
        board.put(name, "half a")
    before = credential_of(board)
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        assert credential_of(board) == before
    assert board.dpsctl(*words(board, issue(board))).returncode == 0
    assert left_over(board) == []


def test_the_owner_and_mode_of_the_old_files_stay(board: Board, old: Issued) -> None:
    key = Path(board.folder / "device.key")
    key.chmod(0o400)
    assert board.dpsctl(*words(board, issue(board))).returncode == 0
    assert key.stat().st_mode & 0o777 == 0o400


def test_a_reset_forgets_a_renewal_too(board: Board, cut: Callable[[int], Issued]) -> None:
    cut(1)
    assert board.dpsctl("reset", "--credential", "--yes").returncode == 0
    assert left_over(board) == []
    assert json.loads(board.dpsctl("status", "--json").stdout)["provisioned"] is False


def test_a_reset_forgets_what_a_renewal_was_writing(board: Board, old: Issued) -> None:
    for name in ("device.pem.new", ".device.pem.new.new", ".device.key.new.new"):
        board.put(name, "half a")
    assert board.dpsctl("reset", "--credential", "--yes").returncode == 0
    assert {path.name for path in board.folder.rglob("*") if path.is_file()} == {"dpsd.toml", "device.symkey", "lock"}


def test_a_sealed_pair_is_renewed_by_a_candidate(board: Board, old: Issued) -> None:
    place = str(board.folder / "device")
    sealed = board.dpsctl("seal", "--certificate", f"{place}.pem", "--private-key", f"{place}.key", "--keep")
    assert sealed.returncode == 0, sealed.stderr
    board.set_credential(store="sealed")
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        before = credential_of(board)
        assert board.dpsctl(*words(board, issue(board), key=False)).returncode == 2
        stranger = board.dpsctl(*words(board, issue(board, "pi-of-somebody")))
        assert "dpsd: registration-id-mismatch: " in stranger.stderr and credential_of(board) == before
        ended = board.dpsctl(*words(board, issue(board)))
        assert ended.returncode == 0, ended.stderr
        daemon.await_(lambda: credential_of(board) != before)
