"""Of Debian roots and packages that were made earlier, the newest of a kind is kept, and what is in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from workshop.debian import deb, roots
from workshop.dev import places


def test_a_new_root_replaces_earlier_ones_of_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "ROOTS", tmp_path)
    first, used, new = (f"trixie-{digit * roots.MARK}" for digit in "123")
    others = {f"{kind}-{'1' * roots.MARK}" for kind in ("trixie-token", "bookworm", "workshop")}
    for name in (first, used, new, *others):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / f".{name}.lock").touch()
    roots.use(tmp_path / used)
    roots.remove_others("trixie", tmp_path / new)
    left = {used, new, *others}
    assert {path.name for path in tmp_path.iterdir()} == left | {f".{name}.lock" for name in left}


def test_a_new_package_replaces_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "DEBS", tmp_path)
    for name in ("1", "2", "3.partial"):
        (tmp_path / name / "inside").mkdir(parents=True)
    deb.remove_others(tmp_path / "2")
    assert {path.name for path in tmp_path.iterdir()} == {"2", "3.partial"}
