"""A key in the one-time programmable memory of a Raspberry Pi, whose firmware signs with it.

The key never enters a process, and dpsd never makes, writes or locks one. Source: main.c and rpifwcrypto.h of the
command rpi-fw-crypto, https://github.com/raspberrypi/utils: HMAC-SHA256 of at most 2048 bytes under the raw 32 bytes.
"""

from __future__ import annotations

import re
import subprocess
from typing import NamedTuple

from dpsd.errors import Problem
from dpsd.text import printable

TIME_LIMIT = 10
"""Seconds; the firmware answers in milliseconds."""
_HMAC_SIZE = 32
_KEY_ERRORS = {"3", "6"}
"""RPI_FW_CRYPTO_KEY_NOT_FOUND and RPI_FW_CRYPTO_KEY_NOT_SET."""


class FirmwareKey(NamedTuple):
    """A key that can only sign. command: the path of rpi-fw-crypto."""

    command: str
    key_id: int

    def sign(self, message: bytes) -> bytes:
        """Return HMAC-SHA256 of `message`, 32 bytes; raises Problem `firmware-*`."""
        words = [self.command, "hmac", "--in", "/proc/self/fd/0", "--key-id", str(self.key_id)]
        try:
            ended = subprocess.run(
                [*words, "--out", "/proc/self/fd/1"],
                input=message,
                capture_output=True,
                timeout=TIME_LIMIT,
                check=False,
            )
        except OSError as error:
            raise Problem("firmware-missing", f"{printable(self.command)}: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise Problem("firmware-failed", f"{printable(self.command)}: no answer in {TIME_LIMIT} s") from None
        if ended.returncode != 0 or len(ended.stdout) != _HMAC_SIZE:
            raise self._make_problem(ended.returncode, ended.stderr.decode("utf-8", "replace"))
        return ended.stdout

    def _make_problem(self, status: int, said: str) -> Problem:
        """Return the Problem for a failed command."""
        # By what the command prints, since its exit status is the same for all failures.
        error = re.search(r"Last crypto error: (\d+)", said)
        code = "firmware-key-missing" if error and error[1] in _KEY_ERRORS else "firmware-failed"
        code = "firmware-not-permitted" if "Failed to open /dev/" in said else code
        why = printable(said.strip()) or "it did not print a signature"
        return Problem(code, f"{printable(self.command)} ended with {status} for key {self.key_id}: {why}")
