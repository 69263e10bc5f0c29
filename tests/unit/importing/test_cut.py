"""An adoption that is killed before any of its system calls leaves the old device or the new one, never a mixture."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from dpsd.configuration.load import load_config
from dpsd.credentials import open_credential
from dpsd.importing.adopt import adopt, resume
from dpsd.importing.found import adopt_found
from dpsd.importing.reading import load_bundle
from dpsd.provisioning.candidate import has_candidate, promote, waiting_trial
from dpsd.provisioning.device import open_device
from dpsd.provisioning.publish import publish
from dpsd.provisioning.record_file import load_record
from dpsd.state.places import Places
from dpsd.state.record import Record, render_record
from dpsd.state.trial import PRESENT, Trial
from tests.unit.bundles import Content, note_secrets, put_folder
from tests.unit.cuts import START, Fresh, cuts
from tests.unit.examples import DEVICE_KEY, GROUP_KEY, RECORD

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

ADOPT = f"""{START}
sys.path += {sys.path!r}
from dpsd.importing.reading import load_bundle
from dpsd.importing.found import adopt_found
from dpsd.importing.adopt import adopt, discard
from dpsd.state.places import Places
folder = sys.argv[2]
places = Places((folder + "/state/imported.toml",), folder + "/state", folder + "/run")
bundle = load_bundle(folder + "/bundle")
adopt(bundle, places)
discard(bundle, places.state)
"""


def content(scope: str, key: str) -> Content:
    settings = f'[dps]\nid_scope = "{scope}"\nregistration_id = "pi-1"\n'
    return {"dpsd.toml": settings.encode(), "primary_key": key.encode()}


PUBLISH = f"""{START}
sys.path += {sys.path!r}
from dpsd.state.places import Places
from dpsd.provisioning.publish import publish
from dpsd.state.record import parse_record
folder = sys.argv[2]
places = Places((folder + "/state/imported.toml",), folder + "/state", folder + "/run")
publish(parse_record(open(folder + "/record").read()), places)
"""
OLD, NEW = content("0ne00TEST01", DEVICE_KEY), content("0ne00TEST02", GROUP_KEY)


def places(folder: Path) -> Places:
    return Places((f"{folder}/state/imported.toml",), f"{folder}/state", f"{folder}/run")


def identity(folder: Path) -> tuple[str, str] | None:
    """Where the device registers, and as whom."""
    if not (folder / "state/imported.toml").exists():
        return None
    config = load_config(places(folder).configuration).config
    return config.dps.id_scope, open_credential(config.credential, places(folder)).fingerprint


def record_of(folder: Path, trial: Trial = PRESENT) -> Record:
    """What an attempt would come to."""
    device = open_device(places(folder), trial=trial)
    return RECORD._replace(binding=device.binding, inputs=device.inputs)


def candidate_of(folder: Path) -> Record:
    """What an attempt with all that waits would come to."""
    return record_of(folder, waiting_trial(places(folder)))


def who(record: Record) -> tuple[str, str]:
    return record.binding.id_scope, record.binding.credential


@pytest.fixture
def prepared(tmp_path: Path) -> Fresh:
    """Make devices that adopted the old bundle, and have the new one before them."""
    done = tmp_path / "done"
    done.mkdir()
    for bundle in (OLD, NEW):
        put_folder(done / "bundle", bundle)
        if bundle is OLD:
            adopt(load_bundle(f"{done}/bundle"), places(done))

    def make() -> Path:
        copy = Path(shutil.copytree(done, tmp_path / f"folder{len(list(tmp_path.iterdir()))}"))
        note_secrets(copy / "bundle", NEW)
        return copy

    return make


@pytest.fixture
def assigned(prepared: Fresh) -> Fresh:
    """Make such devices that have provisioned by the old bundle."""

    def make() -> Path:
        folder = prepared()
        publish(record_of(folder), places(folder))
        return folder

    return make


@pytest.mark.timeout(300)
def test_an_adoption_cut_at_any_call_leaves_the_old_device_or_the_new_one(prepared: Fresh) -> None:
    finished = prepared()
    before = identity(finished)
    adopt(load_bundle(f"{finished}/bundle"), places(finished))
    after, seen = identity(finished), []
    for call, folder in cuts(ADOPT, prepared):
        resume(places(folder))
        seen.append(identity(folder))
        assert seen[-1] in (before, after), call
        if seen[-1] == before:
            assert dict(load_bundle(f"{folder}/bundle").files) == NEW, f"the bundle is gone after {call}"
        else:
            assert not adopt_found(f"{folder}/bundle", places(folder))
            assert os.listdir(folder / "bundle") in ([], ["dpsd-report.txt"]), call
    assert seen == sorted(seen, key=[before, after].index) and set(seen) == {before, after}


@pytest.mark.timeout(300)
def test_with_an_assignment_a_cut_leaves_what_is_in_force_and_all_that_waits_or_nothing(assigned: Fresh) -> None:
    finished = assigned()
    before = who(record_of(finished))
    adopt(load_bundle(f"{finished}/bundle"), places(finished))
    after, seen = who(candidate_of(finished)), []
    for call, folder in cuts(ADOPT, assigned):
        resume(places(folder))
        assert who(record_of(folder)) == before, call
        seen.append(who(candidate_of(folder)))
        assert seen[-1] == after or dict(load_bundle(f"{folder}/bundle").files) == NEW, f"the bundle is gone: {call}"
    assert seen == sorted(seen, key=[before, after].index) and set(seen) == {before, after}


@pytest.mark.timeout(300)
def test_a_promotion_cut_at_any_call_takes_settings_and_credential_or_neither(assigned: Fresh) -> None:
    def start() -> Path:
        folder = assigned()
        adopt(load_bundle(f"{folder}/bundle"), places(folder))
        (folder / "record").write_bytes(render_record(candidate_of(folder)))
        return folder

    seen = []
    for call, folder in cuts(PUBLISH, start):
        record, _ = load_record(places(folder).state)
        assert record is not None, call
        promote(record, places(folder))
        assert who(record_of(folder)) == who(record), call
        seen.append((record.binding.id_scope, has_candidate(record, places(folder))))
    assert seen == sorted(seen) and set(seen) == {("0ne00TEST01", True), ("0ne00TEST02", False)}
