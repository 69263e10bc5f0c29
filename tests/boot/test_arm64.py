"""A board as users have one: arm64, little memory, a boot partition, and firmware that tells its serial number."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dpsd.errors import PROBLEMS
from dpsd.protocol.sas import derive_device_key, parse_key
from tests import sweep
from tests.boot.lab import daemon_group
from tests.boot.telling import WANTS, let_tell, write
from tests.emulator_process import EmulatorProcess
from tests.unit.bundles import put_folder
from workshop.debian import deb, foreign, roots
from workshop.dev.command import run
from workshop.dev.failure import Failure
from workshop.lab import computer
from workshop.lab.machine import install
from workshop.lab.network import Network

pytestmark = [pytest.mark.root, pytest.mark.full, pytest.mark.timeout(7200)]
LIMIT = 2400  # seconds for a boot, on a busy host
SEALED, RECORD = "/var/lib/dpsd/private/credential.sealed", "the assignment in the state directory"
MODEL = "Raspberry Pi Zero 2 W Rev 1.0"
SERIAL, OTHER_SERIAL = "10000000aaaa0001", "10000000bbbb0002"
DPS, HUB, HUB_ADDRESS = "192.0.2.1", "contoso.azure-devices.net", "192.0.2.2"
SETTINGS = f"""\
[dps]
id_scope = "0ne00C0FFEE"
global_endpoint = "{DPS}"
registration_id = "pi-{{serial}}"
[credential]
type = "symmetric_key"
"""
FLEET = """\
[network]
trusted_roots = "/usr/lib/dpsd/ca.pem"
[outputs]
connection_string = true
"""
SYSTEM = {
    "etc/fstab": "/dev/vda / ext4 rw 0 0\n/dev/vdb /boot/firmware vfat defaults 0 0\n",
    "etc/hosts": f"127.0.0.1 localhost\n{HUB_ADDRESS} {HUB}\n",
    "etc/machine-id": "",
    "etc/systemd/network/wired.network": "[Match]\nType=ether\n[Network]\nDHCP=ipv4\n",
    "usr/lib/dpsd/dpsd.toml.d/fleet.toml": FLEET,
    # On a busy host, its minute is soon over.
    "etc/systemd/system/dpsd-import.service.d/slow.conf": "[Service]\nTimeoutStartSec=infinity\n",
}
# A key of its own, which root gives to a card that is in another board now.
OWN_KEY = """\
[credential]
type = "symmetric_key"
store = "files"
primary_key_file = "/etc/dpsd/device.symkey"
"""
# The system is running when no job is left: that of the daemon is one of them.
TELL = """\
await() {
    for look in $(seq 200); do
        systemctl show --property=StatusText dpsd.service | grep -q "$1" && break
        sleep 3
    done
    dpsctl status
}
await 'provisioned: \\|seal-other-board' && echo "system: $(systemctl is-system-running --wait)"
echo "machine: $(uname -m)"
echo "gate: $(systemctl is-active dpsd-provisioned.target), for agents: $(ls /run/dpsd/credentials)"
echo "report: $(cat /boot/firmware/dpsd/dpsd-report.txt)"
dpsctl seal --check && exit
mv /root/device.symkey /root/dpsd.toml /etc/dpsd/
await board-changed
"""


@pytest.fixture
def emulator(network: Network, tmp_path: Path) -> Iterator[EmulatorProcess]:
    """A DPS and a hub at addresses that a computer reaches, too, through QEMU's network."""
    for address in (DPS, HUB_ADDRESS):
        run([*network.enter, "ip", "address", "add", f"{address}/32", "dev", "lo"])
    with EmulatorProcess(tmp_path, hubs={HUB: HUB_ADDRESS}, address=DPS, enter=network.enter) as emulator:
        yield emulator


@pytest.fixture
def system() -> Iterator[roots.Disk]:
    """A disk for arm64 with a kernel and the package, never booted."""
    packages = (*roots.INIT, *roots.RUNTIME, *computer.BOARD.packages)
    with ExitStack() as foreign_programs:
        try:
            foreign_programs.enter_context(foreign.arm64())
        except Failure as failure:
            pytest.skip(str(failure))
        disk = roots.overlay("arm64", roots.made(roots.Root("arm64", "trixie", packages, architecture="arm64")))
        install(disk.root, deb.build())
    yield disk
    roots.discard(disk)


@pytest.fixture
def card(system: roots.Disk, bench: Path, emulator: EmulatorProcess) -> list[Path]:
    """A card as it leaves a bench: a system, and a boot partition with a bundle for one board."""
    write(system.root, {**SYSTEM, "usr/lib/dpsd/ca.pem": emulator.ca.read_text()})
    let_tell(system.root, TELL)
    (system.root / WANTS / "systemd-networkd.service").symlink_to("/usr/lib/systemd/system/systemd-networkd.service")
    (system.root / "boot/firmware").mkdir()
    write(system.root, {"root/dpsd.toml": OWN_KEY, "root/device.symkey": key_of(emulator, OTHER_SERIAL).decode()})
    (system.root / "root/device.symkey").chmod(0o640)
    os.chown(system.root / "root/device.symkey", 0, daemon_group(system.root))
    bundle = put_folder(bench / "dpsd", {"dpsd.toml": SETTINGS.encode(), "primary_key": key_of(emulator, SERIAL)})
    disks = [bench / "root.img", bench / "partition.img"]
    computer.disk(disks[0], system.root)
    computer.fat(disks[1], "bootfs", bundle)
    return disks


def key_of(emulator: EmulatorProcess, serial_number: str) -> bytes:
    """The key of a board in the emulator's enrollment group, base64."""
    group = parse_key((emulator.directory / "groups/symmetric-fleet/primary.key").read_bytes())
    return base64.b64encode(derive_device_key(group, f"pi-{serial_number}"))


def test_a_card_brings_its_board_up_and_no_other(
    system: roots.Disk, card: list[Path], bench: Path, network: Network, emulator: EmulatorProcess
) -> None:
    def boot(serial_number: str) -> str:
        tree = computer.device_tree(bench / "tree.dtb", MODEL, serial_number)
        told = computer.boot(computer.Computer(computer.BOARD, system.root, card, tree, network), bench, LIMIT)
        print(told)
        sweep.check(told, "the console")
        return told

    own = boot(SERIAL)
    assert f"\nboard: model {MODEL}, serial number {SERIAL}\n" in own and "\nmachine: aarch64\n" in own
    assert "\nprovisioned: yes\n" in own and "\nsystem: running\n" in own and "\nreport: adopted\n" in own
    assert "\ngate: active, for agents: connection_string\n" in own
    assert "credential.sealed: it opens here and now" in own
    emulator.wait_for("connect", client=f"pi-{SERIAL}", service="hub", code=0)
    seen = len(emulator.lines())

    other = boot(OTHER_SERIAL)
    sealed, by_file = other.split("\nreport: adopted\n")
    assert f"\nproblem: seal-other-board: {SEALED} was sealed on board {SERIAL}, this is {OTHER_SERIAL}\n" in sealed
    assert f"\nproblem: board-changed: {RECORD} was made on board {SERIAL}, this is {OTHER_SERIAL}\n" in by_file
    assert f"\nhint: {PROBLEMS['board-changed'].hint}\n" in by_file
    assert sealed.endswith("\ngate: inactive, for agents: ") and "provisioned: yes" not in other
    assert len(emulator.lines()) == seen
