"""Whole computers, emulated by QEMU: their own kernel, udev, USB and device tree, which a container shares or lacks."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from workshop.dev.command import run
from workshop.dev.failure import Failure
from workshop.lab.network import Network

# What a kernel of Debian lacks to mount a disk of `disk`, in the order in which they need each other.
MODULES = ("crc32c_generic", "crc16", "mbcache", "jbd2", "ext4", "virtio_blk")
INIT = """\
#!/bin/busybox sh
for module in /modules/*; do /bin/busybox insmod $module; done
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount -o move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
"""
QUIET = "quiet systemd.show_status=no systemd.getty_auto=no"  # the console is for what is told there
ROOT_SIZE = "3G"
SECTOR = 512
FIRST = 2048  # the sector where a stick's partition begins
LOOK = 0.5  # seconds between two looks at the console


class Kind(NamedTuple):
    """What a computer is. packages: what its root needs besides, to be booted here. machine: QEMU's first words."""

    packages: tuple[str, ...]
    machine: tuple[str, ...]
    console: str


PC = Kind(("linux-image-amd64", "busybox-static"), ("qemu-system-x86_64", "-m", "1024", "-smp", "2"), "ttyS0")
# Processor, memory and device tree of a Raspberry Pi Zero 2 W, or 3; its other hardware is QEMU's.
BOARD = Kind(
    ("linux-image-arm64", "busybox-static"),
    ("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a53", "-m", "512", "-smp", "2"),
    "ttyAMA0",
)


class Stick(NamedTuple):
    """A USB stick, which is plugged in once the console shows `cue`."""

    image: Path
    cue: str


class Computer(NamedTuple):
    """A computer that is off. root: where its kernel is. tree: its device tree, if another than QEMU's own.

    network: whose addresses it reaches through QEMU, but for 127.0.0.0/8.
    """

    kind: Kind
    root: Path
    disks: Sequence[Path]
    tree: Path | None = None
    network: Network | None = None
    stick: Stick | None = None


def disk(image: Path, root: Path) -> None:
    """Make a disk with a copy of a root."""
    run(["mkfs.ext4", "-q", "-d", root, image, ROOT_SIZE])


def fat(image: Path, label: str, folder: Path) -> None:
    """Make a FAT without a partition table, as a boot partition is, with a folder on it."""
    _make_fat(image, label, 0, 64 << 20)
    run(["mcopy", "-s", "-i", image, folder, "::"])


def stick(image: Path, label: str, folder: Path) -> None:
    """Make a USB stick with one partition, a FAT with a folder on it."""
    _make_fat(image, label, FIRST, 64 << 20)
    run(["sfdisk", "--quiet", image], stdin=f"label: dos\n{FIRST},,c\n")
    run(["mcopy", "-s", "-i", f"{image}@@{FIRST * SECTOR}", folder, "::"])


def _make_fat(image: Path, label: str, first: int, size: int) -> None:
    with image.open("wb") as file:
        file.truncate(size + first * SECTOR)
    run(["mkfs.vfat", "-n", label, "--offset", str(first), image, str(size >> 10)])


def device_tree(tree: Path, model: str, serial_number: str) -> Path:
    """Make the device tree of a BOARD that tells who it is, as the firmware of a Raspberry Pi does."""
    run([*BOARD.machine, "-machine", f"dumpdtb={tree}", "-display", "none"])
    for name, value in {"model": model, "serial-number": serial_number}.items():
        run(["fdtput", "--type", "s", tree, "/", name, value])
    return tree


def boot(computer: Computer, folder: Path, within: float = 600) -> str:
    """Switch it on, and wait until it powers itself off; what its console showed.

    folder: for what this needs meanwhile. Raises Failure if it takes longer than `within` seconds.
    """
    console, orders = folder / "console.log", folder / "orders"
    console.write_text("")
    command = _command(computer, _initrd(computer.root, folder), console, orders)
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        _attend(machine, console, orders, computer.stick, time.monotonic() + within)
    finally:
        machine.kill()
        machine.wait()
    return console.read_text(errors="replace").replace("\r", "")


def _command(computer: Computer, initrd: Path, console: Path, orders: Path) -> list[str | Path]:
    kind = computer.kind
    drives = [word for disk in computer.disks for word in ("-drive", f"file={disk},format=raw,if=virtio")]
    more: list[str | Path] = []
    if computer.tree is not None:
        more += ["-dtb", computer.tree]
    if computer.network is not None:
        more += ["-netdev", "user,id=network", "-device", "virtio-net-pci,netdev=network,romfile="]
    if computer.stick is not None:
        more += ["-drive", f"id=stick,file={computer.stick.image},format=raw,if=none,readonly=on"]
    return [
        *(computer.network.enter if computer.network is not None else ()),
        *(*kind.machine, "-accel", "tcg,thread=multi", "-display", "none", "-no-reboot"),
        *("-serial", f"file:{console}", "-monitor", f"unix:{orders},server,nowait"),
        *("-kernel", _only(computer.root / "boot", "vmlinuz-*"), "-initrd", initrd),
        *("-append", f"console={kind.console} {QUIET} panic=-1"),
        *("-nodefaults", "-device", "qemu-xhci,id=usb", *drives, *more),
    ]


def _initrd(root: Path, folder: Path) -> Path:
    """Make what mounts the first disk and no more: Debian's takes minutes to make and seconds to boot, emulated."""
    content, image = folder / "initrd", folder / "initrd.img"
    shutil.rmtree(content, ignore_errors=True)
    for name in ("bin", "dev", "modules", "root"):
        (content / name).mkdir(parents=True)
    shutil.copy(root / "usr/bin/busybox", content / "bin")
    (content / "init").write_text(INIT)
    (content / "init").chmod(0o755)
    for number, name in enumerate(MODULES):
        (module,) = (root / "usr/lib/modules").rglob(f"{name}.ko.xz")
        shutil.copy(module, content / f"modules/{number}-{name}.ko.xz")
    names = "\n".join(str(path.relative_to(content)) for path in sorted(content.rglob("*")))
    run(["cpio", "--quiet", "--create", "--format=newc", f"--file={image}"], folder=content, stdin=names)
    return image


def _attend(machine: subprocess.Popen[bytes], console: Path, orders: Path, stick: Stick | None, end: float) -> None:
    waiting = stick
    while machine.poll() is None:
        if time.monotonic() > end:
            raise Failure(f"the computer is still on:\n{console.read_text(errors='replace')}", "")
        if waiting is not None and waiting.cue in console.read_text(errors="replace"):
            _order(orders, "device_add usb-storage,bus=usb.0,drive=stick")
            waiting = None
        time.sleep(LOOK)


def _order(orders: Path, order: str) -> None:
    """Give QEMU's monitor an order, which it takes once it has greeted."""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(10)
        monitor.connect(str(orders))
        monitor.recv(4096)
        monitor.sendall(f"{order}\n".encode())
        time.sleep(LOOK)


def _only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found
