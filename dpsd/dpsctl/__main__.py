"""The command `dpsctl`: the table of what people and scripts ask of dpsd."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module

from dpsd.dpsctl.arguments import Arguments, Option, Verb, enter
from dpsd.system.process import forbid_core_dumps

_JSON = {"--json": Option("problems, and what is told as data, as JSON")}


def _verb(module: str, summary: str, options: Mapping[str, Option] = {}, operands: tuple[str, ...] = ()) -> Verb:
    """Return a verb that is a module of `dpsd.dpsctl`; only the one that is asked for is imported."""

    def run(arguments: Arguments) -> int:
        status: int = import_module(f"dpsd.dpsctl.{module}").run(arguments)
        return status

    return Verb(run, summary, {**options, **_JSON}, operands)


VERBS = {
    "provision": _verb(
        "provision", "one attempt now, with its progress", {"--force": Option("register even if nothing changed")}
    ),
    "reprovision": _verb("reprovision", "ask the running daemon to register again"),
    "renew": _verb(
        "renew",
        "try another certificate and put it in the place of the old one",
        {
            "--certificate": Option("the new certificate, with its chain", "FILE"),
            "--private-key": Option("its private key, where that is another one, too", "FILE"),
        },
    ),
    "status": _verb("status", "what the daemon is doing; exit status 3 when not provisioned"),
    "show": _verb("show", "print the IoT Hub connection", {"--format": Option("json (default) or env", "NAME")}),
    "wait": _verb(
        "wait",
        "return when provisioned",
        {"--timeout": Option("then exit with 75", "SECONDS"), "--fail-on-refusal": Option("exit with 77 if refused")},
    ),
    "agent": _verb(
        "agent",
        "let a unit wait for the provisioned device, or no longer",
        {"--restart-on-change": Option("with enable: restart it when the connection changed")},
        ("enable|disable", "UNIT"),
    ),
    "explain": _verb(
        "explain", "what a problem means, what follows and what to do; or all in brief", operands=("[CODE]",)
    ),
    "derive-key": _verb(
        "derive_key",
        "on the bench: the keys of a group's devices as CSV",
        {
            "--group-key-file": Option("the group's primary or secondary key", "FILE"),
            "--csv": Option("ids from it; - is stdin", "FILE"),
        },
        ("[ID...]",),
    ),
    "reset": _verb(
        "reset",
        "forget the assignment, for a return or a golden image",
        {
            "--credential": Option("also remove the files of the credential"),
            "--yes": Option("remove them; without it only list them, and exit with 3"),
            "--dry-run": Option("only list them"),
        },
    ),
    "seal": _verb(
        "seal",
        "encrypt the credential for this device, and remove the plaintext",
        {
            "--certificate": Option("PEM: the device's certificate first, then its intermediates", "FILE"),
            "--private-key": Option("PEM, not encrypted", "FILE"),
            "--primary-key": Option("base64 of 16 to 64 bytes", "FILE"),
            "--secondary-key": Option("the same", "FILE"),
            "--source": Option("rpi-firmware, systemd or file; default: the first that is there", "NAME"),
            "--keep": Option("leave the files with the plaintext"),
            "--systemd": Option("encrypt by systemd-creds, for credential.store systemd"),
            "--check": Option("say what is sealed, and whether it can be opened here and now"),
            "--reseal": Option("seal the present credential anew, by --source if that is given"),
            "--discard": Option("drop a new credential that has not provisioned yet"),
        },
        ("[-]",),
    ),
    "import": _verb(
        "import_bundle",
        "adopt a bundle of configuration and credential: a folder, .tar, .tar.gz or .zip",
        {
            "--unattended": Option("only if the device is not configured yet, with a report beside the bundle"),
            "--stick": Option("the same, where PATH is the device of a USB stick, and without a report"),
        },
        ("PATH",),
    ),
    "config": _verb(
        "config",
        "check and print the effective configuration",
        {"--image": Option("instead, look for what must not be in the image at ROOT", "ROOT")},
    ),
}


def main() -> int:
    forbid_core_dumps()
    os.umask(0o077)
    return enter("dpsctl", VERBS, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
