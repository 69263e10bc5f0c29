"""The command `dpsd` reads its few options itself."""

from __future__ import annotations

import pytest

from dpsd import __version__
from dpsd.__main__ import main, read_options
from dpsd.system.command import PLACES_OPTIONS


def dpsd(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["dpsd", *words])
    return main()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["--config", "a=b", "--state-dir=c=d"], {"--config": "a=b", "--state-dir": "c=d"}),
        (["--config=", "--config", "--state-dir"], {"--config": "--state-dir"}),
    ],
)
def test_options_have_values(words: list[str], expected: dict[str, str]) -> None:
    assert read_options(words, PLACES_OPTIONS) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--state"], "unknown argument --state"),
        (["x\x1b"], "unknown argument x\\x1b"),
        (["--orders", "{}"], "unknown argument --orders"),
        (["--config"], "--config needs a value"),
        (["attempt", "--orders"], "--orders needs a value"),
        (["--config", "x", "attempt"], "unknown argument attempt"),
    ],
)
def test_wrong_usage_is_status_2(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dpsd(monkeypatch, *words) == 2
    assert capsys.readouterr() == ("", f"dpsd: {said}\ntry: dpsd --help\n")


def test_the_version_and_the_help_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dpsd(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"dpsd {__version__}\n"
    assert dpsd(monkeypatch, "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: dpsd [OPTION...]"
    options = [line.split()[0] for line in lines if line.startswith("  --")]
    assert options == [*PLACES_OPTIONS, "--help", "--version"]
