"""The Raspberry Pi's firmware: a stand-in for the command rpi-fw-crypto, which signs, and a serial number."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.processes.board import Board

# The arguments of the real command, and its output; the key is in the test's folder, not in OTP.
STAND_IN = """#!{python} -I
import base64, hashlib, hmac, sys
verb, *words = sys.argv[1:]
options = dict(zip(words[::2], words[1::2]))
assert verb == "hmac" and sorted(options) == ["--in", "--key-id", "--out"], sys.argv
message = open(options["--in"], "rb").read(2049)
assert len(message) <= 2048 and options["--key-id"] == "1"
key = base64.b64decode(open("{key}").read())
open(options["--out"], "wb").write(hmac.new(key, message, hashlib.sha256).digest())
"""
SCRIPT = 'mount --bind "$1" /sys/firmware && shift && exec "$@"'


def use_firmware(board: Board) -> None:
    """Put the board's key into OTP, and name no key file in its configuration."""
    command = board.folder / "rpi-fw-crypto"
    command.write_text(STAND_IN.format(python=sys.executable, key=board.key))
    command.chmod(0o755)
    board.set_credential(store="rpi-firmware", firmware_command=str(command))


def on_board(serial_number: str, folder: Path) -> list[str]:
    """Return the command in front of a program that shall find itself on a board with this serial number."""
    tree = folder / f"firmware-{serial_number}"
    (tree / "devicetree/base").mkdir(parents=True, exist_ok=True)
    (tree / "devicetree/base/serial-number").write_text(f"{serial_number}\0")
    return ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", str(tree)]
