"""The apt sources of a release follow from whatever the host has."""

from __future__ import annotations

import pytest

from workshop.debian import sources
from workshop.dev.failure import Failure

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian bookworm main contrib
deb http://mirror.example/debian bookworm-updates main
deb http://security.example/debian-security bookworm-security main # comment
deb-src http://mirror.example/debian bookworm main
deb https://other.example/apt cloud-sdk-bookworm main
"""
DEB822 = """\
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: trixie trixie-updates trixie-backports
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/k.gpg

Types: deb
URIs: http://disabled.example/debian
Suites: trixie
Components: main
Enabled: no

Types: deb
# a comment inside
URIs: http://security.example/debian-security
Suites: trixie-security
Components: main
"""


def pairs(text: str) -> list[tuple[str, str]]:
    """The URIs and suites of a .sources text."""
    return [(stanza["Uris"], stanza["Suites"]) for stanza in sources.read_deb822(text)]


def test_one_line_sources_of_bookworm_become_those_of_trixie() -> None:
    text = sources.sources_for("trixie", list(sources.read_one_line(ONE_LINE)))
    assert pairs(text) == [
        ("http://mirror.example/debian", "trixie"),
        ("http://mirror.example/debian", "trixie-updates"),
        ("http://security.example/debian-security", "trixie-security"),
    ]
    assert "Signed-By: /usr/share/keyrings/k.gpg" in text


def test_deb822_sources_of_trixie_become_those_of_bookworm() -> None:
    text = sources.sources_for("bookworm", list(sources.read_deb822(DEB822)))
    assert pairs(text) == [
        ("http://mirror.example/debian", "bookworm bookworm-updates"),
        ("http://security.example/debian-security", "bookworm-security"),
    ]


def test_a_host_without_a_debian_mirror_is_told_so() -> None:
    with pytest.raises(Failure, match="no Debian mirror"):
        sources.sources_for("trixie", list(sources.read_one_line("deb http://x.example/apt nodistro main")))


def test_backports_stand_beside_the_release_on_its_own_mirror() -> None:
    host = list(sources.read_one_line(ONE_LINE))
    assert pairs(sources.sources_for("bookworm", host, backports=True))[0] == (
        "http://mirror.example/debian",
        "bookworm bookworm-backports",
    )
    assert "backports" not in pairs(sources.sources_for("bookworm", host, backports=True))[2][1]
