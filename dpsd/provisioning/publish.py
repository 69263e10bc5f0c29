"""From a record to all files, committed together.

The record is written first and is the point of no return: whatever a power cut leaves undone after it is done again
from the record at the next start, before readiness. A file that is already right is not written, so that nothing wears
the card and no agent sees a change that is none.
"""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from dpsd.outputs import FORMATS
from dpsd.provisioning.candidate import promote
from dpsd.provisioning.record_file import peek_renewed, promised
from dpsd.state.connection import Connection
from dpsd.state.places import Places, Runtime, State
from dpsd.state.record import Record, render_record
from dpsd.system.files import commit_if_changed, make_folder, remove, replace


class File(NamedTuple):
    """A file to publish; data None: there must be none."""

    path: str
    data: bytes | None
    mode: int
    staging: str | None = None


def prepare_folders(state: State, runtime: Runtime) -> None:
    """Make the folders that the package's tmpfiles.d makes on a device; raises Problem `state-unwritable`."""
    make_folder(state, 0o755)
    make_folder(state.private, 0o700)
    make_folder(runtime, 0o755)


def keep(record: Record, places: Places) -> None:
    """Write the record alone: a power cut no longer loses it, and agents do not see it yet. Raises as `publish`."""
    decides, *_ = _render(record, places)  # all of it, since what agents cannot be told must not take over
    _put(decides)


def publish(record: Record, places: Places) -> bool:
    """Write every file that differs; tell whether any was. Raises Problem `state-unwritable`, `assignment-invalid`."""
    decides, *others = _render(record, places)
    written = [_put(decides)]
    promote(record, places)
    written += [_put(file) for file in others]
    renewed = peek_renewed(places.state)
    if renewed is not None and renewed.binding == record.binding:
        remove(places.state.renewed)
    return any(written)


def raise_flag(runtime: Runtime) -> None:
    """Tell the rest of the system that this boot is provisioned; only after `publish`."""
    if not os.path.exists(runtime.provisioned):
        replace(runtime.provisioned, b"", 0o644)


def lower_flag(runtime: Runtime) -> None:
    """Take back the word of an earlier daemon, whose record is gone, and what agents were given by it."""
    remove(runtime.provisioned)
    for path in runtime.released:
        remove(path)


def _render(record: Record, places: Places) -> list[File]:
    payload = None if record.payload is None else json.dumps(record.payload, indent=1).encode() + b"\n"
    connection = _with_doors(record.connection, places.runtime)
    environment = FORMATS["env"](connection) if record.environment else None
    staging = places.state.agents_staging if os.path.isdir(places.state.agents_staging) else None
    withdrawn = [path for path in places.runtime.released if path not in promised(record, places.runtime)]
    return [
        File(places.state.record, render_record(record), 0o600),
        File(places.state.payload_json, payload, 0o640, staging),
        File(places.state.connection_env, environment, 0o644),
        File(places.state.connection_json, FORMATS["json"](connection), 0o644),
        *(File(path, None, 0) for path in withdrawn),
    ]


def _with_doors(connection: Connection, runtime: Runtime) -> Connection:
    """Return the connection with the doors that are served on this device: a record knows none."""
    authentication = connection.authentication
    is_served = authentication.type == "sas" and os.path.exists(runtime.identity_socket)
    door = runtime.identity_socket if is_served else None
    return connection._replace(authentication=authentication._replace(identity_socket=door))


def _put(file: File) -> bool:
    if file.data is not None:
        return commit_if_changed(file.path, file.data, file.mode, file.staging)
    existed = os.path.lexists(file.path)
    remove(file.path)
    return existed
