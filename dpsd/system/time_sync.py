"""Whether the wall clock can be trusted.

A board without a battery wakes up in 1970, at the date of its image, or where it was switched off. The evidence, with
the strongest first: something has synchronised the clock since the boot; the clock is not before a moment that is
certainly over; a real-time clock with a battery agrees; or nothing could ever tell, as in a container.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone

from dpsd.system.board import read_word
from dpsd.system.clock import format_time, wall_clock

SYNCHRONIZED = "/run/systemd/timesync/synchronized"
"""systemd-timesyncd touches this file at each synchronisation; the folder exists while the service runs."""
BUILT = os.stat(__file__).st_mtime
"""Seconds since 1970: in the Debian package the time of the changelog's last entry, which is certainly over."""
RTC_TOLERANCE = 60
"""Seconds by which the wall clock and the real-time clock that set it may differ."""
ASKING_LIMIT = 5
"""Seconds for systemd-timedated to start and answer."""


def explain_untrusted_clock(known_moments: list[float], root: str = "") -> str | None:
    """Return a sentence that says why the wall clock cannot be trusted, None if it can.

    known_moments: times that are certainly over, in seconds since 1970. root: the folder of /run and /sys, for tests.
    """
    synchronized = _is_synchronized(root)
    if synchronized:
        return None
    now, floor = wall_clock(), max([BUILT, *known_moments])
    if now < floor:
        return f"the clock says {format_time(now)}, and {format_time(floor)} is certainly over"
    if synchronized is None or _rtc_agrees(f"{root}/sys/class/rtc/rtc0", now):
        return None
    return "nothing has synchronised the clock since the boot"


def parse_moment(text: str) -> float | None:
    """Return the seconds since 1970 for an RFC 3339 time in UTC, as DPS sends it; None for other text."""
    found = re.match(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)", text)
    try:
        return datetime(*map(int, found.groups()), tzinfo=timezone.utc).timestamp() if found else None  # type: ignore[misc,arg-type]
    except ValueError:
        return None


def _is_synchronized(root: str) -> bool | None:
    """Tell whether the clock was synchronised since the boot; None if nothing could ever tell."""
    if os.path.exists(root + SYNCHRONIZED):
        return True
    if not os.path.isdir(f"{root}/run/systemd/system") or os.path.exists(f"{root}/run/systemd/container"):
        return None
    if os.path.isdir(os.path.dirname(root + SYNCHRONIZED)):
        return False
    return _ask_kernel()


def _ask_kernel() -> bool | None:
    """Tell whether the kernel's flag is set, as chrony and ntpd do; None if nothing answers."""
    import subprocess  # nearly 1 MiB that most boards do not need

    try:
        # systemd-timedated reads the flag, since a sandboxed process may not call adjtimex.
        words = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
        said = subprocess.run(words, capture_output=True, timeout=ASKING_LIMIT, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return said.strip() == b"yes"


def _rtc_agrees(rtc: str, now: float) -> bool:
    """Tell whether a real-time clock set the clock at boot and still shows the same time."""
    set_the_clock, shows = _read_number(f"{rtc}/hctosys"), _read_number(f"{rtc}/since_epoch")
    return set_the_clock == 1 and shows is not None and abs(shows - now) <= RTC_TOLERANCE


def _read_number(path: str) -> int | None:
    try:
        return int(read_word(path))
    except ValueError:
        return None
