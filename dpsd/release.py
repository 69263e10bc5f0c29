"""What agents get of the credential itself, where the owner asked for it: files in memory for dpsd-agents. Floor 3.

Only an attempt comes here, which has the credential open: the secret goes from there into the file, and all others,
records and published files among them, know the path alone. A reboot empties the memory, and the next boot's attempt
fills it again, without a network.
"""

from __future__ import annotations

from dpsd.connection import Authentication
from dpsd.credentials.credential import Credential, Material
from dpsd.durable import make_folder, replace_changed
from dpsd.errors import Problem
from dpsd.mounts import is_in_memory
from dpsd.places import Places
from dpsd.record import Record
from dpsd.settings import Outputs
from dpsd.text import printable


def told(authentication: Authentication, outputs: Outputs, places: Places) -> Authentication:
    """Return how an agent proves itself, with the paths of what `release` puts there."""
    if outputs.release_private_key:
        return Authentication(authentication.type, places.released_certificate, places.released_private_key)
    if outputs.connection_string:
        return authentication._replace(connection_string_file=places.released_connection_string)
    return authentication


def check_memory(outputs: Outputs, places: Places) -> None:
    """Raise Problem `release-not-in-memory` where a secret would be written to a disk."""
    asked = outputs.release_private_key or outputs.connection_string
    if asked and not is_in_memory(places.credentials):
        said = f"{printable(places.runtime)} is not in memory, and a secret is given to agents nowhere else"
        raise Problem("release-not-in-memory", said)


def release(credential: Credential, outputs: Outputs, record: Record, places: Places) -> None:
    """Put in memory what the configuration asks for; raises Problem `state-unwritable`.

    What it does not ask for any more, `publish` removes.
    """
    material, files = credential.material, dict[str, bytes]()
    if outputs.release_private_key:
        assert material and material.private_key and material.certificate, "see settings.RELEASES"
        files[places.released_private_key] = material.private_key.reveal()
        files[places.released_certificate] = material.certificate
    if outputs.connection_string:
        assert material and material.primary_key, "see settings.RELEASES"
        files[places.released_connection_string] = _connection_string(material, record)
    if files:
        make_folder(places.credentials, 0o750)
    for path, data in files.items():
        replace_changed(path, data, 0o640)


def _connection_string(material: Material, record: Record) -> bytes:
    """Return one line without an end, with the key that DPS took.

    Source: https://learn.microsoft.com/azure/iot-hub/iot-hub-dev-guide-sas, and the parsers of Microsoft's SDKs.
    """
    key = material.secondary_key if record.secondary else material.primary_key
    assert key, "the record is of just this credential"
    names = f"HostName={record.connection.iothub_hostname};DeviceId={record.connection.device_id}"
    return names.encode() + b";SharedAccessKey=" + key.reveal().strip()
