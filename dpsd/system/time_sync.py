"""Whether the wall clock can be trusted.

A board without a battery wakes up in 1970, at the date of its image, or where it was switched off. Evidence, the
strongest first: somebody synchronised the clock since the boot (systemd-timesyncd says so itself; the kernel's flag,
which chrony and ntpd set, is asked of systemd-timedated, since a sandboxed process may not call adjtimex); the clock
is not before a moment that is known to be over; a real-time clock with a battery agrees; or nobody is there who could
ever tell, as in a container.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone

from dpsd.system.board import read_word
from dpsd.system.clock import format_time, wall_clock

SYNCHRONIZED = "/run/systemd/timesync/synchronized"
"""The file that systemd-timesyncd touches at each synchronisation; its folder is there while the service runs."""
BUILT = os.stat(__file__).st_mtime
"""Seconds since 1970; in the Debian package the moment of its changelog's last entry, and so surely over."""
RTC_TOLERANCE = 60
"""Seconds between a real-time clock and the wall clock that was set by it, for the two to agree."""
ASKING_LIMIT = 5
"""Seconds for systemd-timedated to start and answer."""


def explain_untrusted_clock(known_moments: list[float], root: str = "") -> str | None:
    """Return why the wall clock cannot be trusted, None if it can.

    known_moments: seconds since 1970 that are over for sure. root: where /run and /sys are found, for tests.
    """
    synchronized = _is_synchronized(root)
    if synchronized:
        return None
    now, floor = wall_clock(), max([BUILT, *known_moments])
    if now < floor:
        return f"the clock says {format_time(now)}, and {format_time(floor)} is over for sure"
    if synchronized is None or _rtc_agrees(f"{root}/sys/class/rtc/rtc0", now):
        return None
    return "nothing has synchronised the clock since the boot"


def parse_moment(text: str) -> float | None:
    """Return the seconds since 1970 of an RFC 3339 time in UTC such as DPS tells; None for anything else."""
    found = re.match(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)", text)
    try:
        return datetime(*map(int, found.groups()), tzinfo=timezone.utc).timestamp() if found else None  # type: ignore[misc,arg-type]
    except ValueError:
        return None


def _is_synchronized(root: str) -> bool | None:
    """Tell whether the clock was synchronised; None where nobody could ever tell."""
    if os.path.exists(root + SYNCHRONIZED):
        return True
    if not os.path.isdir(f"{root}/run/systemd/system") or os.path.exists(f"{root}/run/systemd/container"):
        return None
    if os.path.isdir(os.path.dirname(root + SYNCHRONIZED)):
        return False
    return _ask_kernel()


def _ask_kernel() -> bool | None:
    import subprocess  # nearly 1 MiB that most boards do not need

    try:
        words = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
        said = subprocess.run(words, capture_output=True, timeout=ASKING_LIMIT, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return said.strip() == b"yes"


def _rtc_agrees(rtc: str, now: float) -> bool:
    """Tell whether the clock was set by a real-time clock at boot that still shows the same time."""
    set_the_clock, shows = _read_number(f"{rtc}/hctosys"), _read_number(f"{rtc}/since_epoch")
    return set_the_clock == 1 and shows is not None and abs(shows - now) <= RTC_TOLERANCE


def _read_number(path: str) -> int | None:
    try:
        return int(read_word(path))
    except ValueError:
        return None
