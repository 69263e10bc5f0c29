"""The command `dpsctl`: what people and scripts ask of dpsd. Floor 5."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
from typing import Any, TextIO

from dpsd.core_dumps import forbid_core_dumps
from dpsd.daemon import ask_to_register, is_provisioned, is_running, load_status
from dpsd.door import Arguments, UsageError, Verb, enter
from dpsd.errors import EXIT_DONE, EXIT_NOT_PROVISIONED, EXIT_REFUSED, PROBLEMS, Problem
from dpsd.inputs import configuration_files
from dpsd.places import Places
from dpsd.text import printable

POLL_INTERVAL = 0.2
"""Seconds between two looks at the daemon's files."""
_JSON = {"--json": "print JSON"}


def _provision(arguments: Arguments) -> int:
    from dpsd.foreground import provision_here
    from dpsd.ownership import act_as_owner

    act_as_owner(arguments.places)
    force = arguments.has("--force")
    try:
        connection = provision_here(arguments.places, force=force)
    except Problem as problem:
        if problem.code != "state-locked":
            raise
        return _provision_by_daemon(arguments.places, force)
    print(f"provisioned: {connection.device_id} at {connection.iothub_hostname}")
    return EXIT_DONE


def _provision_by_daemon(places: Places, force: bool) -> int:
    """Let the daemon, which holds the state directory, make the attempt, and show its steps."""
    if is_provisioned(places) and not force:
        print("already provisioned; to register again: dpsctl provision --force")
        return EXIT_DONE
    before = load_status(places) or {}
    ask_to_register(places)
    shown = ""
    while True:
        status = load_status(places) or {}
        if not is_running(status) or status.get("pid") != before.get("pid"):
            raise Problem("not-running", "dpsd ended, or was restarted, before the attempt was over")
        if status.get("finished") != before.get("finished"):
            return _outcome(status)
        if status.get("step") != shown:
            shown = str(status.get("step"))
            print(f"dpsd: {shown}", file=sys.stderr)
        time.sleep(POLL_INTERVAL)


def _outcome(status: dict[str, Any]) -> int:
    problem = _problem(status)
    if problem is not None:
        raise problem
    print("provisioned")
    return EXIT_DONE


def _reprovision(arguments: Arguments) -> int:
    from dpsd.ownership import act_as_owner

    act_as_owner(arguments.places)  # the status file names the process, and is not root's
    ask_to_register(arguments.places)
    print("asked dpsd to register again; see: dpsctl status")
    return EXIT_DONE


def _renew(arguments: Arguments) -> int:
    """Try new files by a registration and put them in place; without any, finish what was cut short."""
    from dpsd.foreground import publish_renewed, tell
    from dpsd.ownership import act_as_owner
    from dpsd.renewal import Pair, configured, finish, is_pending, renew

    places, certificate = arguments.places, arguments.options.get("--certificate")
    private_key, pending = arguments.options.get("--private-key"), is_pending(arguments.places)
    if certificate is None and (private_key is not None or not pending):
        raise UsageError("write: dpsctl renew --certificate FILE [--private-key FILE]; there is nothing to finish")
    settings = configured(places)
    if settings.store == "sealed" and certificate is not None:
        return _renew_seal(arguments)
    if (settings.type, settings.store) != ("x509", "files"):
        raise UsageError(f"renew replaces files; the credential is {settings.type} in the store {settings.store}")
    pair = Pair(settings.certificate_file or "", settings.private_key_file or "")
    if {os.path.realpath(path) for path in (certificate, private_key) if path} & {*map(os.path.realpath, pair.staged)}:
        raise UsageError("give the new files other names: FILE.new beside the old ones is where they wait")
    if pending and finish(places, pair):
        print("finished the renewal that was cut short: dpsd publishes it at its next start, or reload")
    if certificate is not None:
        record = renew(places, pair, certificate, private_key, tell)
        act_as_owner(places)
        publish_renewed(places)
        print(f"renewed: {record.connection.device_id} at {record.connection.iothub_hostname}")
    return EXIT_DONE


def _renew_seal(arguments: Arguments) -> int:
    """Seal the new pair as a candidate, which the daemon tries before it takes the place of the present one."""
    from dpsd.seal_verb import run_seal

    if not arguments.has("--private-key"):
        raise UsageError("what is sealed is a whole pair: give --private-key, too")
    return run_seal(arguments._replace(options={**arguments.options, "--keep": ""}))


def _status(arguments: Arguments) -> int:
    status = load_status(arguments.places)
    provisioned = is_provisioned(arguments.places)
    if arguments.has("--json"):
        print(json.dumps({**(status or {}), "running": is_running(status), "provisioned": provisioned}))
    else:
        print("\n".join(_status_lines(status, provisioned, arguments.places)))
    return EXIT_DONE if provisioned else EXIT_NOT_PROVISIONED


