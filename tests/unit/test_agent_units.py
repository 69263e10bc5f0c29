"""Names of units are checked before anything is written."""

from __future__ import annotations

import pytest

from dpsd.agent_units import disable, enable
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
        problem_of("unit-invalid", lambda: enable(unit)),
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
    problem = problem_of("unit-invalid", lambda: enable(unit))
    assert problem.sentence == f"there is no unit {name}"


@pytest.mark.parametrize("unit", ["dpsd", "dpsd.service", "dpsd-provisioned.target", "dpsd-configured.path"])
def test_a_unit_of_dpsd_itself_is_refused(unit: str) -> None:
    assert "dpsd's own" in problem_of("unit-invalid", lambda: enable(unit)).sentence
