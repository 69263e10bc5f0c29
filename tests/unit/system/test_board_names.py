"""Values for a registration id: each source gives a name of this board alone, or says what to use instead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dpsd.errors import Problem
from dpsd.protocol.identifiers import check_template, fill_template
from dpsd.system import board_names, machine_id
from dpsd.system.board import read_serial
from dpsd.system.board_names import list_hardware_interfaces, read_board_name
from tests.unit.examples import CHECKOUT

RANDOM, SET = "1", "3"
PRINT_MAC = "import sys; from dpsd.system.board_names import read_board_name as read; print(read('mac', sys.argv[1]))"


def put_interface(folder: Path, name: str, address: str, kind: str = "0", device: bool = True) -> None:
    place = folder / name
    place.mkdir(parents=True)
    (place / "address").write_text(address + "\n")
    (place / "addr_assign_type").write_text(kind + "\n")
    if device:
        (place / "device").mkdir()


@pytest.fixture
def interfaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Names that the kernel does not know, so that it cannot be asked for a permanent address."""
    monkeypatch.setattr(board_names, "INTERFACES", str(tmp_path))
    put_interface(tmp_path, "test-bridge", "02:42:AC:11:00:02", device=False)
    put_interface(tmp_path, "test-wired", "DC:A6:32:00:00:01")
    return tmp_path


def problem_of(name: str, argument: str = "") -> Problem:
    with pytest.raises(Problem) as raised:
        read_board_name(name, argument)
    return raised.value


def test_a_hardware_address_is_the_only_ones_or_the_named_ones(interfaces: Path) -> None:
    put_interface(interfaces, "test-given", "02:00:00:00:00:0A", kind=SET, device=False)
    assert read_board_name("mac", "") == "dca632000001"
    assert read_board_name("mac", "test-given") == "02000000000a"


def test_of_several_interfaces_none_is_chosen(interfaces: Path) -> None:
    put_interface(interfaces, "test-wifi", "DC:A6:32:00:00:02")
    assert problem_of("mac").hint == "use {mac:test-wifi} in dps.registration_id instead"


@pytest.mark.parametrize(("kind", "address"), [(RANDOM, "02:00:00:00:00:0A"), ("0", "00:00:00:00:00:00"), ("0", "")])
def test_an_address_that_is_made_up_is_refused(interfaces: Path, kind: str, address: str) -> None:
    put_interface(interfaces, "test-odd", address, kind)
    assert problem_of("mac", "test-odd").code == "registration-id-unavailable"


def test_an_interface_that_is_not_there_yet_is_waited_for(interfaces: Path) -> None:
    found = problem_of("mac", "test-usb")
    assert (found.code, found.kind.retry.value) == ("interface-missing", "network")


@pytest.mark.skipif(not list_hardware_interfaces(), reason="this machine has no network hardware")
def test_the_kernel_tells_the_permanent_address() -> None:
    name = list_hardware_interfaces()[0]
    shown = subprocess.run(["ip", "-details", "link", "show", name], capture_output=True, text=True, check=True).stdout
    words = shown.split()
    permanent = words[words.index("permaddr" if "permaddr" in words else "link/ether") + 1]
    assert board_names._read_permanent_address(name) == permanent.replace(":", "")


@pytest.mark.root
def test_an_interface_without_hardware_has_no_permanent_address() -> None:
    made = "ip link add name v0 address 02:00:00:00:00:0a type veth peer name v1"
    script = f'{made} && "$0" -c "$1" v0 && "$0" -c "$1" v1'
    command = ["unshare", "--net", "--mount", "sh", "-c", f"mount -t sysfs sysfs /sys && {script}"]
    ran = subprocess.run([*command, sys.executable, PRINT_MAC], cwd=CHECKOUT, capture_output=True, text=True)
    assert ran.stdout == "02000000000a\n"
    assert "v1 has no hardware address that survives a reboot" in ran.stderr


@pytest.mark.parametrize("text", ["", "uninitialized", "0" * 32, "a" * 31, "Z" * 32])
def test_a_machine_id_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "machine-id").write_text(text + "\n")
    monkeypatch.setattr(machine_id, "MACHINE_ID", str(tmp_path / "machine-id"))
    assert "holds no machine id" in problem_of("machine_id").sentence


@pytest.mark.parametrize("name", ["raspberrypi", "localhost", "debian", "RaspberryPi.local"])
def test_a_host_name_of_every_new_system_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", name, "", "", "")))
    assert "what every new system is called" in problem_of("hostname").sentence


def test_a_host_name_of_its_own_is_taken_without_its_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "Gate-7.example.org", "", "", "")))
    assert read_board_name("hostname", "") == "gate-7"


@pytest.mark.skipif(bool(read_serial()), reason="this board has a device tree")
def test_without_a_device_tree_alternatives_are_named() -> None:
    assert problem_of("serial").hint == "use {mac:INTERFACE}, {machine_id} or {cn} in dps.registration_id instead"


@pytest.mark.parametrize("template", ["pi-{serial}", "{mac:eth0}", "{mac}-{hostname}", "site-7.{machine_id}", "plain"])
def test_a_template_may_name_the_known_values(template: str) -> None:
    check_template(template, x509=False)


@pytest.mark.parametrize(
    "template",
    ["{imei}", "pi-{", "}", "{{serial}}", "{mac:}", "{serial:eth0}", "{mac:a/b}", "PI-{serial}", "{serial}.", "{cn}"],
)
def test_a_template_with_a_mistake_is_refused(template: str) -> None:
    with pytest.raises(Problem):
        check_template(template, x509=False)


def test_a_filled_template_is_in_lower_case() -> None:
    filled = fill_template("pi-{mac:eth0}-{serial}", lambda name, argument: f"{name}={argument}.A")
    assert filled == "pi-mac=eth0.a-serial=.a"
