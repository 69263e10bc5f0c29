"""Inputs whose size is the point: what is small for a file must not take the square of it in time or memory."""

from __future__ import annotations

import pytest

from dpsd.configuration.files import SIZE_LIMIT
from dpsd.protocol.dps import PAYLOAD_LIMIT
from tests.fuzz.targets import TARGETS

ROOM = SIZE_LIMIT - 100
GROWN = {
    "a header that does not end": ("configuration", b'x = """\n[' + b" " * ROOM + b'\n"""'),
    "a header of blanks": ("configuration", b"[" + b" " * ROOM + b"dps]"),
    "a key of many parts": ("configuration", b"a." * (ROOM // 2) + b"a = 1"),
    "a table of many parts": ("configuration", b"[dps.payload" + b".a" * (ROOM // 2) + b"]"),
    "a key of many quoted parts": ("configuration", rb'"\"".' * (ROOM // 5) + b"a = 1"),
    "a key of many parts in a table": ("configuration", b"dps.payload = {" + b"a . " * (ROOM // 4) + b"a = 1}"),
    "many dots": ("configuration", b'x = "' + b"." * ROOM + b'"'),
    "many unfinished parts": ("configuration", b"x = '''" + b'."a' * (ROOM // 3) + b"'''"),
    "many unknown tables": ("configuration", b"".join(b"a%d=1\n" % number for number in range(ROOM // 8))),
    "many unknown keys": ("configuration", b"[dps]\n" + b"".join(b"a%d=1\n" % number for number in range(ROOM // 8))),
    "many layers": ("configuration", b"a = 1\n---\n" * 500),
    "a long key": ("configuration", b"[dps]\n" + b"a" * ROOM + b" = 1"),
    "deep lists": ("configuration", b"x = " + b"[" * (ROOM // 2) + b"]" * (ROOM // 2)),
    "a payload of deep tables": ("configuration", b"dps.payload = " + b"{a=" * 90 + b"1" + b"}" * 90),
    "an address of colons": ("endpoint", b"[" + b":" * ROOM + b"x]"),
    "a hexadecimal number": ("configuration", b"[fleet]\nwindow = 0x" + b"f" * ROOM),
    "certificates that do not end": ("certificate", b"-----BEGIN CERTIFICATE-----" * (ROOM // 27)),
    "a body of openings": ("operation", b"[" * PAYLOAD_LIMIT),
    "a body of quotes": ("operation", b'{"status":"' + b'\\"' * (PAYLOAD_LIMIT // 2 - 20) + b'"}'),
    "a message of bytes to escape": ("fault", b'{"message":"' + b"\xc3\xa9" * (PAYLOAD_LIMIT // 2 - 20) + b'"}'),
    "a topic of parameters": ("reply-topic", b"$dps/registrations/res/200/?" + b"a&" * 30_000),
    "a topic of escapes": ("reply-topic", b"$dps/registrations/res/200/?" + b"%41=%ff&" * 8000),
    "a pattern of stars": ("hub-pattern", b"*a" * 126 + b"\n" + b"a" * 253),
    "a pattern of sets that do not end": ("hub-pattern", b"[" * ROOM + b"\na.net"),
    "many outcomes": ("history", b'{"outcomes":[' + b"{}," * 2600 + b"{}]}"),
    "a record of deep payload": ("record", b'{"payload":' + b"[" * 500_000 + b"]" * 500_000 + b"}"),
    "small packets": ("emulator-packets", b"\xc0\0" * 30_000),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", GROWN)
def test_a_large_input_ends_well(name: str) -> None:
    target, data = GROWN[name]
    TARGETS[target](data)
