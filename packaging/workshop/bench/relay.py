"""A TCP relay that adds a delay each way: RELAY_ADDRESS RELAY_PORT TARGET_PORT MILLISECONDS.

On the port above its own it relays to an echo, which tells what a round trip through it really takes. A new connection
waits for one round trip before its first byte goes on, as TCP's own handshake would.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float, start: float) -> None:
    """Carry bytes one way, each chunk `delay` seconds after it came; start: when the first may go, in loop time."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def read() -> None:
        while data := await reader.read(65536):
            await chunks.put((max(loop.time(), start) + delay, data))
        await chunks.put((loop.time() + delay, b""))

    reading = asyncio.create_task(read())
    while True:
        due, data = await chunks.get()
        await asyncio.sleep(due - loop.time())
        if not data:
            break
        writer.write(data)
    await reading
    writer.close()


async def main(address: str, port: int, target: int, delay: float) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    def relay_to(target: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection(address, target)
            for side in (writer, back):
                side.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            start = asyncio.get_running_loop().time() + 2 * delay
            ways = carry(reader, back, delay, start), carry(there, writer, delay, 0)
            await asyncio.gather(*ways, return_exceptions=True)

        return connected

    echoing = await asyncio.start_server(echo, address, 0)
    await asyncio.start_server(relay_to(echoing.sockets[0].getsockname()[1]), address, port + 1)
    server = await asyncio.start_server(relay_to(target), address, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) / 1000))
