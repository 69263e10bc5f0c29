"""What DPS's error codes say beyond the status, as exact hints. Floor 1.

There is no public list. These were seen in recorded sessions and issue threads of Microsoft's SDKs; a code that only
repeats the status, or whose cause is a guess, is not here. DPS shares its numbers with IoT Hub, so that a code means
one thing about a refused request and another about an assignment that failed.
"""

from __future__ import annotations

from dpsd.protocol.dps import Fault

REFUSED = (
    (401000, "", "check that the key is this device's own, in a group the derived one, and the board's clock"),
    (401002, "CA certificate not found", "put the intermediates behind the certificate, and verify its CA in DPS"),
    (401002, "Invalid certificate", "enroll this certificate or its CA; the CN must be the registration id"),
)
"""About a request: error code, what its message holds, hint."""
FAILED = (
    (400207, "", "see the log of the custom allocation function: it failed"),
    (400208, "", "link an IoT Hub to DPS and to the enrollment"),
    (400209, "", "approve or unblock the device in IoT Central"),
    (401002, "", "link the IoT Hub to DPS again: it does not accept the key that DPS has for it"),
)
"""About an assignment with the status `failed`: the same."""


def exact_hint(fault: Fault, known: tuple[tuple[int, str, str], ...]) -> str | None:
    """Return the hint of a row that fits, None where the problem's own hint has to do."""
    fitting = (hint for code, said, hint in known if fault.error_code == code and said in fault.message)
    return next(fitting, None)
