from __future__ import annotations

import asyncio
from pathlib import Path

from dpsd.emulator.server import Emulator, HubAddress, Settings
from tests.emulator.device import Device
from tests.emulator.registering import REGISTER, REPLIES
from tests.emulator_process import next_address


def register(emulator: Emulator, address: str) -> int:
    """Send a register request as the ready-made device with a certificate; return the reply's status."""
    directory = emulator.directory.path
    with Device(address, emulator.port, emulator.directory.ca_file, directory / "devices/x509-individual") as device:
        scope = emulator.world.enrollments.id_scope
        device.connect("x509-individual", f"{scope}/registrations/x509-individual/api-version=2019-03-31")
        device.subscribe(REPLIES)
        return int(device.request(REGISTER)[0].split("/")[3])


def test_it_runs_inside_a_program_and_shows_its_world(tmp_path: Path) -> None:
    async def scenario() -> None:
        address, hub = next_address(), next_address()
        settings = Settings(tmp_path, address=address, hubs=(HubAddress("hub-a", hub),))
        async with Emulator(settings) as emulator:
            assert await asyncio.to_thread(register, emulator, address) == 202
            assert emulator.world.registrations["x509-individual"].hub == "hub-a"
            assert "x509-individual" in emulator.world.hubs["hub-a"].devices
            emulator.replace({}, [{"on": "register-reply", "do": "reply", "status": 503}])
            assert await asyncio.to_thread(register, emulator, address) == 503
            assert [line["status"] for line in emulator.log.lines if line["event"] == "register-reply"] == [202, 202]

    asyncio.run(scenario())


def test_nothing_is_left_when_it_has_stopped(tmp_path: Path) -> None:
    async def scenario() -> None:
        before = asyncio.all_tasks()
        async with Emulator(Settings(tmp_path, address=next_address(), hubs=())) as emulator:
            reader, writer = await asyncio.open_connection(emulator.addresses[0], emulator.port)
        assert asyncio.all_tasks() == before
        assert await reader.read() == b""
        writer.close()

    asyncio.run(scenario())
