"""Names of units are checked before anything is written, and what is written can be taken back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dpsd.dpsctl import agent as agent_units
from dpsd.dpsctl.__main__ import run
from dpsd.dpsctl.agent import disable, enable
from tests.emulator_process import ROOT
from tests.unit.examples import problem_of


@pytest.mark.parametrize(
    "unit",
    [
        "",
        "../../etc/passwd",
        "/etc/systemd/system/x.service",
        "a b.service",
        "a\n.service",
        "a.service\n",
        "é.service",
        "a@b@c.service",
        "$(id)",
        "a'b",
    ],
)
def test_what_is_no_unit_name_is_refused(unit: str) -> None:
    for problem in (
        problem_of("unit-invalid", lambda: enable(unit, restart_on_change=False)),
        problem_of("unit-invalid", lambda: disable(unit)),
    ):
        assert problem.sentence.endswith("is not a unit name")
        assert problem.sentence.isascii() and "\n" not in problem.sentence


@pytest.mark.parametrize(
    ("unit", "name"),
    [
        ("dpsd-no-such", "dpsd-no-such.service"),
        ("dpsd-no-such.timer", "dpsd-no-such.timer"),
        ("dpsd.no.such", "dpsd.no.such.service"),
        (r"dpsd-no\x2dsuch@a-1:b", r"dpsd-no\x2dsuch@a-1:b.service"),
    ],
)
def test_a_unit_that_is_not_there_is_named_in_full(unit: str, name: str) -> None:
    problem = problem_of("unit-invalid", lambda: enable(unit, restart_on_change=False))
    assert problem.sentence == f"there is no unit {name}"


def own_units() -> list[str]:
    kinds = (".service", ".socket", ".path", ".target", ".timer")
    return [path.name.replace("@", "@sda1") for path in (ROOT / "systemd").iterdir() if path.suffix in kinds]


@pytest.mark.parametrize("unit", ["dpsd", *own_units()])
def test_a_unit_of_dpsd_itself_is_refused(unit: str) -> None:
    assert "dpsd's own" in problem_of("unit-invalid", lambda: enable(unit, restart_on_change=False)).sentence


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The administrator's units, as in an image that is being built, with an agent among them."""
    monkeypatch.setattr(agent_units, "UNITS", str(tmp_path))
    monkeypatch.setattr(agent_units, "_SEARCH", (str(tmp_path),))
    for name in ("agent.service", "agent.socket"):
        (tmp_path / name).touch()
    return tmp_path


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may enable a unit")


@needs_root
def test_an_agent_is_restarted_on_a_change_only_while_it_asks_for_it(units: Path) -> None:
    drop_in = units / "agent.service.d/50-dpsd.conf"
    for restart in (False, True, False, True):
        enable("agent", restart_on_change=restart)
        assert drop_in.read_text().count("\nPartOf=dpsd-connection.target\n") == restart
        assert "\nAfter=dpsd-provisioned.target\nConditionPathExists=/run/dpsd/provisioned\n" in drop_in.read_text()
    (drop_in.parent / ".50-dpsd.conf.new").write_text("of a write that was cut short")
    disable("agent")
    assert not drop_in.parent.exists()
    assert list((units / "dpsd-provisioned.target.wants").iterdir()) == []


def test_only_a_service_is_restarted_on_a_change(units: Path) -> None:
    problem = problem_of("unit-invalid", lambda: enable("agent.socket", restart_on_change=True))
    assert "agent.socket is no service" in problem.sentence
    assert not (units / "agent.socket.d").exists()


@pytest.mark.parametrize("words", ["disable --restart-on-change agent", "dance agent", "enable"])
def test_wrong_words_write_nothing(words: str, units: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["agent", *words.split()]) == 2
    assert sorted(path.name for path in units.iterdir()) == ["agent.service", "agent.socket"]