def _status_lines(status: dict[str, Any] | None, provisioned: bool, places: Places) -> list[str]:
    lines = [f"provisioned: {'yes' if provisioned else 'no'}"]
    if status is None or not is_running(status):
        code = "not-running" if configuration_files(places.configuration) else "configuration-missing"
        return [*lines, "daemon: not running", f"hint: {PROBLEMS[code].hint}"]
    lines.append(f"daemon: {printable(status.get('state'))} since {printable(status.get('since'))}")
    lines.append(f"doing: {printable(status.get('step'))}")
    problem, moment = _problem(status), _next_try(status)
    if problem is not None:
        lines += _problem_lines("problem", problem)
    lines += [*_certificate_lines(status), *_board_lines(status)]
    if moment is not None:
        lines.append(f"next try: in {max(0, round(moment - time.clock_gettime(time.CLOCK_BOOTTIME)))} s")
    return lines


def _problem_lines(name: str, problem: Problem) -> list[str]:
    said = [f"{name}: {problem.code}: {sentence}" for sentence in (problem.sentence, *problem.also)]
    return [*said, f"hint: {problem.hint}"]


def _certificate_lines(status: dict[str, Any]) -> list[str]:
    """Return when the certificate ends, and what is to be done where that is near."""
    told = status.get("certificate")
    if not isinstance(told, dict):
        return []
    problem = _problem(told)
    ends = f"certificate: ends {printable(told.get('not_after'))}"
    return [ends] if problem is None else [ends, *_problem_lines("warning", problem)]


def _board_lines(status: dict[str, Any]) -> list[str]:
    told = status.get("board")
    words = {name: printable(value) for name, value in told.items() if value} if isinstance(told, dict) else {}
    said = [f"{name.replace('_', ' ')} {words[name]}" for name in ("model", "serial_number", "card") if name in words]
    return [f"board: {', '.join(said)}"] if said else []


def _next_try(status: dict[str, Any]) -> float | None:
    """Return the moment of the next attempt, by the clock that counts from the boot."""
    told = status.get("next_try")
    moment = told.get("boottime") if isinstance(told, dict) else None
    return moment if isinstance(moment, float) and math.isfinite(moment) else None


def _show(arguments: Arguments) -> int:
    from dpsd.connection import parse_connection
    from dpsd.durable import load
    from dpsd.outputs import FORMATS
    from dpsd.shape import ShapeError, parse_object

    wanted = arguments.options.get("--format", "json")
    if wanted not in FORMATS:
        raise UsageError(f"--format is one of: {' '.join(FORMATS)}")
    text = load(arguments.places.connection_json)
    if text is None:
        raise Problem("not-provisioned", "there is no connection yet")
    try:
        print(FORMATS[wanted](parse_connection(parse_object(text, "connection"))).decode(), end="")
    except ShapeError as error:
        raise Problem("state-unreadable", f"{printable(arguments.places.connection_json)}: {error}") from None
    return EXIT_DONE


def _wait(arguments: Arguments) -> int:
    text = arguments.options.get("--timeout")
    if text is not None and not re.fullmatch("[0-9]{1,9}", text):
        raise UsageError("--timeout is a number of seconds")
    end = None if text is None else time.monotonic() + int(text)
    while not is_provisioned(arguments.places):
        problem = _problem(load_status(arguments.places))
        if arguments.has("--fail-on-refusal") and problem is not None and problem.kind.exit_status == EXIT_REFUSED:
            raise problem
        if end is not None and time.monotonic() >= end:
            raise Problem("timeout", f"not provisioned within {text} s")
        time.sleep(POLL_INTERVAL)
    return EXIT_DONE


def _problem(status: dict[str, Any] | None) -> Problem | None:
    from dpsd.progress import parse_problem
    from dpsd.shape import ShapeError, Table

    try:
        found = Table(status or {}).optional_table("problem")
        return None if found is None else parse_problem(found)
    except ShapeError:
        return None


def _explain(arguments: Arguments) -> int:
    from dpsd.explanations import explain

    if not arguments.operands:
        everything = [explain(code) for code in PROBLEMS]
        brief = "\n".join(f"{one['code']:26} {one['meaning']}".partition(". ")[0].rstrip(".") for one in everything)
        print(json.dumps(everything) if arguments.has("--json") else brief)
        return EXIT_DONE
    code = arguments.operands[0]
    if code not in PROBLEMS:
        raise UsageError(f"there is no problem {printable(code)}{_nearest(code)}")
    found = explain(code)
    lines = "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in found.items())
    print(json.dumps(found) if arguments.has("--json") else lines)
    return EXIT_DONE


