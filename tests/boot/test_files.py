"""A device through its life: all that is written has a row in `dpsd.state.files`, and is just what the row says."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from dpsd.state.files import RESET, RESET_CREDENTIAL, row_of
from tests import sweep
from tests.boot.first_boot import configure
from tests.boot.inspection import ids
from tests.boot.lab import Device, Emulator, Layers, issue, put
from tests.unit.authority import make_certificate, make_key, pem_of, pem_of_key
from tests.unit.bundles import put_folder
from workshop.lab.machine import Machine, eventually

pytestmark = pytest.mark.root
CONFIGURED = ("/etc/dpsd/device.pem", "/etc/dpsd/device.key")
AGENT = "[Service]\nExecStart=/bin/sleep infinity\n"
RELEASED = b"[outputs]\nrelease_private_key = true\n"
GIVEN = (
    "/boot/firmware/dpsd/dpsd.toml", "/etc/dpsd/ca.pem", "/etc/dpsd/dpsd.toml", "/etc/systemd/system/agent.service",
    "/root/*",
)  # fmt: skip
"""What the test writes."""
OF_SYSTEM = (
    "/etc/.pwd.lock", "/etc/.updated", "/etc/ld.so.cache", "/etc/machine-id", "/var/.updated", "/var/cache/*",
    "/var/lib/dbus/*", "/var/lib/systemd/*", "/var/log/*",
)  # fmt: skip
"""What Debian writes at a first boot."""
MET = {
    "FILE",
    "/boot/firmware/dpsd/dpsd-report.txt",
    *(f"/etc/{name}" for name in ("credstore.encrypted/dpsd.private_key", "credstore/dpsd.certificate")),
    *(f"/etc/systemd/system/{name}" for name in (
        "*.d/50-dpsd.conf", "dpsd-provisioned.target.wants/*", "dpsd.service.d/50-dpsd-credentials.conf",
    )),
    *(f"/run/{name}" for name in (
        "dpsd-connection/started", "dpsd-identity/identity.sock", "dpsd-keys.sock", "dpsd/credentials/certificate.pem",
        "dpsd/credentials/private_key.pem", "dpsd/provisioned", "dpsd/status.json",
    )),
    *(f"/var/lib/dpsd/{name}" for name in (
        "candidate.toml", "connection.env", "connection.json", "history.json", "imported.toml", "payload.json",
    )),
    *(f"/var/lib/dpsd/private/{name}" for name in (
        "assignment.json", "candidate.sealed", "credential.sealed", "lock", "seal.lock",
    )),
    *(f"/var/lib/dpsd-{name}" for name in ("import/adopted.json", "import/lock", "keys/file.key", "keys/systemd.json")),
}  # fmt: skip
"""Rows of files that are there at the end of this life."""


def written(machine: Machine) -> Iterator[tuple[Path, Path]]:
    """Yield all that is on the disk since the package was installed, and all of dpsd in /run, each with its root."""
    disk = machine.root.with_name("upper")
    yield from ((disk, path) for path in disk.rglob("*"))
    for top in (machine.inside / "run").glob("*dpsd*"):
        yield from ((machine.inside, path) for path in [top, *top.rglob("*")])


def check(machine: Machine) -> set[str]:
    """Raise LeakError for a file that no row names, or that is another one than its row says; return the rows met."""
    met, who = set(), ids(machine.root)
    for top, path in written(machine):
        name = f"/{path.relative_to(top)}"
        if any(fnmatch(name, pattern) for pattern in (*GIVEN, *OF_SYSTEM)):
            continue
        row = row_of(f"{name}/" if path.is_dir() and not path.is_symlink() else name, CONFIGURED)
        if row is not None or not path.is_dir():
            sweep.check_one(path, name, who, CONFIGURED)
        if row is not None and not row.path.endswith("/"):
            met.add(row.path)
    return met


@pytest.fixture
def ready(device: Device, installed: Layers, emulator: Emulator) -> Machine:
    """A provisioned device, which has left a bundle alone."""
    machine = device(installed)
    configure(machine.root, emulator)
    (machine.root / "boot/firmware").mkdir(parents=True, exist_ok=True)
    put_folder(machine.root / "boot/firmware/dpsd", {"dpsd.toml": b"[network]\n"})
    machine.boot()
    eventually(lambda: machine.is_active("dpsd.service"), "provisioned", within=60)
    return machine


def live(machine: Machine, emulator: Emulator) -> None:
    """Renew, have agents wait, seal in each way, give agents the key, import, and have a credential refused."""
    issue(machine, emulator)
    machine.run("dpsctl", "renew", "--certificate", "/root/fresh.pem", "--private-key", "/root/fresh.key")
    (machine.root / "etc/systemd/system/agent.service").write_text(AGENT)
    machine.run("dpsctl", "agent", "enable", "--restart-on-change", "agent")
    machine.run("dpsctl", "seal", "--keep", "--source=file")
    machine.run("dpsctl", "seal", "--keep", "--systemd")
    put(machine.root, "dpsd.toml", emulator.configuration("sealed") + RELEASED)
    eventually((machine.inside / "run/dpsd/credentials/private_key.pem").exists, "agents have the key", within=60)
    for settings in (b'[dps]\npayload = { a = "b" }\n', b'[dps]\nregistration_id = "another"\n'):
        put_folder(machine.root / "root/bundle", {"dpsd.toml": settings})
        machine.run("dpsctl", "import", "/root/bundle")
        eventually((machine.inside / "var/lib/dpsd/imported.toml").exists, "what fits is taken", within=60)
    key = make_key("ec", 1)
    put_folder(machine.root / "root", {"a.pem": pem_of(make_certificate(key, "x509-group")), "a.key": pem_of_key(key)})
    machine.run("dpsctl", "seal", "--keep", "--certificate=/root/a.pem", "--private-key=/root/a.key")


def paths_in(said: str, after: str) -> list[str]:
    lines = (line.partition(after)[2].partition(": ")[0] for line in said.splitlines() if after in line)
    return sorted(path for path in lines if row_of(path))


def test_whatever_is_written_has_a_row_and_a_reset_removes_what_it_says(ready: Machine, emulator: Emulator) -> None:
    live(ready, emulator)
    assert check(ready) == MET
    # First what reloads the daemon after a change: its job would cancel the one that stops it.
    ready.run("systemctl", "stop", "dpsd-configured.path", "dpsd-configured.service")
    ready.run("systemctl", "stop", "dpsd")
    found = paths_in(ready.attempt("dpsctl", "config", "--image", "/").output, "image-unsafe: ")
    asked = ("dpsctl", "reset", "--credential", "--dry-run")
    assert found == paths_in(ready.run(*asked), "would remove ") != []
    ready.run("dpsctl", "reset", "--credential", "--yes")
    left = [row for path in check(ready) if (row := row_of(path)) is not None]
    assert not [row.path for row in left if row.forgotten in (RESET, RESET_CREDENTIAL)]
    assert ready.run(*asked) == ""


def test_a_file_without_a_row_is_found_wherever_it_is(ready: Machine) -> None:
    check(ready)
    for path in ("/etc/dpsd/.device.key.new", "/run/dpsd/copy", "/var/lib/dpsd/private/copy", "/usr/lib/dpsd/copy"):
        ready.run("install", "--mode=0600", "/dev/null", path)
        with pytest.raises(sweep.LeakError, match="says what "):
            check(ready)
        ready.run("rm", path)
    ready.run("chmod", "0400", "/var/lib/dpsd/private/lock")
    with pytest.raises(sweep.LeakError, match=r"/private/lock is 0400 "):
        check(ready)
    ready.run("chmod", "0600", "/var/lib/dpsd/private/lock")
