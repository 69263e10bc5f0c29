"""Where things are. names only, nothing is opened here."""

from __future__ import annotations

from typing import NamedTuple

CONFIGURATION = (
    "/usr/lib/dpsd/dpsd.toml.d/",
    "/var/lib/dpsd/imported.toml",
    "/etc/dpsd/dpsd.toml",
    "/etc/dpsd/dpsd.toml.d/",
)
"""Configuration files and drop-in folders (with a slash at the end), later ones winning."""
STATE_DIRECTORY = "/var/lib/dpsd"
RUNTIME_DIRECTORY = "/run/dpsd"
KEYS_DIRECTORY = "/var/lib/dpsd-keys"
IMPORT_DIRECTORY = "/var/lib/dpsd-import"
KEYS_SOCKET = "/run/dpsd-keys.sock"
IDENTITY_SOCKET = "/run/dpsd-identity/identity.sock"


class Places(NamedTuple):
    """configuration: files and folders as in `CONFIGURATION`; state and runtime: folders without a slash."""

    configuration: tuple[str, ...] = CONFIGURATION
    state: str = STATE_DIRECTORY
    runtime: str = RUNTIME_DIRECTORY

    @property
    def private(self) -> str:
        return f"{self.state}/private"

    @property
    def agents_staging(self) -> str:
        """The setgid folder where a file for the group dpsd-agents is born with that group."""
        return f"{self.private}/agents"

    @property
    def lock(self) -> str:
        return f"{self.private}/lock"

    @property
    def record(self) -> str:
        return f"{self.private}/assignment.json"

    @property
    def sealed(self) -> str:
        return f"{self.private}/credential.sealed"

    @property
    def candidate(self) -> str:
        """A credential that is to take the place of the sealed one once it has provisioned."""
        return f"{self.private}/candidate.sealed"

    @property
    def seal_lock(self) -> str:
        return f"{self.private}/seal.lock"

    @property
    def keys(self) -> str:
        """Where the key sources keep their secrets: root's own on a device, else beside the state they belong to."""
        return KEYS_DIRECTORY if self.of_device else f"{self.private}/keys"

    @property
    def imported(self) -> str:
        """The settings that an import bundle has brought."""
        return f"{self.state}/imported.toml"

    @property
    def candidate_settings(self) -> str:
        """The settings that are to take the place of `imported` once the device has provisioned with them."""
        return f"{self.state}/candidate.toml"

    @property
    def imports(self) -> str:
        """Where notes on import bundles are, which decide about the configuration: root's own on a device."""
        return IMPORT_DIRECTORY if self.of_device else f"{self.private}/import"

    @property
    def adopting(self) -> str:
        """The note on a bundle that is being adopted."""
        return f"{self.imports}/adopting.json"

    @property
    def adopted(self) -> str:
        """The note on the last bundle that was."""
        return f"{self.imports}/adopted.json"

    @property
    def import_lock(self) -> str:
        return f"{self.imports}/lock"

    @property
    def of_device(self) -> bool:
        """Whether this is the state of the device's own daemon, rather than of one that somebody runs by hand."""
        return self.state == STATE_DIRECTORY

    @property
    def renewed(self) -> str:
        """The assignment of a renewed credential that is not yet in its place, or not yet published."""
        return f"{self.private}/renewed.json"

    @property
    def connection_json(self) -> str:
        return f"{self.state}/connection.json"

    @property
    def connection_env(self) -> str:
        return f"{self.state}/connection.env"

    @property
    def payload_json(self) -> str:
        return f"{self.state}/payload.json"

    @property
    def payload_draft(self) -> str:
        """Where `payload_json` is born, see `agents_staging`."""
        return f"{self.agents_staging}/.payload.json.new"

    @property
    def history(self) -> str:
        return f"{self.state}/history.json"

    @property
    def credentials(self) -> str:
        """The setgid folder, in memory, of what is given to the group dpsd-agents because the owner asked for it."""
        return f"{self.runtime}/credentials"

    @property
    def released_certificate(self) -> str:
        return f"{self.credentials}/certificate.pem"

    @property
    def released_private_key(self) -> str:
        return f"{self.credentials}/private_key.pem"

    @property
    def released_connection_string(self) -> str:
        return f"{self.credentials}/connection_string"

    @property
    def released(self) -> tuple[str, ...]:
        """All that may be in `credentials`."""
        return (self.released_private_key, self.released_connection_string, self.released_certificate)

    @property
    def status(self) -> str:
        return f"{self.runtime}/status.json"

    @property
    def provisioned(self) -> str:
        return f"{self.runtime}/provisioned"
