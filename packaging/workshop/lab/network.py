"""A network with nothing but loopback addresses, for booted roots and the emulator they talk to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

from workshop.dev.failure import Failure

KEEPER = Path(__file__).with_name("keep_network.py")


class Network:
    """A network namespace that lives as long as its `with` block."""

    def __enter__(self) -> Network:
        self._keeper = subprocess.Popen(
            ["unshare", "--net", sys.executable, KEEPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline() != "up\n":
            raise Failure("a network namespace cannot be made here", "run as root with CAP_SYS_ADMIN")
        return self

    def __exit__(self, *_: TracebackType | type[BaseException] | BaseException | None) -> None:
        self._keeper.communicate()

    @property
    def path(self) -> str:
        """The namespace, for tools that take a path."""
        return f"/proc/{self._keeper.pid}/ns/net"

    @property
    def enter(self) -> list[str]:
        """The words before a command that is to run in this network."""
        return ["nsenter", f"--net={self.path}", "--"]

    def packets(self) -> int:
        """How many packets this network has carried so far."""
        for line in Path(f"/proc/{self._keeper.pid}/net/dev").read_text().splitlines():
            name, _, counters = line.partition(":")
            if name.strip() == "lo":
                return int(counters.split()[1])
        raise AssertionError("a network namespace without lo")
