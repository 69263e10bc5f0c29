"""./dev fuzz, as far as it needs no atheris."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS
from workshop.dev import fuzz
from workshop.dev.failure import Failure

LOG = """\
#12\tINITED cov: 13 ft: 74 corp: 23/336b exec/s: 0 rss: 81Mb
#99\tNEW    cov: 15 ft: 80 corp: 25/400b lim: 8192 exec/s: 9 rss: 81Mb L: 2/7 MS: 1 Custom-
artifact_prefix='/f/'; Test unit written to /f/crash-1
stat::number_of_executed_units: 100
"""


def test_all_targets_run_unless_some_are_named() -> None:
    assert fuzz.parse([]) == (sorted(TARGETS), fuzz.SECONDS)
    assert fuzz.parse(["event", "--seconds", "5", "status"]) == (["event", "status"], 5)


@pytest.mark.parametrize("arguments", [["no-such"], ["--seconds"], ["--seconds", "0"], ["--seconds", "x"], ["--help"]])
def test_what_is_no_target_is_refused(arguments: list[str]) -> None:
    with pytest.raises(Failure):
        fuzz.parse(arguments)


def test_a_log_is_read() -> None:
    outcome = fuzz.read("event", LOG)
    assert outcome == fuzz.Outcome("event", 100, 15, 25, [Path("/f/crash-1")])
    assert fuzz.table([outcome]).splitlines()[1].split() == ["event", "100", "15", "25", "1"]
