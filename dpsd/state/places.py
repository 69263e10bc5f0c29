"""Where things are, by whom they belong to. Names only, nothing is opened here.

A function gets the folder that it may touch: the daemon's state, its runtime directory, root's keys or root's imports.
Each folder is a path, without a slash at its end, that knows the names in it.
"""

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


class State(str):
    """The folder that the daemon keeps over a reboot."""

    __slots__ = ()

    @property
    def private(self) -> str:
        return f"{self}/private"

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
    def imported(self) -> str:
        """The settings that an import bundle has brought."""
        return f"{self}/imported.toml"

    @property
    def candidate_settings(self) -> str:
        """The settings that are to take the place of `imported` once the device has provisioned with them."""
        return f"{self}/candidate.toml"

    @property
    def renewed(self) -> str:
        """The assignment of a renewed credential that is not yet in its place, or not yet published."""
        return f"{self.private}/renewed.json"

    @property
    def connection_json(self) -> str:
        return f"{self}/connection.json"

    @property
    def connection_env(self) -> str:
        return f"{self}/connection.env"

    @property
    def payload_json(self) -> str:
        return f"{self}/payload.json"

    @property
    def payload_draft(self) -> str:
        """Where `payload_json` is born, see `agents_staging`."""
        return f"{self.agents_staging}/.payload.json.new"

    @property
    def history(self) -> str:
        return f"{self}/history.json"

    @property
    def recheck(self) -> str:
        """The order to the daemon to look whether the hub still lets the device in; gone once that is done."""
        return f"{self.private}/recheck.json"

    @property
    def of_device(self) -> bool:
        """Whether this is the state of the device's own daemon, rather than of one that somebody runs by hand."""
        return self == STATE_DIRECTORY


class Runtime(str):
    """The folder that the daemon keeps in memory."""

    __slots__ = ()

    @property
    def credentials(self) -> str:
        """The setgid folder, in memory, of what is given to the group dpsd-agents because the owner asked for it."""
        return f"{self}/credentials"

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
    def identity_socket(self) -> str:
        """The token door, in a folder of systemd's beside the runtime directory."""
        return f"{self}-identity/identity.sock"

    @property
    def rechecked(self) -> str:
        """When that was asked for last: seconds of CLOCK_BOOTTIME, as a decimal number."""
        return f"{self}/rechecked"

    @property
    def status(self) -> str:
        return f"{self}/status.json"

    @property
    def provisioned(self) -> str:
        return f"{self}/provisioned"


class Keys(str):
    """The folder where the key sources keep their secrets: root's own on a device, else beside the state."""

    __slots__ = ()

    @property
    def of_device(self) -> bool:
        """Whether these are the device's own, which only root may read."""
        return self == KEYS_DIRECTORY


class Imports(str):
    """The folder of notes on import bundles, which decide about the configuration: root's own on a device."""

    __slots__ = ()

    @property
    def adopting(self) -> str:
        """The note on a bundle that is being adopted."""
        return f"{self}/adopting.json"

    @property
    def adopted(self) -> str:
        """The note on the last bundle that was."""
        return f"{self}/adopted.json"

    @property
    def lock(self) -> str:
        return f"{self}/lock"

    @property
    def stick(self) -> str:
        """Where a USB stick is mounted while it is read."""
        return f"{self}/stick"


class _Folders(NamedTuple):
    configuration: tuple[str, ...]
    state: State
    runtime: Runtime


class Places(_Folders):
    """All of them. configuration: files and folders as in `CONFIGURATION`."""

    __slots__ = ()

    def __new__(
        cls,
        configuration: tuple[str, ...] = CONFIGURATION,
        state: str = STATE_DIRECTORY,
        runtime: str = RUNTIME_DIRECTORY,
    ) -> Places:
        return super().__new__(cls, configuration, State(state), Runtime(runtime))

    @property
    def keys(self) -> Keys:
        return Keys(KEYS_DIRECTORY if self.state.of_device else f"{self.state.private}/keys")

    @property
    def imports(self) -> Imports:
        return Imports(IMPORT_DIRECTORY if self.state.of_device else f"{self.state.private}/import")
