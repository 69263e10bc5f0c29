"""Lines for people: fields for the journal, plain words for anybody else, and each line once."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dpsd.errors import PROBLEMS, Problem
from dpsd.system import journal
from dpsd.system.journal import INFO, log, log_problem, message_id

Listening = socket.socket


@pytest.fixture
def listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    """The journal's end."""
    monkeypatch.setattr(journal, "SOCKET", f"{tmp_path}/socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"{tmp_path}/socket")
        listener.settimeout(5)
        yield listener


@contextmanager
def as_service(folder: Path) -> Iterator[Path]:
    """Let standard error be a file that JOURNAL_STREAM names, as systemd does for a service; give the file.

    Inside of the test: pytest has other files for standard error there than in fixtures.
    """
    path, before = folder / "errors", os.dup(2)
    with path.open("w") as errors, pytest.MonkeyPatch.context() as patch:
        os.dup2(errors.fileno(), 2)
        found = os.fstat(2)
        patch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        patch.setattr(sys, "stderr", errors)
        try:
            yield path
        finally:
            os.dup2(before, 2)
            os.close(before)


def received(listener: Listening) -> dict[str, str]:
    return dict(line.split("=", 1) for line in listener.recv(65536).decode("ascii").splitlines())


def test_the_journal_gets_a_line_once(listening: Listening, tmp_path: Path) -> None:
    with as_service(tmp_path) as errors:
        log(INFO, "registering")
    assert received(listening) == {"MESSAGE": "registering", "PRIORITY": "6", "SYSLOG_IDENTIFIER": "dpsd"}
    assert errors.read_text() == ""


def test_a_problem_can_be_searched_by_its_code_and_leads_to_the_catalog_once(
    listening: Listening, tmp_path: Path
) -> None:
    with as_service(tmp_path):
        log_problem(Problem("no-answer", "said", hint="do this", also=("said, too",)))
    first, second, hint = (received(listening) for _ in range(3))
    assert (first["MESSAGE"], first["PRIORITY"], first["DPSD_HINT"]) == ("no-answer: said", "4", "do this")
    assert first["MESSAGE_ID"] == message_id("no-answer")
    assert (second["MESSAGE"], hint["MESSAGE"]) == ("no-answer: said, too", "hint: do this")
    assert {line["DPSD_CODE"] for line in (first, second, hint)} == {"no-answer"}
    assert "MESSAGE_ID" not in second.keys() | hint.keys()


def test_text_from_outside_makes_no_field(listening: Listening, tmp_path: Path) -> None:
    with as_service(tmp_path):
        log_problem(Problem("no-answer", "said\nMESSAGE_ID=1\x1b[2J\u2028", hint="do\nPRIORITY=0"))
    fields = received(listening)
    assert fields["MESSAGE"] == r"no-answer: said\x0aMESSAGE_ID=1\x1b[2J\xe2\x80\xa8"
    assert (fields["PRIORITY"], fields["DPSD_HINT"]) == ("4", r"do\x0aPRIORITY=0")


def test_a_journal_that_does_not_listen_is_told_by_standard_error(listening: Listening, tmp_path: Path) -> None:
    listening.close()
    with as_service(tmp_path) as errors:
        log(INFO, "registering")
    assert errors.read_text() == "<6>registering\n"


@pytest.mark.parametrize("stream", [None, "", "1:2"])
def test_a_terminal_gets_plain_lines_even_where_somebody_left_the_variable(
    listening: Listening, stream: str | None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    if stream is not None:
        monkeypatch.setenv("JOURNAL_STREAM", stream)
    log_problem(Problem("no-answer", "said"))
    assert capfd.readouterr().err.splitlines()[0] == "dpsd: no-answer: said"
    listening.setblocking(False)
    with pytest.raises(BlockingIOError):
        listening.recv(1)


def test_message_ids_are_128_bits_and_each_code_has_its_own() -> None:
    ids = {message_id(code) for code in PROBLEMS}
    assert len(ids) == len(PROBLEMS)
    assert all(len(bytes.fromhex(one)) == 16 for one in ids)


def test_a_message_id_never_changes() -> None:
    assert message_id("no-answer") == "bd57fb3d2f52456f8bee2ef7be164f55"
