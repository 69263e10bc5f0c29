"""Whether a reboot empties a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpsd.system.mounts import find_mounted_kind, find_volatile_kind, is_in_memory

TABLE = """\
overlayroot / overlay rw 0 0
/dev/mmcblk0p3 /var/lib ext4 rw 0 0
tmpfs /var/lib/dpsd\\040two tmpfs rw 0 0
/dev/mmcblk0p4 /data f2fs rw 0 0
tmpfs /run tmpfs rw 0 0
odd line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etc", "overlay"),
        ("/var/lib/dpsd", None),
        ("/var/libation", "overlay"),
        ("/var/lib/dpsd two/private", "tmpfs"),
        ("/data/dpsd", None),
        ("/run/dpsd", "tmpfs"),
    ],
)
def test_the_nearest_mount_above_decides(tmp_path: Path, path: str, kind: str | None) -> None:
    (tmp_path / "mounts").write_text(TABLE)
    assert find_volatile_kind(path, str(tmp_path / "mounts")) == kind


@pytest.mark.parametrize(("path", "memory"), [("/run/dpsd", True), ("/etc", False), ("/data/dpsd", False)])
def test_an_overlay_is_not_taken_for_memory(tmp_path: Path, path: str, memory: bool) -> None:
    (tmp_path / "mounts").write_text(TABLE)
    assert is_in_memory(path, str(tmp_path / "mounts")) == memory


def test_without_a_table_nothing_is_claimed(tmp_path: Path) -> None:
    assert find_volatile_kind("/run", str(tmp_path / "none")) is None


def test_the_kernels_own_table_is_read() -> None:
    assert find_volatile_kind("/proc") is None


def test_only_what_is_mounted_just_there_counts(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text("/dev/mmcblk0p2 / ext4 rw 0 0\ntmpfs /etc/dpsd-id tmpfs ro 0 0\n")
    assert find_mounted_kind("/etc/dpsd-id", str(table)) == "tmpfs"
    assert find_mounted_kind("/etc", str(table)) is None
