"""What the kernel's tables say of the board's own end, in folders made like the kernel's."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpsd.network.diagnosis import check_interface
from tests.unit.examples import problem_of

LO = {"flags": "0x9", "operstate": "unknown"}
UP = {"flags": "0x1003", "operstate": "up"}
TUNNEL = {"flags": "0x10d1", "operstate": "unknown"}
UNPLUGGED = {"flags": "0x1003", "operstate": "down"}
OFF = {"flags": "0x1002", "operstate": "down"}
RADIO = {"type": "wlan", "soft": "0", "hard": "0"}


def folder(path: Path, entries: dict[str, dict[str, str]]) -> str:
    for name, files in entries.items():
        (path / name).mkdir(parents=True)
        for file, text in files.items():
            (path / name / file).write_text(text + "\n")
    return str(path)


@pytest.mark.parametrize("interfaces", [{"lo": LO, "eth0": UP}, {"lo": LO, "eth0": UNPLUGGED, "wg0": TUNNEL}, {}])
def test_an_interface_that_is_up_is_enough(interfaces: dict[str, dict[str, str]], tmp_path: Path) -> None:
    check_interface(folder(tmp_path / "net", interfaces), str(tmp_path / "none"))


@pytest.mark.parametrize("other", [UNPLUGGED, OFF, {"flags": "nonsense"}, {}])
def test_no_interface_that_is_up_is_a_problem(other: dict[str, str], tmp_path: Path) -> None:
    interfaces = folder(tmp_path / "net", {"lo": LO, "eth0": other})
    problem_of("no-interface", lambda: check_interface(interfaces, str(tmp_path / "none")))


@pytest.mark.parametrize(
    ("radio", "code"),
    [
        (RADIO, "no-interface"),
        ({**RADIO, "soft": "1"}, "radio-blocked"),
        ({**RADIO, "hard": "1"}, "radio-blocked"),
        ({**RADIO, "type": "wwan", "soft": "1"}, "radio-blocked"),
        ({**RADIO, "type": "bluetooth", "soft": "1"}, "no-interface"),
        ({}, "no-interface"),
    ],
)
def test_a_blocked_radio_is_named_when_nothing_is_up(radio: dict[str, str], code: str, tmp_path: Path) -> None:
    interfaces, radios = folder(tmp_path / "net", {"lo": LO, "wlan0": OFF}), folder(tmp_path / "rfkill", {"r0": radio})
    problem_of(code, lambda: check_interface(interfaces, radios))
