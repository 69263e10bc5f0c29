"""A board's sealed credential, and other keys to seal in its place."""

from __future__ import annotations

import base64

from dpsd.credentials.material import Material
from dpsd.protocol.sas import derive_device_key, parse_key
from dpsd.sealing.seal import seal
from dpsd.secret import Secret
from dpsd.state.places import Places
from tests.processes.board import Board

STRANGER = base64.b64encode(b"a key that no enrollment has....").decode()


def places(board: Board) -> Places:
    return Places((str(board.config),), str(board.state), str(board.run))


def put(board: Board, key: str) -> str:
    """Seal a key; return its fingerprint."""
    return seal(places(board), Material(primary_key=Secret(key.encode()))).header.fingerprint


def other_key(board: Board) -> str:
    """The board's key of the group's secondary one, which DPS takes, too."""
    group = (board.emulator.directory / "groups/symmetric-fleet/secondary.key").read_bytes()
    return base64.b64encode(derive_device_key(parse_key(group), board.registration_id)).decode()
