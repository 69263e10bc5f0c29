"""Inputs for Hypothesis: what a target's corpus can become, and text that is nearly right."""

from __future__ import annotations

import json
import operator
from typing import Any

from hypothesis import strategies as st

from dpsd.configuration.settings import SETTINGS
from tests.fuzz.targets import seeds
from tests.unit.examples import ANY_TEXT, JSON_VALUES

Inputs = st.SearchStrategy[bytes]

ODD_TEXT = ANY_TEXT.map(lambda text: text.encode("utf-8", "surrogatepass"))
ODD_JSON = JSON_VALUES | ANY_TEXT | st.sampled_from([10**4000, -1, 2**63, True, {}, [], float("inf"), float("nan")])
TOKENS = [b"", b"\0", b"\n", b"\n\n", b"=", b"&", b"%", b"%ff", b"/", b"?", b'"', b"\\ud800", b"\xff", b"9" * 5000]
DEPTH = 1200
"""Levels; more than Python's stack takes by default."""


def inputs(name: str) -> Inputs:
    """Return what to feed to a target."""
    corpus = [path.read_bytes() for path in seeds(name)]
    tries = [st.binary(max_size=200), ODD_TEXT, edited(corpus), *GRAMMARS.get(name, ())]
    documents = [document for document in map(as_object, corpus) if document is not None]
    if documents:
        tries += [altered(documents), deep(documents)]
    return st.one_of(tries)


@st.composite
def edited(draw: st.DrawFn, corpus: list[bytes]) -> bytes:
    """A seed with some pieces taken out, put in, moved or repeated."""
    data = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(data)))
        end = draw(st.integers(begin, min(len(data), begin + 40)))
        piece = draw(st.sampled_from([*TOKENS, data[begin:end] * 50]) | st.binary(max_size=4))
        keeps = draw(st.booleans())
        data = data[:begin] + piece + data[begin if keeps else end :]
    return data


@st.composite
def altered(draw: st.DrawFn, documents: list[dict[str, Any]]) -> bytes:
    """A JSON seed in which one value, at any place, is another or missing."""
    document = json.loads(json.dumps(draw(st.sampled_from(documents))))
    parent, key = draw(st.sampled_from(places_in(document) or [(document, "a")]))
    if draw(st.booleans()):
        parent[key] = draw(ODD_JSON)
    elif key in parent:
        del parent[key]
    return json.dumps(document).encode()


@st.composite
def deep(draw: st.DrawFn, documents: list[dict[str, Any]]) -> bytes:
    """A JSON seed in which one value is nested, at and around the depth that any reader stops at."""
    document = json.loads(json.dumps(draw(st.sampled_from(documents))))
    parent, key = draw(st.sampled_from(places_in(document) or [(document, "a")]))
    parent[key] = "@"
    levels, opening, closing = draw(st.integers(1, DEPTH)), *draw(st.sampled_from([("[", "]"), ('{"a":', "}")]))
    return json.dumps(document).replace('"@"', opening * levels + "1" + closing * levels).encode()


