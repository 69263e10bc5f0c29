"""Devices with the package on both releases, from a fresh disk to a provisioned one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.boot.first_boot import FirstBoot, observe
from tests.boot.inspection import inspect
from tests.boot.lab import Device, Emulator, Layers, add_agents, add_names
from workshop.debian import deb, roots
from workshop.dev import places
from workshop.lab.machine import Machine, install
from workshop.lab.network import Network


@pytest.fixture(scope="session", params=roots.RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """Each supported release of Debian."""
    return str(request.param)


@pytest.fixture(scope="session")
def installed(release: str) -> Iterator[Layers]:
    """A disk with the package, the agents and the hub's name, never booted."""
    disk = roots.overlay(release, roots.made(roots.device(release)))
    install(disk.root, deb.build())
    add_agents(disk.root)
    add_names(disk.root)
    roots.unmount(disk)
    yield disk.layers
    roots.discard(disk)


@pytest.fixture(scope="session")
def first_boot(release: str, installed: Layers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FirstBoot]:
    """What was seen while a configured device booted for the first time, and the disk it left behind."""
    disk = roots.overlay(f"{release}-first", *installed)
    with (
        Network() as network,
        running(Emulator(network, tmp_path_factory.mktemp("emulator"))) as emulator,
        watched(Machine(f"{release}-first", disk.root, network)) as machine,
    ):
        seen = observe(machine, emulator)
        inspect(machine)
        machine.power_off()
    roots.unmount(disk)
    yield seen._replace(layers=disk.layers)
    roots.discard(disk)


@pytest.fixture
def network() -> Iterator[Network]:
    """A network of the test's own, without anything in it."""
    with Network() as network:
        yield network


@pytest.fixture
def emulator(network: Network, tmp_path: Path) -> Iterator[Emulator]:
    """An emulator in the test's network."""
    with running(Emulator(network, tmp_path)) as emulator:
        yield emulator


@pytest.fixture
def device(release: str, network: Network) -> Iterator[Device]:
    """Make a device from a disk's layers, not powered on; a test that fails reports its journal."""
    with ExitStack() as devices:

        def make(layers: Layers) -> Machine:
            disk = roots.overlay(f"{release}-device", *layers)
            devices.callback(roots.discard, disk)
            return devices.enter_context(watched(Machine(f"{release}-device", disk.root, network)))

        yield make


@pytest.fixture
def bench() -> Iterator[Path]:
    """A folder on a disk, for images of disks, which are large."""
    with tempfile.TemporaryDirectory(dir=places.BUILD) as folder:
        yield Path(folder)


@contextmanager
def running(emulator: Emulator) -> Iterator[Emulator]:
    """Start an emulator, and stop it if the test has not."""
    emulator.start()
    try:
        yield emulator
    finally:
        if emulator.is_running:
            emulator.stop()


@contextmanager
def watched(machine: Machine) -> Iterator[Machine]:
    """Inspect a machine that is still on at the end, print its journal, and cut it off."""
    try:
        yield machine
        if machine.is_on:
            inspect(machine)
    finally:
        if machine.is_on:
            print(machine.journal())
            machine.cut()
