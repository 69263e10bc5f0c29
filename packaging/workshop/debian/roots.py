"""Debian roots: made once by mmdebstrap, kept below build/roots, and laid under overlays for each use."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import NamedTuple

from workshop.debian.sources import sources_for
from workshop.dev import places
from workshop.dev.command import run
from workshop.dev.lock import only_one

RELEASES = ("bookworm", "trixie")  # those that are supported
RUNTIME = (
    "python3",
    "python3-paho-mqtt",
    "python3-cryptography",
    "python3-pyudev",
    "python3-sdnotify",
    "ca-certificates",
)
INIT = ("systemd", "systemd-sysv", "dbus", "udev")
AGENTS = ("mosquitto", "mosquitto-clients")
TOKENS = ("pkcs11-provider", "softhsm2")
STEP = (
    "ca-certificates",
    "golang-go",
    "golang-github-smallstep-cli-dev",
    "golang-github-smallstep-certificates-dev",
    "golang-github-smallstep-truststore-dev",
    "golang-sslmate-src-go-pkcs12-dev",
)
BUILDING = ("debhelper", "dh-python", "pybuild-plugin-pyproject", "python3", "python3-setuptools", "lintian")
MARK = 12  # hexadecimal digits that tell one version of a root from another
APT_KEPT = re.compile(r'^Acquire::(?:https?(?:::.*)?|Retries|Check-Valid-Until|Check-Date) "[^"]+";$', re.M)


_used: dict[Path, int] = {}  # the roots that this process uses, with descriptors that hold them


class Root(NamedTuple):
    """What a Debian root is made of.

    kind: one root of each is kept. backports: whether these are taken, too. work: a program that finishes it, on this
    host; its argument is the root, and its apt-get has Debian's sources. architecture: Debian's name of one that is not
    the host's, but whose programs run here, see foreign.py.
    """

    kind: str
    release: str
    packages: tuple[str, ...]
    backports: bool = False
    work: Path | None = None
    architecture: str = ""


def device(release: str) -> Root:
    """A small device: real systemd, what dpsd depends on, and an agent that knows nothing of dpsd."""
    return Root(release, release, (*INIT, *RUNTIME, *AGENTS))


def device_with_token(release: str) -> Root:
    """The same with PKCS#11 tokens made of files, and OpenSSL's way to them, which Debian 12 has in backports."""
    return device(release)._replace(
        kind=f"{release}-token", packages=(*device(release).packages, *TOKENS), backports=release == "bookworm"
    )


def smallstep() -> Root:
    """A bench with smallstep's `step` and `step-ca`, in usr/local/bin; Debian 12 has libraries that fit together."""
    return Root("smallstep", "bookworm", STEP, work=Path(__file__).with_name("step.sh"))


def workshop() -> Root:
    """Where the package is built, whatever the host: Debian 13 puts units below /usr/lib."""
    return Root("workshop", "trixie", BUILDING)


def made(root: Root) -> Path:
    """The folder of a root, made by mmdebstrap if it is not there, and then in place of earlier versions.

    It stays as long as this process lives. Raises Failure if it cannot be made.
    """
    sources = sources_for(root.release, backports=root.backports)
    more = [root.architecture] if root.architecture else []
    if root.work:
        more.append(root.work.read_text())
    mark = hashlib.sha256("\n".join([root.release, *root.packages, sources, *more]).encode()).hexdigest()[:MARK]
    folder = places.ROOTS / f"{root.kind}-{mark}"
    places.ROOTS.mkdir(parents=True, exist_ok=True)
    with only_one(places.ROOTS / f".{folder.name}.lock"):
        if not folder.is_dir():
            bootstrap(root, sources, folder)
            remove_others(root.kind, folder)
        use(folder)
    return folder


def use(folder: Path) -> None:
    """Let no other process remove a root while this one lives."""
    if folder not in _used:
        _used[folder] = os.open(folder, os.O_RDONLY)
        fcntl.flock(_used[folder], fcntl.LOCK_SH)


def remove_others(kind: str, kept: Path) -> None:
    """Remove the earlier versions of a root, except those in use."""
    for folder in places.ROOTS.glob(f"{kind}-{'[0-9a-f]' * MARK}"):
        if folder != kept and not is_used(folder):
            shutil.rmtree(folder)
            for rest in places.ROOTS.glob(f".{folder.name}.*"):
                rest.unlink()


def is_used(folder: Path) -> bool:
    """Whether a process that lives said that it uses a root."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def bootstrap(root: Root, sources: str, folder: Path) -> None:
    """Make a minimal Debian with the root's packages in a folder that appears only when it is whole."""
    print(f"dev: making a Debian root, {root.release} with {len(root.packages)} packages", flush=True)
    partial = folder.with_name(f".{folder.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    settings = folder.with_name(f".{folder.name}.apt.conf")
    settings.write_text("\n".join(APT_KEPT.findall(run(["apt-config", "dump"]))) + "\n")
    run(
        [
            "mmdebstrap",
            "--mode=root",
            "--variant=minbase",
            f"--include={','.join(root.packages)}",
            f"--aptopt={settings}",
            *([f"--customize-hook={root.work}"] if root.work else []),
            "--skip=output/dev",
            *([f"--architectures={root.architecture}", "--skip=check/qemu"] if root.architecture else []),
            root.release,
            partial,
            "-",
        ],
        environment={**os.environ, "INITRD": "No"},  # a kernel in it is booted by an initrd of ours, see computer.py
        stdin=sources.replace("Types: deb\n", "Types: deb deb-src\n") if root.work else sources,
    )
    partial.rename(folder)


class Disk(NamedTuple):
    """A writable copy of a root that costs nothing: what is written lies above the layers below."""

    place: Path
    lower: tuple[Path, ...]

    @property
    def root(self) -> Path:
        """Where it is mounted."""
        return self.place / "root"

    @property
    def layers(self) -> tuple[Path, ...]:
        """For overlays over this one, once it is unmounted."""
        return (self.place / "upper", *self.lower)


def overlay(name: str, *lower: Path) -> Disk:
    """Mount a disk below SCRATCH that shows `lower`, the first on top."""
    disk = Disk(places.SCRATCH / f"{name}-{secrets.token_hex(4)}", lower)
    for part in ("upper", "work", "root"):
        (disk.place / part).mkdir(parents=True)
    layers = ":".join(str(layer) for layer in lower)
    options = f"lowerdir={layers},upperdir={disk.place / 'upper'},workdir={disk.place / 'work'}"
    run(["mount", "-t", "overlay", "overlay", "-o", options, disk.root])
    return disk


def unmount(disk: Disk) -> None:
    """Take a disk out; its layers stay."""
    run(["umount", disk.root])


def discard(disk: Disk) -> None:
    """Drop a disk and all that was written to it."""
    if disk.root.is_mount():
        unmount(disk)
    shutil.rmtree(disk.place)
