"""A route that comes up is heard; what the kernel tells besides is not taken for one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.system.routes import has_new_route

ROOT = Path(__file__).parents[3]
LINK = "ip link add name d0 type veth peer name d1"
UP = f"{LINK} && ip link set d1 up && ip link set d0 up"
COMMANDS = {
    "an address of one's own": ("ip address add 10.9.9.9/32 dev lo", False),
    "a link that is down": (LINK, False),
    "a link that comes up, with IPv6 of its own": (UP, False),
    "an address with its network": (f"{UP} && ip address add 10.1.1.2/24 dev d0", True),
    "a default route": ("ip link set lo up && ip route add default dev lo", True),
    "a route of another table": ("ip link set lo up && ip route add default dev lo table 7", False),
}
LISTENING = """if True:
    import os, subprocess, sys
    from dpsd.system.routes import RouteWatch
    watch = RouteWatch()
    subprocess.run(sys.argv[1], shell=True, check=True)
    print(watch.came_up())
    print(watch.came_up())
"""


WANTING = """if True:
    import selectors, subprocess
    from dpsd.daemon.changes import Routes
    selector = selectors.DefaultSelector()
    routes = Routes(selector)
    routes.hear(True)
    for _ in range(2):
        subprocess.run("ip link set lo up && ip route add default dev lo", shell=True, check=True)
        print(*[routes.came_up(key.fd) for key, _ in selector.select(0)])
        subprocess.run("ip route del default", shell=True, check=True)
        routes.hear(False)
"""


def in_a_namespace(*words: str) -> str:
    """Run Python code on an empty network; return what it printed on stdout."""
    command = ["unshare", "--net", sys.executable, "-c", *words]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return ran.stdout


@pytest.mark.root
@pytest.mark.parametrize("name", COMMANDS)
def test_a_route_that_comes_up_is_heard_once(name: str) -> None:
    command, heard = COMMANDS[name]
    assert in_a_namespace(LISTENING, command).split() == [str(heard), "False"]


@pytest.mark.root
def test_a_route_that_comes_up_is_heard_of_while_somebody_wants_that() -> None:
    assert in_a_namespace(WANTING).splitlines() == ["True", ""]


@given(st.binary(max_size=200))
def test_any_bytes_are_survived(data: bytes) -> None:
    assert has_new_route(data) in (True, False)
