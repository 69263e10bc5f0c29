"""A SoftHSM token for tests: a folder with keys, reached like any other token, by a PKCS#11 module."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

from tests import canaries
from tests.unit.authority import put_secret

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "4711-canary"

SPY = next(map(str, Path("/usr/lib").glob("*/pkcs11-spy.so")), "")
"""A module of the package opensc-pkcs11 that writes down what another one is asked."""

_PUBLIC = struct.pack(">3Q", 0, 2, 2)
"""In a file of SoftHSM: attribute CKA_CLASS, a number, CKO_PUBLIC_KEY."""


def missing() -> list[str]:
    """The Debian packages that are not here: on Debian 12 the provider comes from backports only."""
    files = {"softhsm2": [Path(MODULE)], "pkcs11-provider": Path("/usr/lib").glob("*/ossl-modules/pkcs11.so")}
    return [package for package, paths in files.items() if not any(path.exists() for path in paths)]


class Token:
    """A token labelled dpsd, with its PIN in a file. environment: what its module needs."""

    def __init__(self, folder: Path) -> None:
        self.pin_file = folder / "pin"
        self._tokens = folder / "tokens"
        self._tokens.mkdir(parents=True)
        configuration = folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {self._tokens}\nlog.level = ERROR\n")
        self.environment = {"SOFTHSM2_CONF": str(configuration)}
        self._run("--init-token", "--free", "--label=dpsd", f"--so-pin={PIN}")
        self.write_pin(PIN)

    def write_pin(self, pin: str) -> None:
        """Put another PIN into the file, not the token."""
        canaries.note(PIN, "the PIN", self.pin_file)
        put_secret(self.pin_file, pin.encode() + b"\n")

    def put(self, key_file: Path, label: str = "device") -> str:
        """Put a key on the token and return its URI."""
        self._run("--token=dpsd", f"--label={label}", f"--id={label.encode().hex()}", f"--import={key_file}")
        return f"pkcs11:token=dpsd;object={label};type=private"

    def hide_public(self) -> None:
        """Remove the public halves, which SoftHSM keeps in files of their own."""
        for file in self._tokens.rglob("*.object"):
            if file.read_bytes()[8:32] == _PUBLIC:
                file.unlink()

    def pull_out(self) -> None:
        """Take the token away."""
        self._tokens.rename(self._tokens.with_name("pulled"))
        self._tokens.mkdir()

    def plug_in(self) -> None:
        """Give it back."""
        self._tokens.rmdir()
        self._tokens.with_name("pulled").rename(self._tokens)

    def _run(self, *words: str) -> None:
        command = ["softhsm2-util", *words, f"--pin={PIN}"]
        subprocess.run(command, env={**os.environ, **self.environment}, check=True, capture_output=True)
