"""A Debian root, booted with its own systemd by systemd-nspawn."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from workshop.debian.nspawn import QUIET, run_in
from workshop.dev.failure import Failure
from workshop.lab.network import Network

BOOT = ("--boot", "--console=read-only", "--resolv-conf=off", "--timezone=off", "--link-journal=no")
# --root: in a chroot, the root of nspawn's mounts is not the machine's.
INSIDE = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--")
CGROUPS = Path("/sys/fs/cgroup")
WORLD = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Ended(NamedTuple):
    """How a command in a machine ended."""

    status: int
    output: str


def eventually(holds: Callable[[], bool], what: str, within: float = 20) -> None:
    """Wait until something holds. Raises Failure naming it after `within` seconds."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise Failure(f"not within {within} s: {what}", "read the journal below")
        time.sleep(0.05)


class Machine:
    """One device: a root that can be booted, cut off and booted again."""

    def __init__(self, name: str, root: Path, network: Network) -> None:
        self.name = name
        self.root = root
        self.network = network
        self.console = root.with_name("console.log")
        self.cgroup = CGROUPS / f"dpsd-{name}-{secrets.token_hex(4)}"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init = 0

    def start(self) -> None:
        """Power on, and return as soon as there is a PID 1."""
        self.cgroup.mkdir()
        with self.console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                [
                    *QUIET,
                    *BOOT,
                    f"--machine={self.cgroup.name}",  # two of one name are refused
                    f"--directory={self.root}",
                    f"--network-namespace-path={self.network.path}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                preexec_fn=self._join_cgroup,
            )
        eventually(self._has_init, f"{self.name}: a PID 1")

    def boot(self, target: str = "multi-user.target", within: float = 30) -> None:
        """Power on, and wait until a target is reached. Raises Failure when it is not."""
        self.start()
        eventually(lambda: self.is_active(target), f"{self.name}: {target}", within)

    def _join_cgroup(self) -> None:
        # Each machine's systemd wants a group of its own, and several run side by side.
        (self.cgroup / "cgroup.procs").write_text("0")

    def _has_init(self) -> bool:
        """Whether nspawn's child has become systemd in its own namespaces."""
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            raise Failure(f"{self.name} does not boot:\n{self.console.read_text()}", "try: ./dev boot")
        for child in self._children():
            try:
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    self._init = child
                    return Path(f"/proc/{child}/root/run/systemd/private").exists()
            except (FileNotFoundError, ProcessLookupError):
                continue
        return False

    def _children(self) -> list[int]:
        assert self._nspawn is not None
        pid = self._nspawn.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def attempt(self, *words: str | Path, user: str | None = None, timeout: float = 60) -> Ended:
        """Run a program inside, to its end, whatever its status."""
        switch = ["runuser", "-u", user, "--"] if user else []
        done = subprocess.run(
            ["nsenter", f"--target={self._init}", *INSIDE, *switch, *map(str, words)],
            env=WORLD,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        return Ended(done.returncode, done.stdout)

    def run(self, *words: str | Path, user: str | None = None, timeout: float = 60) -> str:
        """Run a program inside and give back its output. Raises Failure when its status is not 0."""
        ended = self.attempt(*words, user=user, timeout=timeout)
        if ended.status != 0:
            command = " ".join(map(str, words))
            raise Failure(f"{self.name}: `{command}` ended with {ended.status}:\n{ended.output}", "")
        return ended.output

    def properties(self, unit: str) -> dict[str, str]:
        """A unit's properties, as systemctl show has them."""
        lines = self.run("systemctl", "show", "--all", unit).splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def is_active(self, unit: str) -> bool:
        """Whether a unit is active."""
        return self.attempt("systemctl", "--quiet", "is-active", unit).status == 0

    def journal(self) -> str:
        """All that this boot logged so far."""
        return self.attempt("journalctl", "--no-pager", "--boot", "--output=short-monotonic").output

    def cut(self) -> None:
        """Take the power away."""
        os.kill(self._init, signal.SIGKILL)
        self._gone()

    def power_off(self, within: float = 30) -> None:
        """Shut down in order."""
        assert self._nspawn is not None
        self.attempt("systemctl", "poweroff", "--no-block")
        try:
            self._nspawn.wait(within)
        except subprocess.TimeoutExpired as over:
            raise Failure(f"{self.name} does not shut down:\n{self.console.read_text()}", "") from over
        self._gone()

    @property
    def inside(self) -> Path:
        """The files as the machine has them, with what it mounts, while it is on."""
        return Path(f"/proc/{self._init}/root")

    @property
    def is_on(self) -> bool:
        """Whether it is powered."""
        return self._nspawn is not None

    def _gone(self) -> None:
        assert self._nspawn is not None
        self._nspawn.wait(10)
        self._nspawn = None
        groups = sorted(self.cgroup.rglob("*/"), reverse=True)
        for group in [*groups, self.cgroup]:
            if group.is_dir():
                group.rmdir()


def install(root: Path, package: Path) -> None:
    """Install a package into a root that is not booted, with the root's own dpkg."""
    target = root / "root" / package.name
    target.write_bytes(package.read_bytes())
    run_in(root, ["dpkg", "--install", f"/root/{package.name}"])
    target.unlink()