def as_object(data: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def places_in(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in a JSON value, as a container and a key."""
    if isinstance(value, list):
        keys: list[Any] = list(range(len(value)))
    else:
        keys = list(value) if isinstance(value, dict) else []
    return [place for key in keys for place in ((value, key), *places_in(value[key]))]


TOML_VALUES = st.recursive(
    st.one_of(
        st.sampled_from(["true", "1979-05-27T07:32:00Z", "07:32:00", "inf", "-nan", "0x" + "f" * 5000, '""', "''"]),
        st.integers().map(str),
        st.floats().map(str),
        st.text(max_size=20).map(json.dumps),
        st.text(max_size=20).map(lambda text: f'"""\n{text}"""'),
        st.sampled_from(["x509", "symmetric_key", "FOLDER/key", "0ne1", "a:1", "[::1]", "https://a", "off"]).map(
            json.dumps
        ),
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda values: f"[{', '.join(values)}]")
        | inner.map(lambda value: f"{{a = {value}, b.c = 1}}")
    ),
    max_leaves=6,
)
TOML_KEYS = st.sampled_from([*SETTINGS, *(key.partition(".")[2] for key in SETTINGS), "idscope", "a.b.c"])
TOML_LINES = st.one_of(
    st.tuples(TOML_KEYS, TOML_VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    st.sampled_from(["[dps]", "[credential]", "[network]", "[[hub]]", "[dps.payload]", "[nothing]", "# x", "", "---"]),
    st.text(max_size=20),
)
TOML = st.lists(TOML_LINES, max_size=12).map(lambda lines: "\n".join(lines).encode())


def packet(kind: int, body: bytes) -> bytes:
    """An MQTT packet: type and flags, its length in one or two bytes, and its body."""
    low, high = len(body) % 128, len(body) // 128
    return bytes([kind, low + 128, high] if high else [kind, low]) + body


TOPICS = st.sampled_from(
    [b"$dps/registrations/res/202/?$rid=a-1", b"$dps/registrations/res/200/?$rid=a-2", b"", b"\xff"]
)
BODIES = st.sampled_from(
    [b'{"operationId":"a","status":"assigning"}', b'{"status":"failed"}', b"{", b"x" * 3000]
) | st.binary(max_size=20)
PUBLISHES = st.builds(
    lambda flags, topic, number, body: packet(0x30 + flags, len(topic).to_bytes(2, "big") + topic + number + body),
    *(st.integers(0, 15), TOPICS, st.sampled_from([b"", b"\0\1", b"\0\0"]), BODIES),
)
NUMBERS = st.integers(0, 3).map(lambda number: number.to_bytes(2, "big"))
ANSWERS = st.builds(packet, st.integers(0, 255), NUMBERS | st.binary(max_size=4))
OPENING = bytes.fromhex("20020000 9003000101")
PACKETS = st.lists(st.one_of(PUBLISHES, ANSWERS), max_size=6).map(b"".join)

STRINGS = st.sampled_from([b"", b"pi", b"a/+/#", b"#", b"\xc3\xa9", b"\xff", b"a\0", b"x" * 200]).map(
    lambda data: len(data).to_bytes(2, "big") + data
)
LEVELS = st.sampled_from([4, 4, 4, 3, 5])
HEADERS = st.builds(lambda level, flags: b"\0\4MQTT" + bytes([level, flags, 0, 60]), LEVELS, st.integers(0, 255))
FIELDS = st.lists(STRINGS | NUMBERS | st.binary(max_size=2), max_size=6).map(b"".join)
FIRST_BYTES = st.sampled_from([0x10, 0x30, 0x32, 0x3B, 0x40, 0x82, 0xA2, 0xC0, 0xE0])
CLIENT_PACKETS = st.lists(
    st.builds(packet, st.just(0x10), st.builds(operator.add, HEADERS, FIELDS))
    | st.builds(packet, FIRST_BYTES, st.builds(operator.add, NUMBERS, FIELDS)),
    max_size=4,
).map(b"".join)

STATUSES = st.sampled_from([200, 202, 302, 400, 401, 404, 429, 500]) | st.integers(0, 999)
WAITS = st.sampled_from(["", "&retry-after=1", "&retry-after=60", "&retry-after=61", "&Retry-After=999999999"])


@st.composite
def conversation(draw: st.DrawFn, bodies: Inputs) -> bytes:
    """Replies of DPS with the request ids that are awaited, mostly."""
    messages: list[bytes] = []
    for number in range(1, draw(st.integers(1, 5)) + 1):
        request = draw(st.sampled_from([f"a-{number}"] * 4 + ["a-1", "b-1"]))
        topic = f"$dps/registrations/res/{draw(STATUSES)}/?$rid={request}{draw(WAITS)}"
        messages.append(topic.encode() + b"\n" + draw(bodies))
    return b"\n\n".join(messages)


def frame(opcode: int, payload: bytes) -> bytes:
    """A WebSocket frame of a server, whole if the opcode's high bit is set."""
    size = len(payload)
    return bytes([opcode, size] if size < 126 else [opcode, 126, size >> 8, size & 255]) + payload


OPCODES = st.sampled_from([0x82] * 6 + [0x02, 0x00, 0x80, 0x81, 0x88, 0x89, 0x8A, 0x8F, 0xC2])
CUT = st.lists(st.binary(max_size=20) | PUBLISHES | ANSWERS, max_size=3).map(b"".join)
FRAMES = st.lists(st.builds(frame, OPCODES, CUT), max_size=6).map(
    lambda frames: frame(0x82, OPENING) + b"".join(frames)
)


GRAMMARS: dict[str, list[Inputs]] = {
    "configuration": [TOML],
    "mqtt-bytes": [PACKETS.map(lambda data: OPENING + data), PACKETS],
    "websocket-bytes": [FRAMES],
    "emulator-packets": [PACKETS, CLIENT_PACKETS],
    "hub-mqtt": [PACKETS],
    "hub-exchange": [PACKETS.map(lambda data: OPENING + data)],
}


def replies() -> Inputs:
    """Bodies of DPS for whole conversations."""
    corpus = [path.read_bytes() for name in ("operation", "fault") for path in seeds(name)]
    documents = [document for document in map(as_object, corpus) if document is not None]
    return st.sampled_from(corpus) | altered(documents)
