"""Keys of a fleet on the bench: a key for each good id, a line for each bad one, and memory for one row."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpsd.dpsctl.derive_key import PROGRESS_INTERVAL, derive_keys, read_rows, rows_of
from tests.unit.authority import put_secret
from tests.unit.examples import CHECKOUT, problem_of

PUBLISHED = (
    "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==",
    "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6",
    "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=",
)
"""Group key, registration id and device key from Microsoft's page on symmetric key attestation."""
GROUP_KEY, ID, KEY = PUBLISHED
FIRST = "registration_id,primary_key"


def dpsctl(folder: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    key_file = put_secret(folder / "group.key", GROUP_KEY.encode())
    command = [sys.executable, "-m", "dpsd.dpsctl", "derive-key", "--group-key-file", key_file, *words]
    return subprocess.run(command, cwd=CHECKOUT, input=given, capture_output=True, text=True, check=False)


def test_the_published_key_is_derived(tmp_path: Path) -> None:
    ended = dpsctl(tmp_path, ID)
    assert (ended.returncode, ended.stdout.splitlines(), ended.stderr) == (0, [FIRST, f"{ID},{KEY}"], "")


@pytest.mark.parametrize(
    "table",
    [f"{ID}\n", f"site,Registration_ID\r\nlab,{ID}\r\n", f'{ID},"a ""note"""\n', f"\ufeffregistration_id\n\n{ID}"],
)
def test_ids_are_found_in_the_named_column_or_the_first(tmp_path: Path, table: str) -> None:
    assert dpsctl(tmp_path, "--csv", "-", given=table).stdout.splitlines() == [FIRST, f"{ID},{KEY}"]


def test_a_bad_id_is_told_with_its_line_and_has_no_key(tmp_path: Path) -> None:
    table = tmp_path / "ids.csv"
    table.write_bytes(f"Pi-1\n{ID}\n\npi/2,x\npi\xe4\n{'a' * 129}\n".encode("latin-1"))
    ended = dpsctl(tmp_path, "--csv", str(table))
    assert (ended.returncode, ended.stdout.splitlines()) == (78, [FIRST, f"{ID},{KEY}"])
    told = [line.split(": ")[2] for line in ended.stderr.splitlines() if f"{table}:" in line]
    assert told == [f"{table}:{number}" for number in (1, 4, 5, 6)]
    assert "4 of 5 registration ids were refused" in ended.stderr


@pytest.mark.parametrize(
    "broken", ['"pi-1', '"pi-1"x\n', "x" * 200_000 + "\n", "registration_id,a\n", "a,registration_id\nb\n"]
)
def test_a_broken_table_gives_no_key(broken: str) -> None:
    rows = list(read_rows("t", io.StringIO(broken)))
    assert [row.registration_id for row in rows] in ([""], []), rows


@pytest.mark.parametrize("words", [(), ("--csv", "-", "pi-1"), ("--csv", "/nowhere.csv")])
def test_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert dpsctl(tmp_path, *words).returncode == 2


def test_the_groups_key_is_a_secret_file(tmp_path: Path) -> None:
    key_file = tmp_path / "group.key"
    key_file.write_text(GROUP_KEY)
    key_file.chmod(0o644)
    problem_of("credential-insecure", lambda: derive_keys(str(key_file), rows_of([ID]), io.StringIO()))


class Counting(io.StringIO):
    """Counts lines, and keeps none."""

    lines = 0

    def write(self, text: str) -> int:
        self.lines += text.count("\n")
        return len(text)


def names(count: int) -> Iterator[str]:
    yield from (f"pi-{number}\n" for number in range(count))


def test_ten_times_the_fleet_needs_no_more_memory(tmp_path: Path) -> None:
    key_file, peaks = put_secret(tmp_path / "group.key", GROUP_KEY.encode()), []
    for devices in (2_000, 20_000):
        tracemalloc.start()
        derive_keys(key_file, read_rows("-", names(devices)), Counting())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000


def test_a_large_fleet_shows_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key_file, out = put_secret(tmp_path / "group.key", GROUP_KEY.encode()), Counting()
    derive_keys(key_file, read_rows("-", names(PROGRESS_INTERVAL + 1)), out)
    assert out.lines == PROGRESS_INTERVAL + 2
    assert capsys.readouterr().err == "dpsctl: 100000 rows\n"
