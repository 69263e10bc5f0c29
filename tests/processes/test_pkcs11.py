"""A private key on a PKCS#11 token: it logs in at DPS and hub, and what can be wrong is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import canaries
from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board, Daemon
from tests.processes.softhsm import MODULE, PIN, SPY, Token, missing
from tests.unit.authority import make_key, pem_of_key, put_secret

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not installed: {' '.join(missing())}")


@pytest.fixture
def token(board: Board) -> Token:
    """A token with the key of the board's certificate, which the board is configured to use."""
    token = Token(board.folder / "token")
    configure(board, token, token.put(board.emulator.device("x509-group") / "device.key"))
    return token


def configure(board: Board, token: Token, uri: str, **more: str) -> None:
    board.use_certificate()
    certificate = str(board.emulator.device("x509-group") / "device.pem")
    given = {"token_uri": uri, "module": MODULE, "pin_file": str(token.pin_file), **more}
    board.set_credential(store="pkcs11", certificate_file=certificate, **given)


def provision(board: Board, token: Token) -> tuple[int, str]:
    ended = board.dpsctl("provision", extra=token.environment)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr


def test_key_on_a_token_logs_in_at_dps_and_hub(board: Board, token: Token, emulator: EmulatorProcess) -> None:
    since = len(emulator.lines())
    with Daemon(board, extra=token.environment) as daemon:
        daemon.await_notified("READY=1")
    authentication = board.authentication()
    uri = "pkcs11:token=dpsd;object=device;type=private"
    assert authentication.pop("certificate_file").endswith("device.pem")
    assert authentication == {"type": "x509", "private_key_uri": uri, "pkcs11_module": MODULE}
    assert f"X509_KEY_URI='{uri}'\n" in (board.state / "connection.env").read_text()
    assert {line["service"] for line in emulator.lines()[since:] if line["event"] == "connect"} == {"dps", "hub"}


def wrong_pin(board: Board, token: Token) -> None:
    token.write_pin("0000")


def no_pin(board: Board, token: Token) -> None:
    token.pin_file.unlink()


def two_lines(board: Board, token: Token) -> None:
    token.write_pin("a\nb")


def other_label(board: Board, token: Token) -> None:
    configure(board, token, "pkcs11:token=dpsd;object=other")


def another_key(board: Board, token: Token) -> None:
    other = put_secret(board.folder / "other.key", pem_of_key(make_key("ec")))
    configure(board, token, token.put(Path(other), "other"))


def key_of_another_type(board: Board, token: Token) -> None:
    other = put_secret(board.folder / "other.key", pem_of_key(make_key("rsa")))
    configure(board, token, token.put(Path(other), "other"))


def no_module(board: Board, token: Token) -> None:
    board.set("credential.module", "/usr/lib/none.so")


def no_public_key(board: Board, token: Token) -> None:
    token.hide_public()


def a_pin_for_all(board: Board, token: Token) -> None:
    token.pin_file.chmod(0o644)


def unplugged(board: Board, token: Token) -> None:
    token.pull_out()


WRONG: list[tuple[str, Callable[[Board, Token], None], int]] = [
    ("token-pin-refused", wrong_pin, 78),
    ("credential-missing", no_pin, 78),
    ("credential-invalid", two_lines, 78),
    ("credential-insecure", a_pin_for_all, 78),
    ("token-key-missing", other_label, 78),
    ("credential-mismatch", another_key, 78),
    ("credential-mismatch", key_of_another_type, 78),
    ("token-key-missing", no_public_key, 78),
    ("token-unusable", no_module, 78),
    ("token-missing", unplugged, 69),
]


@pytest.mark.parametrize(("code", "prepare", "status"), WRONG, ids=[row[1].__name__ for row in WRONG])
def test_what_is_wrong_with_a_token_is_named_before_anything_is_contacted(
    code: str, prepare: Callable[[Board, Token], None], status: int, board: Board, token: Token,
    emulator: EmulatorProcess,
) -> None:  # fmt: skip
    prepare(board, token)
    since = len(emulator.lines())
    found, said = provision(board, token)
    assert (found, f"dpsd: {code}: " in said) == (status, True), said
    assert emulator.lines()[since:] == []


def test_a_key_on_disk_does_not_stand_in_for_a_token(board: Board, token: Token) -> None:
    plain = board.emulator.device("x509-group") / "device.key"
    put_secret(board.folder / "device.key", plain.read_bytes())
    token.pull_out()
    assert "dpsd: token-missing: " in provision(board, token)[1]
    configure(board, token, "pkcs11:token=dpsd;object=device", private_key_file=str(plain))
    assert "credential.private_key_file: does not belong to credential.store pkcs11" in provision(board, token)[1]


@pytest.mark.skipif(not SPY, reason="not installed: opensc-pkcs11")
@pytest.mark.parametrize(("pin", "answer", "status"), [("0000", "PIN_INCORRECT", 78), (PIN, "OK", 0)])
def test_a_pin_is_tried_once(pin: str, answer: str, status: int, board: Board, token: Token) -> None:
    token.write_pin(pin)
    board.set("credential.module", SPY)
    log = board.folder / "spy.log"
    canaries.note(PIN, "the PIN", log)
    spied = {**token.environment, "PKCS11SPY": MODULE, "PKCS11SPY_OUTPUT": str(log)}
    assert board.dpsctl("provision", extra=spied).returncode == status
    answers = re.findall(r": C_Login\n.*?CKR_(\w+)", log.read_text(), re.DOTALL)
    assert [one for one in answers if one != "USER_ALREADY_LOGGED_IN"] == [answer]


def test_a_refused_pin_is_not_tried_again_until_the_file_changes(board: Board, token: Token) -> None:
    token.write_pin("0000")
    with Daemon(board, extra=token.environment) as daemon:
        daemon.await_status("token-pin-refused")
        assert board.status()["next_try"] is None
        token.write_pin(PIN)
        daemon.await_notified("READY=1")
        assert daemon.log.read_text().count("token-pin-refused") == 1


def test_a_token_that_is_plugged_in_later_is_used(board: Board, token: Token) -> None:
    token.pull_out()
    with Daemon(board, extra=token.environment) as daemon:
        daemon.await_status("token-missing")
        token.plug_in()
        daemon.await_notified("READY=1")


def test_the_device_of_a_token_is_waited_for(board: Board, token: Token, emulator: EmulatorProcess) -> None:
    uri, since = "pkcs11:token=dpsd;object=device", len(emulator.lines())
    configure(board, token, uri, token_device="/dev/no-such-token")
    assert "there is no device /dev/no-such-token" in board.dpsctl("config", extra=token.environment).stderr
    with Daemon(board, extra=token.environment) as daemon:
        daemon.await_status("waiting for the token's device /dev/no-such-token")
    assert emulator.lines()[since:] == []
    configure(board, token, uri, token_device="/dev/null")
    found, said = provision(board, token)
    assert found == 0, said
