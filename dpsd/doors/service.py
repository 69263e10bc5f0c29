"""The service dpsd-identity: serves the token door on the socket that systemd hands over, and ends when it is idle.

One thread and one loop: a request is read, decided by `token`, and answered; each connection has one. The socket stays
systemd's: connections that come while nobody serves wait in its queue, so that none is ever refused. What was accepted
is answered before this ends.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus

from dpsd.doors import token
from dpsd.doors.answers import Answers
from dpsd.doors.http import HEAD_LIMIT, HttpError
from dpsd.doors.rates import PATIENCE, Rates
from dpsd.doors.who import Peer, peer_of
from dpsd.errors import Problem
from dpsd.state.places import Places
from dpsd.system.command import PLACES_OPTIONS, find_places
from dpsd.system.process import forbid_core_dumps

FIRST_FD = 3
"""Where systemd's sockets begin (sd_listen_fds(3))."""
IDLE = PATIENCE
"""Seconds without work after which this ends: no shorter, so that what a user has asked for is not forgotten early."""
ARRIVAL_LIMIT = 10.0
"""Seconds in which a request has to arrive, and its answer to be taken."""
CONNECTION_LIMIT, USER_LIMIT = 900, 150
"""Connections at once, of all and of one user besides root: what a user may have waiting for its turn is less."""
LOOK = 1.0
"""Seconds between two looks at the published connection, for those who follow it."""
ALIVE = 30.0
"""Seconds after which they are sent something anyway, so that those who went away are noticed."""
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Conversation:
    """One connection. It has a request that arrives, perhaps waits for its turn, and an answer that is sent."""

    def __init__(self, connection: socket.socket, peer: Peer, now: float) -> None:
        self.connection = connection
        self.peer = peer
        self.arrived = b""
        self.answer = b""
        self.until = now + ARRIVAL_LIMIT
        self.ask: token.Ask | None = None
        self.turn_at: float | None = None
        self.followed: bytes | None = None
        """The text of connection.json that was sent last, to whom follows it."""


