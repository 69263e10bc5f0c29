"""WebSocket's bytes, with the library websockets as the other side."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from dpsd.errors import ProtocolError
from dpsd.protocol.websocket import (
    BINARY,
    CLOSE,
    PING,
    FrameReader,
    Piece,
    encode_frame,
    encode_upgrade,
    parse_upgrade_reply,
)

MASKS = st.binary(min_size=4, max_size=4)
SIZES = [0, 1, 125, 126, 65535, 65536, 100_000]


def server() -> ServerProtocol:
    protocol = ServerProtocol(subprotocols=[Subprotocol("mqtt")])
    protocol.receive_data(encode_upgrade("dps.example", "/$iothub/websocket", "c2l4dGVlbiBieXRlcyBvaw=="))
    (request,) = protocol.events_received()
    assert isinstance(request, Request) and request.path == "/$iothub/websocket"
    protocol.send_response(protocol.accept(request))
    return protocol


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[begin : begin + size] for begin in range(0, len(data), size)]


def received(*chunks: bytes) -> list[Piece]:
    """All pieces, with neighbouring data put together."""
    unframer = FrameReader()
    pieces = [piece for chunk in chunks for piece in unframer.receive(chunk)]
    whole: list[Piece] = []
    for opcode, group in itertools.groupby(pieces, key=lambda piece: piece.opcode):
        payloads = [piece.payload for piece in group]
        whole += [Piece(opcode, b"".join(payloads))] if opcode == BINARY else [Piece(opcode, one) for one in payloads]
    return whole


def test_the_upgrade_is_what_a_server_takes() -> None:
    protocol = server()
    assert protocol.state is OPEN
    head, _, rest = b"".join(protocol.data_to_send()).partition(b"\r\n\r\n")
    answer = parse_upgrade_reply(head)
    assert (answer.status, answer.headers["sec-websocket-protocol"], rest) == (101, "mqtt", b"")


@pytest.mark.parametrize("size", SIZES)
@given(mask=MASKS)
def test_a_frame_of_ours_is_what_a_server_reads(size: int, mask: bytes) -> None:
    protocol, payload = server(), bytes(range(256)) * (size // 256 + 1)
    protocol.receive_data(encode_frame(BINARY, payload[:size], mask))
    (frame,) = protocol.events_received()
    assert isinstance(frame, Frame) and frame.opcode is Opcode.BINARY
    assert bytes(frame.data) == payload[:size]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 1 << 20])
def test_a_servers_frames_are_read_however_they_are_cut(size: int) -> None:
    frames = [
        Frame(Opcode.BINARY, b"x" * 70_000),
        Frame(Opcode.PING, b"ping"),
        Frame(Opcode.BINARY, b"", fin=False),
        Frame(Opcode.PING, b""),
        Frame(Opcode.CONT, b"y" * 200),
        Frame(Opcode.BINARY, b""),
        Frame(Opcode.CLOSE, b"\x03\xe8bye"),
    ]
    pieces = received(*cut(b"".join(frame.serialize(mask=False) for frame in frames), size))
    assert pieces == [
        Piece(BINARY, b"x" * 70_000),
        Piece(PING, b"ping"),
        Piece(PING, b""),
        Piece(BINARY, b"y" * 200),
        Piece(CLOSE, b"\x03\xe8bye"),
    ]


WRONG = {
    "text": b"\x81\x01x",
    "masked": b"\x82\x81maskx",
    "a reserved bit": b"\xc2\x01x",
    "an opcode unheard of": b"\x83\x00",
    "a continuation of nothing": b"\x80\x01x",
    "a new message within one": b"\x02\x01x\x82\x01y",
    "a ping in pieces": b"\x09\x01x",
    "a long ping": b"\x89\x7e\x01\x00" + b"x" * 256,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_frame_that_no_server_may_send_is_an_error(name: str) -> None:
    with pytest.raises(ProtocolError):
        received(WRONG[name])


def test_a_length_that_never_comes_costs_no_memory() -> None:
    unframer = FrameReader()
    assert list(unframer.receive(b"\x82\x7f" + b"\xff" * 8)) == []
    assert [piece.payload for _ in range(3) for piece in unframer.receive(b"abc")] == [b"abc"] * 3


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_are_pieces_or_an_error(chunks: list[bytes]) -> None:
    with contextlib.suppress(ProtocolError):
        received(*chunks)


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: b"HTTP/1.1 " + tail))
def test_any_head_is_an_answer_or_an_error(head: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert 0 <= parse_upgrade_reply(head).status <= 999
