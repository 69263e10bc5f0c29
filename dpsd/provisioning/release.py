"""What agents get of the credential itself, where the owner asked for it: files in memory for dpsd-agents.

Only an attempt comes here, which has the credential open: the secret goes from there into the file, and all others,
records and published files among them, know the path alone. A reboot empties the memory, and the next boot's attempt
fills it again, without a network.
"""

from __future__ import annotations

from dpsd.configuration.settings import CredentialSettings, Outputs
from dpsd.credentials import open_credential
from dpsd.credentials.credential import Credential, Material
from dpsd.errors import Problem
from dpsd.provisioning.record_file import is_released, promised
from dpsd.state.places import Places, Runtime
from dpsd.state.record import Record, same_board
from dpsd.system.board import read_serial
from dpsd.system.files import make_folder, replace_if_changed
from dpsd.system.mounts import is_in_memory
from dpsd.text import printable


def asks(outputs: Outputs) -> bool:
    """Tell whether agents are to be given a secret."""
    return outputs.release_private_key or outputs.connection_string


def check_memory(outputs: Outputs, runtime: Runtime) -> None:
    """Raise Problem `release-not-in-memory` where a secret would be written to a disk."""
    if asks(outputs) and not is_in_memory(runtime.credentials):
        said = f"{printable(runtime)} is not in memory, and a secret is given to agents nowhere else"
        raise Problem("release-not-in-memory", said)


def release(credential: Credential, record: Record, runtime: Runtime) -> None:
    """Put in memory what the record promises; raises Problem `state-unwritable`.

    What it does not promise any more, `publish` removes.
    """
    files = promised(record, runtime)
    if files:
        make_folder(runtime.credentials, 0o750)
    for path in files:
        replace_if_changed(path, _content(path, credential.material, record, runtime), 0o640)


def release_again(record: Record, places: Places) -> None:
    """Keep what an earlier boot promised although the configuration cannot be used, if the credential still can.

    With it the device is ready by its earlier assignment, as always; nothing is done on another board.
    """
    if record.store is None or is_released(record, places.runtime):
        return
    if not same_board(record.binding.board, read_serial()):
        return
    try:
        opened = open_credential(CredentialSettings(**record.store), places)
        credential = opened.of_device(record.binding.registration_id)
    except (Problem, TypeError, ValueError):
        return
    if credential.fingerprint == record.binding.credential and is_in_memory(places.runtime.credentials):
        release(credential, record, places.runtime)


def _content(path: str, material: Material | None, record: Record, runtime: Runtime) -> bytes:
    assert material, "see dpsd.configuration.stores"
    if path == runtime.released_connection_string:
        return _connection_string(material, record)
    if path == runtime.released_certificate:
        assert material.certificate, "see dpsd.configuration.stores"
        return material.certificate
    assert material.private_key, "see dpsd.configuration.stores"
    return material.private_key.reveal()


def _connection_string(material: Material, record: Record) -> bytes:
    """Return one line without an end, with the key that DPS took.

    Source: https://learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas, and the parsers of Microsoft's SDKs.
    """
    key = material.secondary_key if record.secondary else material.primary_key
    assert key, "the record is of just this credential"
    names = f"HostName={record.connection.iothub_hostname};DeviceId={record.connection.device_id}"
    return names.encode() + b";SharedAccessKey=" + key.reveal().strip()
