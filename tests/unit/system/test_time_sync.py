"""Whether the wall clock can be trusted, by the evidence below a root folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dpsd.system.time_sync import BUILT, SYNCHRONIZED, explain_untrusted_clock, parse_moment

LATER = 4e9
"""Seconds since 1970, in 2096: a moment that the tests' clock has not reached."""


def booted(root: Path, *files: str) -> str:
    """Make a root that systemd booted, with some empty files."""
    (root / "run/systemd/system").mkdir(parents=True)
    for file in files:
        (root / file.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (root / file.lstrip("/")).touch()
    return str(root)


def put_rtc(root: Path, set_the_clock: str, shows: float) -> None:
    folder = root / "sys/class/rtc/rtc0"
    folder.mkdir(parents=True)
    (folder / "hctosys").write_text(set_the_clock + "\n")
    (folder / "since_epoch").write_text(f"{int(shows)}\n")


def test_a_synchronised_clock_is_trusted_whatever_else_is_known(tmp_path: Path) -> None:
    assert explain_untrusted_clock([LATER], booted(tmp_path, SYNCHRONIZED)) is None


def test_a_running_timesyncd_is_waited_for(tmp_path: Path) -> None:
    root = booted(tmp_path, "/run/systemd/timesync/other")
    assert explain_untrusted_clock([], root) == "nothing has synchronised the clock since the boot"


@pytest.mark.parametrize("root_has", ["/run/systemd/container", "/run/nothing-of-systemd"])
def test_a_clock_that_nobody_could_ever_confirm_is_trusted(tmp_path: Path, root_has: str) -> None:
    root = booted(tmp_path, root_has) if "container" in root_has else str(tmp_path)
    assert explain_untrusted_clock([], root) is None


def test_a_clock_before_a_moment_that_is_over_is_doubted_everywhere(tmp_path: Path) -> None:
    assert "2096-10-02T07:06:40Z is certainly over" in (explain_untrusted_clock([1.0, LATER], str(tmp_path)) or "")


def test_the_programs_own_age_is_such_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: BUILT - 1)
    assert "certainly over" in (explain_untrusted_clock([], str(tmp_path)) or "")
    assert os.stat("dpsd/system/time_sync.py").st_mtime == BUILT


@pytest.mark.parametrize(
    ("set_the_clock", "off_by", "trusted"),
    [("1", 0, True), ("1", 59, True), ("1", 3600, False), ("0", 0, False), ("", 0, False)],
)
def test_a_clock_with_a_battery_is_trusted_while_both_agree(
    tmp_path: Path, set_the_clock: str, off_by: int, trusted: bool
) -> None:
    root = booted(tmp_path, "/run/systemd/timesync/other")
    put_rtc(tmp_path, set_the_clock, time.time() - off_by)
    assert (explain_untrusted_clock([], root) is None) == trusted


@pytest.mark.parametrize(("said", "trusted"), [("yes", True), ("no", False), ("", False)])
def test_without_timesyncd_the_kernel_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, trusted: bool
) -> None:
    command = tmp_path / "bin/timedatectl"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\necho '{said}'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    assert (explain_untrusted_clock([], booted(tmp_path)) is None) == trusted


@pytest.mark.parametrize("text", ["", "2026", "2026-13-01T00:00:00Z", "yesterday", "2026-01-01 00:00:00"])
def test_a_moment_that_is_none_is_left_out(text: str) -> None:
    assert parse_moment(text) is None


def test_a_moment_of_dps_is_read_to_the_second() -> None:
    assert parse_moment("1970-01-02T00:00:01.590840Z") == 86401
