"""Certificates that the emulator's group issues to a board, and which of them its assignment is bound to."""

from __future__ import annotations

import json

from dpsd.emulator.files.authority import Issued, issue_device, load
from tests.processes.board import Board


def issue(board: Board, name: str = "") -> Issued:
    """Issue a certificate for the board, or for somebody else, below the emulator's group."""
    return issue_device(name or board.registration_id, load(*intermediate(board)))


def intermediate(board: Board) -> tuple[str, str]:
    group = board.emulator.directory / "groups/x509-fleet"
    return (group / "intermediate.pem").read_text(), (group / "intermediate.key").read_text()


def chain(board: Board, issued: Issued) -> str:
    return issued.pem() + intermediate(board)[0]


def credential_of(board: Board) -> str:
    """Return the fingerprint of the credential that the assignment is bound to."""
    record = json.loads((board.state / "private/assignment.json").read_text())
    return str(record["binding"]["credential"])
