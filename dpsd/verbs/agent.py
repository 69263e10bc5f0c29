"""`dpsctl agent`: whether a unit waits for the provisioned device. Floor 5."""

from __future__ import annotations

from dpsd.agent_units import disable, enable
from dpsd.door import Arguments, UsageError
from dpsd.errors import EXIT_DONE


def run(arguments: Arguments) -> int:
    action, unit = arguments.operands
    restart = arguments.has("--restart-on-change")
    if action == "enable":
        name = enable(unit, restart_on_change=restart)
        print(f"{name} starts once this device is provisioned, from its next start on")
        if restart:
            print(f"{name} is restarted when the IoT Hub connection changed")
    elif action == "disable" and not restart:
        print(f"{disable(unit)} no longer waits for this device to be provisioned")
    else:
        raise UsageError("write: dpsctl agent enable [--restart-on-change] UNIT, or: dpsctl agent disable UNIT")
    return EXIT_DONE
