"""The command `dpsctl`: the table of what people and scripts can ask of dpsd."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from dpsd import __version__
from dpsd.dpsctl.arguments import Command, help_of, help_of_all, parse_arguments
from dpsd.errors import EXIT_DONE, EXIT_USAGE
from dpsd.system.command import Option, UsageError, run_command
from dpsd.system.process import forbid_core_dumps
from dpsd.text import printable, suggest

COMMANDS = {
    "provision": Command(
        "provision",
        "try to provision this device now, and show each step",
        {"--force": Option("register even if nothing changed")},
    ),
    "reprovision": Command("reprovision", "ask the running daemon to register again"),
    "renew": Command(
        "renew",
        "try a new certificate, and replace the old one if it works",
        {
            "--certificate": Option("the new certificate, followed by its chain", "FILE"),
            "--private-key": Option("its private key, if that is new as well", "FILE"),
        },
    ),
    "status": Command("status", "show what the daemon is doing; exit with 3 if not provisioned"),
    "show": Command(
        "show", "print the IoT Hub connection", {"--format": Option("json or env; the default is json", "NAME")}
    ),
    "token": Command(
        "token",
        "print a token by which an agent connects to the hub",
        {"--ttl": Option("how long it lives, 300 to 86400; the default is 3600", "SECONDS")},
    ),
    "wait": Command(
        "wait",
        "wait until this device is provisioned",
        {
            "--timeout": Option("give up after this time, and exit with 75", "SECONDS"),
            "--fail-on-refusal": Option("give up when Azure refuses this device, and exit with 77"),
        },
    ),
    "agent": Command(
        "agent",
        "make a systemd unit wait until this device is provisioned",
        {"--restart-on-change": Option("with enable: also restart it when the connection changed")},
        ("enable|disable", "UNIT"),
    ),
    "explain": Command("explain", "explain a problem and what to do; without CODE, list them all", {}, ("[CODE]",)),
    "derive-key": Command(
        "derive_key",
        "derive the keys of devices from their group's key, on the bench",
        {
            "--group-key-file": Option("the group's primary or secondary key", "FILE"),
            "--csv": Option("read the ids from this table; - is standard input", "FILE"),
        },
        ("[ID...]",),
    ),
    "reset": Command(
        "reset",
        "forget the assignment, before a return or for a golden image",
        {
            "--credential": Option("also remove the files of the credential"),
            "--yes": Option("remove them; without this, only list them and exit with 3"),
            "--dry-run": Option("only list them"),
        },
    ),
    "seal": Command(
        "seal",
        "encrypt the credential for this device, and remove the plaintext",
        {
            "--certificate": Option("PEM: the device's certificate, then its intermediates", "FILE"),
            "--private-key": Option("PEM without a passphrase", "FILE"),
            "--primary-key": Option("base64 of 16 to 64 bytes", "FILE"),
            "--secondary-key": Option("base64 of 16 to 64 bytes", "FILE"),
            "--source": Option(
                "what encrypts it: rpi-firmware, systemd or file; the default is the first one that is there", "NAME"
            ),
            "--keep": Option("keep the files with the plaintext"),
            "--systemd": Option('let systemd-creds encrypt it, for credential.store = "systemd"'),
            "--check": Option("show what is sealed, and check that it opens here"),
            "--reseal": Option("encrypt the present credential again, by --source if given"),
            "--discard": Option("drop a new credential that is still waiting to be tried"),
        },
        ("[-]",),
    ),
    "import": Command(
        "import_bundle",
        "adopt a bundle: a folder, .tar, .tar.gz or .zip",
        {
            "--unattended": Option("only if this device is not configured yet; report beside the bundle"),
            "--stick": Option("the same for a USB stick whose device is PATH, without a report"),
        },
        ("PATH",),
    ),
    "config": Command(
        "config",
        "check the configuration and print it",
        {"--image": Option("check instead that the image at ROOT has nothing of one board only", "ROOT")},
    ),
}


def main() -> int:
    forbid_core_dumps()
    os.umask(0o077)
    return run(sys.argv[1:])


def run(words: list[str]) -> int:
    """Do what these arguments ask for; return the exit status."""
    return run_command("dpsctl", lambda: _run(words), as_json="--json" in words)


def _run(words: list[str]) -> int:
    if "--version" in words:
        print(f"dpsctl {__version__}")
        return EXIT_DONE
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    if not words or words[0] == "--help":
        print(help_of_all(COMMANDS))
        return EXIT_DONE if words else EXIT_USAGE
    name, command = words[0], _find(words[0])
    if "--help" in words:
        print(help_of(name, command))
        return EXIT_DONE
    arguments = parse_arguments(name, command, words[1:])
    # Only the module of this command is loaded, so that a script gets its answer soon.
    status: int = import_module(f"dpsd.dpsctl.{command.module}").run(arguments)
    return status


def _find(name: str) -> Command:
    if name.startswith("-"):
        raise UsageError("the command comes first")
    if name not in COMMANDS:
        raise UsageError(f"no such command: {printable(name)}{suggest(name, COMMANDS)}")
    return COMMANDS[name]


if __name__ == "__main__":
    sys.exit(main())