def _nearest(code: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(code.lower(), PROBLEMS, 1, 0.5)
    return f"; did you mean {close[0]}?" if close else "; for all of them: dpsctl explain"


def _agent(arguments: Arguments) -> int:
    from dpsd.agent_units import disable, enable

    action, unit = arguments.operands
    restart = arguments.has("--restart-on-change")
    if action == "enable":
        name = enable(unit, restart_on_change=restart)
        print(f"{name} starts once this device is provisioned, from its next start on")
        if restart:
            print(f"{name} is restarted when the IoT Hub connection changed")
    elif action == "disable" and not restart:
        print(f"{disable(unit)} no longer waits for this device to be provisioned")
    else:
        raise UsageError("write: dpsctl agent enable [--restart-on-change] UNIT, or: dpsctl agent disable UNIT")
    return EXIT_DONE


def _derive_key(arguments: Arguments) -> int:
    from dpsd.fleet_keys import derive_keys, read_rows, rows_of

    group_key_file, table = arguments.options.get("--group-key-file"), arguments.options.get("--csv")
    if group_key_file is None or bool(arguments.operands) == (table is not None):
        raise UsageError("write: dpsctl derive-key --group-key-file FILE ID..., or --csv FILE in place of ID...")
    if table is None:
        derive_keys(group_key_file, rows_of(arguments.operands), sys.stdout)
    else:
        with _open_table(table) as lines:
            derive_keys(group_key_file, read_rows(table, lines), sys.stdout)
    return EXIT_DONE


def _open_table(path: str) -> TextIO:
    try:
        return open(0 if path == "-" else path, newline="", encoding="utf-8-sig", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"{printable(path)}: {error.strerror}") from None


def _reset(arguments: Arguments) -> int:
    from dpsd.reset import FLASH, plan, reset

    credential = arguments.has("--credential")
    planned = plan(arguments.places, credential=credential)
    if not arguments.has("--yes"):
        print("\n".join(f"would remove {printable(path)}" for path in planned))
        raise UsageError("nothing was removed; to remove it, add --yes")
    for path in reset(arguments.places, credential=credential):
        print(f"removed {printable(path)}", flush=True)
    print(f"done; {FLASH}")
    return EXIT_DONE


def _seal(arguments: Arguments) -> int:
    from dpsd.seal_verb import run_seal

    return run_seal(arguments)


def _import(arguments: Arguments) -> int:
    from dpsd.import_verb import run_import

    return run_import(arguments)


def _config(arguments: Arguments) -> int:
    from dpsd.device import load_config, open_device
    from dpsd.ownership import act_as_owner

    if arguments.has("--image"):
        return _image(arguments.options["--image"])
    act_as_owner(arguments.places)
    effective = load_config(arguments.places)
    for key, value in effective.values.items():
        if value.value is not None:
            shown = value.value if isinstance(value.value, (str, int, dict)) else _plain(value.value)
            print(f"{key} = {json.dumps(shown)}  # {value.origin}")
    device = open_device(arguments.places)
    print(f"# registration id: {device.binding.registration_id}")
    return EXIT_DONE


def _image(root: str) -> int:
    from dpsd.image import check_image

    if not os.path.isdir(root):
        raise UsageError(f"{printable(root)} is not a folder")
    check_image(os.path.realpath(root).rstrip("/"))
    print("nothing is in this image that only one board may have")
    return EXIT_DONE


def _plain(value: Any) -> Any:
    """Return what the TOML file would say for a parsed value."""
    return list(value) if type(value) is tuple else str(value)


VERBS = {
    "provision": Verb(
        _provision, "one attempt now, with its progress", {"--force": "register even if nothing changed", **_JSON}
    ),
    "reprovision": Verb(_reprovision, "ask the running daemon to register again", _JSON),
    "renew": Verb(
        _renew,
        "try another certificate and put it in the place of the old one",
        {
            "--certificate": "FILE  the new certificate, with its chain",
            "--private-key": "FILE  its private key, where that is another one, too",
            **_JSON,
        },
    ),
    "status": Verb(_status, "what the daemon is doing; exit status 3 when not provisioned", _JSON),
    "show": Verb(_show, "print the IoT Hub connection", {"--format": "NAME  json (default) or env", **_JSON}),
    "wait": Verb(
        _wait,
        "return when provisioned",
        {"--timeout": "SECONDS  then exit with 75", "--fail-on-refusal": "exit with 77 if refused", **_JSON},
    ),
    "agent": Verb(
        _agent,
        "let a unit wait for the provisioned device, or no longer",
        {"--restart-on-change": "with enable: restart it when the connection changed", **_JSON},
        ("enable|disable", "UNIT"),
    ),
    "explain": Verb(_explain, "what a problem means, what follows and what to do; or all in brief", _JSON, ("[CODE]",)),
    "derive-key": Verb(
        _derive_key,
        "on the bench: the keys of a group's devices as CSV",
        {"--group-key-file": "FILE  the group's primary or secondary key", "--csv": "FILE  ids from it; - is stdin"},
        ("[ID...]",),
    ),
    "reset": Verb(
        _reset,
        "forget the assignment, for a return or a golden image",
        {"--credential": "remove the configured credential files too", "--yes": "really do it", **_JSON},
    ),
    "seal": Verb(
        _seal,
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
        _import,
        "adopt a bundle of configuration and credential: a folder, .tar, .tar.gz or .zip",
        {
            "--unattended": "only if the device is not configured yet, with a report beside the bundle",
            "--stick": "the same, where PATH is the device of a USB stick, and without a report",
        },
        ("PATH",),
    ),
    "config": Verb(
        _config,
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
