"""When a fault is due: the moments of a connection are counted, and the first fault that is due happens. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dpsd.shape import Table


class Moment(NamedTuple):
    """Something that happens to a connection; client and service are None until they are known."""

    name: str
    client: str | None = None
    service: str | None = None
    transport: str = "mqtt"


class Fault:
    """One row of the faults file, which has been checked. seen: how often its moment has come."""

    def __init__(self, row: Table, transport: str | None) -> None:
        self.on, self.do = row.string("on"), row.string("do")
        self.details = row
        self.client = row.optional_string("client")
        self.service = row.optional_string("service")
        self.transport = transport
        self.nth: int = row.values.get("nth", 1)
        self.times: int = row.values.get("times", 1)
        self.seen = 0

    def concerns(self, moment: Moment) -> bool:
        """Tell whether the fault is for this moment of this connection."""
        pairs = (
            (self.client, moment.client),
            (self.service, moment.service),
            (self.transport, moment.transport),
        )
        return self.on == moment.name and all(wanted in (None, found) for wanted, found in pairs)

    def is_due(self) -> bool:
        """Tell whether the fault happens the `seen`th time."""
        return self.seen >= self.nth and (self.times == 0 or self.seen < self.nth + self.times)


class Faults:
    """The faults in the order of their rows."""

    def __init__(self, rows: Iterable[Fault] = ()) -> None:
        self.rows = list(rows)

    def take(self, moment: Moment) -> Fault | None:
        """Count this moment for every fault that it concerns, and return the first that is due, or None."""
        concerned = [row for row in self.rows if row.concerns(moment)]
        for row in concerned:
            row.seen += 1
        return next((row for row in concerned if row.is_due()), None)
