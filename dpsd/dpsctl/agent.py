"""`dpsctl agent`: make any systemd unit start only once this device is provisioned.

A drop-in orders the unit after the target and skips it while the flag is missing; the target wants it, so that it
starts when the flag appears. On request it is also part of the target that is restarted when the connection changed.
The unit's own enablement is left alone.
"""

from __future__ import annotations

import os
import re
import subprocess

from dpsd.dpsctl.arguments import Arguments
from dpsd.errors import EXIT_DONE, Problem
from dpsd.system.command import UsageError
from dpsd.system.files import commit_if_changed, load, make_folder, remove, temporary_path
from dpsd.text import printable


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


UNITS = "/etc/systemd/system"
TARGET = "dpsd-provisioned.target"
_VENDOR_UNITS = ("/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_SEARCH = (UNITS, "/run/systemd/system", *_VENDOR_UNITS)
_NAME = re.compile(r"[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\-]*)?\.(service|socket|timer|path|target)")
_OWN = re.compile(r"dpsd(-(configured|connection|identity|import|import-usb|keys|provisioned|renewal))?(@.*)?\.[a-z]+")
_DROP_IN = f"""# Written by: dpsctl agent enable. Removed by: dpsctl agent disable.
[Unit]
After={TARGET}
ConditionPathExists=/run/dpsd/provisioned
"""
_RESTART = "PartOf=dpsd-connection.target\n"
_WANT_IS_OURS = f"# The want of {TARGET} is from the same command.\n"


def enable(unit: str, *, restart_on_change: bool) -> str:
    """Enable `unit` ("mosquitto" means mosquitto.service) and return its full name.

    restart_on_change: restart it, if it runs, when the IoT Hub connection changed. Raises Problem `unit-invalid` or
    `not-permitted`.
    """
    name, source = _find(unit)
    if restart_on_change and not name.endswith(".service"):
        raise Problem("unit-invalid", f"{name} is no service, and only a service can be restarted on a change")
    _check_root()
    make_folder(f"{UNITS}/{name}.d", 0o755)
    make_folder(f"{UNITS}/{TARGET}.wants", 0o755)
    ours = _made_the_want(name) or not os.path.lexists(_want(name))
    text = _DROP_IN + (_RESTART if restart_on_change else "") + (_WANT_IS_OURS if ours else "")
    commit_if_changed(_drop_in(name), text.encode(), 0o644)
    if not os.path.lexists(_want(name)):
        os.symlink(source, _want(name))
    _reload_systemd()
    return name


def disable(unit: str) -> str:
    """Take back what `enable` did and return the unit's full name; raises as `enable`."""
    name = _full_name(unit)
    _check_root()
    if _made_the_want(name):
        remove(_want(name))
    for path in (temporary_path(_drop_in(name)), _drop_in(name)):
        remove(path)
    try:
        os.rmdir(f"{UNITS}/{name}.d")
    except OSError:
        pass
    _reload_systemd()
    return name


def _find(unit: str) -> tuple[str, str]:
    name = _full_name(unit)
    template = re.sub(r"@.*\.", "@.", name)
    for path in (f"{folder}/{file}" for file in (name, template) for folder in _SEARCH):
        if os.path.exists(path):
            return name, path
    raise Problem("unit-invalid", f"there is no unit {printable(name)}")


def _full_name(unit: str) -> str:
    name = unit if re.search(r"\.(service|socket|timer|path|target)$", unit) else f"{unit}.service"
    if not _NAME.fullmatch(name) or "@." in name:
        raise Problem("unit-invalid", f"'{printable(unit)}' is not a unit name")
    if _OWN.fullmatch(name):
        raise Problem("unit-invalid", f"{name} is dpsd's own, and would wait for itself")
    return name


def _drop_in(name: str) -> str:
    return f"{UNITS}/{name}.d/50-dpsd.conf"


def _want(name: str) -> str:
    return f"{UNITS}/{TARGET}.wants/{name}"


def _made_the_want(name: str) -> bool:
    """Tell whether the want came from `enable`, rather than from the unit's own [Install] section."""
    return _WANT_IS_OURS.encode() in (load(_drop_in(name)) or b"")


def _check_root() -> None:
    if os.geteuid() != 0:
        raise Problem("not-permitted", f"only root may write {UNITS}")


def _reload_systemd() -> None:
    """Nothing to reload while an image is built."""
    if os.path.isdir("/run/systemd/system"):
        subprocess.run(["systemctl", "daemon-reload"], check=False)
