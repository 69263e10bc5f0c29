"""Debian packages that a verb needs on this host: installed by root, named to anybody else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from workshop.dev.command import run, show
from workshop.dev.failure import Failure

# The command that shows that it is there, and its package.
LAB = {
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nsenter": "util-linux",
    "systemd-nspawn": "systemd-container",
    "unshare": "util-linux",
}
# What tests use besides.
OBSERVERS = {
    "faketime": "faketime",
    "ip": "iproute2",
    "mcopy": "mtools",
    "microsocks": "microsocks",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "openssl": "openssl",
    "softhsm2-util": "softhsm2",
    "strace": "strace",
    "tayga": "tayga",
    "tinyproxy": "tinyproxy-bin",
    "udevadm": "udev",
    "umockdev-run": "umockdev",
}
# What whole computers take, for the slow tests.
COMPUTERS = {
    "cpio": "cpio",
    "fdtput": "device-tree-compiler",
    "qemu-aarch64-static": "qemu-user-static",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-x86_64": "qemu-system-x86",
    "sfdisk": "fdisk",
}
# A file that shows that it is there, and its package, which not every release has; tests that need it say so.
IF_OFFERED = {"ossl-modules/pkcs11.so": "pkcs11-provider", "pkcs11-spy.so": "opensc-pkcs11"}


def require(needed: Mapping[str, str]) -> None:
    """Install what is missing. Raises Failure with the command to run where that takes root."""
    missing = sorted({package for command, package in needed.items() if not shutil.which(command)})
    if not missing:
        return
    names = " ".join(missing)
    hint = f"as root, run: apt-get update && apt-get install {names}"
    if os.geteuid() != 0:
        raise Failure(f"missing Debian packages: {names}", hint)
    print(f"dev: installing {names}", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["--yes", "--no-install-recommends", "install", *missing]):
        if show(["apt-get", "--quiet=2", *words], environment=quiet) != 0:
            raise Failure(f"apt-get {words[0]} failed, see above", hint)


def add(offered: Mapping[str, str]) -> None:
    """Install what is missing and can be had here, as root."""
    for file, package in offered.items():
        if not any(Path("/usr/lib").glob(f"*/{file}")) and run(["apt-cache", "search", "--names-only", f"^{package}$"]):
            show(["apt-get", "--quiet=2", "--yes", "--no-install-recommends", "install", package])


def require_root(purpose: str) -> None:
    """Raises Failure when this is not root."""
    if os.geteuid() != 0:
        raise Failure(f"only root may {purpose}", "run it with sudo, or as root")
