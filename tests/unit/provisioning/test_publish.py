"""From a record to all files; what is right already is left alone."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dpsd.provisioning.publish import keep, lower_flag, publish, raise_flag
from dpsd.provisioning.record_file import is_released, load_record, peek_record
from dpsd.state.connection import Authentication
from dpsd.state.files import on_device, row_of
from dpsd.state.places import Places
from dpsd.state.record import Record, render_record
from tests.unit.examples import CONNECTION, RECORD, problem_of


def seen(places: Places) -> dict[str, tuple[int, int]]:
    """Inode and mode of every published file."""
    paths = [path for path in Path(places.state).rglob("*") if path.is_file()]
    return {path.name: (path.stat().st_ino, stat.S_IMODE(path.stat().st_mode)) for path in paths}


def test_a_record_becomes_all_files_with_their_modes(places: Places) -> None:
    assert publish(RECORD, places)
    modes = {name: mode for name, (_, mode) in seen(places).items()}
    expected = {"assignment.json": 0o600, "payload.json": 0o640, "connection.env": 0o644, "connection.json": 0o644}
    assert modes == expected
    assert json.loads(Path(places.state.payload_json).read_bytes()) == RECORD.payload
    assert load_record(places.state) == (RECORD, None)
    assert peek_record(places.state) == RECORD


def test_files_and_folders_have_the_modes_of_the_table(places: Places) -> None:
    publish(RECORD, places)
    raise_flag(places.runtime)
    for top in (places.state, places.runtime):
        for path in (Path(top), *Path(top).rglob("*")):
            row = row_of(on_device(f"{path}/" if path.is_dir() else str(path), places))
            assert row is not None and stat.S_IMODE(path.stat().st_mode) == row.access.mode, path


def test_what_is_right_is_left_alone(places: Places) -> None:
    publish(RECORD, places)
    before = seen(places)
    assert not publish(RECORD, places)
    assert seen(places) == before


def named_socket(places: Places) -> str | None:
    said: str | None = json.loads(Path(places.state.connection_json).read_bytes())["authentication"].get(
        "identity_socket"
    )
    assert (said is not None) == ("IOTHUB_IDENTITY_SOCKET=" in Path(places.state.connection_env).read_text())
    return said


@pytest.mark.parametrize("kind", ["sas", "x509"])
def test_the_token_door_is_named_while_it_is_served_to_a_device_with_a_key(kind: str, places: Places) -> None:
    told = RECORD.connection.authentication._replace(type=kind)
    record = RECORD._replace(connection=RECORD.connection._replace(authentication=told))
    publish(record, places)
    assert named_socket(places) is None
    Path(places.runtime.identity_socket).parent.mkdir()
    Path(places.runtime.identity_socket).touch()
    assert publish(record, places) == (kind == "sas")
    assert named_socket(places) == (places.runtime.identity_socket if kind == "sas" else None)
    Path(places.runtime.identity_socket).unlink()
    publish(record, places)
    assert named_socket(places) is None


@pytest.mark.parametrize("path", ["connection_json", "connection_env", "payload_json", "record"])
def test_a_file_that_is_wrong_is_put_right_alone(places: Places, path: str) -> None:
    publish(RECORD, places)
    spoiled = Path(getattr(places.state, path))
    right, before = spoiled.read_bytes(), seen(places)
    spoiled.write_bytes(right[:-2])
    assert publish(RECORD, places)
    assert spoiled.read_bytes() == right
    assert {name for name, found in seen(places).items() if found != before[name]} == {spoiled.name}


def test_what_a_record_no_longer_has_is_removed(places: Places) -> None:
    publish(RECORD, places)
    assert publish(RECORD._replace(payload=None, environment=False), places)
    assert sorted(seen(places)) == ["assignment.json", "connection.json"]


def test_what_agents_are_promised_in_memory_must_be_there(places: Places) -> None:
    promised = Authentication("x509", places.runtime.released_certificate, places.runtime.released_private_key)
    record = RECORD._replace(connection=CONNECTION._replace(authentication=promised))
    assert is_released(RECORD, places.runtime) and not is_released(record, places.runtime)
    os.mkdir(places.runtime.credentials)
    for path in (places.runtime.released_certificate, places.runtime.released_private_key):
        assert not is_released(record, places.runtime)
        Path(path).touch()
    assert is_released(record, places.runtime)


def test_what_agents_are_not_promised_any_more_is_removed(places: Places) -> None:
    os.mkdir(places.runtime.credentials)
    for path in places.runtime.released:
        Path(path).touch()
    promised = Authentication("sas", connection_string_file=places.runtime.released_connection_string)
    publish(RECORD._replace(connection=CONNECTION._replace(authentication=promised)), places)
    assert os.listdir(places.runtime.credentials) == ["connection_string"]
    lower_flag(places.runtime)
    assert os.listdir(places.runtime.credentials) == []


@pytest.mark.parametrize("write", [keep, publish])
def test_a_connection_that_a_format_cannot_carry_writes_nothing(
    places: Places, write: Callable[[Record, Places], object]
) -> None:
    spoiled = RECORD._replace(connection=CONNECTION._replace(device_id="a b"))
    problem_of("assignment-invalid", lambda: write(spoiled, places))
    assert seen(places) == {}


@pytest.mark.parametrize("text", [b"", b"\0" * 100, render_record(RECORD)[:-40]])
def test_a_record_that_cannot_be_read_is_set_aside(places: Places, text: bytes) -> None:
    Path(places.state.record).write_bytes(text)
    assert peek_record(places.state) is None
    record, unreadable = load_record(places.state)
    assert record is None and unreadable is not None and unreadable.code == "state-unreadable"
    assert Path(f"{places.state.record}.unusable").read_bytes() == text
    assert load_record(places.state) == (None, None)


def test_the_flag_is_raised_for_everybody_and_stays(places: Places) -> None:
    raise_flag(places.runtime)
    found = os.stat(places.runtime.provisioned)
    assert stat.S_IMODE(found.st_mode) == 0o644
    raise_flag(places.runtime)
    assert os.stat(places.runtime.provisioned).st_ino == found.st_ino
