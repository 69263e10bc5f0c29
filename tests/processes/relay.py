"""Servers between a board and the emulator: one that cuts WebSocket frames anew, one that answers anything, a pump."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.emulator_process import EmulatorProcess

Shape = Callable[[ServerConnection, bytes], None]
"""Sends bytes to the client in frames of its choice."""


def server_context(emulator: EmulatorProcess, name: str = "valid") -> ssl.SSLContext:
    """A server's context with one of the emulator's certificates: valid, expired, wrong-name, unknown-ca."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(emulator.directory / f"server/{name}.pem", emulator.directory / f"server/{name}.key")
    return context


@contextmanager
def relay(emulator: EmulatorProcess, shape: Shape) -> Iterator[str]:
    """Serve WebSocket at port 443 of the emulator's name, forward to its MQTT port; gives HOST:PORT."""

    def pass_on(client: ServerConnection) -> None:
        context = ssl.create_default_context(cafile=str(emulator.ca))
        plain = socket.create_connection((emulator.address, emulator.port))
        with context.wrap_socket(plain, server_hostname=emulator.address) as upstream:
            threading.Thread(target=back, args=(client, upstream), daemon=True).start()
            for message in client:
                assert isinstance(message, bytes)
                upstream.sendall(message)

    def back(client: ServerConnection, upstream: ssl.SSLSocket) -> None:
        with suppress(OSError):  # closed under it
            while data := upstream.recv(65536):
                shape(client, data)

    context = server_context(emulator)
    with serve(
        pass_on, emulator.address, 0, ssl=context, subprotocols=[Subprotocol("mqtt")], compression=None
    ) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"{emulator.address}:{serving.socket.getsockname()[1]}"
        serving.shutdown()


@contextmanager
def server(address: str, talk: Callable[[socket.socket], None], context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Let `talk` answer every connection, over TLS if there is a context; gives HOST:PORT."""

    def answer() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve_one, args=(plain,), daemon=True).start()

    def serve_one(plain: socket.socket) -> None:
        try:
            with context.wrap_socket(plain, server_side=True) if context else plain as connection:
                talk(connection)
        except OSError:
            plain.close()

    with socket.create_server((address, 0)) as listener:
        threading.Thread(target=answer, daemon=True).start()
        try:
            yield f"{address}:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def pump(client: socket.socket, host: str, port: int) -> None:
    """Pass bytes on between a client and a server until either hangs up."""
    with socket.create_connection((host, port)) as upstream:
        forth = threading.Thread(target=_pass_on, args=(client, upstream), daemon=True)
        forth.start()
        _pass_on(upstream, client)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
