"""The emulator as a whole: it listens on all its addresses, and serves all connections from one world.

async with Emulator(Settings(directory=Path("here"))) as emulator:
    emulator.port, emulator.world, emulator.log.lines, emulator.faults
"""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TextIO

from OpenSSL import SSL

from dpsd.emulator.dps.enrollments import Enrollments, merge, parse_enrollments
from dpsd.emulator.events import EventLog
from dpsd.emulator.files.directory import Directory
from dpsd.emulator.switches import Switches
from dpsd.emulator.wire.faults import parse_faults
from dpsd.emulator.wire.session import Session, Shared
from dpsd.emulator.wire.tls import Offer, open_context
from dpsd.emulator.world import World, derive_device_name
from dpsd.shape import ShapeError, Table

PORT_TRIES = 20
BACKLOG = 512
DPS_NAMES = ("localhost", "global.azure-devices-provisioning.net")
"""Names of DPS, besides its address, in the server certificate."""


class HubAddress(NamedTuple):
    """name: what DPS tells devices. address: where the hub listens."""

    name: str
    address: str


DEFAULT_HUBS = (HubAddress("127.0.0.2", "127.0.0.2"), HubAddress("127.0.0.3", "127.0.0.3"))


class Settings(NamedTuple):
    """How to run.

    port, websocket_port: 0 for a free one; websocket_port: None for no WebSocket. enrollments: put over those of the
    ready-made devices. faults: the rows of a faults file. names: more DNS names of DPS. output: of the event log.
    clock: returns seconds since 1970.
    """

    directory: Path
    address: str = "127.0.0.1"
    hubs: tuple[HubAddress, ...] = DEFAULT_HUBS
    port: int = 0
    websocket_port: int | None = 0
    enrollments: dict[str, Any] | None = None
    faults: list[Any] | None = None
    switches: Switches | None = None
    names: tuple[str, ...] = ()
    output: TextIO | None = None
    clock: Callable[[], float] = time.time


class Emulator:
    """A running emulator, as an asynchronous context."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.directory = Directory(settings.directory)
        self.log = EventLog(settings.output, settings.clock)
        self._ready_made = self.directory.write_devices()
        self.world = World(
            self._parse_enrollments(settings.enrollments or {}),
            [hub.name for hub in settings.hubs],
            settings.switches or Switches(),
        )
        self.faults = parse_faults(settings.faults or [])
        self.port = 0
        self.websocket_port: int | None = None
        self._servers: list[asyncio.base_events.Server] = []
        self._sessions: set[asyncio.Task[None]] = set()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses it listens on, DPS's first."""
        settings = self._settings
        return tuple(dict.fromkeys((settings.address, *(hub.address for hub in settings.hubs))))

    def replace(self, enrollments: dict[str, Any], faults: list[Any]) -> None:
        """Replace enrollments and faults, whose count starts again; raises ShapeError and then keeps the old ones."""
        parsed, rows = self._parse_enrollments(enrollments), parse_faults(faults)
        self.world.enrollments = parsed
        self.faults.rows = rows.rows
        self.log.write("reloaded", faults=len(rows.rows))

    def _parse_enrollments(self, document: dict[str, Any]) -> Enrollments:
        hubs = [{"name": hub.name.lower()} for hub in self._settings.hubs]
        merged = merge({**self._ready_made, "linkedHubs": hubs}, Table(document))
        enrollments = parse_enrollments(Table(merged))
        unknown = enrollments.hubs.keys() - {hub.name.lower() for hub in self._settings.hubs}
        if unknown:
            raise ShapeError(f"linkedHubs: {', '.join(sorted(unknown))} has no address (--hub NAME=ADDRESS)")
        return enrollments

    async def __aenter__(self) -> Emulator:
        """Start to listen; raises OSError when an address or port cannot be had."""
        try:
            await self._start(self._make_shared())
        except BaseException:
            await self._stop()
            raise
        self._announce()
        return self

    async def _start(self, shared: Shared) -> None:
        self.port = await self._listen(shared, self._settings.port, websocket=False)
        port = self._settings.websocket_port
        try:
            self.websocket_port = None if port is None else await self._listen(shared, port, websocket=True)
        except PermissionError:
            self.websocket_port = None  # `_announce` says so.

    def _make_shared(self) -> Shared:
        settings = self._settings
        hubs = [spelling for hub in settings.hubs for spelling in (hub.name, derive_device_name(hub.name))]
        names = (*self.addresses, *hubs, *DPS_NAMES, *settings.names)
        files = self.directory.write_servers(dict.fromkeys(names))

        @functools.cache
        def context(offer: Offer) -> SSL.Context:
            certificate, key = files[offer.certificate]
            return open_context(str(certificate), str(key), offer)

        return Shared(self.world, self.faults, self.log, settings.clock, context)

    async def _listen(self, shared: Shared, port: int, *, websocket: bool) -> int:
        """Listen on all addresses at the same port; return the port. Raises OSError."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._sessions.add(task)
            # A PUBACK and the reply after it are two small writes: Nagle would hold the second for 40 ms.
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task.add_done_callback(self._sessions.discard)
            await Session(shared, reader, writer, websocket=websocket).run()

        listeners = _bind_all(self.addresses, port)
        for listener in listeners:
            self._servers.append(await asyncio.start_server(serve, sock=listener, backlog=BACKLOG))
        bound: int = listeners[0].getsockname()[1]
        return bound

    def _announce(self) -> None:
        settings = self._settings
        ports = {"mqtt": self.port, "websocket": self.websocket_port}
        where = {
            "idScope": self.world.enrollments.id_scope,
            "globalEndpoint": settings.address,
            "ports": ports,
        }
        self.directory.write("ports.json", json.dumps({"address": settings.address, **ports}) + "\n")
        self.directory.describe_devices({**where, "ca": str(self.directory.ca_file)})
        self.log.write(
            "listening",
            address=settings.address,
            port=self.port,
            websocketPort=self.websocket_port,
            hubs={hub.name: hub.address for hub in settings.hubs},
            idScope=self.world.enrollments.id_scope,
            directory=str(self.directory.path),
            ca=str(self.directory.ca_file),
        )
        if self.websocket_port is None and settings.websocket_port is not None:
            self.log.write("note", message=f"no WebSocket: port {settings.websocket_port} is not permitted")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for task in tuple(self._sessions):
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)


def _bind_all(addresses: tuple[str, ...], port: int) -> list[socket.socket]:
    """Bind the same port on all addresses; port: 0 for one that is free on all of them. Raises OSError."""
    for tries_left in range(PORT_TRIES if port == 0 else 1, 0, -1):
        sockets: list[socket.socket] = []
        try:
            chosen = port
            for address in addresses:
                sockets.append(_bind_one(address, chosen))
                chosen = sockets[0].getsockname()[1]
            return sockets
        except OSError:
            for one in sockets:
                one.close()
            if tries_left == 1:
                raise
    raise AssertionError("unreachable: the last try returns or raises")


def _bind_one(address: str, port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, port))
    except BaseException:
        one.close()
        raise
    return one
