"""A bundle on the boot partition of a device that nobody configured, and what comes of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509 import load_pem_x509_certificates

from dpsd.system.files import lock
from tests.boot.first_boot import STATE, access, configure
from tests.boot.inspection import inspect, is_started, processes
from tests.boot.lab import WANTS, Device, Emulator, Layers, put
from tests.unit.authority import make_certificate, make_key, pem_of, pem_of_key
from tests.unit.bundles import put_folder, signed, tgz_of
from workshop.dev import places
from workshop.lab.machine import Machine, eventually

pytestmark = pytest.mark.root
PARTITION = "boot/firmware/dpsd"
SETTINGS = '[dps]\nid_scope = "{scope}"\nglobal_endpoint = "127.0.0.1"\n'


@pytest.fixture
def prepared(device: Device, installed: Layers, emulator: Emulator) -> Iterator[Machine]:
    """A device that nobody configured, whose system trusts the emulator. Its state is on a disk of its own."""
    machine = device(installed)
    with (machine.root / "etc/ssl/certs/ca-certificates.crt").open("a") as trusted:
        trusted.write((emulator.folder / "ca.pem").read_text())
    (machine.root / WANTS / "telemetry.service").unlink()  # it wants a key in a file
    state = machine.root / "var/lib/dpsd"
    with tempfile.TemporaryDirectory(dir=places.BUILD) as disk:
        subprocess.run(["mount", "--bind", disk, state], check=True)
        yield machine
        try:
            if machine.is_on:
                print(machine.journal())
                inspect(machine)
        finally:
            if machine.is_on:
                machine.cut()
            subprocess.run(["umount", state], check=True)


def bring(machine: Machine, emulator: Emulator, *, key: str = "x509-group") -> Path:
    """Put a bundle on the boot partition; key: of which device."""
    folder = machine.root / PARTITION
    folder.mkdir(parents=True)
    devices = emulator.folder / "devices"
    scope = json.loads((devices / "x509-group/device.json").read_text())["idScope"]
    (folder / "dpsd.toml").write_text(SETTINGS.format(scope=scope))
    (folder / "certificate.pem").write_bytes((devices / "x509-group/device.pem").read_bytes())
    (folder / "private_key.pem").write_bytes((devices / key / "device.key").read_bytes())
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_bundle_on_the_boot_partition_makes_a_device_of_a_board(prepared: Machine, emulator: Emulator) -> None:
    folder = bring(prepared, emulator)
    key = (folder / "private_key.pem").read_text().splitlines()[1]
    prepared.boot()
    eventually(lambda: prepared.is_active("steady.service"), "provisioned by the bundle", within=60)
    assert names(folder) == ["dpsd-report.txt"]
    assert (folder / "dpsd-report.txt").read_text() == "adopted\n"
    assert access(prepared, f"{STATE}/imported.toml") == "644 root:root"
    assert access(prepared, f"{STATE}/private/credential.sealed") == "600 dpsd:dpsd"
    assert prepared.attempt("grep", "-rl", key, "/var", "/etc", "/run", "/boot").output == ""
    registered = len(emulator.of("register"))
    prepared.power_off()

    prepared.boot()
    eventually(lambda: prepared.is_active("steady.service"), "provisioned again", within=60)
    assert "adopted the bundle" not in prepared.journal()
    assert len(emulator.of("register")) == registered
    assert prepared.run("systemctl", "is-system-running", "--wait").strip() == "running"


def test_what_adopts_a_bundle_shows_nothing_of_it(prepared: Machine, emulator: Emulator) -> None:
    prepared.boot()
    folder = bring(prepared, emulator)
    with lock(str(prepared.inside / "var/lib/dpsd-import/lock")):  # for which it waits with the key in its memory
        prepared.run("systemctl", "start", "--no-block", "dpsd-import.service")
        eventually(lambda: any(map(is_started, processes(prepared, "dpsd-import.service"))), "it adopts the bundle")
        inspect(prepared)
        assert len(names(folder)) == 3
    eventually(lambda: prepared.is_active("steady.service"), "provisioned by the bundle", within=60)


def test_a_bad_bundle_leaves_a_report_and_the_boot_goes_on(prepared: Machine, emulator: Emulator) -> None:
    put(prepared.root, "dpsd.toml", b"[fleet]\nwindow = 0\n")
    folder = bring(prepared, emulator, key="x509-individual")
    prepared.boot()
    report = folder / "dpsd-report.txt"
    eventually(report.exists, "there is a report")
    assert report.read_text().startswith("credential-mismatch: put the private key ")
    assert len(names(folder)) == 4
    eventually(
        lambda: "configuration-missing" in prepared.properties("dpsd.service")["StatusText"], "the daemon says why"
    )
    assert prepared.run("systemctl", "--failed", "--quiet", "--no-legend") == ""
    journal = prepared.run("journalctl", "--output=export", "--unit=dpsd-import.service")
    assert journal.count("MESSAGE=credential-mismatch: ") == journal.count("DPSD_HINT=") == 1


def test_a_configured_device_leaves_a_bundle_alone(prepared: Machine, emulator: Emulator) -> None:
    folder = bring(prepared, emulator)
    configure(prepared.root, emulator)
    prepared.boot()
    eventually(lambda: prepared.is_active("steady.service"), "provisioned by its configuration", within=60)
    assert "is left alone: the device is configured already" in prepared.journal()
    assert len(names(folder)) == 4
    assert prepared.attempt("test", "-e", f"{STATE}/imported.toml").status == 1


def signed_archive(folder: Path) -> tuple[bytes, bytes]:
    """Make of a bundle's files a signed archive with PKCS#12 and a setting that needs it; and the fleet's key."""
    leaf, *chain = load_pem_x509_certificates((folder / "certificate.pem").read_bytes())
    key = load_pem_private_key((folder / "private_key.pem").read_bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    identity = serialize_key_and_certificates(b"device", key, leaf, chain, BestAvailableEncryption(b"secret words"))
    settings = (folder / "dpsd.toml").read_bytes() + b'[hub]\nallow = ["*.azure-devices.net"]\n'
    content = {"dpsd.toml": settings, "identity.p12": identity, "identity.pass": b"secret words\n"}
    fleet = Ed25519PrivateKey.generate()
    public = fleet.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return tgz_of(signed(content, fleet)), public


def test_root_imports_a_signed_archive_and_then_a_certificate(prepared: Machine, emulator: Emulator) -> None:
    prepared.boot()
    assert prepared.properties("dpsd.service")["ActiveState"] == "inactive"
    folder, archive = bring(prepared, emulator), prepared.root / "root/bundle.tar.gz"
    data, fleet_key = signed_archive(folder)
    forged, _ = signed_archive(folder)
    archive.write_bytes(data)
    shutil.rmtree(folder)
    refused = prepared.attempt("dpsctl", "import", "/root/bundle.tar.gz")
    assert refused.status == 78 and "sets hub.allow and is not signed by the fleet's key" in refused.output
    put(prepared.root, "fleet.pem", fleet_key)
    put(prepared.root, "dpsd.toml", b'[import]\nfleet_key_file = "/etc/dpsd/fleet.pem"\n')
    archive.write_bytes(forged)
    refused = prepared.attempt("dpsctl", "import", "/root/bundle.tar.gz")
    assert refused.status == 78 and "is not signed by the key in /etc/dpsd/fleet.pem" in refused.output
    assert prepared.attempt("test", "-e", f"{STATE}/imported.toml").status == 1
    archive.write_bytes(data)
    assert "\nadopted; the bundle was removed" in prepared.run("dpsctl", "import", "/root/bundle.tar.gz")
    eventually(lambda: prepared.is_active("steady.service"), "provisioned by the bundle", within=60)
    assert not archive.exists()

    # A certificate alone is a bundle, too: one that DPS does not take leaves the device what it is.
    strange = {"certificate.pem": pem_of(make_certificate(make_key("ec"), "x509-group"))}
    put_folder(prepared.root / "root/bundle", {**strange, "private_key.pem": pem_of_key(make_key("ec"))})
    prepared.run("dpsctl", "import", "/root/bundle")
    eventually(lambda: "the newly sealed credential: " in prepared.journal(), "it is tried and refused", within=60)
    assert prepared.is_active("dpsd.service")
    assert access(prepared, f"{STATE}/private/candidate.sealed") == "600 dpsd:dpsd"
    assert names(prepared.root / "root/bundle") == []


def test_what_root_imports_is_tried_before_it_replaces_what_works(prepared: Machine, emulator: Emulator) -> None:
    whole = {path.name: path.read_bytes() for path in bring(prepared, emulator).iterdir()}
    prepared.boot()
    eventually(lambda: prepared.is_active("steady.service"), "provisioned by the bundle", within=60)
    put_folder(prepared.root / "root/bundle", {"dpsd.toml": SETTINGS.format(scope="0ne00TYPO01").encode()})
    assert "\nadopted, to be tried by a registration" in "\n" + prepared.run("dpsctl", "import", "/root/bundle")
    eventually(lambda: "mqtt-unauthorized: the newly imported settings: " in prepared.journal(), "refused", within=60)
    prepared.power_off()
    prepared.boot()
    eventually(lambda: prepared.is_active("steady.service"), "provisioned as before", within=60)
    assert access(prepared, f"{STATE}/candidate.toml") == "644 root:root"

    put_folder(prepared.root / "root/bundle", {"dpsd.toml": whole["dpsd.toml"] + b'payload = { a = "b" }\n'})
    prepared.run("dpsctl", "import", "/root/bundle")
    eventually(lambda: b"payload" in (prepared.root / STATE[1:] / "imported.toml").read_bytes(), "promoted", within=60)
    assert access(prepared, f"{STATE}/imported.toml") == "644 root:root"
    assert prepared.attempt("test", "-e", f"{STATE}/candidate.toml").status == 1


def test_an_import_by_root_starts_a_daemon_that_was_stopped(prepared: Machine, emulator: Emulator) -> None:
    whole = {path.name: path.read_bytes() for path in bring(prepared, emulator).iterdir()}
    prepared.boot()
    eventually(lambda: prepared.is_active("steady.service"), "provisioned by the bundle", within=60)
    prepared.run("systemctl", "stop", "dpsd")
    prepared.run("dpsctl", "reset", "--credential", "--yes")
    put_folder(prepared.root / "root/bundle", whole)
    prepared.run("dpsctl", "import", "/root/bundle")
    eventually(lambda: prepared.attempt("dpsctl", "status").status == 0, "provisioned again", within=60)


def test_a_stick_is_asked_for_its_bundle_only_where_that_is_allowed(prepared: Machine, release: str) -> None:
    rule = "/usr/lib/udev/rules.d/85-dpsd-import.rules"
    prepared.boot()
    if release != "bookworm":  # whose udevadm has no verify
        prepared.run("udevadm", "verify", rule)
    unit = "dpsd-import-usb@sda1.service"
    journal = ("journalctl", "--no-pager", f"--unit={unit}")
    prepared.run("systemctl", "start", unit)
    assert "the stick /dev/sda1 is left alone: import.usb is not true" in prepared.run(*journal)
    put(prepared.root, "dpsd.toml", b"[import]\nusb = true\n")
    prepared.run("systemctl", "start", unit)
    assert "bundle-missing: /dev/sda1 cannot be mounted as vfat: No such " in prepared.run(*journal)
