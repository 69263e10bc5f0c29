"""Names, addresses, routes and interfaces as boards meet them, each in a network of the test's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.emulator_process import EmulatorProcess
from tests.processes.board import Board
from tests.processes.island import FAR, NAME, NEAR, Island, name_server

pytestmark = pytest.mark.root

SWALLOWED_IPV6, SWALLOWED_IPV4 = "2001:db8:dead::1", "198.51.100.1"
SERVER = "127.0.0.53"
OFFLINE = "127.0.0.54"
"""Name servers: one that a test starts, and one that nobody does."""


def island_of(tmp_path: Path, *, hosts: str = "", servers: tuple[str, ...] = ()) -> Island:
    folder = tmp_path / "island"
    folder.mkdir()
    return Island(folder, hosts, "".join(f"nameserver {one}\n" for one in servers))


def asked(board: Board, island: Island, **replaced: str) -> subprocess.CompletedProcess[str]:
    """Provision there, by DPS's own name."""
    board.enter = island.enter
    board.configure(**{"global_endpoint": f'"{NAME}"', **replaced})
    return board.dpsctl("provision")


# Addresses


@pytest.mark.parametrize("family", ["IPv6", "IPv4"])
def test_a_family_that_swallows_packets_costs_a_moment(family: str, tmp_path: Path) -> None:
    swallowed, good = ("2001:db8:dead::1", "127.0.0.1") if family == "IPv6" else (SWALLOWED_IPV4, "::1")
    code = f"""if True:
        import socket, time
        from dpsd.protocol.identifiers import Endpoint
        from dpsd.network.resolve import parse_address
        from dpsd.network.tcp import connect
        server = socket.create_server(("{good}", 8883), family=parse_address("{good}")[0].family)
        began = time.monotonic()
        connected = connect(Endpoint("x", 8883), parse_address("{swallowed}") + parse_address("{good}"))
        print(connected.getpeername()[0], time.monotonic() - began < 2)
    """
    with island_of(tmp_path) as island:
        island.route_ipv6()
        island.route_ipv4()
        ran = subprocess.run([*island.enter, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout == f"{good} True\n", ran.stderr


def test_ipv6_first_and_swallowed_is_provisioned_by_ipv4(tmp_path: Path) -> None:
    with ExitStack() as opened:
        island = opened.enter_context(island_of(tmp_path, hosts=f"{SWALLOWED_IPV6} {NAME}\n127.0.0.77 {NAME}"))
        island.route_ipv6()
        emulator = EmulatorProcess(tmp_path / "emulator", address="127.0.0.77", enter=island.enter)
        board = Board(tmp_path / "board", opened.enter_context(emulator))
        ended = asked(board, island)
        assert ended.returncode == 0, ended.stderr
        assert f"connecting to {NAME}:8883" in ended.stderr


def test_ipv6_only_with_a_synthesized_address(tmp_path: Path) -> None:
    """What DNS64 makes of an IPv4 address, RFC 6052's well-known prefix, is an address like others."""
    synthesized = "64:ff9b::c000:20a"
    with ExitStack() as opened:
        island = opened.enter_context(island_of(tmp_path, servers=(SERVER,)))
        island.route_ipv6()
        island.run(f"ip -6 address add {synthesized}/128 dev lo nodad")
        opened.enter_context(name_server(island, SERVER, f"A=192.0.2.10,AAAA={synthesized}", tmp_path / "dns.log"))
        emulator = EmulatorProcess(tmp_path / "emulator", address=synthesized, enter=island.enter)
        board = Board(tmp_path / "board", opened.enter_context(emulator))
        ended = asked(board, island)
        assert ended.returncode == 0, ended.stderr


PREFIX, REAL, POOL = "2001:db8:64:", "192.0.2.10", "192.168.255"
"""A NAT64 prefix of the network's own: tayga translates the well-known one to public addresses only."""


@contextmanager
def gateway(board_side: Island, folder: Path) -> Iterator[EmulatorProcess]:
    """A router with NAT64 and DNS64 at the other end of the wire, and the emulator behind it, which has IPv4 only."""
    folder.mkdir()
    settings = folder / "tayga.conf"
    pool = f"ipv4-addr {POOL}.1\nprefix {PREFIX}:/96\ndynamic-pool {POOL}.0/24"
    settings.write_text(f"tun-device nat64\n{pool}\ndata-dir {folder}\n")
    with ExitStack() as opened:
        router = opened.enter_context(Island(folder))
        board_side.run(f"ip link set v1 netns {router.pid} name wire", "ip link set v0 up")
        board_side.run(f"ip -6 address add {NEAR}/64 dev v0 nodad", f"ip -6 route add default via {FAR}")
        router.run("ip link set wire up", f"ip -6 address add {FAR}/64 dev wire nodad")
        router.forward()
        router.run(f"tayga --mktun --config {settings}", "ip link set nat64 up", f"ip address add {REAL}/32 dev lo")
        router.run(f"ip route add {POOL}.0/24 dev nat64", f"ip -6 route add {PREFIX}:/96 dev nat64")
        translator = subprocess.Popen([*router.enter, "tayga", "--nodetach", "--config", str(settings)])
        opened.callback(translator.wait, 10)
        opened.callback(translator.terminate)
        names = f"A={REAL},AAAA={PREFIX}:c000:20a"
        opened.enter_context(name_server(router, FAR, names, folder / "dns.log"))
        hubs = {"hub.example": REAL}
        yield opened.enter_context(EmulatorProcess(folder / "emulator", address=REAL, hubs=hubs, enter=router.enter))


@pytest.mark.skipif(not shutil.which("tayga"), reason="tayga is not installed")
@pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="the kernel has no tun device")
def test_ipv6_only_through_a_real_nat64(tmp_path: Path) -> None:
    with (
        island_of(tmp_path, servers=(FAR,)) as island,
        gateway(island, tmp_path / "gateway") as emulator,
    ):
        ended = asked(Board(tmp_path / "board", emulator), island)
        assert ended.returncode == 0, ended.stderr
        assert "connecting to hub.example:8883" in ended.stderr
        assert island.run("ip -4 route") == ""


# What this board's own end looks like


def test_ipv4_addresses_and_no_ipv4(tmp_path: Path, board: Board) -> None:
    with island_of(tmp_path, hosts=f"{SWALLOWED_IPV4} {NAME}") as island:
        island.route_ipv6()
        ended = asked(board, island)
    said = f"{NAME} has IPv4 addresses only, and this network routes only IPv6"
    assert f"dpsd: no-ipv4-route: {said}\n" in ended.stderr


def test_a_link_without_a_route(tmp_path: Path, board: Board) -> None:
    with island_of(tmp_path, hosts=f"{SWALLOWED_IPV4} {NAME}\n{SWALLOWED_IPV6} {NAME}") as island:
        island.plug_in()
        ended = asked(board, island)
    assert f"dpsd: no-route: no route leads to {NAME}:8883\n" in ended.stderr


def test_a_refusal_tells_more_than_a_missing_route(tmp_path: Path, board: Board) -> None:
    with island_of(tmp_path, hosts=f"{SWALLOWED_IPV6} {NAME}\n127.0.0.1 {NAME}") as island:
        island.plug_in()
        ended = asked(board, island)
    assert f"dpsd: connection-refused: {NAME}:8883 refuses the connection\n" in ended.stderr


@pytest.mark.parametrize("hosts", [f"{SWALLOWED_IPV4} {NAME}", ""], ids=["a known name", "an unknown name"])
def test_no_interface(hosts: str, tmp_path: Path, board: Board) -> None:
    with island_of(tmp_path, hosts=hosts, servers=("192.0.2.53",)) as island:
        assert "dpsd: no-interface: no network interface is up\n" in asked(board, island).stderr


def test_no_interface_and_a_blocked_radio(tmp_path: Path, board: Board) -> None:
    classes = tmp_path / "class"
    files = {"net/lo": {"flags": "0x9", "operstate": "unknown"}, "net/wlan0": {"flags": "0x1002", "operstate": "down"}}
    files["rfkill/rfkill0"] = {"type": "wlan", "soft": "1", "hard": "0"}
    for folder, values in files.items():
        (classes / folder).mkdir(parents=True)
        for name, value in values.items():
            (classes / folder / name).write_text(f"{value}\n")
    with island_of(tmp_path, hosts=f"{SWALLOWED_IPV4} {NAME}") as island:
        island.run(f"mount --bind {classes} /sys/class")
        ended = asked(board, island)
    assert "dpsd: radio-blocked: no network interface is up, and the radio is blocked\n" in ended.stderr
    assert "\nhint: unblock the radio: rfkill unblock wifi; " in ended.stderr


def test_packets_that_are_swallowed_end_in_no_answer(tmp_path: Path, board: Board) -> None:
    with island_of(tmp_path, hosts=f"{SWALLOWED_IPV4} {NAME}\n{SWALLOWED_IPV6} {NAME}") as island:
        island.route_ipv4()
        island.route_ipv6()
        assert f"dpsd: no-answer: {NAME}:8883 does not answer\n" in asked(board, island).stderr


# Name servers

BEHAVIOURS = {
    "NXDOMAIN": "name-not-resolved",
    "empty": "name-not-resolved",
    "SERVFAIL": "dns-unavailable",
    "REFUSED": "dns-unavailable",
    "silent": "dns-no-answer",
}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_name_that_is_not_told_is_a_problem_of_its_own(behaviour: str, tmp_path: Path, board: Board) -> None:
    with island_of(tmp_path, servers=(SERVER,)) as island:
        island.route_ipv4()
        with name_server(island, SERVER, behaviour, tmp_path / "dns.log"):
            ended = asked(board, island)
    assert f"dpsd: {BEHAVIOURS[behaviour]}: " in ended.stderr, ended.stderr
    assert f"\ndpsd: resolving {NAME}\n" in ended.stderr


def test_a_resolver_that_would_wait_longer_is_cut_off(tmp_path: Path, board: Board) -> None:
    with island_of(tmp_path, servers=("198.51.100.51", "198.51.100.52", "198.51.100.53")) as island:
        island.route_ipv4()
        ended = asked(board, island)
    said = f"the name servers have not answered for {NAME} within 20 s"
    assert f"dpsd: dns-no-answer: {said}\n" in ended.stderr


def test_name_servers_that_cannot_be_asked(tmp_path: Path, board: Board) -> None:
    with island_of(tmp_path, servers=(OFFLINE,)) as island:
        island.plug_in()
        assert "dpsd: no-route: no route leads out of this board\n" in asked(board, island).stderr
        island.route_ipv4()
        assert "dpsd: dns-unavailable: " in asked(board, island).stderr


def test_a_proxy_that_has_no_address_is_unreachable(tmp_path: Path, board: Board) -> None:
    with island_of(tmp_path, servers=(SERVER,)) as island:
        island.route_ipv4()
        with name_server(island, SERVER, "NXDOMAIN", tmp_path / "dns.log"):
            ended = asked(board, island, network='proxy = "http://proxy.example:3128"')
    assert "dpsd: proxy-unreachable: the proxy http://proxy.example:3128 cannot be reached: " in ended.stderr
