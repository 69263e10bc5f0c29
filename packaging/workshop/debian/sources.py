"""The apt sources of another Debian release, taken from those of this host: same mirrors, other suites."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from workshop.dev.failure import Failure

Stanza = dict[str, str]  # field name, as in a .sources file, to its text

RELEASES = ("bookworm", "trixie", "forky", "sid", "stable", "oldstable", "testing", "unstable")
SUITE = re.compile(rf"(?:{'|'.join(RELEASES)})(?P<part>-updates|-security)?")
ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<parts>.+)")
KEPT = ("Signed-By", "Trusted", "Check-Valid-Until")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def read_deb822(text: str) -> Iterator[Stanza]:
    """The stanzas of a .sources file, without comments."""
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for block in re.split(r"\n\s*\n", plain):
        fields = re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", block, re.MULTILINE)
        if fields:
            yield {name.title(): value.strip() for name, value in fields}


def read_one_line(text: str) -> Iterator[Stanza]:
    """The `deb` lines of a .list file, as stanzas."""
    for line in text.splitlines():
        match = ONE_LINE.match(line.split("#")[0].strip())
        if match:
            options = dict(word.split("=", 1) for word in (match["options"] or "").split() if "=" in word)
            stanza = {name.title(): value for name, value in options.items()}
            yield {
                **stanza,
                "Types": "deb",
                "Uris": match["uri"],
                "Suites": match["suite"],
                "Components": match["parts"],
            }


def read_host(folder: Path = Path("/etc/apt")) -> list[Stanza]:
    """All stanzas of this host's apt sources."""
    lists = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*.list"))]
    stanzas = [stanza for path in lists if path.is_file() for stanza in read_one_line(path.read_text())]
    for path in sorted((folder / "sources.list.d").glob("*.sources")):
        stanzas += read_deb822(path.read_text())
    return stanzas


def is_debian(stanza: Stanza) -> bool:
    """Whether a stanza offers binary packages of Debian itself."""
    return (
        "deb" in stanza.get("Types", "").split()
        and "main" in stanza.get("Components", "").split()
        and stanza.get("Enabled", "yes") != "no"
        and any(SUITE.fullmatch(suite) for suite in stanza.get("Suites", "").split())
    )


def translate(stanza: Stanza, release: str) -> Stanza:
    """The same archive's stanza for another release."""
    found = [SUITE.fullmatch(suite) for suite in stanza["Suites"].split()]
    parts = {match["part"] or "" for match in found if match}
    kept = {name: stanza[name] for name in KEPT if name in stanza}
    return {
        "Types": "deb",
        "URIs": stanza["Uris"],
        "Suites": " ".join(sorted(release + part for part in parts)),
        "Components": "main",
        **({"Signed-By": KEYRING} if Path(KEYRING).exists() else {}),
        **kept,
    }


def encode(stanzas: Iterable[Stanza]) -> str:
    """Stanzas as the text of a .sources file."""
    return "\n".join("".join(f"{name}: {value}\n" for name, value in stanza.items()) for stanza in stanzas)


def with_backports(stanza: Stanza, release: str) -> Stanza:
    """The stanza of a release's own suite with that of its backports, from the same mirror."""
    suites = stanza["Suites"].split()
    return {**stanza, "Suites": " ".join([*suites, f"{release}-backports"])} if release in suites else stanza


def sources_for(release: str, host: list[Stanza] | None = None, *, backports: bool = False) -> str:
    """The .sources text of a release, from this host's mirrors. Raises Failure if it has no Debian mirror."""
    known = read_host() if host is None else host
    stanzas = [translate(stanza, release) for stanza in known if is_debian(stanza)]
    if not stanzas:
        raise Failure(
            "the apt sources of this host name no Debian mirror",
            "put one into /etc/apt/sources.list.d/debian.sources",
        )
    return encode(with_backports(stanza, release) if backports else stanza for stanza in stanzas)
