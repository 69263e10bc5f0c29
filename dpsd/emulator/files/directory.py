"""Writes the emulator's folder: its authority, its server certificates, and ready-made devices with their enrollments.

Keys and certificates of authorities, groups and devices that are there are used again, so that devices keep working
when the emulator starts again. Files with a secret have mode 0600.

    ca.pem ca.key                  the authority that clients must trust
    ports.json                     where it listens
    server/NAME.pem NAME.key       server certificates: valid, and those that faults show
    devices/x509-individual/       device.pem device.key device.json registration_id
    devices/x509-group/            the same, device.pem with its intermediate
    devices/symmetric-individual/  primary.key secondary.key device.json registration_id
    devices/symmetric-group/       the same, keys derived from the group's
    groups/x509-fleet/             root.pem root.key intermediate.pem intermediate.key: to issue more devices
    groups/symmetric-fleet/        primary.key secondary.key: to derive more devices
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dpsd.emulator.files import authority
from dpsd.emulator.files.authority import EXPIRED, NOT_YET, Issued
from dpsd.protocol.sas import derive_device_key

KEY_BYTES = 64
"""As many as in the keys that the service generates for enrollments."""
SLOTS = ("primary", "secondary")
FILES = {
    "device.pem": "certificateFile",
    "device.key": "privateKeyFile",
    "primary.key": "primaryKeyFile",
    "secondary.key": "secondaryKeyFile",
}
"""What device.json calls the files of a device."""


class Directory:
    """The folder at `path`, which is made where it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.path.mkdir(parents=True, exist_ok=True)
        self.ca = self._load_issued("ca", lambda: authority.issue_authority("dpsd-emulator root"))

    @property
    def ca_file(self) -> Path:
        """The certificate of the authority that clients must trust."""
        return self.path / "ca.pem"

    def write_servers(self, names: Iterable[str]) -> dict[str, tuple[Path, Path]]:
        """Issue new server certificates for these names; return their files, certificate and key, by their names."""
        stranger = authority.issue_authority("dpsd-emulator unknown root")
        issued = {
            "valid": authority.issue_server(names, self.ca),
            "expired": authority.issue_server(names, self.ca, EXPIRED),
            "not-yet-valid": authority.issue_server(names, self.ca, NOT_YET),
            "wrong-name": authority.issue_server(["wrong-name.invalid"], self.ca),
            "unknown-ca": authority.issue_server(names, stranger),
        }
        for name, server in issued.items():
            self._write_issued(f"server/{name}", server)
        return {name: (self.path / f"server/{name}.pem", self.path / f"server/{name}.key") for name in issued}

    def write_devices(self) -> dict[str, Any]:
        """Make the devices that are missing; return the enrollments of all as a document."""
        groups = [self._make_x509_group(), self._make_symmetric_group()]
        return {
            "individualEnrollments": [self._make_x509_individual(), self._make_symmetric_individual()],
            "enrollmentGroups": groups,
        }

    def describe_devices(self, where: dict[str, Any]) -> None:
        """Write device.json for each device, with its files. where: what it says besides: id scope, endpoint, ports."""
        for folder in sorted((self.path / "devices").iterdir()):
            files = {FILES[file.name]: str(file) for file in sorted(folder.iterdir()) if file.name in FILES}
            kind = "x509" if "certificateFile" in files else "symmetric_key"
            device = {"registrationId": folder.name, "type": kind, **files, **where}
            self.write(f"devices/{folder.name}/device.json", json.dumps(device, indent=1) + "\n")
            self.write(f"devices/{folder.name}/registration_id", folder.name + "\n")

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Replace a file in one step: a reader sees the old one or the new one."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
            file.write(text)
        draft.replace(path)

    def _make_x509_individual(self) -> dict[str, Any]:
        name = "x509-individual"
        device = self._load_issued(f"devices/{name}/device", lambda: authority.issue_device(name))
        certificates = {"primary": device.pem()}
        return {"registrationId": name, **_make_attestation("x509", {"clientCertificates": certificates})}

    def _make_x509_group(self) -> dict[str, Any]:
        root = self._load_issued("groups/x509-fleet/root", lambda: authority.issue_authority("x509-fleet root"))
        name = "groups/x509-fleet/intermediate"
        middle = self._load_issued(name, lambda: authority.issue_authority("x509-fleet intermediate", root))
        self._load_issued("devices/x509-group/device", lambda: authority.issue_device("x509-group", middle), middle)
        signing = {"signingCertificates": {"primary": root.pem()}}
        return {"enrollmentGroupId": "x509-fleet", **_make_attestation("x509", signing)}

    def _make_symmetric_individual(self) -> dict[str, Any]:
        keys = self._load_keys("devices/symmetric-individual", _make_key)
        return {"registrationId": "symmetric-individual", **_make_attestation("symmetricKey", keys)}

    def _make_symmetric_group(self) -> dict[str, Any]:
        keys = self._load_keys("groups/symmetric-fleet", _make_key)

        def derive(slot: str) -> bytes:
            return derive_device_key(base64.b64decode(keys[f"{slot}Key"]), "symmetric-group")

        self._load_keys("devices/symmetric-group", derive)
        return {"enrollmentGroupId": "symmetric-fleet", **_make_attestation("symmetricKey", keys)}

    def _load_keys(self, folder: str, make: Callable[[str], bytes]) -> dict[str, str]:
        """Return the keys in a device's or group's folder, by the service's names; make those that are missing."""
        for slot in SLOTS:
            name = f"{folder}/{slot}.key"
            if not (self.path / name).exists():
                self.write(name, base64.b64encode(make(slot)).decode() + "\n", 0o600)
        return {f"{slot}Key": (self.path / f"{folder}/{slot}.key").read_text().strip() for slot in SLOTS}

    def _load_issued(self, name: str, make: Callable[[], Issued], *above: Issued) -> Issued:
        """Return the certificate and key at `name`; make them where they are missing. above: its intermediates."""
        certificate, key = self.path / f"{name}.pem", self.path / f"{name}.key"
        if not (certificate.exists() and key.exists()):
            self._write_issued(name, make(), *above)
        return authority.load(certificate.read_text(), key.read_text())

    def _write_issued(self, name: str, issued: Issued, *above: Issued) -> None:
        self.write(f"{name}.key", issued.key_pem(), 0o600)
        self.write(f"{name}.pem", issued.pem() + "".join(one.pem() for one in above))


def _make_key(_: str) -> bytes:
    return secrets.token_bytes(KEY_BYTES)


def _make_attestation(kind: str, members: dict[str, Any]) -> dict[str, Any]:
    return {"attestation": {"type": kind, kind: members}}
