"""Targets for what a file can hold: configuration, state, payload. Each file is a real one, read as on a device."""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import json
import os
import shutil
import tempfile

from dpsd.configuration.files import load_layers
from dpsd.configuration.merge import FAULT_LIMIT, parse_config
from dpsd.configuration.observed import unchanged
from dpsd.configuration.settings import Layer
from dpsd.daemon.history import SIZE_LIMIT, History
from dpsd.dpsctl.__main__ import run
from dpsd.errors import EXIT_BUG, Problem
from dpsd.importing.bundle import NAMES
from dpsd.importing.reading import load_bundle
from dpsd.protocol.dps import PAYLOAD_LIMIT, encode_register_body
from dpsd.provisioning.device import open_device
from dpsd.provisioning.publish import prepare_folders, publish
from dpsd.provisioning.record_file import load_record, peek_record
from dpsd.shape import ShapeError
from dpsd.state.messages import Done, Failed, Registered, encode_event, encode_orders, parse_event, parse_orders
from dpsd.state.places import Places
from tests.fuzz.endings import check_line, check_shown, problems, refusing
from tests.unit.examples import DEVICE_KEY

LIVING = b"4242424242"
"""The process id that stands for one that lives; no kernel has as many."""
CONFIGURATION = """
[dps]
id_scope = "0ne00TEST01"
registration_id = "pi-1"
payload_file = "{folder}/payload.json"
[credential]
type = "symmetric_key"
primary_key_file = "{folder}/key"
"""


@functools.cache
def folder() -> str:
    """A folder of this process, in memory where that can be."""
    made = tempfile.mkdtemp(prefix="dpsd.fuzz.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@functools.cache
def places() -> Places:
    """State and configuration that no target before has touched but the files it writes itself."""
    found = Places((f"{folder()}/dpsd.toml", f"{folder()}/dpsd.toml.d/"), f"{folder()}/state", f"{folder()}/run")
    prepare_folders(found.state, found.runtime)
    put("key", DEVICE_KEY.encode())
    return found


def put(name: str, data: bytes) -> str:
    """Write a file that only its owner may read, and return its path."""
    path = f"{folder()}/{name}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
    return path


def dpsctl(*arguments: str) -> None:
    """Run the command, which must not meet a bug, and may only print lines."""
    options = [f"--config={folder()}/dpsd.toml", f"--state-dir={places().state}", f"--runtime-dir={places().runtime}"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        status = run([*arguments, *options])
    assert status != EXIT_BUG, printed.getvalue()
    assert printed.getvalue().replace("\n", "").isascii()
    assert printed.getvalue().replace("\n", "").isprintable()


def configuration(data: bytes) -> None:
    """The text of some layers of TOML, parted by lines of dashes."""
    texts = data.decode("utf-8", "replace").split("\n---\n")
    with problems("configuration-invalid", "configuration-missing"):
        try:
            parse_config(Layer(f"/etc/{number}.toml", text) for number, text in enumerate(texts))
        except Problem as problem:
            assert len(problem.also) <= FAULT_LIMIT
            raise


def configuration_file(data: bytes) -> None:
    """A file of TOML, and what it leads to until the first packet; FOLDER in it stands for one with the file `key`."""
    places()
    path = put("dpsd.toml", data.replace(b"FOLDER", folder().encode()))
    with problems("configuration-invalid"):
        load_layers([path], frozenset({os.geteuid()}))
    dpsctl("config")


def payload(data: bytes) -> None:
    """The file that dps.payload_file names."""
    places()
    put("dpsd.toml", CONFIGURATION.format(folder=folder()).encode())
    put("payload.json", data)
    with problems("payload-invalid"):
        device = open_device(places())
        body = encode_register_body(device.binding.registration_id, device.payload)
        assert len(body) <= PAYLOAD_LIMIT


def record(data: bytes) -> None:
    """The assignment record, at a start of the daemon."""
    places()
    put("state/private/assignment.json", data)
    found, wrong = load_record(places().state)
    if found is None:
        assert wrong
        return
    unchanged(found.inputs)
    with problems("assignment-invalid"):
        publish(found, places())
    assert peek_record(places().state) == found
    dpsctl("show")


def history(data: bytes) -> None:
    places()
    put("state/history.json", data)
    kept = History(places().state)
    kept.failed(Problem("no-answer", "nobody answers"))
    kept.succeeded()
    kept.flush()
    with open(places().state.history, "rb") as file:
        assert len(file.read()) <= max(SIZE_LIMIT, len(data))
    assert History(places().state).seconds_until_due() is None


def connection(data: bytes) -> None:
    """connection.json, as `dpsctl show` reads it."""
    places()
    put("state/connection.json", data)
    for form in ("json", "env"):
        dpsctl("show", f"--format={form}")


def status(data: bytes) -> None:
    """status.json, as dpsctl reads it; LIVING in it stands for a process that lives."""
    places()
    put("run/status.json", data.replace(LIVING, str(os.getpid()).encode()))
    dpsctl("status")
    dpsctl("status", "--json")
    dpsctl("wait", "--timeout=0", "--fail-on-refusal")


def event(data: bytes) -> None:
    """A line of the attempt's pipe."""
    try:
        told = parse_event(data)
    except ShapeError as error:
        check_line(str(error))
        return
    json.loads(encode_event(told))
    if isinstance(told, Failed):
        check_shown(told.problem)
    if isinstance(told, (Done, Registered)):
        with problems("assignment-invalid"):
            publish(told.record, places())


def orders(data: bytes) -> None:
    """What the supervisor orders of an attempt, an argument of its process."""
    with refusing(ShapeError):
        ordered = parse_orders(data.decode("utf-8", "replace"))
        assert parse_orders(encode_orders(ordered)) == ordered


def bundle(data: bytes) -> None:
    """An archive of files for a device, as on a card that anybody had in hand."""
    path = put("bundle", data)
    with problems("bundle-missing", "bundle-invalid"):
        assert set(load_bundle(path).files) <= set(NAMES.values())


TARGETS = {
    "bundle": bundle,
    "configuration": configuration,
    "configuration-file": configuration_file,
    "payload": payload,
    "record": record,
    "history": history,
    "connection": connection,
    "status": status,
    "event": event,
    "orders": orders,
}
