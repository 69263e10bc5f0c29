"""The table of files says what the code, the units and the package say."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from dpsd.credentials import systemd
from dpsd.dpsctl import agent
from dpsd.importing.bundle import REPORT
from dpsd.keys.sources import FILES
from dpsd.state.files import (
    DISABLE,
    DRAFT,
    FILE,
    NEWER,
    NOBODY,
    PURGE,
    RESET,
    RESET_CREDENTIAL,
    ROWS,
    STOP,
    UNUSABLE,
    Row,
    located,
    names,
    on_device,
    row_of,
)
from dpsd.state.places import Places
from dpsd.system import files
from tests.unit.examples import CHECKOUT

DEVICE, ELSEWHERE = Places(), Places(state="/srv/state", runtime="/srv/run")
UNITS = CHECKOUT / "systemd"
NAMES = [
    *(f"{folder}/{name}" for folder in systemd.SOURCES for name in (
        systemd.CERTIFICATE, systemd.PRIVATE_KEY, systemd.PRIMARY_KEY, systemd.SECONDARY_KEY,
    )),
    systemd.DROP_IN,
    *(f"{DEVICE.keys}/{name}" for name in FILES.values()),
    f"{agent.UNITS}/agent@1.service.d/50-dpsd.conf",
    f"{agent.UNITS}/{agent.TARGET}.wants/agent.service",
    f"/boot/firmware/dpsd/{REPORT}",
    files.temporary_path(DEVICE.state.payload_json, DEVICE.state.agents_staging),
]  # fmt: skip
"""What modules that are no `Places` write."""


def paths(places: Places) -> Iterator[str]:
    """All paths that places have."""
    for name in vars(Places):
        value = getattr(places, name)
        if isinstance(value, str) and value.startswith("/"):
            yield value


def row_at(path: str) -> Row:
    row = row_of(path) or row_of(f"{path}/")
    assert row is not None, path
    return row


def index(path: str) -> int:
    return ROWS.index(row_at(path))


@pytest.mark.parametrize("path", [*paths(DEVICE), *DEVICE.runtime.released, *NAMES])
def test_whatever_is_written_has_a_row(path: str) -> None:
    assert row_at(path).path in (path, f"{path}/") or "*" in row_at(path).path


@pytest.mark.parametrize(
    "path",
    [
        "/var/lib/dpsd/private/copy",
        "/var/lib/dpsd/connection.json.unusable",
        "/var/lib/dpsd/private/lock.new",
        "/var/lib/dpsd/private",
        "/var/lib/dpsd/private/lock/",
        "/etc/systemd/system/agent.service.d/nested/50-dpsd.conf",
        "/etc/systemd/system/.d/50-dpsd.conf",
        "/etc/dpsd/device.key",
    ],
)
def test_nothing_else_has_one(path: str) -> None:
    assert row_of(path) is None


def test_each_path_has_one_row() -> None:
    assert len({row.path for row in ROWS}) == len(ROWS)


def test_names_beside_a_file_are_those_of_the_code() -> None:
    forms = [form.format("name") for form in (DRAFT, UNUSABLE, NEWER)]
    aside = f"name{files.NEWER}*"
    assert [f"/folder/{form}" for form in forms] == [
        files.temporary_path("/folder/name"), files.unusable_path("/folder/name"), f"/folder/{aside}",
    ]  # fmt: skip


def test_what_a_renewal_leaves_beside_a_configured_file_has_its_row() -> None:
    key = "/etc/dpsd/device.key"
    found = {
        name: row_of(f"/etc/dpsd/{name}", [key]) for name in ("device.key", "device.key.new", ".device.key.new.new")
    }
    assert [row.path if row else None for row in found.values()] == [FILE, f"{FILE}.new", f"{FILE}.new"]


def test_other_places_are_mapped_to_those_of_a_device_and_back() -> None:
    for path in paths(DEVICE):
        assert on_device(located(path, ELSEWHERE), ELSEWHERE) == path
    assert located(f"{DEVICE.keys}/file.key", ELSEWHERE) == f"{ELSEWHERE.keys}/file.key"
    assert on_device(ELSEWHERE.imports.adopted, ELSEWHERE) == DEVICE.imports.adopted
    assert on_device("/srv/statement", ELSEWHERE) == "/srv/statement"


def test_a_reset_removes_a_record_after_what_was_made_of_it_and_before_its_credential() -> None:
    order = [row.forgotten for row in ROWS if row.forgotten in (RESET, RESET_CREDENTIAL)]
    assert order == sorted(order, key=[RESET, RESET_CREDENTIAL].index)
    first, *_, record = (row.path for row in ROWS if row.forgotten == RESET)
    assert (first, record) == (DEVICE.runtime.provisioned, DEVICE.state.record)
    *_, waiting, imported = (row.path for row in ROWS if row.forgotten == RESET_CREDENTIAL)
    assert (waiting, imported) == (DEVICE.state.candidate_settings, DEVICE.state.imported)


def test_only_agents_read_a_secret_besides_its_owner() -> None:
    for access in (row.access for row in ROWS if row.secret):
        assert access.mode in (None, 0o600) or access == ("dpsd", "dpsd-agents", 0o640)


def test_what_no_reset_forgets_has_a_reason_unless_it_is_a_folder_of_dpsds_own() -> None:
    for row in ROWS:
        is_plain = row.forgotten in (RESET, RESET_CREDENTIAL) or (row.forgotten == PURGE and row.path.endswith("/"))
        assert is_plain == (row.why == ""), row.path


def test_tmpfiles_makes_the_folders_of_the_table() -> None:
    lines = (line.split() for line in (UNITS / "dpsd.tmpfiles").read_text().splitlines() if not line.startswith("#"))
    made = {f"{path}/": (owner, group, int(mode, 8)) for _, path, mode, owner, group in lines}
    assert made == {row.path: row.access for row in ROWS if row.written == "at installation and at boot"}


@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.glob("*.service")))
def test_a_unit_makes_its_folders_as_the_table_has_them(unit: str) -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", (UNITS / unit).read_text(), re.MULTILINE))
    for kind, top in (("State", "/var/lib"), ("Runtime", "/run")):
        if f"{kind}Directory" in settings:
            owner, mode = settings.get("User", "root"), int(settings.get(f"{kind}DirectoryMode", "0755"), 8)
            assert row_at(f"{top}/{settings[f'{kind}Directory']}").access == (owner, owner, mode)


def test_the_socket_is_made_as_the_table_has_it() -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", (UNITS / "dpsd-keys.socket").read_text(), re.MULTILINE))
    access = (settings.get("SocketUser", "root"), settings["SocketGroup"], int(settings["SocketMode"], 8))
    assert row_at(settings["ListenSequentialPacket"]).access == access


def test_a_purge_forgets_what_it_should_and_nothing_else(tmp_path: Path) -> None:
    """Units that wait are disabled by prerm."""
    rows = [row for row in ROWS if not row.path.startswith(FILE)]
    there = {name.replace("*", "one"): row for row in rows for name in names(row.path, row)}
    for name in there:
        path = Path(f"{tmp_path}{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True) if name.endswith("/") else path.write_text("# Written by dpsctl seal --systemd.\n")
    command = ["sh", str(CHECKOUT / "debian/dpsd.postrm"), "purge"]
    subprocess.run(command, env={**os.environ, "DPKG_ROOT": str(tmp_path)}, check=True)
    left = {name for name in there if Path(f"{tmp_path}{name}").exists()}
    assert left == {name for name, row in there.items() if row.forgotten in (DISABLE, STOP, NOBODY)}


def test_folders_stand_after_all_files() -> None:
    kinds = [row.path.endswith("/") for row in ROWS]
    assert all(first <= second for first, second in pairwise(kinds))
