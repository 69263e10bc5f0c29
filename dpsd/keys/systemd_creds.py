"""The command systemd-creds: encryption by a secret that systemd keeps for this system.

Secrets go only through its pipes. If the machine id has changed since systemd made its secret, decrypting makes systemd
delete it for good (measured on 252 and 257): whoever decrypts compares the machine id first.
"""

from __future__ import annotations

import os
import subprocess

from dpsd.errors import Problem
from dpsd.system.machine_id import read_machine_id
from dpsd.text import printable

COMMAND = "/usr/bin/systemd-creds"
TIME_LIMIT = 10
"""Seconds for the command."""


def require_machine_id() -> str:
    """Return the machine id; raises Problem `key-source-missing` before the first boot has made one."""
    try:
        return read_machine_id()
    except ValueError as error:
        raise Problem(
            "key-source-missing", str(error), hint="seal on the device itself, after its first boot"
        ) from None


def encrypt_credential(name: str, data: bytes) -> bytes:
    """Return `data` as the credential `name`, in text that only this system decrypts; raises Problem `key-source-*`."""
    require_machine_id()
    if os.geteuid() != 0:
        raise Problem("key-source-missing", f"only root can let {COMMAND} encrypt")
    return _run("encrypt", name, data, "--with-key=host")


def decrypt_credential(name: str, text: bytes) -> bytes:
    """Return the data of the credential `name`; raises Problem `key-source-*`."""
    return _run("decrypt", name, text)


def _run(verb: str, name: str, given: bytes, *options: str) -> bytes:
    command = [COMMAND, verb, f"--name={name}", *options, "-", "-"]
    try:
        ended = subprocess.run(command, input=given, capture_output=True, timeout=TIME_LIMIT, check=False)
    except OSError as error:
        raise Problem("key-source-missing", f"{COMMAND}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise Problem("key-source-failed", f"{COMMAND} {verb}: no answer in {TIME_LIMIT} s") from None
    if ended.returncode != 0:
        said = printable(ended.stderr.decode("utf-8", "replace").strip())
        raise Problem("key-source-failed", f"{COMMAND} {verb} ended with {ended.returncode}: {said}")
    return ended.stdout
