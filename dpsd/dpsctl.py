"""The command `dpsctl`: the table of what people and scripts ask of dpsd. Floor 5."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module

from dpsd.core_dumps import forbid_core_dumps
from dpsd.door import Arguments, Verb, enter

_JSON = {"--json": "print JSON"}


def _in(module: str) -> Callable[[Arguments], int]:
    """Return what a module of `dpsd.verbs` does; only the one that is asked for is imported."""

    def run(arguments: Arguments) -> int:
        status: int = import_module(f"dpsd.verbs.{module}").run(arguments)
        return status

    return run


VERBS = {
    "provision": Verb(
        _in("provision"), "one attempt now, with its progress", {"--force": "register even if nothing changed", **_JSON}
    ),
    "reprovision": Verb(_in("reprovision"), "ask the running daemon to register again", _JSON),
    "renew": Verb(
        _in("renew"),
        "try another certificate and put it in the place of the old one",
        {
            "--certificate": "FILE  the new certificate, with its chain",
            "--private-key": "FILE  its private key, where that is another one, too",
            **_JSON,
        },
    ),
    "status": Verb(_in("status"), "what the daemon is doing; exit status 3 when not provisioned", _JSON),
    "show": Verb(_in("show"), "print the IoT Hub connection", {"--format": "NAME  json (default) or env", **_JSON}),
    "wait": Verb(
        _in("wait"),
        "return when provisioned",
        {"--timeout": "SECONDS  then exit with 75", "--fail-on-refusal": "exit with 77 if refused", **_JSON},
    ),
    "agent": Verb(
        _in("agent"),
        "let a unit wait for the provisioned device, or no longer",
        {"--restart-on-change": "with enable: restart it when the connection changed", **_JSON},
        ("enable|disable", "UNIT"),
    ),
    "explain": Verb(
        _in("explain"), "what a problem means, what follows and what to do; or all in brief", _JSON, ("[CODE]",)
    ),
    "derive-key": Verb(
        _in("derive_key"),
        "on the bench: the keys of a group's devices as CSV",
        {"--group-key-file": "FILE  the group's primary or secondary key", "--csv": "FILE  ids from it; - is stdin"},
        ("[ID...]",),
    ),
    "reset": Verb(
        _in("reset"),
        "forget the assignment, for a return or a golden image",
        {"--credential": "remove the configured credential files too", "--yes": "really do it", **_JSON},
    ),
    "seal": Verb(
        _in("seal"),
        "encrypt the credential for this device, and remove the plaintext",
        {
            "--certificate": "FILE  PEM: the device's certificate first, then its intermediates",
            "--private-key": "FILE  PEM, not encrypted",
            "--primary-key": "FILE  base64 of 16 to 64 bytes",
            "--secondary-key": "FILE  the same",
            "--source": "NAME  rpi-firmware, systemd or file; default: the first that is there",
            "--keep": "leave the files with the plaintext",
            "--systemd": "encrypt by systemd-creds, for credential.store systemd",
            "--check": "say what is sealed, and whether it can be opened here and now",
            "--reseal": "seal the present credential anew, by --source if that is given",
            "--discard": "drop a new credential that has not provisioned yet",
            **_JSON,
        },
        ("[-]",),
    ),
    "import": Verb(
        _in("import_bundle"),
        "adopt a bundle of configuration and credential: a folder, .tar, .tar.gz or .zip",
        {
            "--unattended": "only if the device is not configured yet, with a report beside the bundle",
            "--stick": "the same, where PATH is the device of a USB stick, and without a report",
        },
        ("PATH",),
    ),
    "config": Verb(
        _in("config"),
        "check and print the effective configuration",
        {"--image": "ROOT  instead, look for what must not be in the image at ROOT", **_JSON},
    ),
}


def main() -> int:
    forbid_core_dumps()
    os.umask(0o077)
    return enter("dpsctl", VERBS, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
