"""What the kernel says in files below /sys, in files made like the kernel's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dpsd.system.board import read_word


@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_a_value_is_read_whatever_size_a_page_has(page: int, tmp_path: Path) -> None:
    (tmp_path / "address").write_text("dc:a6:32:00:00:01\n")
    os.truncate(tmp_path / "address", page)  # a Raspberry Pi 5's kernel has pages of 16 KiB
    assert read_word(f"{tmp_path}/address") == "dc:a6:32:00:00:01"


@pytest.mark.parametrize(
    ("said", "shown"),
    [(b"Raspberry Pi 5\0", "Raspberry Pi 5"), (b"", ""), (b"\n", ""), (b"a\xff\nb\n", r"a\xff\x0ab")],
)
def test_a_value_is_one_printable_line_without_its_end(said: bytes, shown: str, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(said)
    assert read_word(f"{tmp_path}/model") == shown


def test_what_is_not_there_or_no_file_says_nothing(tmp_path: Path) -> None:
    assert [read_word(f"{tmp_path}/none"), read_word(str(tmp_path))] == ["", ""]
