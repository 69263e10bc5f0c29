"""The token door under real systemd: who may ask, what is never refused, and what an idle door costs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from dpsd.protocol.sas import parse_key, parse_token, verify_token
from tests.boot.lab import Device, Emulator, Layers, put
from tests.boot.stores import await_readiness, key_from_systemd, key_in_files, sealed_key
from workshop.debian import deb
from workshop.lab.machine import Machine, eventually

pytestmark = pytest.mark.root

SOCKET = "/run/dpsd-identity/identity.sock"
AGENT = """\
[Service]
Type=oneshot
DynamicUser=yes
SupplementaryGroups=dpsd-agents
ExecStart=/usr/bin/python3 /usr/share/ask.py {count}
"""
ASK = '''\
"""Ask for tokens, one after the other, and print each status and how the connection failed, if it did."""
import collections, socket, sys
REQUEST = b"GET /v1/token?format=text HTTP/1.1\\r\\nHost: door\\r\\n\\r\\n"
seen = collections.Counter()
for _ in range(int(sys.argv[1])):
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.connect("/run/dpsd-identity/identity.sock")
            door.sendall(REQUEST)
            seen[door.recv(65536)[9:12].decode()] += 1
    except OSError as error:
        seen[type(error).__name__] += 1
print("seen", dict(seen), flush=True)
'''


@pytest.fixture
def machine(device: Device, installed: Layers, emulator: Emulator) -> Machine:
    """A device with a key in a file, that is provisioned."""
    machine = device(installed)
    prepare(machine, emulator)
    key_in_files(machine.root, emulator)
    machine.boot()
    await_readiness(machine)
    return machine


def prepare(machine: Machine, emulator: Emulator) -> None:
    root = machine.root
    put(root, "ca.pem", (emulator.folder / "ca.pem").read_bytes())
    (root / "usr/share/ask.py").write_text(ASK)
    for name, count in (("telemetry", 3), ("other", 1)):
        (root / f"etc/systemd/system/{name}.service").write_text(AGENT.format(count=count))
    for unit in root.glob("etc/systemd/system/dpsd-provisioned.target.wants/*"):
        unit.unlink()


def asked_by(machine: Machine, unit: str) -> str:
    """Start an agent, and return what it has seen of the door."""
    machine.run("systemctl", "start", unit)
    (seen,) = re.findall(
        r"seen (\{.*\})", machine.run("journalctl", "--unit", unit, "--output=cat", "--boot", "--lines=3")
    )
    return str(seen)


def test_an_agent_of_a_user_of_its_own_gets_tokens_and_the_journal_says_who(
    machine: Machine, emulator: Emulator
) -> None:
    assert asked_by(machine, "telemetry.service") == "{'200': 3}"
    assert machine.run("stat", "--format=%a %U:%G", SOCKET).strip() == "660 dpsd:dpsd-agents"
    assert machine.attempt("curl", "--version").status != 0  # nothing but dpsd's own is needed
    assert machine.attempt("dpsctl", "token", user="nobody").status == 77
    door = machine.properties("dpsd-identity.service")
    eventually(lambda: not machine.is_active("dpsd-identity.service"), "the idle door leaves", within=40)
    lines = machine.run("journalctl", "--unit=dpsd-identity.service", "--output=cat", "--boot").splitlines()
    assert [line for line in lines if "token for" in line and "telemetry.service" in line and "for 3600 s" in line]
    assert door["User"] == "dpsd"


def test_only_the_named_unit_may_ask(machine: Machine) -> None:
    (machine.root / "etc/dpsd/dpsd.toml.d/doors.toml").write_text('[doors]\nunits = ["telemetry.service"]\n')
    assert asked_by(machine, "telemetry.service") == "{'200': 3}"
    assert asked_by(machine, "other.service") == "{'403': 1}"
    other = ("runuser", "-u", "nobody", "-g", "dpsd-agents", "--", "python3", "/usr/share/ask.py", "1")
    assert "'403': 1" in machine.run(*other)
    assert "'200': 1" in machine.run("python3", "/usr/share/ask.py", "1")


@pytest.mark.parametrize("store", [key_from_systemd, sealed_key])
def test_the_door_opens_what_the_daemon_opens(
    store: Callable[[Path, Emulator], None], device: Device, installed: Layers, emulator: Emulator
) -> None:
    machine = device(installed)
    prepare(machine, emulator)
    store(machine.root, emulator)
    if store is key_from_systemd:
        drop_in = machine.root / "etc/systemd/system/dpsd-identity.service.d"
        drop_in.mkdir()
        (drop_in / "key.conf").write_text("[Service]\nLoadCredential=dpsd.primary_key\n")
    machine.boot()
    if store is sealed_key:
        machine.run("dpsctl", "seal", "--primary-key", "/root/primary.key")
    await_readiness(machine)
    assert asked_by(machine, "telemetry.service") == "{'200': 3}"


def test_a_thousand_requests_over_fifty_restarts_are_all_answered(machine: Machine) -> None:
    code = "python3 /usr/share/ask.py 1000 >/run/seen & "
    code += "for _ in $(seq 50); do systemctl restart dpsd-identity.service || exit 1; done; wait; cat /run/seen"
    assert machine.run("sh", "-c", code, timeout=300).strip() == "seen {'200': 1000}"
    assert machine.is_active("dpsd-identity.socket")


def test_an_upgrade_refuses_nobody(machine: Machine) -> None:
    """The package is unpacked and configured again while the service runs and an agent asks without a pause."""
    package = machine.root / "root" / "again.deb"
    package.write_bytes(deb.build().read_bytes())
    machine.run("python3", "/usr/share/ask.py", "1")
    assert machine.is_active("dpsd-identity.service")
    since = machine.properties("dpsd-identity.socket")["ActiveEnterTimestampMonotonic"]
    code = "sh -c 'while [ ! -e /run/upgraded ]; do python3 /usr/share/ask.py 20; done >/run/seen' & "
    code += "dpkg --install /root/again.deb >/dev/null; status=$?; sleep 1; touch /run/upgraded; wait; exit $status"
    machine.run("sh", "-c", code, timeout=300)
    seen = (machine.inside / "run/seen").read_text().splitlines()
    assert len(seen) > 3 and set(seen) == {"seen {'200': 20}"}
    assert machine.properties("dpsd-identity.socket")["ActiveEnterTimestampMonotonic"] == since


def test_a_service_that_fails_is_started_again_without_haste_and_whoever_waits_is_answered(machine: Machine) -> None:
    """Broken as in the middle of an upgrade, with somebody waiting: no loop, and in the end an answer."""
    broken = machine.root / "etc/systemd/system/dpsd-identity.service.d"
    broken.mkdir()
    (broken / "broken.conf").write_text("[Service]\nExecStartPre=/bin/test ! -e /run/broken\n")
    machine.run("sh", "-c", "touch /run/broken; systemctl daemon-reload")
    code = "python3 /usr/share/ask.py 1 >/run/seen & sleep 6; systemctl show -P NRestarts dpsd-identity.service;"
    code += "rm /run/broken; wait; cat /run/seen"
    restarts, seen = machine.run("sh", "-c", code).splitlines()
    assert 2 <= int(restarts) <= 7
    assert seen == "seen {'200': 1}"


def test_nothing_of_the_door_runs_while_it_is_idle(machine: Machine) -> None:
    machine.run("python3", "/usr/share/ask.py", "1")
    (control_group,) = re.findall(r"/\S+", machine.properties("dpsd-identity.service")["ControlGroup"])
    assert control_group.endswith("/dpsd-identity.service")
    eventually(lambda: not machine.is_active("dpsd-identity.service"), "the idle door leaves", within=40)
    assert machine.is_active("dpsd-identity.socket")
    assert machine.properties("dpsd-identity.service")["MainPID"] == "0"


def test_the_door_is_named_because_it_is_served(machine: Machine) -> None:
    assert f'"identity_socket": "{SOCKET}"' in machine.run("cat", "/var/lib/dpsd/connection.json")
    machine.run("systemctl", "stop", "dpsd-identity.socket")
    machine.run("systemctl", "restart", "dpsd.service")
    assert "identity_socket" not in machine.run("cat", "/var/lib/dpsd/connection.json")


def test_a_token_is_one_of_this_device(machine: Machine, emulator: Emulator) -> None:
    machine.run("sh", "-c", "dpsctl token --ttl 300 >/run/token")
    text = (machine.inside / "run/token").read_text().strip()
    (machine.inside / "run/token").unlink()
    key = parse_key((emulator.folder / "devices/symmetric-group/primary.key").read_bytes())
    assert verify_token(parse_token(text), key)
    hub = json.loads(machine.run("cat", "/var/lib/dpsd/connection.json"))["iothub_hostname"]
    assert parse_token(text).decode_resource() == f"{hub}/devices/symmetric-group"
