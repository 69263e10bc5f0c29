"""The Debian package: what is in it, and what lintian says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dpsd
from workshop.debian import deb
from workshop.dev import places
from workshop.dev.command import run

pytestmark = pytest.mark.root

DEPENDS = {
    "python3",
    "python3-paho-mqtt",
    "python3-cryptography",
    "python3-pyudev",
    "python3-sdnotify",
    "python3 (>= 3.11) | python3-tomli",
    "ca-certificates",
}
# What debhelper adds: sysusers.d, and byte-compiling.
TOOLING = {"systemd | systemd-standalone-sysusers | systemd-sysusers", "python3:any"}


@pytest.fixture(scope="module")
def package() -> Path:
    """The built package."""
    return deb.build()


def field(package: Path, name: str) -> str:
    """A field of the package's control file."""
    return run(["dpkg-deb", "--field", package, name]).strip()


def test_lintian_has_no_remark(package: Path) -> None:
    assert (package.parent / deb.REMARKS).read_text() == ""


def test_it_depends_on_what_the_code_imports_and_no_more(package: Path) -> None:
    depends = {word.strip() for word in field(package, "Depends").split(",")}
    assert depends - TOOLING == DEPENDS
    assert field(package, "Recommends") == "python3-socks"


def test_the_emulator_stays_behind(package: Path) -> None:
    names = run(["dpkg-deb", "--contents", package])
    assert "/dpsd/__init__.py" in names
    assert "emulator" not in names


def test_the_documents_that_hints_name_are_there_as_they_are_named(package: Path) -> None:
    names = run(["dpkg-deb", "--contents", package])
    for name in ("certificates.md", "import.md", "problems.md"):
        assert f" ./usr/share/doc/dpsd/{name}\n" in names


def test_one_version_everywhere(package: Path) -> None:
    changelog = (places.CHECKOUT / "debian/changelog").read_text()
    assert re.findall(r"^dpsd \((.*?)\)", changelog)[0] == dpsd.__version__ == field(package, "Version")


def test_units_are_where_both_releases_look(package: Path) -> None:
    names = run(["dpkg-deb", "--contents", package])
    assert "./usr/lib/systemd/system/dpsd.service" in names
    assert "./lib/" not in names


@pytest.mark.full
def test_two_builds_are_identical(package: Path, tmp_path: Path) -> None:
    deb.build_into(tmp_path / "again")
    assert next((tmp_path / "again").glob("*.deb")).read_bytes() == package.read_bytes()
