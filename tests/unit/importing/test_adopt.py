"""Adopting a bundle: all of it is checked first, then all of it takes effect, or nothing."""

from __future__ import annotations

import os
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dpsd.configuration.load import load_config
from dpsd.credentials import open_credential
from dpsd.dpsctl.reset import reset
from dpsd.importing.adopt import adopt, discard, resume, was_adopted
from dpsd.importing.found import adopt_found
from dpsd.importing.plan import FAULTS, checksums
from dpsd.importing.reading import load_bundle
from dpsd.provisioning.publish import prepare_folders, publish
from dpsd.state.places import Places
from tests.unit.authority import make_certificate, make_key, pem_of, pem_of_key
from tests.unit.bundles import Content, signed, tar_of
from tests.unit.examples import RECORD, problem_of
from tests.unit.importing.adopting import (
    FLEET,
    KEY,
    PAIR,
    SETTINGS,
    STRANGER,
    WHOLE,
    adopt_content,
    bring,
    put,
    trust_fleet,
)

OWNERS = {**WHOLE, "dpsd.toml": SETTINGS + b'[hub]\nallow = ["contoso-*.azure-devices.net"]\n'}
"""A bundle with a setting that only the fleet's owner may bring."""
YESTERDAY = datetime.now(timezone.utc) - timedelta(days=1)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A device that knows nothing, prepared by an image.toml that may be written."""
    configuration = (f"{tmp_path}/image.toml", f"{tmp_path}/state/imported.toml", f"{tmp_path}/etc/")
    (tmp_path / "etc").mkdir()
    return Places(configuration, f"{tmp_path}/state", f"{tmp_path}/run")


def imported(places: Places) -> str | None:
    path = Path(places.state.imported)
    return path.read_text() if path.exists() else None


def left(folder: str) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_whole_bundle_makes_a_configured_device(places: Places) -> None:
    adopt_content(places, WHOLE)
    config = load_config(places.configuration).config
    assert (config.dps.id_scope, config.credential.type, config.credential.store) == (
        "0ne00TEST01",
        "symmetric_key",
        "sealed",
    )
    assert open_credential(config.credential, places).fingerprint.startswith("symmetric:")
    assert stat.S_IMODE(os.stat(places.state.imported).st_mode) == 0o644


def test_a_new_credential_alone_leaves_the_settings(places: Places) -> None:
    adopt_content(places, {"dpsd.toml": SETTINGS, **PAIR})
    before = imported(places)
    key = make_key("rsa")
    new = {"certificate.pem": pem_of(make_certificate(key, "pi-1")), "private_key.pem": pem_of_key(key)}
    adopt_content(places, new)
    assert imported(places) == before
    assert open_credential(load_config(places.configuration).config.credential, places).x509 is not None


def test_what_the_owner_set_in_etc_is_part_of_the_whole(places: Places) -> None:
    put(places, "etc/dpsd.toml", '[dps]\nid_scope = "0ne00TEST02"\nregistration_id = "pi-2"\n')
    adopt_content(places, KEY)
    assert load_config(places.configuration).config.dps.registration_id == "pi-2"


EXPIRED = pem_of(make_certificate(make_key("ec"), "pi-1", valid=(YESTERDAY - timedelta(days=9), YESTERDAY)))
REFUSED = {
    "another CN": ("registration-id-mismatch", {"dpsd.toml": SETTINGS.replace(b"pi-1", b"pi-2"), **PAIR}),
    "another key": ("credential-mismatch", {**PAIR, "private_key.pem": pem_of_key(make_key("rsa"))}),
    "an expired certificate": ("certificate-expired", {**PAIR, "dpsd.toml": SETTINGS, "certificate.pem": EXPIRED}),
    "no settings": ("configuration-invalid", KEY),
    "no credential": ("bundle-invalid", {"dpsd.toml": SETTINGS + b'[credential]\ntype = "symmetric_key"\n'}),
    "neither": ("bundle-invalid", {"dpsd.toml": b""}),
    "a path": ("bundle-not-signed", {**WHOLE, "dpsd.toml": SETTINGS + b'payload_file = "/etc/shadow"\n'}),
    "roots": ("bundle-not-signed", {**WHOLE, "dpsd.toml": SETTINGS + b'[network]\ntrusted_roots = "azure"\n'}),
    "rights": ("bundle-not-signed", {**WHOLE, "dpsd.toml": SETTINGS + b"[import]\nreplace = true\n"}),
    "a wrong value": ("configuration-invalid", {**WHOLE, "dpsd.toml": SETTINGS + b'[network]\ntransport = "x"\n'}),
    "wrong sums": ("bundle-signature-invalid", {**WHOLE, "SHA256SUMS": b""}),
}


@pytest.mark.parametrize(("code", "content"), REFUSED.values(), ids=REFUSED)
def test_a_bundle_with_a_fault_changes_nothing(places: Places, code: str, content: Content) -> None:
    changes_nothing(places, code, content)


def changes_nothing(places: Places, code: str, content: Content) -> None:
    """The bundle is refused, and nothing that it brings is there afterwards."""
    problem_of(code, lambda: adopt_content(places, content))
    assert [path for path in Path(places.state).rglob("*") if path.is_file() and path.name != "lock"] == []


def test_what_the_fleet_has_signed_sets_what_is_its_owners(places: Places) -> None:
    trust_fleet(places)
    adopt_content(places, signed(OWNERS, FLEET))
    assert load_config(places.configuration).config.hub.allow != ()


FORGED = {
    "by another key": signed(OWNERS, STRANGER),
    "by another key, over what anybody may bring": signed(WHOLE, STRANGER),
    "over other settings": {**signed(WHOLE, FLEET), "dpsd.toml": OWNERS["dpsd.toml"]},
    "over another credential": {**signed({**OWNERS, "primary_key": b"old"}, FLEET), **KEY},
    "over one file fewer": {**signed({"dpsd.toml": OWNERS["dpsd.toml"]}, FLEET), **KEY},
    "of other sums": {**signed(OWNERS, FLEET), "SHA256SUMS.sig": FLEET.sign(b"")},
}


@pytest.mark.parametrize("content", FORGED.values(), ids=FORGED)
def test_what_the_fleet_has_not_signed_as_it_is_changes_nothing(places: Places, content: Content) -> None:
    trust_fleet(places)
    changes_nothing(places, "bundle-signature-invalid", content)


@pytest.mark.parametrize("key", [FLEET, STRANGER], ids=["the fleet's", "another"])
def test_where_no_fleet_key_is_configured_a_signature_does_not_count(places: Places, key: Ed25519PrivateKey) -> None:
    changes_nothing(places, "bundle-not-signed", signed(OWNERS, key))
    adopt_content(places, signed(WHOLE, key))


def test_a_bundle_that_would_lose_against_the_owner_is_refused(places: Places) -> None:
    put(places, "etc/dpsd.toml", '[dps]\nid_scope = "0ne00TEST02"\n')
    problem = problem_of("bundle-overridden", lambda: adopt_content(places, WHOLE))
    assert "etc/dpsd.toml:2 sets dps.id_scope" in problem.sentence


SENT = {
    "the proxy's password": ('[network]\nproxy_password_file = "/p"\n', b'[network]\nproxy = "http://u@evil:1"\n'),
    "the payload": ('[dps]\npayload_file = "/p"\n', b""),
}


@pytest.mark.parametrize(("owners", "bundles"), SENT.values(), ids=SENT)
def test_a_file_of_the_device_is_not_sent_to_where_anybody_says(places: Places, owners: str, bundles: bytes) -> None:
    put(places, "image.toml", owners)
    problem_of("bundle-not-signed", lambda: adopt_content(places, {**WHOLE, "dpsd.toml": SETTINGS + bundles}))
    assert imported(places) is None
    put(places, "image.toml", "")
    adopt_content(places, {**WHOLE, "dpsd.toml": SETTINGS + bundles})


def test_what_would_not_be_read_again_is_not_written(places: Places) -> None:
    payload = b"[dps.payload]\n" + b"".join(b"k%d=1\n" % number for number in range(5200))
    problem_of("bundle-invalid", lambda: adopt_content(places, {**WHOLE, "dpsd.toml": SETTINGS + payload}))
    adopt_content(places, WHOLE)


def test_what_was_adopted_is_removed_with_its_archive(places: Places) -> None:
    for content in (WHOLE, {"bundle.tar": tar_of(WHOLE)}):
        folder = bring(places, content)
        bundle = load_bundle(folder)
        assert not was_adopted(bundle, places) or "bundle.tar" in content
        adopt(bundle, places)
        assert was_adopted(bundle, places) and discard(bundle, places.state) == ""
        assert left(folder) == []


def test_a_bundle_that_is_found_leaves_a_report(places: Places) -> None:
    folder = bring(places, {**WHOLE, "._x": b""})
    assert adopt_found(folder, places)
    assert left(folder) == ["._x", "dpsd-report.txt"]
    assert Path(folder, "dpsd-report.txt").read_text() == "adopted\n"
    assert not adopt_found(folder, places)
    assert not adopt_found(f"{folder}/missing", places)


def test_the_report_of_a_problem_says_its_code_and_hint_only(places: Places) -> None:
    folder = bring(places, {"secret words.toml": b""})
    problem_of("bundle-invalid", lambda: adopt_found(folder, places))
    report = Path(folder, "dpsd-report.txt").read_text()
    assert report.startswith("bundle-invalid: make the bundle again") and "words" not in report


NAMED = {
    "what needs a signature": (
        {**WHOLE, "dpsd.toml": SETTINGS + b'[network]\ntrusted_roots = "azure"\n[hub]\nallow = ["x.y"]\n'},
        "bundle-not-signed: leave the named settings out, or sign the bundle and set import.fleet_key_file\n"
        "settings: network.trusted_roots, hub.allow\n",
    ),
    "a wrong value": (
        {**WHOLE, "dpsd.toml": SETTINGS + b'[network]\ntransport = "secret words"\n'},
        f"configuration-invalid: {FAULTS}\nsettings: network.transport\n",
    ),
    "what is missing": (
        KEY,
        f"configuration-invalid: {FAULTS}\nsettings: dps.id_scope\n",
    ),
}


@pytest.mark.parametrize(("content", "report"), NAMED.values(), ids=NAMED)
def test_the_report_of_a_problem_names_the_settings_but_no_value(places: Places, content: Content, report: str) -> None:
    folder = bring(places, content)
    problem_of(report.partition(":")[0], lambda: adopt_found(folder, places))
    assert Path(folder, "dpsd-report.txt").read_text().startswith(report)


def test_a_fault_of_a_bundle_is_named_where_it_stands(places: Places) -> None:
    content = {**WHOLE, "dpsd.toml": SETTINGS.replace(b"pi-1", b"pi-{nothing}")}
    problem = problem_of("configuration-invalid", lambda: adopt_content(places, content))
    assert problem.sentence.startswith(f"{Path(places.state).parent}/bundle/dpsd.toml:3: dps.registration_id: ")
    assert "dpsctl config" not in problem.hint


def test_a_fleets_key_that_is_missing_is_named(places: Places) -> None:
    put(places, "image.toml", '[import]\nfleet_key_file = "/missing.pem"\n')
    content = signed(WHOLE, FLEET)
    problem = problem_of("bundle-signature-invalid", lambda: adopt_content(places, content))
    assert problem.sentence == "import.fleet_key_file: /missing.pem does not exist"
    assert problem.hint == "put the fleet's public key into that file, or correct import.fleet_key_file"


@pytest.mark.parametrize(
    "damage", [bytes(9), b"[dps\n", b"\xff", b"[nonsense]\n"], ids=["zeros", "no TOML", "no text", "others"]
)
def test_settings_that_are_damaged_are_replaced_by_root_alone_and_can_be_reset(places: Places, damage: bytes) -> None:
    adopt_content(places, WHOLE)
    Path(places.state.imported).write_bytes(damage)
    problem_of("bundle-ignored", lambda: adopt_found(bring(places, WHOLE), places))
    adopt_content(places, WHOLE)
    assert load_config(places.configuration).config.dps.id_scope == "0ne00TEST01"
    Path(places.state.imported).write_bytes(damage)
    assert places.state.imported in list(reset(places, credential=True))


def test_a_passphrase_leaves_no_checksum_behind(places: Places) -> None:
    content = {**WHOLE, "identity.pass": b"1234\n"}
    assert sorted(checksums(load_bundle(bring(places, content)))) == ["dpsd.toml", "primary_key"]


def test_a_folder_that_is_a_link_gets_no_report(places: Places, tmp_path: Path) -> None:
    folder = bring(places, WHOLE)
    (tmp_path / "link").symlink_to(folder)
    problem_of("bundle-invalid", lambda: adopt_found(f"{tmp_path}/link", places))
    assert left(folder) == sorted(WHOLE)


def test_by_what_a_credential_is_sealed_is_told(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    adopt_content(places, WHOLE)
    assert capsys.readouterr().err == "dpsd: sealed the credential by file\n"


def test_a_device_that_is_configured_or_provisioned_ignores_what_it_finds(places: Places) -> None:
    put(places, "etc/dpsd.toml", '[dps]\nregistration_id = "pi-2"\n')
    problem_of("bundle-ignored", lambda: adopt_found(bring(places, WHOLE), places))
    put(places, "etc/dpsd.toml", "")
    prepare_folders(places.state, places.runtime)
    publish(RECORD, places)
    problem_of("bundle-ignored", lambda: adopt_found(bring(places, WHOLE), places))
    put(places, "image.toml", "[import]\nreplace = true\n")
    assert adopt_found(bring(places, WHOLE), places)


def test_a_bundle_that_could_not_be_removed_is_adopted_once(places: Places) -> None:
    put(places, "image.toml", "[import]\nreplace = true\n")
    archive = Path(bring(places, {"bundle.tar": tar_of(WHOLE)}), "bundle.tar")
    assert adopt_found(str(archive.parent), places)
    archive.write_bytes(tar_of(WHOLE))
    before = os.stat(places.state.imported)
    assert not adopt_found(str(archive.parent), places)
    assert os.stat(places.state.imported) == before and not archive.exists()


def test_a_device_that_was_reset_takes_the_next_bundle(places: Places) -> None:
    assert adopt_found(bring(places, WHOLE), places)
    assert places.state.imported in list(reset(places, credential=True))
    assert adopt_found(bring(places, WHOLE), places)


def test_there_is_nothing_to_resume(places: Places) -> None:
    assert not resume(places)
    adopt_content(places, WHOLE)
    assert not resume(places)
