"""A whole computer, emulated by QEMU: its own kernel, udev and USB, which a container shares with the host or lacks."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from command import run
from failure import Failure

KERNEL = ("linux-image-amd64", "initramfs-tools")  # what a root needs besides, to be booted here
ROOT_SIZE = "3G"
SECTOR = 512
FIRST = 2048  # the sector where a stick's partition begins
LOOK = 0.5  # seconds between two looks at the console


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


def boot(root: Path, disks: Sequence[Path], plugged: Path, cue: str, folder: Path, within: float = 600) -> str:
    """Boot a copy of `root` until it powers itself off; what its console showed.

    disks: the second and further ones. plugged: a USB stick, plugged in once the console shows `cue`. folder: for what
    it needs meanwhile. Raises Failure if that takes longer than `within` seconds.
    """
    image, console, orders = folder / "root.img", folder / "console.log", folder / "orders"
    run(["mkfs.ext4", "-q", "-d", root, image, ROOT_SIZE])
    console.touch()
    drives = [word for disk in (image, *disks) for word in ("-drive", f"file={disk},format=raw,if=virtio")]
    machine = subprocess.Popen(
        [
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024", "-nic", "none"),
            *(
                "-display",
                "none",
                "-no-reboot",
                "-serial",
                f"file:{console}",
                "-monitor",
                f"unix:{orders},server,nowait",
            ),
            *("-kernel", _only(root, "vmlinuz-*"), "-initrd", _only(root, "initrd.img-*")),
            *("-append", "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=no"),
            *drives,
            *("-device", "qemu-xhci,id=usb"),
            *("-drive", f"id=stick,file={plugged},format=raw,if=none,readonly=on"),
        ],
        stdin=subprocess.DEVNULL,
    )
    try:
        _attend(machine, console, orders, cue, time.monotonic() + within)
    finally:
        machine.kill()
        machine.wait()
    return console.read_text(errors="replace").replace("\r", "")


def _attend(machine: subprocess.Popen[bytes], console: Path, orders: Path, cue: str, end: float) -> None:
    is_plugged = False
    while machine.poll() is None:
        if time.monotonic() > end:
            raise Failure(f"the computer is still on:\n{console.read_text(errors='replace')}", "")
        if not is_plugged and cue in console.read_text(errors="replace"):
            _order(orders, "device_add usb-storage,bus=usb.0,drive=stick")
            is_plugged = True
        time.sleep(LOOK)


def _order(orders: Path, order: str) -> None:
    """Give QEMU's monitor an order, which it takes once it has greeted."""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(10)
        monitor.connect(str(orders))
        monitor.recv(4096)
        monitor.sendall(f"{order}\n".encode())
        time.sleep(LOOK)


def _only(root: Path, pattern: str) -> str:
    (found,) = (root / "boot").glob(pattern)
    return str(found)
