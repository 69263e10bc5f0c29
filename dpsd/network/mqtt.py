"""One MQTT 3.1.1 session. Only this module imports paho, and hides the differences of its versions 1.6 and 2.x.

paho runs without its thread, on a stream that is already open: `Session` turns paho's callbacks into events and waits
for the event that is due. The caller limits the time, by an alarm signal.
"""

from __future__ import annotations

import select
import ssl
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from paho.mqtt import client as paho

from dpsd.errors import Problem
from dpsd.network.diagnosis import make_connection_problem
from dpsd.network.tls import TlsSocket, make_tls_problem
from dpsd.protocol.identifiers import Endpoint
from dpsd.protocol.transports import Way
from dpsd.text import printable

if TYPE_CHECKING:
    from dpsd.network.websocket import WebSocket  # loaded only on port 443

    Stream = TlsSocket | WebSocket
    """What paho reads and writes. pending: bytes that select does not see. failure: the error that ended the stream."""

KEEPALIVE = 60
"""Seconds, as in Microsoft's SDK for Python."""
CLOSE_LIMIT = 1
"""Seconds for the last packet to a peer that may not read it."""
PACKET_LIMIT = 512 * 1024
"""Bytes of a packet after its length field; a hub's largest message has 256 KB, and a topic at most 64 KB."""
QUEUE_LIMIT = 100
"""Packets that wait to be sent; there are hardly ever two."""
_TYPE_AND_QOS_2, _PUBLISH_QOS_2 = 0xF4, 0x34
# The kernel may end a wait late by a thousandth of it, so that a long wait stops early and a short one follows.
_LAST_BIT = 0.05
"""Seconds of the short wait."""
_CONNACK_V5 = {0: 0, 132: 1, 133: 2, 136: 3, 134: 4, 135: 5}
"""paho 2 gives MQTT 5 reason codes for the return codes of 3.1.1."""
_MALFORMED = (ValueError, TypeError, IndexError, KeyError, AttributeError, MemoryError, struct.error)
"""Errors that paho raises for packets it cannot read."""


class Message(NamedTuple):
    """A message that arrived."""

    topic: str
    body: bytes


class _Connected(NamedTuple):
    return_code: int


class _Subscribed(NamedTuple):
    message_id: int
    granted: int


class _Closed(NamedTuple):
    pass


_Event = _Connected | _Subscribed | Message | _Closed


class _UnaskedError(ValueError):
    """A message of QoS 2 came, which nobody subscribes to."""


