"""What a bundle brings to a device that has an assignment waits beside what is in force, until that is its own."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dpsd.dpsctl.reset import reset
from dpsd.importing.adopt import was_adopted
from dpsd.importing.found import adopt_found
from dpsd.importing.reading import load_bundle
from dpsd.provisioning.candidate import has_candidate, promote, waiting_trial
from dpsd.provisioning.device import open_device
from dpsd.provisioning.publish import publish
from dpsd.provisioning.record_file import load_record
from dpsd.sealing.seal import discard_candidate
from dpsd.state.places import Places
from dpsd.state.record import Record
from dpsd.state.trial import PRESENT, Trial
from tests import canaries
from tests.unit.bundles import Content, signed
from tests.unit.examples import DEVICE_KEY, GROUP_KEY, RECORD, problem_of
from tests.unit.importing.adopting import (
    FLEET,
    PAIR,
    SETTINGS,
    STRANGER,
    WHOLE,
    adopt_content,
    bring,
    put,
    trust_fleet,
)

OTHER = {"dpsd.toml": SETTINGS.replace(b"TEST01", b"TEST02"), "primary_key": GROUP_KEY.encode()}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """A device that has provisioned by a bundle."""
    found = Places(
        (f"{tmp_path}/image.toml", f"{tmp_path}/state/imported.toml"), f"{tmp_path}/state", f"{tmp_path}/run"
    )
    adopt_content(found, WHOLE)
    publish(record_of(found), found)
    return found


def record_of(places: Places, trial: Trial = PRESENT) -> Record:
    """What an attempt would come to."""
    device = open_device(places, trial=trial)
    return RECORD._replace(binding=device.binding, inputs=device.inputs)


def candidate_of(places: Places) -> Record:
    """What an attempt with all that waits would come to."""
    return record_of(places, waiting_trial(places))


def who(places: Places) -> tuple[str, str]:
    return who_of(record_of(places))


def who_of(record: Record) -> tuple[str, str]:
    """Where the device registers, and by which credential."""
    return record.binding.id_scope, record.binding.credential


def waiting(places: Places) -> list[str]:
    return sorted(path.name for path in Path(places.state).rglob("candidate.*"))


def test_settings_and_credential_wait_together_and_are_promoted_together(places: Places) -> None:
    before, old = who(places), record_of(places)
    adopt_content(places, OTHER)
    assert who(places) == before and waiting(places) == ["candidate.sealed", "candidate.toml"]
    assert has_candidate(old, places) and record_of(places) == old
    promote(old, places)
    new = candidate_of(places)
    assert who(places) == before and new.binding.id_scope == "0ne00TEST02"
    publish(new, places)
    assert who(places) == ("0ne00TEST02", new.binding.credential) and waiting(places) == []
    assert not has_candidate(new, places)


def test_another_type_and_store_waits_beside_what_is_in_force(places: Places) -> None:
    before = who(places)
    adopt_content(places, {"dpsd.toml": SETTINGS, **PAIR})
    assert who(places) == before and who_of(candidate_of(places))[1].startswith("x509:")
    assert discard_candidate(places) == "newly imported settings and credential"
    assert who(places) == before and waiting(places) == [] and discard_candidate(places) == ""


def test_beside_a_credential_in_a_file_a_sealed_one_waits_too(places: Places) -> None:
    list(reset(places, credential=True))
    key = Path(places.state).parent / "device.symkey"
    key.touch(0o600)
    key.write_text(DEVICE_KEY)
    canaries.note(DEVICE_KEY, "the key of the device", key)
    lines = f'[credential]\ntype = "symmetric_key"\nprimary_key_file = "{key}"\n'
    Path(places.state.imported).write_text(SETTINGS.decode() + lines)
    publish(record_of(places), places)
    adopt_content(places, OTHER)
    assert waiting(places) == ["candidate.sealed", "candidate.toml"]
    discard_candidate(places)
    assert not Path(places.state.sealed).exists()


@pytest.mark.parametrize(
    "exchanged",
    [{"dpsd.toml": OTHER["dpsd.toml"].replace(b"TEST02", b"TEST03")}, {"primary_key": b64encode(bytes(32))}],
    ids=["settings", "credential"],
)
def test_what_was_exchanged_during_the_attempt_is_not_taken_with_the_rest(places: Places, exchanged: Content) -> None:
    before = who(places)
    adopt_content(places, OTHER)
    tried = candidate_of(places)
    adopt_content(places, exchanged)
    publish(tried, places)
    assert who(places) == before
    assert who_of(candidate_of(places)) not in (before, who_of(tried))


def test_a_later_bundle_builds_on_what_waits(places: Places) -> None:
    adopt_content(places, OTHER)
    adopt_content(places, {"dpsd.toml": b'[network]\ntransport = "auto"\n'})
    config = open_device(places, trial=waiting_trial(places)).config
    assert (config.dps.id_scope, config.network.transport) == ("0ne00TEST02", "auto")


def test_a_bundle_of_what_is_in_force_leaves_nothing_waiting(places: Places) -> None:
    before = who(places)
    adopt_content(places, OTHER)
    adopt_content(places, WHOLE)
    assert waiting(places) == [] and who(places) == before


def test_what_only_the_fleet_may_set_stays_while_it_waits(places: Places) -> None:
    trust_fleet(places)
    adopt_content(places, signed({"dpsd.toml": SETTINGS + b'[hub]\nallow = ["a.azure-devices.net"]\n'}, FLEET))
    adopt_content(places, OTHER)
    assert open_device(places, trial=waiting_trial(places)).config.hub.allow == ("a.azure-devices.net",)


def test_rights_that_wait_are_none_yet(places: Places) -> None:
    trust_fleet(places)
    adopt_content(places, signed({"dpsd.toml": b"[import]\nreplace = true\n"}, FLEET))
    problem_of("bundle-ignored", lambda: adopt_found(bring(places, OTHER), places))
    publish(candidate_of(places), places)
    assert adopt_found(bring(places, OTHER), places)


def test_a_fleets_key_that_waits_has_signed_nothing_yet(places: Places) -> None:
    trust_fleet(places)
    public = STRANGER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    put(places, "next.pem", public)
    following = f'[import]\nfleet_key_file = "{Path(places.state).parent}/next.pem"\n'.encode()
    adopt_content(places, signed({"dpsd.toml": following}, FLEET))
    problem_of("bundle-signature-invalid", lambda: adopt_content(places, signed(OTHER, STRANGER)))
    adopt_content(places, signed(OTHER, FLEET))


def test_a_bundle_that_is_found_says_that_it_waits_and_is_adopted_once(places: Places) -> None:
    put(places, "image.toml", "[import]\nreplace = true\n")
    folder = bring(places, OTHER)
    bundle = load_bundle(folder)
    assert adopt_found(folder, places) and was_adopted(bundle, places)
    assert Path(folder, "dpsd-report.txt").read_text().startswith("adopted, to be tried by a registration")
    os.unlink(places.state.imported)
    assert was_adopted(bundle, places)


def test_a_device_that_forgot_its_assignment_takes_the_next_bundle_at_once(places: Places) -> None:
    adopt_content(places, OTHER)
    list(reset(places, credential=False))
    assert load_record(places.state) == (None, None) and waiting(places) != []
    adopt_content(places, {**OTHER, "dpsd.toml": OTHER["dpsd.toml"].replace(b"TEST02", b"TEST03")})
    assert who(places)[0] == "0ne00TEST03" and waiting(places) == []


def test_a_reset_with_the_credential_leaves_nothing_waiting(places: Places) -> None:
    adopt_content(places, OTHER)
    assert places.state.candidate_settings in list(reset(places, credential=True))
    assert waiting(places) == [] and not Path(places.state.imported).exists()


def test_other_configurations_have_no_settings_that_wait(places: Places) -> None:
    adopt_content(places, {"dpsd.toml": OTHER["dpsd.toml"]})
    record = record_of(places)
    assert has_candidate(record, places)
    assert not has_candidate(record, places._replace(configuration=("/etc/dpsd/dpsd.toml",)))
