"""What the daemon's machine says is to be done.

An action that is answered names the machine's methods that its outcome goes to. `hindered` is told of a Problem that it
raises.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dpsd.errors import Problem
from dpsd.state.messages import Orders
from dpsd.state.record import Details, Record, Validity


class Lock(NamedTuple):
    """Take the state directory: `locked` or `hindered`."""


class Load(NamedTuple):
    """Load the record: `loaded` or `hindered`."""


class Recover(NamedTuple):
    """Finish what was cut short, by the record on disk or the lack of one: `recovered` or `hindered`."""

    record: Record | None


class Judge(NamedTuple):
    """Tell whether this record holds here, and was made of the files that count now, none changed since: `judged`."""

    record: Record | None


class Keep(NamedTuple):
    """Write down the record alone: `kept` or `hindered`."""

    record: Record


class Publish(NamedTuple):
    """Write the record and all files that agents read, durably: `published` or `hindered`."""

    record: Record


class RaiseFlag(NamedTuple):
    """Tell the rest of the system that this boot is provisioned: `flagged` or `hindered`."""


class LookAround(NamedTuple):
    """See whether the files are still those of the record that was published, and what board this is: `seen`."""

    record: Record


class Look(NamedTuple):
    """See whether a watched file changed or the clock was set: `looked`."""


class StartAttempt(NamedTuple):
    """Start a worker: what it says is `said`, and its outcome `done` or `failed`."""

    orders: Orders


class EndAttempt(NamedTuple):
    """End the worker, whatever it would have come to."""


class CountOutcome(NamedTuple):
    """Count an attempt whose outcome is told next."""


class WatchFiles(NamedTuple):
    """Look at these files, too; signatures: what they looked like."""

    signatures: dict[str, Any]


class WriteDetails(NamedTuple):
    """Write the record, for the details in it; that it cannot be written changes nothing else."""

    record: Record


class WriteHistory(NamedTuple):
    """Note a problem, or with None that the device is provisioned."""

    problem: Problem | None


class ShowStep(NamedTuple):
    text: str


class ShowProvisioned(NamedTuple):
    hub: str
    device_id: str


class ShowCertificate(NamedTuple):
    validity: Validity | None


class ShowBoard(NamedTuple):
    serial_number: str
    details: Details


class ShowFailure(NamedTuple):
    """delay: seconds until the next attempt, None for "when a file changes"."""

    problem: Problem
    delay: float | None


class ShowWaiting(NamedTuple):
    """delay: what is left of the one that was shown."""

    problem: Problem
    delay: float | None


class ShowStopped(NamedTuple):
    pass


class TellReady(NamedTuple):
    """READY=1."""


class TellReloading(NamedTuple):
    """RELOADING=1."""


class TellStopping(NamedTuple):
    """STOPPING=1."""


class Log(NamedTuple):
    sentence: str
    is_notice: bool = False


class Exit(NamedTuple):
    status: int


Action = (
    Lock | Load | Recover | Judge | Keep | Publish | RaiseFlag | LookAround | Look
    | StartAttempt | EndAttempt | CountOutcome | WatchFiles | WriteDetails | WriteHistory
    | ShowStep | ShowProvisioned | ShowCertificate | ShowBoard | ShowFailure | ShowWaiting | ShowStopped
    | TellReady | TellReloading | TellStopping | Log | Exit
)  # fmt: skip
Actions = list[Action]
