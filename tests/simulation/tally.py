"""What a run of a fleet came to, by the second."""

from __future__ import annotations

import math
from collections import Counter


class Tally:
    """requests: those that reached the service, by second. finished: devices provisioned, by second.

    refused: requests answered with 429. connections: sessions begun, those that nobody answered too.
    """

    def __init__(self, devices: int) -> None:
        self.devices = devices
        self.requests: Counter[int] = Counter()
        self.finished: Counter[int] = Counter()
        self.refused = 0
        self.connections = 0

    def finish(self, now: float, devices: int = 1) -> None:
        self.finished[math.ceil(now)] += devices

    def seconds_to(self, share: float) -> int:
        """Return the second in which so large a share of the devices is provisioned."""
        missing = math.ceil(share * self.devices)
        for second in sorted(self.finished):
            missing -= self.finished[second]
            if missing <= 0:
                return second
        raise AssertionError("devices are left that nothing is going to provision")

    @property
    def requests_per_device(self) -> float:
        return self.requests.total() / self.devices

    @property
    def connections_per_device(self) -> float:
        return self.connections / self.devices

    @property
    def peak(self) -> int:
        """The most requests in a second."""
        return max(self.requests.values())

    def by_minute(self, counts: Counter[int]) -> list[int]:
        """Return the counts of each minute, from the first to the last that has any."""
        minutes = [0] * (max(counts) // 60 + 1)
        for second, count in counts.items():
            minutes[second // 60] += count
        return minutes
