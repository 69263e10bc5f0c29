"""A private world for roots and boots: own mounts and process ids, so that nothing stays behind on the host.

In a bare chroot only /proc may be mounted; what systemd-nspawn and mmdebstrap need besides is mounted here.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from pathlib import Path

from workshop.dev import places
from workshop.dev.command import run
from workshop.dev.failure import Failure

INSIDE = "DPSD_DEV_NAMESPACE"  # set once the private world is entered
NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2


def enter() -> None:
    """Go on as the same command in a new namespace, set up; return at once if that was done. Needs root.

    Raises Failure where the kernel does not let this root mount things.
    """
    if os.environ.get(INSIDE) == "mounted":
        return
    if os.environ.get(INSIDE) == "unshared":
        mount_all()
        os.environ[INSIDE] = "mounted"
        return
    os.environ[INSIDE] = "unshared"
    # unshare cannot change the propagation in a chroot whose / is no mount point; become_top() does.
    options = ["--mount", "--pid", "--fork", "--kill-child", "--propagation=unchanged"]
    os.execvp("unshare", ["unshare", *options, "--", sys.executable, *sys.argv])


def mount_all() -> None:
    """Mount what is missing, and what must be this namespace's own."""
    try:
        become_top()
        run(["mount", "-t", "proc", "proc", "/proc"])
        if not Path("/sys/kernel").is_dir():
            run(["mount", "-t", "sysfs", "sysfs", "/sys"])
        # The one hierarchy that systemd 252 and 257 both take, whatever the host's layout is.
        run(["mount", "-t", "cgroup2", "cgroup2", "/sys/fs/cgroup"])
        if not Path("/dev/pts/ptmx").exists():
            mount_dev()
        # nspawn clears its own folder below /run only where that is no disk.
        for folder in (places.SCRATCH, Path("/run/systemd/nspawn")):
            folder.mkdir(parents=True, exist_ok=True)
            run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", folder])
    except (Failure, OSError) as failure:
        raise Failure(
            f"root may not mount here what a boot needs: {failure}",
            "run it in a virtual machine or a privileged container",
        ) from failure


def become_top() -> None:
    """Make what is / here the top of the mount namespace, which it is not in a chroot.

    The kernel refuses user namespaces to whoever is in a chroot, and PrivateUsers= in a booted root needs them.
    Joining the namespace that one is in leaves the chroot; / is then bound and pivoted to. Raises OSError.
    """
    here = os.getcwd()
    top = places.BUILD / "top"
    top.mkdir(parents=True, exist_ok=True)
    root = os.open("/", os.O_RDONLY)
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    call("setns", namespace, CLONE_NEWNS)
    call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    os.fchdir(root)
    below = os.fsencode(top.relative_to("/"))
    call("mount", b".", below, None, MS_BIND | MS_REC, None)
    os.chdir(below)
    call("pivot_root", b".", b".")
    call("umount2", b".", MNT_DETACH)
    os.close(root)
    os.close(namespace)
    os.chdir(here)


def call(name: str, *arguments: object) -> None:
    """A function of libc that Python 3.11 does not have. Raises OSError."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount_dev() -> None:
    """A small /dev of our own."""
    run(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/dev"])
    for name, (major, minor) in NODES.items():
        os.mknod(f"/dev/{name}", stat.S_IFCHR, os.makedev(major, minor))
        os.chmod(f"/dev/{name}", 0o666)
    for folder in ("pts", "shm"):
        Path("/dev", folder).mkdir()
    run(["mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=0620", "devpts", "/dev/pts"])
    run(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"])
    for name, target in {
        "ptmx": "pts/ptmx",
        "fd": "/proc/self/fd",
        "stdin": "fd/0",
        "stdout": "fd/1",
        "stderr": "fd/2",
    }.items():
        Path("/dev", name).symlink_to(target)
