"""A session with IoT Hub: the hands of `protocol.hub.exchange`, which decides all that is said.

It connects, and connects again, with a new login each time; moves bytes; keeps the clock. One thread calls it, and
waits in `next_event` or `wait`: nothing moves otherwise.
"""

from __future__ import annotations

import os
import random
import select
import ssl
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from dpsd.errors import Problem
from dpsd.hub.opening import Opened, Opener
from dpsd.protocol.hub import events
from dpsd.protocol.hub.bags import Bag
from dpsd.protocol.hub.exchange import Exchange, State
from dpsd.protocol.hub.methods import MethodCall
from dpsd.protocol.hub.wishes import Wish

CLOSE_LIMIT = 1
"""Seconds for the last packets to a peer that may not read them."""
EVENTS_KEPT = 256
"""Events that wait for the caller; beyond them nothing more is read, so that a peer cannot fill the memory."""
_CHUNK = 16 * 1024
_NOT_NOW = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError, InterruptedError)


class Session:
    """A context manager; the first connection is made by the first wait.

    opener: where connections come from. wish: what to hear. peer: who is at the other end, for sentences. patience:
    seconds without a login that worked after which the problem is raised; 0 connects once, None waits for ever.
    report: is told, in a sentence, why there is no connection, and when there will be the next.

    Its waits raise Problem: what ends the session, by the retry class or the patience.
    """

    def __init__(
        self,
        opener: Opener,
        device_id: str,
        wish: Wish,
        peer: str,
        *,
        patience: float | None = None,
        report: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._exchange = Exchange(device_id, wish, os.urandom(8).hex(), peer)
        self._opener, self._peer, self._patience, self._report = opener, peer, patience, report
        self._opened: Opened | None = None
        self._due = self._since = time.monotonic()
        """When to connect, and since when there was no login."""

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What the device wants; see `Exchange` for each

    def send(self, properties: Bag, body: bytes, qos: int = 1) -> int:
        return self._exchange.send(properties, body, time.monotonic(), qos)

    def get_twin(self) -> int:
        return self._exchange.get_twin(time.monotonic())

    def report(self, patch: dict[str, Any]) -> int:
        return self._exchange.report(patch, time.monotonic())

    def answer(self, call: MethodCall, status: int, payload: Any) -> int:
        return self._exchange.answer(call, status, payload, time.monotonic())

    def acknowledge(self, message: events.CloudMessageArrived) -> None:
        if message.receipt is not None:
            self._exchange.acknowledge(message.receipt, time.monotonic())

    @property
    def unfinished(self) -> int:
        """How many requests were not acknowledged or answered yet."""
        return len(self._exchange.unfinished)

    @property
    def has_room(self) -> bool:
        return self._exchange.has_room

    # Waiting

    def next_event(self, timeout: float | None = None) -> events.Event | None:
        """Return what happened next, None after `timeout` seconds without."""
        end = None if timeout is None else time.monotonic() + timeout
        while not self._exchange.events:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return None
            self.wait(left)
        return self._exchange.events.popleft()

    def result(self, ticket: int, timeout: float | None = None) -> events.Event | None:
        """Return how the request with this ticket ended, None after `timeout` seconds; other events stay."""
        end = None if timeout is None else time.monotonic() + timeout
        while (event := self._take_result(ticket)) is None:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return None
            if len(self._exchange.events) >= EVENTS_KEPT:
                raise Problem("hub-no-answer", f"{self._peer} has sent {EVENTS_KEPT} other messages before the answer")
            self.wait(left)
        return event

    def _take_result(self, ticket: int) -> events.Event | None:
        for event in self._exchange.events:
            if getattr(event, "ticket", None) == ticket:
                self._exchange.events.remove(event)
                return event
        return None

    def wait(self, timeout: float | None, also: Sequence[int] = ()) -> list[int]:
        """Let the connection move for once, at most `timeout` seconds; return which descriptors of `also` are readable.

        It may return early without anything having happened.
        """
        try:
            if self._opened is None:
                return self._wait_offline(timeout, also)
            return self._move(self._opened, timeout, also)
        except Problem as problem:
            self._lose(problem)
            return []

    def close(self) -> None:
        """Say goodbye as far as the connection still takes it, and close."""
        if self._opened is None:
            return
        opened, end = self._opened, time.monotonic() + CLOSE_LIMIT
        try:
            self._exchange.close(time.monotonic())
            while self._exchange.output and (left := end - time.monotonic()) > 0:
                if select.select([], [opened.stream], [], left)[1]:
                    self._write(opened)
        except Problem:
            pass
        finally:
            self._opened = None
            opened.stream.close()

    # The connection

    def _wait_offline(self, timeout: float | None, also: Sequence[int]) -> list[int]:
        left = self._due - time.monotonic()
        if left > 0:
            return select.select(also, [], [], left if timeout is None else min(left, timeout))[0]
        opened = self._opener.open()
        opened.stream.setblocking(False)
        self._opened = opened
        self._exchange.connected(opened.connect, time.monotonic())
        return []

    def _move(self, opened: Opened, timeout: float | None, also: Sequence[int]) -> list[int]:
        """Read, write and tick, as far as that is due."""
        stream, reads = opened.stream, len(self._exchange.events) < EVENTS_KEPT
        waiting = reads and stream.pending() > 0
        reading: list[Any] = [*also, *([stream] if reads else [])]
        writing = [stream] if self._exchange.output else []
        readable, writable, _ = select.select(reading, writing, [], 0 if waiting else self._time_left(timeout))
        if writable:
            self._write(opened)
        if waiting or stream in readable:
            self._read(opened)
        self._exchange.tick(time.monotonic())
        return [one for one in also if one in readable]

    def _time_left(self, timeout: float | None) -> float | None:
        """Return the seconds until something is due, None for never."""
        tick = self._exchange.next_tick()
        left = None if tick is None else max(0.0, tick - time.monotonic())
        return min((one for one in (left, timeout) if one is not None), default=None)

    def _read(self, opened: Opened) -> None:
        try:
            data = opened.stream.recv(_CHUNK)
        except _NOT_NOW:
            return
        except OSError as error:
            raise opened.name_error(opened.stream.failure or error) from None
        if not data:
            raise Problem("connection-lost", f"{self._peer} closed the connection")
        self._exchange.received(data, time.monotonic())

    def _write(self, opened: Opened) -> None:
        output = self._exchange.output
        try:
            sent = opened.stream.send(bytes(output[:_CHUNK]))
        except _NOT_NOW:
            return
        except OSError as error:
            raise opened.name_error(opened.stream.failure or error) from None
        del output[:sent]

    def _lose(self, problem: Problem) -> None:
        """Give the connection up, and say when the next one is due; raises `problem` where none is."""
        if self._opened is not None:
            self._opened.stream.close()
            self._opened = None
        now = time.monotonic()
        if self._exchange.state is State.READY:
            self._since = now
        seconds = self._exchange.lost(problem, now, random.random())
        if problem.code == "hub-refused" and self._opener.is_refused():
            seconds = 0
        if seconds is None or (self._patience is not None and now + seconds > self._since + self._patience):
            raise problem
        self._due = now + seconds
        self._report(f"{problem}; connecting again in {seconds:.0f} s")
