"""Symmetric keys from files."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials import open_credential
from dpsd.credentials.credential import Credential
from dpsd.protocol.sas import sign
from dpsd.state.connection import Authentication
from tests.unit.authority import put_secret
from tests.unit.examples import DEVICE_KEY, GROUP_KEY, problem_of


def open_keys(folder: Path, primary: bytes, secondary: bytes | None = None) -> Credential:
    first = put_secret(folder / "primary", primary)
    second = None if secondary is None else put_secret(folder / "secondary", secondary)
    return open_credential(CredentialSettings("symmetric_key", "files", None, None, first, second))


def test_a_key_signs_and_is_shown_to_nobody(tmp_path: Path) -> None:
    credential = open_keys(tmp_path, DEVICE_KEY.encode() + b"\n")
    assert [key.sign(b"message") for key in credential.keys] == [sign(base64.b64decode(DEVICE_KEY), b"message")]
    assert credential.authentication == Authentication("sas")
    assert (credential.common_name, credential.x509) == (None, None)
    assert DEVICE_KEY[:8] not in repr(credential) and "<secret>" in repr(credential)


def test_a_secondary_key_comes_second(tmp_path: Path) -> None:
    credential = open_keys(tmp_path, DEVICE_KEY.encode(), GROUP_KEY.encode())
    signed = [sign(base64.b64decode(key), b"message") for key in (DEVICE_KEY, GROUP_KEY)]
    assert [key.sign(b"message") for key in credential.keys] == signed


def test_a_fingerprint_changes_with_either_key_and_tells_none(tmp_path: Path) -> None:
    pairs = [(DEVICE_KEY, None), (GROUP_KEY, None), (DEVICE_KEY, GROUP_KEY), (GROUP_KEY, DEVICE_KEY)]
    found = [open_keys(tmp_path, a.encode(), None if b is None else b.encode()).fingerprint for a, b in pairs]
    assert len(set(found)) == len(pairs)
    assert found[0] == open_keys(tmp_path, DEVICE_KEY.encode()).fingerprint
    assert all(DEVICE_KEY not in one and base64.b64decode(DEVICE_KEY).hex() not in one for one in found)


@pytest.mark.parametrize("text", [b"", b"short", b"AAAA", GROUP_KEY.encode() * 2, b"\xff\n", b"HostName=a;Key=b"])
def test_what_is_no_key_is_refused_without_repeating_it(tmp_path: Path, text: bytes) -> None:
    problem = problem_of("credential-invalid", lambda: open_keys(tmp_path, text))
    assert problem.sentence.startswith(f"{tmp_path}/primary: ")
    assert not text or text.decode("latin-1") not in problem.sentence


def test_a_key_file_over_the_limit_is_refused(tmp_path: Path) -> None:
    problem = problem_of("credential-invalid", lambda: open_keys(tmp_path, b"A" * 1025))
    assert "1025 bytes" in problem.sentence


def test_a_key_that_is_missing_is_named(tmp_path: Path) -> None:
    settings = CredentialSettings("symmetric_key", "files", None, None, f"{tmp_path}/none", None)
    problem_of("credential-missing", lambda: open_credential(settings))


def test_a_groups_key_signs_for_one_device_as_that_devices_own(tmp_path: Path) -> None:
    group_key_file = put_secret(tmp_path / "group", GROUP_KEY.encode())
    group = open_credential(
        CredentialSettings(
            "symmetric_key", "files", None, None, None, None, group_key_file=group_key_file, allow_group_key=True
        )
    )
    device, other = group.of_device("rpi-0001"), group.of_device("rpi-0002")
    assert device.keys[0].sign(b"message") == sign(base64.b64decode(DEVICE_KEY), b"message")
    assert device.keys[0].sign(b"message") != other.keys[0].sign(b"message")
    assert device.of_device("rpi-0001") is device
