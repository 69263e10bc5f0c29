"""Sealing a credential, and opening it: on this board, with this key, as it was written."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials import open_credential
from dpsd.credentials.material import Material, open_material
from dpsd.errors import Problem
from dpsd.keys import cipher
from dpsd.keys.seal import VERSION, Header, parse_body, parse_seal, render_body, render_header
from dpsd.provisioning.publish import publish
from dpsd.sealing.seal import forget_keys, seal
from dpsd.secret import Secret
from dpsd.state.connection import Authentication
from dpsd.state.places import Places
from tests.unit.authority import make_certificate, make_key, pem_of, pem_of_key
from tests.unit.examples import BINDING, DEVICE_KEY, GROUP_KEY, RECORD, problem_of

X509 = CredentialSettings("x509", "sealed", None, None, None, None)
KEYS = CredentialSettings("symmetric_key", "sealed", None, None, None, None)
PAIR = Material(pem_of(make_certificate(make_key("ec"), "pi-1")), Secret(pem_of_key(make_key("ec"))))
BOTH = Material(primary_key=Secret(DEVICE_KEY.encode()), secondary_key=Secret(GROUP_KEY.encode()))
OTHER = Material(primary_key=Secret(GROUP_KEY.encode()))
AS_X509 = Authentication("x509", store="sealed")
AS_KEYS = Authentication("sas")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places((), f"{tmp_path}/state", f"{tmp_path}/run")


def sealed(places: Places) -> Path:
    seal(places, BOTH, "file")
    return Path(places.state.sealed)


def refusal(places: Places, code: str) -> Problem:
    """Why the credential is not opened; nothing of it is lost by that."""
    before = Path(places.state.sealed).read_bytes()
    problem = problem_of(code, lambda: open_credential(KEYS, places))
    assert Path(places.state.sealed).read_bytes() == before
    return problem


@pytest.mark.parametrize(
    ("settings", "material", "told"), [(X509, PAIR, AS_X509), (KEYS, BOTH, AS_KEYS), (KEYS, OTHER, AS_KEYS)]
)
def test_what_was_sealed_is_opened(
    places: Places, settings: CredentialSettings, material: Material, told: Authentication
) -> None:
    done = seal(places, material, "file")
    opened = open_credential(settings, places)
    assert done.path == places.state.sealed
    assert opened.authentication == told
    assert opened.fingerprint == open_material(material, "").fingerprint == done.header.fingerprint
    secrets = [part.reveal() for part in material if isinstance(part, Secret)]
    assert [part.reveal() for part in opened.material or () if isinstance(part, Secret)] == secrets
    text = Path(places.state.sealed).read_bytes()
    assert not [secret for secret in secrets if secret in text]
    assert Path(places.state.sealed).stat().st_mode & 0o777 == 0o600


def test_a_state_made_by_hand_does_not_use_what_is_the_devices(places: Places) -> None:
    done = seal(places, BOTH)
    assert (done.header.source, done.passed) == ("file", {})


def test_a_source_that_is_asked_for_and_not_there_is_no_other_one(places: Places) -> None:
    problem_of("firmware-missing", lambda: seal(places, BOTH, "rpi-firmware"))
    assert not Path(places.state.sealed).exists()


def test_without_a_seal_nothing_stands_in(places: Places) -> None:
    problem_of("seal-missing", lambda: open_credential(KEYS, places))


def test_every_byte_of_it_counts(places: Places) -> None:
    path = sealed(places)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(Problem) as caught:
            open_credential(KEYS, places)
        named = {"seal-damaged", "seal-other-board", "seal-newer", "key-source-changed", "key-source-missing"}
        assert caught.value.code in named, at
    path.write_bytes(whole[:-1])
    refusal(places, "seal-damaged")


def forge(places: Places, **changed: object) -> None:
    """Change the clear line, as somebody without the key could."""
    path = Path(places.state.sealed)
    line, _, rest = path.read_bytes().partition(b"\n")
    path.write_bytes(json.dumps({**json.loads(line), **changed}).encode() + b"\n" + rest)


def test_a_changed_word_in_clear_is_noticed(places: Places) -> None:
    sealed(places)
    forge(places, fingerprint="symmetric:00")
    assert "was changed after it was sealed" in refusal(places, "seal-damaged").sentence


def test_a_seal_of_a_newer_program_is_left_as_it_is(places: Places) -> None:
    sealed(places)
    forge(places, dpsd_seal=VERSION + 1)
    assert "version 2 is newer than 1" in refusal(places, "seal-newer").sentence


def test_a_seal_of_another_board_is_not_opened(places: Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    serial = tmp_path / "serial-number"
    serial.write_bytes(b"10000000aaaaaaaa\0")
    monkeypatch.setattr("dpsd.system.board.SERIAL_NUMBER", str(serial))
    sealed(places)
    assert len(open_credential(KEYS, places).keys) == 2
    serial.write_bytes(b"10000000bbbbbbbb\0")
    said = "was sealed on board 10000000aaaaaaaa, this is 10000000bbbbbbbb"
    assert said in refusal(places, "seal-other-board").sentence


@pytest.mark.parametrize(
    ("content", "code"), [(None, "key-source-missing"), (b"x", "key-source-changed"), (b"x" * 32, "key-source-changed")]
)
def test_without_its_key_it_stays_sealed(places: Places, content: bytes | None, code: str) -> None:
    sealed(places)
    key = Path(places.keys) / "file.key"
    key.unlink()
    if content is not None:
        key.write_bytes(content)
    refusal(places, code)


def test_the_machine_id_decides_whether_systemd_is_asked(places: Places) -> None:
    sealed(places)
    forge(places, source="systemd")
    Path(places.keys, "systemd.json").write_text(json.dumps({"machine_id": "0" * 31 + "1", "credential": "AAAA"}))
    problem = refusal(places, "key-source-changed")
    assert "/etc/machine-id has changed" in problem.sentence


def test_another_kind_of_credential_is_named(places: Places) -> None:
    sealed(places)
    problem = problem_of("credential-invalid", lambda: open_credential(X509, places))
    assert "holds symmetric_key, and credential.type is x509" in problem.sentence


def test_a_body_with_a_strange_part_is_refused(places: Places) -> None:
    path, parts = sealed(places), render_body({"primary_key": DEVICE_KEY.encode(), "oddly": b""})
    header = parse_seal(path.read_bytes()).header
    from dpsd.credentials.sealed import derive_seal_secret

    clear = render_header(header)
    secret = derive_seal_secret("file", header.salt, places.keys)[0]
    path.write_bytes(clear + cipher.encrypt(secret, header.salt, header.nonce, clear, parts))
    assert "oddly" not in refusal(places, "seal-damaged").sentence


def test_a_material_that_is_no_credential_is_not_sealed(places: Places) -> None:
    problem_of("credential-invalid", lambda: seal(places, Material(primary_key=Secret(b"short"))))
    assert not Path(places.state).exists()


@pytest.mark.parametrize("room", [0, 40])
def test_on_a_full_disk_the_old_seal_stays(places: Places, room: int) -> None:
    sealed(places)
    before = Path(places.state.sealed).read_bytes()
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, usual[1]))
    try:
        problem_of("state-unwritable", lambda: seal(places, OTHER, "file"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
        signal.signal(signal.SIGXFSZ, handler)
    assert Path(places.state.sealed).read_bytes() == before
    assert len(open_credential(KEYS, places).keys) == 2


def test_by_a_source_with_another_key_each_time_nothing_is_sealed(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sealed(places).read_bytes()
    firmware = tmp_path / "rpi-fw-crypto"
    firmware.write_text("#!/bin/sh\nhead --bytes=32 /dev/urandom\n")
    firmware.chmod(0o755)
    monkeypatch.setattr("dpsd.keys.sources.FIRMWARE_COMMAND", str(firmware))
    said = problem_of("key-source-changed", lambda: seal(places, OTHER, "rpi-firmware")).sentence
    assert said == "the new seal: rpi-firmware has another key than it was sealed with"
    assert Path(places.state.sealed).read_bytes() == before


def test_a_disk_that_gives_back_other_bytes_holds_no_seal(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def worn(descriptor: int, size: int, read: Callable[[int, int], bytes] = os.read) -> bytes:
        data = read(descriptor, size)
        return data[:-1] + b"\0" if b"dpsd_seal" in data else data

    monkeypatch.setattr("os.read", worn)
    assert "is not what was just written" in problem_of("seal-damaged", lambda: seal(places, BOTH, "file")).sentence


def provisioned(places: Places) -> str:
    """Let the sealed credential have provisioned; return its fingerprint."""
    fingerprint = seal(places, BOTH, "file").header.fingerprint
    publish(RECORD._replace(binding=BINDING._replace(credential=fingerprint)), places)
    return fingerprint


def test_beside_one_that_has_provisioned_another_one_is_a_candidate(places: Places) -> None:
    provisioned(places)
    before = Path(places.state.sealed).read_bytes()
    assert seal(places, OTHER, "file").path == places.state.candidate
    assert Path(places.state.sealed).read_bytes() == before


def test_the_same_one_sealed_again_takes_its_place(places: Places) -> None:
    fingerprint = provisioned(places)
    before = Path(places.state.sealed).read_bytes()
    assert seal(places, BOTH, "file").path == places.state.sealed
    assert Path(places.state.sealed).read_bytes() != before
    assert open_credential(KEYS, places).fingerprint == fingerprint


def test_one_that_has_not_provisioned_is_replaced(places: Places) -> None:
    sealed(places)
    assert seal(places, OTHER, "file").path == places.state.sealed


def test_what_a_newer_program_sealed_is_kept_when_another_one_is_sealed(places: Places) -> None:
    provisioned(places)
    forge(places, dpsd_seal=VERSION + 1)
    newer = Path(places.state.sealed).read_bytes()
    assert seal(places, OTHER, "file").path == places.state.sealed
    assert Path(f"{places.state.sealed}.newer-1").read_bytes() == newer
    assert len(open_credential(KEYS, places).keys) == 1


def test_only_keys_that_no_seal_needs_are_forgotten(places: Places) -> None:
    provisioned(places)
    keys = {name: Path(places.keys, name) for name in ("file.key", "systemd.json")}
    seal(places, OTHER, "file")
    whole = Path(places.state.candidate).read_bytes()
    Path(places.state.candidate).write_bytes(whole.replace(b'"file"', b'"systemd"', 1))
    keys["systemd.json"].touch()
    assert list(forget_keys(places)) == []
    Path(places.state.candidate).write_bytes(whole)
    assert list(forget_keys(places)) == [str(keys["systemd.json"])] and keys["file.key"].exists()


def test_a_seal_that_was_set_aside_keeps_its_key(places: Places) -> None:
    provisioned(places)
    forge(places, dpsd_seal=VERSION + 1)
    seal(places, OTHER, "file")
    Path(places.keys, "systemd.json").touch()
    assert list(forget_keys(places)) == []


def test_a_candidate_that_made_the_record_takes_the_place_of_the_old_one(places: Places) -> None:
    provisioned(places)
    fingerprint = seal(places, OTHER, "file").header.fingerprint
    publish(RECORD, places)
    assert Path(places.state.candidate).exists()
    publish(RECORD._replace(binding=BINDING._replace(credential=fingerprint)), places)
    assert not Path(places.state.candidate).exists()
    assert open_credential(KEYS, places).fingerprint == fingerprint


def test_a_candidate_of_a_cut_publish_is_taken_before_the_next_one_is_sealed(places: Places) -> None:
    provisioned(places)
    fingerprint = seal(places, OTHER, "file").header.fingerprint
    record = RECORD._replace(binding=BINDING._replace(credential=fingerprint))
    waiting = Path(places.state.candidate)
    shutil.copy(waiting, f"{waiting}.kept")
    publish(record, places)
    shutil.move(f"{waiting}.kept", waiting)
    assert seal(places, PAIR, "file").path == places.state.candidate
    assert open_credential(KEYS, places).fingerprint == fingerprint


@pytest.mark.parametrize("part", [b"", b"\xff", b"-----BEGIN"])
def test_parts_and_header_come_back_as_they_were(part: bytes) -> None:
    header = Header("file", "00ff", "10000000aaaaaaaa", "x509", "x509:00", b"s" * 32, b"n" * 12)
    found = parse_seal(render_header(header) + part)
    assert (found.header, found.clear, found.ciphertext) == (header, render_header(header), part)
    assert parse_body(render_body({"a": part})) == {"a": part}
