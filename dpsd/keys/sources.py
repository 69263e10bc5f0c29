"""The key sources, asked directly: for root, or the owner of a state directory that is not the device's. Floor 2.

Each is one function: HMAC-SHA256 under a key of its own. Nothing is made here but by `prepare`, for a new seal.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable

from dpsd.durable import commit, load, make_folder
from dpsd.errors import Problem
from dpsd.firmware import FirmwareKey
from dpsd.keys.request import SOURCES
from dpsd.mounts import VOLATILE, mounted_kind
from dpsd.protocol.sas import sign
from dpsd.settings import FIRMWARE_COMMAND
from dpsd.shape import ShapeError, parse_object
from dpsd.text import printable

FIRMWARE_KEY = 1
"""The device's private key. It may be used for other things, too: the labels below are dpsd's own."""
SECRET_SIZE = 32
TIME_LIMIT = 10
"""Seconds for systemd-creds."""
FILES = {"systemd": "systemd.json", "file": "file.key"}
"""By source, the name of its file."""
_SEAL = b"dpsd seal v1\n"
_NAME = b"dpsd key name v1\n"
_MACHINE_ID = "/etc/machine-id"
_SYSTEMD_CREDS = "/usr/bin/systemd-creds"
_CREDENTIAL = "--name=dpsd.seal"


def derive(source: str, salt: bytes, folder: str) -> list[bytes]:
    """Return the secret of `source` for `salt`, and eight bytes that name its key in public.

    folder: where secrets are kept. Raises Problem `key-source-*`, `firmware-*`.
    """
    hmac = _HMACS[source]
    return [hmac(folder, _SEAL + salt), hmac(folder, _NAME)[:8]]


def prepare(source: str, folder: str) -> None:
    """Make the secret of a source that has none yet; raises as `derive`, and `state-unwritable`."""
    maker = _MAKERS.get(source)
    if maker is None or os.path.lexists(f"{folder}/{FILES[source]}"):
        return
    secret = maker()
    make_folder(folder, 0o700)
    commit(f"{folder}/{FILES[source]}", secret, 0o600)


def files(folder: str) -> list[str]:
    """Return where sources keep their secrets."""
    return [f"{folder}/{name}" for name in FILES.values()]


def _firmware(_: str, message: bytes) -> bytes:
    return FirmwareKey(FIRMWARE_COMMAND, FIRMWARE_KEY).sign(message)


def _file(folder: str, message: bytes) -> bytes:
    return sign(_load("file", folder, SECRET_SIZE), message)


def _systemd(folder: str, message: bytes) -> bytes:
    """Decrypt only with the machine id of then: with another one, systemd deletes its own secret for good."""
    try:
        table = parse_object(_load("systemd", folder, None), "systemd.json")
        machine_id, credential = table.string("machine_id"), table.string("credential")
    except ShapeError as error:
        raise Problem("key-source-changed", f"{printable(folder)}/{error}") from None
    if machine_id != _machine_id():
        raise Problem(
            "key-source-changed",
            f"{_MACHINE_ID} is another one than when the credential was sealed",
            hint=f"put the earlier {_MACHINE_ID} back; or seal the credential again: dpsctl(1), seal",
        )
    return sign(_systemd_creds("decrypt", credential.encode()), message)


def _load(source: str, folder: str, size: int | None) -> bytes:
    path = f"{folder}/{FILES[source]}"
    found = load(path)
    if found is None:
        raise Problem("key-source-missing", f"{printable(path)}, which the credential was sealed with, is not there")
    if size is not None and len(found) != size:
        raise Problem("key-source-changed", f"{printable(path)} has {len(found)} bytes instead of {size}")
    return found


def _make_systemd() -> bytes:
    machine_id = _machine_id()
    if not os.path.exists(_SYSTEMD_CREDS) or os.geteuid() != 0:
        raise Problem("key-source-missing", f"{_SYSTEMD_CREDS} is not there, or this is not root")
    sealed = _systemd_creds("encrypt", os.urandom(SECRET_SIZE), "--with-key=host")
    return json.dumps({"machine_id": machine_id, "credential": sealed.decode("ascii", "replace")}).encode() + b"\n"


def _machine_id() -> str:
    """Return this system's lasting name; raises Problem `key-source-missing` before its first boot has made one."""
    found = (load(_MACHINE_ID, 256) or b"").decode("ascii", "replace").strip()
    if not re.fullmatch("(?!0{32})[0-9a-f]{32}", found) or mounted_kind(_MACHINE_ID) in VOLATILE:
        said = f"{_MACHINE_ID} holds no lasting machine id"
        raise Problem("key-source-missing", said, hint="seal on the device itself, after its first boot")
    return found


def _systemd_creds(verb: str, given: bytes, *options: str) -> bytes:
    """Run systemd-creds; secrets go through its pipes alone."""
    command = [_SYSTEMD_CREDS, verb, _CREDENTIAL, *options, "-", "-"]
    try:
        ended = subprocess.run(command, input=given, capture_output=True, timeout=TIME_LIMIT, check=False)
    except OSError as error:
        raise Problem("key-source-missing", f"{_SYSTEMD_CREDS}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise Problem("key-source-failed", f"{_SYSTEMD_CREDS} {verb}: no answer in {TIME_LIMIT} s") from None
    if ended.returncode != 0 or (verb == "decrypt" and len(ended.stdout) != SECRET_SIZE):
        said = printable(ended.stderr.decode("utf-8", "replace").strip())
        raise Problem("key-source-failed", f"{_SYSTEMD_CREDS} {verb} ended with {ended.returncode}: {said}")
    return ended.stdout


_HMACS: dict[str, Callable[[str, bytes], bytes]] = {"rpi-firmware": _firmware, "systemd": _systemd, "file": _file}
_MAKERS: dict[str, Callable[[], bytes]] = {"systemd": _make_systemd, "file": lambda: os.urandom(SECRET_SIZE)}

assert tuple(_HMACS) == SOURCES
