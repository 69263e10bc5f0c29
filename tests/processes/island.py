"""A network of the test's own, with its own name servers, and nothing else on it. Needs root."""

from __future__ import annotations

import shutil
import socket
import socketserver
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.emulator_process import ROOT

NAME = "global.azure-devices-provisioning.net"
"""DPS's own name, which the emulator's certificate is good for."""
NEAR, FAR = "2001:db8:1::2", "2001:db8:1::1"
"""This end's address on the wire, and the one that packets for the world are sent to."""
SWALLOWED = "02:00:00:00:00:99"
"""A hardware address that nobody has: what is sent there is gone."""


class Island:
    """Network and mount namespaces with a process that keeps them; a context manager.

    hosts, resolver: the contents of /etc/hosts and /etc/resolv.conf. There is lo, and a wire whose ends are both here:
    v0 and v1, which are down.
    """

    def __init__(self, folder: Path, hosts: str = "", resolver: str = "") -> None:
        self.etc = folder / "etc"
        shutil.copytree("/etc", self.etc, symlinks=True)
        for name, text in {"hosts": f"127.0.0.1 localhost\n{hosts}\n", "resolv.conf": resolver}.items():
            (self.etc / name).unlink(missing_ok=True)
            (self.etc / name).write_text(text)
        (self.etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")

    def __enter__(self) -> Island:
        words = ["mount -t sysfs sysfs /sys", f"mount --bind '{self.etc}' /etc", "ip link set lo up"]
        words += ["ip link add v0 type veth peer name v1", "echo up", "exec cat"]
        command = ["unshare", "--net", "--mount", "sh", "-c", " && ".join(words)]
        self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._keeper.stdout is not None and self._keeper.stdout.readline() == "up\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.communicate()

    @property
    def pid(self) -> int:
        return self._keeper.pid

    @property
    def enter(self) -> list[str]:
        """The words before a command that is to run here."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", f"--mount=/proc/{self.pid}/ns/mnt", f"--wdns={ROOT}", "--"]

    def run(self, *commands: str) -> str:
        """Run commands one after another; return the last one's output."""
        output = ""
        for command in commands:
            output = subprocess.run([*self.enter, *command.split()], check=True, capture_output=True, text=True).stdout
        return output

    def forward(self) -> None:
        """Be a router."""
        for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            command = [*self.enter, "sh", "-c", f"echo 1 >/proc/sys/net/{setting}"]
            subprocess.run(command, check=True)

    def plug_in(self) -> None:
        """Bring the wire up, without an address or a route."""
        self.run("ip link set v0 up", "ip link set v1 up")

    def route_ipv6(self) -> None:
        """Route all of IPv6 into the wire, where nobody answers."""
        self.plug_in()
        self.run(f"ip -6 address add {NEAR}/64 dev v0 nodad", f"ip -6 route add default via {FAR} dev v0")
        self.run(f"ip -6 neighbour replace {FAR} lladdr {SWALLOWED} dev v0")

    def route_ipv4(self) -> None:
        """Route all of IPv4 into the wire, where nobody answers."""
        self.plug_in()
        self.run("ip address add 192.0.2.2/24 dev v0", "ip route add default via 192.0.2.1 dev v0")
        self.run(f"ip neighbour replace 192.0.2.1 lladdr {SWALLOWED} dev v0")


@contextmanager
def name_server(island: Island, address: str, behaviour: str, log: Path) -> Iterator[None]:
    """Answer DNS there. behaviour: `silent`, the name of an error (NXDOMAIN, SERVFAIL), `empty`, or TYPE=ADDRESS,..."""
    command = [*island.enter, sys.executable, "-m", "tests.processes.island", address, behaviour]
    with log.open("wb") as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=said)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"listening\n", log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(10)


def answer_names(address: str, behaviour: str) -> None:
    """Be a name server until killed."""
    from dnslib import QTYPE, RCODE, RR, DNSRecord

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, connection = self.request
            question = DNSRecord.parse(data)
            reply = question.reply()
            if behaviour in RCODE.reverse:
                reply.header.rcode = RCODE.reverse[behaviour]
            for kind, _, value in (pair.partition("=") for pair in behaviour.split(",") if "=" in pair):
                if QTYPE[question.q.qtype] == kind:
                    reply.add_answer(*RR.fromZone(f"{question.q.qname} 60 {kind} {value}"))
            if behaviour != "silent":
                connection.sendto(reply.pack(), self.client_address)

    socketserver.ThreadingUDPServer.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socketserver.ThreadingUDPServer((address, 53), Handler) as server:
        print("listening", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    answer_names(*sys.argv[1:])