class _Client(paho.Client):
    """paho's client on an open stream; paho's own connecting would read proxies from the environment."""

    def __init__(self, stream: Stream, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._stream = stream

    def _create_socket_connection(self) -> Any:
        return self._stream

    def _sock_recv(self, bufsize: int) -> Any:
        """Refuse a packet that announces more than `PACKET_LIMIT` bytes; raises ValueError."""
        if bufsize > PACKET_LIMIT:
            raise ValueError  # paho would keep up to 256 MB
        return super()._sock_recv(bufsize)

    def _packet_handle(self) -> Any:
        """Refuse messages of QoS 2 and too many unsent packets, both of which paho would keep; raises ValueError."""
        command: int = self._in_packet["command"]
        if command & _TYPE_AND_QOS_2 == _PUBLISH_QOS_2:
            raise _UnaskedError
        if len(self._out_packet) > QUEUE_LIMIT:
            raise ValueError
        return super()._packet_handle()


class Session:
    """One connection from CONNECT to DISCONNECT. transport, endpoint: where it leads.

    Every method raises Problem: `tls-alert`, `tls-failed`, `connection-lost`, or `dps-reply-invalid` for packets that
    MQTT does not allow.
    """

    def __init__(self, stream: Stream, way: Way, client_id: str, username: str, password: str | None) -> None:
        """Take over an open stream; `close` closes it."""
        self.transport, self.endpoint = way
        self._stream = stream
        self._events: deque[_Event] = deque()
        self._arrived = time.monotonic()
        self._client = _make_client(stream, client_id)
        self._client.username_pw_set(username, password)
        self._client.on_connect = lambda *given: self._events.append(_Connected(_read_connack_code(given[3])))
        self._client.on_subscribe = lambda *given: self._events.append(_Subscribed(given[2], _unwrap_code(given[3][0])))
        self._client.on_message = lambda *given: self._events.append(Message(given[2].topic, given[2].payload))
        self._client.on_disconnect = lambda *given: self._events.append(_Closed())

    def open(self) -> None:
        """Send CONNECT and wait for CONNACK; also raises `mqtt-*` for a refusal."""
        try:
            self._client.connect(self.endpoint.host, self.endpoint.port, KEEPALIVE)
        except OSError as error:
            raise self._make_problem(error) from None
        event = self._await_connack()
        if not isinstance(event, _Connected):
            raise self._make_lost_problem("before it answered CONNECT")
        if event.return_code:
            raise _make_refusal(self.endpoint, event.return_code)

    def subscribe(self, topic_filter: str) -> None:
        """Subscribe at QoS 1 and wait for SUBACK; also raises `mqtt-subscribe-refused`."""
        try:
            _, message_id = self._client.subscribe(topic_filter, 1)
        except OSError as error:  # paho 1.6 raises errors of TLS here, paho 2 reports them later
            raise self._make_problem(error) from None
        while True:
            event = self._await_event()
            if isinstance(event, _Closed):
                raise self._make_lost_problem("before it answered SUBSCRIBE")
            if isinstance(event, _Subscribed) and event.message_id == message_id:
                break
        if event.granted >= 0x80:
            raise Problem("mqtt-subscribe-refused", f"{self.endpoint} refused to subscribe {topic_filter}")

    def publish(self, topic: str, body: bytes) -> None:
        """Publish at QoS 1, without waiting for PUBACK: the caller waits for the answer to the message."""
        try:
            self._client.publish(topic, body, 1)
        except OSError as error:
            raise self._make_problem(error) from None

    def receive(self) -> Message:
        """Wait for the next message and return it."""
        while True:
            event = self._await_event()
            if isinstance(event, Message):
                return event
            if isinstance(event, _Closed):
                raise self._make_lost_problem("before it answered")

    def idle(self, seconds: float) -> None:
        """Keep the session alive until `seconds` after the last bytes arrived, and drop the messages that arrive."""
        end = self._arrived + seconds
        while (left := end - time.monotonic()) > 0:
            self._run_once(left - _LAST_BIT if left > 2 * _LAST_BIT else left)
            if any(isinstance(event, _Closed) for event in self._events):
                raise self._make_lost_problem("while waiting")
            self._events.clear()

    def close(self) -> None:
        """Send DISCONNECT if the connection still takes it, and close the stream."""
        try:
            self._client.disconnect()
            end = time.monotonic() + CLOSE_LIMIT
            while self._client.want_write() and time.monotonic() < end:
                connection: Any = self._client.socket()
                if connection is None:
                    break
                select.select([], [connection], [], CLOSE_LIMIT)
                if self._client.loop_write() != paho.MQTT_ERR_SUCCESS:
                    break
        except (OSError, *_MALFORMED):
            pass
        finally:
            self._stream.close()

    def _await_connack(self) -> _Event:
        # paho reports CONNACK 1 (wrong version) like nonsense, and whoever answers CONNECT with nonsense is not DPS.
        try:
            return self._await_event()
        except Problem as problem:
            if problem.code != "dps-reply-invalid":
                raise
            raise Problem("mqtt-rejected", f"{self.endpoint} does not accept MQTT 3.1.1") from None

    def _await_event(self) -> _Event:
        while not self._events:
            self._run_once(None)
        return self._events.popleft()

    def _run_once(self, timeout: float | None) -> None:
        """Wait until something is due, for `timeout` seconds at most, and let paho do it: read, write, ping."""
        connection: Any = self._client.socket()
        if connection is None:
            self._events.append(_Closed())
            return
        limit = min(KEEPALIVE / 4, KEEPALIVE if timeout is None else timeout)
        waiting = [connection] if self._client.want_write() else []
        result: int = paho.MQTT_ERR_SUCCESS
        readable, writable, _ = select.select([connection], waiting, [], 0 if connection.pending() else limit)
        try:
            if writable:
                self._client.loop_write()
            if readable or connection.pending():
                self._arrived = time.monotonic()
                result = self._client.loop_read()
            self._client.loop_misc()
        except OSError as error:
            raise self._make_problem(error) from None
        except _UnaskedError:
            said = f"{self.endpoint} sent a message of QoS 2, which it was not asked for"
            raise Problem("dps-reply-invalid", said) from None
        except _MALFORMED:
            result = paho.MQTT_ERR_PROTOCOL
        if result == paho.MQTT_ERR_PROTOCOL:
            raise Problem("dps-reply-invalid", f"{self.endpoint} sent bytes that are not MQTT 3.1.1")

    def _make_problem(self, error: OSError) -> Problem:
        cause = self._stream.failure or error
        if isinstance(cause, ssl.SSLError):
            return make_tls_problem(self.endpoint, cause)
        return make_connection_problem(self.endpoint, cause)

    def _make_lost_problem(self, when: str) -> Problem:
        if self._stream.failure is not None:
            return self._make_problem(self._stream.failure)
        return Problem("connection-lost", f"{self.endpoint} closed the connection {when}")


def _make_client(stream: Stream, client_id: str) -> _Client:
    arguments: dict[str, Any] = {"client_id": client_id, "clean_session": True, "protocol": paho.MQTTv311}
    if hasattr(paho, "CallbackAPIVersion"):
        arguments["callback_api_version"] = paho.CallbackAPIVersion.VERSION2
    return _Client(stream, reconnect_on_failure=False, **arguments)


def _unwrap_code(reason: Any) -> int:
    """Return the number of a return code; paho 2 wraps it in an object."""
    return int(getattr(reason, "value", reason))


def _read_connack_code(reason: Any) -> int:
    code = _unwrap_code(reason)
    return _CONNACK_V5.get(code, code)


def _make_refusal(endpoint: Endpoint, code: int) -> Problem:
    names = {4: "mqtt-unauthorized", 5: "mqtt-unauthorized", 3: "mqtt-unavailable"}
    sentence = f"{endpoint} refused the MQTT connection with return code {printable(code)}"
    return Problem(names.get(code, "mqtt-rejected"), sentence)
