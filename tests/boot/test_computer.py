"""What containers cannot show: bundles on a boot partition and a USB stick, with a real FAT, kernel and udev."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.telling import let_tell, write
from tests.unit.authority import make_certificate, make_key, pem_of, pem_of_key
from tests.unit.bundles import put_folder
from workshop.debian import deb, roots
from workshop.lab import computer
from workshop.lab.machine import install

pytestmark = [
    pytest.mark.root,
    pytest.mark.full,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the computer is an x86-64 one"),
]
SETTINGS = b'[dps]\nid_scope = "0ne00C0FFEE"\nglobal_endpoint = "127.0.0.9"\n[credential]\ntype = "x509"\n'
IMPORT = "[import]\nusb = true\nreplace = true\n"
FSTAB = "/dev/vda / ext4 rw 0 1\n/dev/vdb /boot/firmware vfat defaults 0 2\n"
CUE = "now plug the stick in"
TELL = f"""\
waited() {{
    for second in $(seq 120); do
        journalctl --unit="$1" --output=cat | grep -q Finished && return
        sleep 1
    done
}}
waited dpsd-import.service
echo "report: $(cat /boot/firmware/dpsd/dpsd-report.txt)" "files: $(ls -m /boot/firmware/dpsd)"
dpsctl seal --check
echo "{CUE}"
waited 'dpsd-import-usb@*'
journalctl --no-pager --output=cat --unit='dpsd-import-usb@*'
dpsctl seal --check
echo "mounted: $(grep -c /dev/sd /proc/mounts)"
"""


@pytest.fixture
def disk() -> Iterator[roots.Disk]:
    """A disk with a kernel and the package, never booted, which only tells what it sees."""
    plain = roots.device("trixie")
    packages = (*roots.INIT, *roots.RUNTIME, *computer.PC.packages)
    disk = roots.overlay("computer", roots.made(plain._replace(kind="trixie-computer", packages=packages)))
    install(disk.root, deb.build())
    write(
        disk.root,
        {"etc/fstab": FSTAB, "etc/machine-id": "", "usr/lib/dpsd/dpsd.toml.d/fleet.toml": IMPORT},
    )
    let_tell(disk.root, TELL)
    (disk.root / "boot/firmware").mkdir()
    yield disk
    roots.discard(disk)


def bundle(folder: Path, name: str, number: int) -> Path:
    """A bundle with a credential of its own."""
    key = make_key("ec", number)
    folder.mkdir()
    content = {"dpsd.toml": SETTINGS, "certificate.pem": pem_of(make_certificate(key, name))}
    return put_folder(folder / "dpsd", {**content, "private_key.pem": pem_of_key(key)})


def test_bundles_of_a_boot_partition_and_of_a_stick_are_adopted(disk: roots.Disk, bench: Path) -> None:
    image, partition, stick = bench / "root.img", bench / "partition.img", bench / "stick.img"
    computer.disk(image, disk.root)
    computer.fat(partition, "BOOTFS", bundle(bench / "one", "pi-of-the-partition", 0))
    computer.stick(stick, "DPSD", bundle(bench / "two", "pi-of-the-stick", 1))
    pc = computer.Computer(computer.PC, disk.root, [image, partition], stick=computer.Stick(stick, CUE))
    before, after = computer.boot(pc, bench).split(CUE)
    assert "report: adopted files: dpsd-report.txt" in before and "CN: pi-of-the-partition" in before
    assert "adopted the bundle in" in after and "CN: pi-of-the-stick" in after
    assert "mounted: 0" in after
