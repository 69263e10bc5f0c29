"""Programs of arm64 on a host that is none: its kernel hands them to QEMU, for as long as a `with` block lasts."""

from __future__ import annotations

import platform
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from workshop.dev import places
from workshop.dev.command import run
from workshop.dev.failure import Failure

EMULATOR = "qemu-aarch64-static"
# The first bytes of a program of arm64, and which of their bits count: 64 bits, little-endian, executable or shared.
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"


@contextmanager
def arm64() -> Iterator[None]:
    """Let programs of arm64 run, in roots too: the kernel opens the emulator now (F), and not where they are.

    What the kernel was told is taken back at the end. Raises Failure where it cannot be told.
    """
    if platform.machine() == "aarch64":
        yield
        return
    folder, name = places.SCRATCH / f"binfmt-{secrets.token_hex(4)}", f"dpsd-{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        run(["mount", "-t", "binfmt_misc", "binfmt_misc", folder])
        (folder / "register").write_text(f":{name}:M::{MAGIC}:{MASK}:{shutil.which(EMULATOR)}:F")
    except (Failure, OSError) as failure:
        raise Failure(f"the kernel does not hand programs of arm64 to {EMULATOR}: {failure}", "") from failure
    try:
        yield
    finally:
        (folder / name).write_text("-1")
        run(["umount", folder])
        folder.rmdir()
