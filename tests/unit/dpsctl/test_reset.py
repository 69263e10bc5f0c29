"""What a reset removes is what the table says, in its order, and `dpsctl config --image` finds the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dpsd.dpsctl.__main__ import run
from dpsd.dpsctl.image import check_image
from dpsd.dpsctl.reset import plan, reset
from dpsd.provisioning.publish import prepare_folders
from dpsd.state.files import RESET, RESET_CREDENTIAL, ROWS, Row, located, names, on_device, paths_of
from dpsd.state.places import Places
from tests.unit.examples import problem_of

CONFIGURED = ("/etc/dpsd/device.pem", "/etc/dpsd/device.key")
SETTINGS = """\
[dps]
id_scope = "0ne00TEST01"
[credential]
type = "x509"
certificate_file = "{}"
private_key_file = "{}"
"""


def written(row: Row, *files: str) -> list[str]:
    """All names that a row stands for on a device, for configured files."""
    found = [name for path in paths_of(row, files) for name in names(path, row)]
    return [name.replace("*", "1") for name in found]


def of_reset(*forgotten: str, files: tuple[str, ...] = CONFIGURED) -> list[str]:
    return [name for row in ROWS if row.forgotten in forgotten for name in written(row, *files)]


def put(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_text(text)


@pytest.fixture
def configured(tmp_path: Path) -> tuple[str, ...]:
    return f"{tmp_path}/device.pem", f"{tmp_path}/device.key"


@pytest.fixture
def full(tmp_path: Path, configured: tuple[str, ...]) -> Places:
    """A state directory with each file that there can be."""
    imported = f"{tmp_path}/state/imported.toml"
    places = Places((f"{tmp_path}/dpsd.toml", imported), f"{tmp_path}/state", f"{tmp_path}/run")
    prepare_folders(places.state, places.runtime)
    for name in (located(name, places) for row in ROWS for name in written(row, *configured)):
        if name.startswith(str(tmp_path)) and not name.endswith("/"):
            put(Path(name), "" if name.endswith(".toml") else "x")
    put(tmp_path / "dpsd.toml", SETTINGS.format(*configured))
    return places


def left(places: Places) -> set[str]:
    return {path.name for path in Path(places.state).parent.rglob("*") if path.is_file()}


def test_a_reset_removes_what_the_table_says_in_its_order(full: Places) -> None:
    planned = plan(full, credential=False)
    assert [on_device(path, full) for path in planned] == of_reset(RESET)
    assert list(reset(full, credential=False)) == planned
    assert plan(full, credential=False) == [] and Path(full.state.sealed).exists()


def test_with_the_credential_it_leaves_the_locks_and_the_configuration(
    full: Places, configured: tuple[str, ...]
) -> None:
    planned = plan(full, credential=True)
    expected = of_reset(RESET, RESET_CREDENTIAL, files=configured)
    assert [on_device(path, full) for path in planned] == [path for path in expected if not path.startswith("/etc/")]
    assert list(reset(full, credential=True)) == planned
    assert left(full) == {"lock", "seal.lock", "dpsd.toml"}


def test_an_image_is_found_to_hold_just_what_a_reset_removes(tmp_path: Path) -> None:
    for row in ROWS:
        for name in written(row, *CONFIGURED):
            if not name.endswith("/"):
                put(Path(f"{tmp_path}{name}"), "" if name.endswith(".toml") else "x")
    put(tmp_path / "etc/dpsd/dpsd.toml", SETTINGS.format(*CONFIGURED))
    found = problem_of("image-unsafe", lambda: check_image(str(tmp_path)))
    said = [sentence.partition(": ")[0] for sentence in (found.sentence, *found.also)]
    assert sorted(said) == sorted(of_reset(RESET, RESET_CREDENTIAL))


def test_a_renewal_that_was_cut_leaves_nothing_beside_the_target_of_a_link(
    tmp_path: Path, full: Places, configured: tuple[str, ...]
) -> None:
    target = tmp_path / "elsewhere/real.pem"
    put(target)
    os.unlink(configured[0])
    os.symlink(target, configured[0])
    for name in ("real.pem.new", ".real.pem.new.new"):
        put(target.with_name(name))
    list(reset(full, credential=True))
    assert os.listdir(target.parent) == ["real.pem"] and not os.path.lexists(configured[0])


def arguments(places: Places, *words: str) -> list[str]:
    return ["reset", *words, f"--config={places.configuration[0]}", f"--state-dir={places.state}",
            f"--runtime-dir={places.runtime}"]  # fmt: skip


@pytest.mark.parametrize(("words", "status"), [((), 3), (("--dry-run",), 0)])
def test_unless_it_is_meant_it_only_says_what_it_would_do(
    words: tuple[str, ...], status: int, full: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    before, planned = left(full), plan(full, credential=False)
    assert run(arguments(full, *words)) == status
    said = capsys.readouterr()
    assert said.out == "".join(f"would remove {path}\n" for path in planned)
    assert ("nothing was removed; to remove it, add --yes" in said.err) == (status == 3)
    assert left(full) == before


def test_to_show_and_to_remove_exclude_each_other(full: Places) -> None:
    before = left(full)
    assert run(arguments(full, "--yes", "--dry-run")) == 2
    assert left(full) == before