class Service:
    """The loop. listener: accepts connections; it is not closed here."""

    def __init__(self, listener: socket.socket, places: Places) -> None:
        self._listener = listener
        self._answers = Answers(places)
        self._rates = Rates()
        self._selector = selectors.DefaultSelector()
        self._conversations: set[Conversation] = set()
        self._accepts = False
        self._stopping = False
        self._active_at = time.monotonic()

    def run(self) -> None:
        """Serve until nothing has happened for IDLE seconds, or SIGTERM came and all is answered."""
        self._listener.setblocking(False)
        with self._until_told_to_stop():
            while not self._is_done(time.monotonic()):
                self._watch_listener()
                self._turn()
        self._answers.report_counts(time.monotonic(), 0)

    @contextlib.contextmanager
    def _until_told_to_stop(self) -> Iterator[None]:
        """A signal wakes the loop, wherever it is."""
        reading, writing = socket.socketpair()
        for end in (reading, writing):
            end.setblocking(False)
        self._selector.register(reading, _READ)
        signal.set_wakeup_fd(writing.fileno())
        signal.signal(signal.SIGTERM, self._stop)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._selector.close()
            reading.close()
            writing.close()

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True

    def _is_done(self, now: float) -> bool:
        if self._conversations:
            return False
        return self._stopping or now - self._active_at > IDLE

    def _watch_listener(self) -> None:
        """Accept as long as there is room: what is not accepted waits in the socket's queue."""
        accepts = not self._stopping and len(self._conversations) < CONNECTION_LIMIT
        if accepts and not self._accepts:
            self._selector.register(self._listener, _READ)
        elif self._accepts and not accepts:
            self._selector.unregister(self._listener)
        self._accepts = accepts

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._next_moment(time.monotonic())):
            if key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.data, Conversation):
                self._go_on(key.data)
            elif isinstance(key.fileobj, socket.socket):
                key.fileobj.recv(64)  # what woke the loop
        self._look_at_the_clock(time.monotonic())

    def _next_moment(self, now: float) -> float:
        """Return seconds until there is something to do though nothing arrives."""
        moments = [now + IDLE, *(one.until if one.turn_at is None else one.turn_at for one in self._conversations)]
        if any(one.followed is not None for one in self._conversations):
            moments.append(now + LOOK)
        return max(0.0, min(moments) - now) + 0.001

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # somebody who went away again, or no descriptor that is free
            return
        connection.setblocking(False)
        now = time.monotonic()
        try:
            conversation = Conversation(connection, peer_of(connection), now)
        except OSError:
            connection.close()
            return
        self._conversations.add(conversation)
        self._active_at = now
        if self._has_too_many(conversation.peer.uid):
            problem = Problem("door-busy", f"uid {conversation.peer.uid} has too many connections", retry_after=1)
            self._send(conversation, token.answer_problem(problem))
        else:
            self._selector.register(connection, _READ, conversation)
            self._go_on(conversation)

    def _has_too_many(self, uid: int) -> bool:
        return uid != 0 and sum(one.peer.uid == uid for one in self._conversations) > USER_LIMIT

    def _go_on(self, conversation: Conversation) -> None:
        """Go on with a connection that can be read, or written to."""
        if conversation.answer:
            self._send(conversation)
        else:
            self._receive(conversation)

    def _receive(self, conversation: Conversation) -> None:
        try:
            data = conversation.connection.recv(HEAD_LIMIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data and conversation.turn_at is not None:
            self._selector.unregister(conversation.connection)  # it says no more, and may still wait for its answer
        elif not data:
            self._end(conversation)
        elif conversation.ask is None:
            conversation.arrived += data
            self._judge(conversation)

    def _judge(self, conversation: Conversation) -> None:
        """Look whether the request is whole, and then at whose turn it is."""
        try:
            conversation.ask = token.parse_ask(conversation.arrived)
        except HttpError as error:
            self._send(conversation, token.answer_http_error(error))
            return
        if conversation.ask is None:
            return
        now, uid = time.monotonic(), conversation.peer.uid
        wait = 0.0
        if uid != 0:
            self._rates, wait = self._rates.take(uid, now)
        if wait > PATIENCE:
            problem = Problem("door-busy", f"uid {uid} asks too often", retry_after=wait - PATIENCE)
            self._send(conversation, token.answer_problem(problem))
        elif wait > 0 and not self._stopping:
            conversation.turn_at = now + wait
        else:
            self._answer(conversation, conversation.ask)

    def _answer(self, conversation: Conversation, ask: token.Ask) -> None:
        conversation.turn_at = None
        conversation.until = time.monotonic() + ARRIVAL_LIMIT
        answer = self._answers.answer(ask, conversation.peer)
        if isinstance(ask, token.Follow) and answer.is_done:
            conversation.followed = b""
        self._send(conversation, answer.data)

    def _send(self, conversation: Conversation, more: bytes = b"") -> None:
        """Send what can be sent now, and the rest once there is room; end what is answered."""
        conversation.answer += more
        try:
            sent = conversation.connection.send(conversation.answer)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end(conversation)
            return
        conversation.answer = conversation.answer[sent:]
        if conversation.answer:
            self._watch(conversation, _WRITE)
        elif conversation.followed is None:
            self._end(conversation)
        else:
            conversation.until = time.monotonic() + ALIVE
            self._watch(conversation, _READ)

    def _watch(self, conversation: Conversation, events: int) -> None:
        if conversation.connection in self._selector.get_map():
            self._selector.modify(conversation.connection, events, conversation)
        else:
            self._selector.register(conversation.connection, events, conversation)

    def _end(self, conversation: Conversation) -> None:
        if conversation.connection in self._selector.get_map():
            self._selector.unregister(conversation.connection)
        conversation.connection.close()
        self._conversations.discard(conversation)
        self._active_at = time.monotonic()

    def _look_at_the_clock(self, now: float) -> None:
        for conversation in list(self._conversations):
            if conversation.followed is not None:
                self._tell_change(conversation, now)
            elif conversation.ask is not None and self._is_its_turn(conversation, now):
                self._answer(conversation, conversation.ask)
            elif conversation.turn_at is None and now >= conversation.until:
                self._give_up(conversation)
        if now - self._active_at > IDLE:
            self._answers.forget_key()
        self._answers.report_counts(now)

    def _is_its_turn(self, conversation: Conversation, now: float) -> bool:
        return conversation.turn_at is not None and (self._stopping or now >= conversation.turn_at)

    def _give_up(self, conversation: Conversation) -> None:
        """End what has taken too long to arrive, or to be taken."""
        if conversation.ask is None and conversation.arrived:
            error = HttpError(HTTPStatus.REQUEST_TIMEOUT, f"the request did not arrive within {ARRIVAL_LIMIT:.0f} s")
            with contextlib.suppress(OSError):
                conversation.connection.send(token.answer_http_error(error))
        self._end(conversation)

    def _tell_change(self, conversation: Conversation, now: float) -> None:
        """Send the connection to whom follows it, if it is another one; end who does not take what was sent."""
        if self._stopping or (conversation.answer and now >= conversation.until):
            self._end(conversation)
            return
        document = self._answers.published()
        if document is not None and document != conversation.followed:
            conversation.followed = document
            self._send(conversation, token.encode_event(document))
        elif now >= conversation.until:
            self._send(conversation, b":\n\n")


def inherited_socket() -> socket.socket:
    """Return the one listening socket that systemd hands over; raises SystemExit where it hands over none."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        sys.exit("dpsd-identity is started by systemd's dpsd-identity.socket")
    return socket.socket(fileno=FIRST_FD)


def main(words: list[str]) -> int:
    os.umask(0o077)
    forbid_core_dumps()
    options = dict(zip(words[::2], words[1::2], strict=True))
    if not options.keys() <= PLACES_OPTIONS.keys():
        sys.exit(f"options: {' '.join(PLACES_OPTIONS)}")
    Service(inherited_socket(), find_places(options)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
