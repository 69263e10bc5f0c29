"""Many devices in one process: dpsd's registration machine and retry policy over real TLS connections."""

from __future__ import annotations

import asyncio
import base64
import random
import ssl
import struct
import time

from dpsd.errors import Problem, Retry
from dpsd.protocol.assignment import Assignment
from dpsd.protocol.registration import Finish, Ignore, Publish, Registration, StartOver, Wait
from dpsd.protocol.retry import choose_delay
from dpsd.protocol.sas import derive_device_key
from tests.emulator.device import connect_packet, packet, publish_packet, subscribe_packet, token
from tests.emulator_process import EmulatorProcess

HANDSHAKES = 50
"""At a time, so that the emulator's one thread finishes each within its 30 s."""
STEP_LIMIT = 60
"""Seconds; twice the daemon's own, since all devices share this machine's few cores with the service."""


class Session:
    """A connection from CONNECT to DISCONNECT; raises Problem, OSError and asyncio.IncompleteReadError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def exchange(self, sent: bytes, expected: int) -> bytes:
        """Send a packet and return the body of the one that must come next."""
        self._writer.write(sent)
        first, body = await self._next()
        assert first >> 4 == expected
        return body

    def publish(self, request: Publish) -> None:
        self._writer.write(publish_packet(request.topic, request.body))

    async def receive(self) -> tuple[str, bytes]:
        """Return the next message's topic and body, past any PUBACK."""
        first, body = await self._next()
        while first >> 4 == 4:
            first, body = await self._next()
        size = struct.unpack("!H", body[:2])[0]
        number = body[2 + size : 4 + size]
        self._writer.write(packet(0x40, number))
        return body[2 : 2 + size].decode(), body[4 + size :]

    def close(self) -> None:
        self._writer.write(packet(0xE0))
        self._writer.close()

    async def _next(self) -> tuple[int, bytes]:
        return await asyncio.wait_for(self._read(), STEP_LIMIT)

    async def _read(self) -> tuple[int, bytes]:
        first, length, shift = (await self._reader.readexactly(1))[0], 0, 0
        while True:
            digit = (await self._reader.readexactly(1))[0]
            length, shift = length | (digit & 0x7F) << shift, shift + 7
            if not digit & 0x80:
                return first, await self._reader.readexactly(length)


class Fleet:
    """devices: how many, of the group with keys. All are connected before the first of them registers."""

    def __init__(self, emulator: EmulatorProcess, devices: int) -> None:
        self._emulator = emulator
        self._devices = devices
        self._connected = 0
        self._all_connected = asyncio.Event()
        self._handshakes = asyncio.Semaphore(HANDSHAKES)
        self._context = ssl.create_default_context(cafile=str(emulator.ca))
        self._group_key = base64.b64decode((emulator.directory / "groups/symmetric-fleet/primary.key").read_text())

    async def run(self) -> list[Assignment]:
        """Provision all devices, however many attempts that takes."""
        return await asyncio.gather(*(self._provision(f"pi-{number:04}") for number in range(self._devices)))

    async def _provision(self, name: str) -> Assignment:
        failures: dict[Retry, int] = {}
        operation_id = None
        while True:
            machine = Registration(name, None, f"{random.getrandbits(64):x}", operation_id)
            try:
                return await self._attempt(name, machine)
            except Problem as problem:
                operation_id, retry = machine.operation_id, problem.kind.retry
                failures[retry] = failures.get(retry, 0) + 1
                await asyncio.sleep(choose_delay(problem, failures[retry], random.random()) or 0)

    async def _attempt(self, name: str, machine: Registration) -> Assignment:
        session = await self._open(name)
        try:
            await session.exchange(subscribe_packet(1, (machine.start().topic_filter, 1)), expected=9)
            await self._gather()
            return await _converse(session, machine)
        finally:
            session.close()

    async def _open(self, name: str) -> Session:
        emulator = self._emulator
        async with self._handshakes:
            where = asyncio.open_connection(emulator.address, emulator.port, ssl=self._context, limit=8192)
            session = Session(*await where)
            resource = f"{emulator.id_scope}/registrations/{name}"
            key = base64.b64encode(derive_device_key(self._group_key, name)).decode()
            password = token(resource, key, int(time.time()) + 3600)
            connect = connect_packet(name, f"{resource}/api-version=2019-03-31", password)
            assert await session.exchange(connect, expected=2) == b"\0\0"
            return session

    async def _gather(self) -> None:
        """Wait until every device is connected, the first time."""
        self._connected += 1
        if self._connected == self._devices:
            self._all_connected.set()
        await self._all_connected.wait()


async def _converse(session: Session, machine: Registration) -> Assignment:
    action: Publish | Wait | Ignore | StartOver | Finish = machine.subscribed()
    while not isinstance(action, Finish):
        if isinstance(action, Wait):
            await asyncio.sleep(action.seconds)
            action = machine.waited()
        elif isinstance(action, Publish):
            session.publish(action)
            action = machine.received(*await session.receive())
        else:
            assert isinstance(action, Ignore)
            action = machine.received(*await session.receive())
    return action.assignment
