"""Credentials from systemd: fixed names in its folder; what is missing is named with the line that gives it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpsd.configuration.observed import Observer
from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials import open_credential
from dpsd.state.connection import Authentication
from dpsd.state.places import Places
from tests import canaries
from tests.unit.authority import make_certificate, make_key, pem_of, pem_of_key
from tests.unit.examples import DEVICE_KEY, GROUP_KEY, problem_of

X509 = CredentialSettings("x509", "systemd", None, None, None, None)
KEYS = X509._replace(type="symmetric_key")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    canaries.note(DEVICE_KEY, "systemd's credential", tmp_path)
    return tmp_path


def test_a_certificate_and_its_key_are_opened_whatever_their_mode(folder: Path) -> None:
    key = make_key("ec")
    (folder / "dpsd.certificate").write_bytes(pem_of(make_certificate(key, "pi-1")))
    (folder / "dpsd.private_key").write_bytes(pem_of_key(key))
    (folder / "dpsd.private_key").chmod(0o444)
    credential = open_credential(X509)
    assert credential.common_name == "pi-1"
    assert credential.authentication == Authentication("x509", store="systemd")


def test_a_secondary_key_may_be_missing(folder: Path) -> None:
    (folder / "dpsd.primary_key").write_text(DEVICE_KEY)
    assert len(open_credential(KEYS).keys) == 1
    (folder / "dpsd.secondary_key").write_text(GROUP_KEY)
    assert len(open_credential(KEYS).keys) == 2


@pytest.mark.parametrize(("settings", "name"), [(X509, "dpsd.certificate"), (KEYS, "dpsd.primary_key")])
def test_what_is_missing_is_named_with_the_line_that_gives_it(
    folder: Path, settings: CredentialSettings, name: str
) -> None:
    problem = problem_of("credential-missing", lambda: open_credential(settings))
    assert problem.sentence == f"systemd gave no {name} in {folder}"
    assert f"LoadCredential={name}" in problem.hint


def test_outside_of_the_service_they_are_looked_for_where_it_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    observer = Observer()
    problem_of("credential-missing", lambda: open_credential(KEYS, Places(), observer))
    assert list(observer.inputs) == ["/run/credentials/dpsd.service/dpsd.primary_key"]
