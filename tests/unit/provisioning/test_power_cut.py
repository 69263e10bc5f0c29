"""A process killed before any of its system calls leaves the old files or the new ones, and the next one repairs all.

strace kills: the process is a real one, and knows nothing of it. What a disk loses at a power cut is for the boot
tests; here stands what the order of the calls promises.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cryptography
import pytest

from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials import open_credential
from dpsd.credentials.material import Material
from dpsd.errors import Problem
from dpsd.provisioning.candidate import promote
from dpsd.provisioning.publish import prepare_folders, publish, raise_flag
from dpsd.provisioning.record_file import load_record
from dpsd.sealing.seal import seal
from dpsd.secret import Secret
from dpsd.state.places import Places
from dpsd.state.record import Record, render_record
from tests.unit.authority import put_secret
from tests.unit.cuts import START, Fresh, cuts, traced
from tests.unit.examples import CONNECTION, DEVICE_KEY, GROUP_KEY, RECORD

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

COMMIT = f"{START}from dpsd.system.files import commit; commit(sys.argv[2] + '/file', b'new' * 9999, 0o644)"
PUBLISH = f"""{START}
from dpsd.state.places import Places
from dpsd.provisioning.publish import publish
from dpsd.state.record import parse_record
publish(parse_record(sys.stdin.buffer.read()), Places((), sys.argv[2] + "/state", sys.argv[2] + "/run"))
"""
RESET = f"""{START}
from dpsd.state.places import Places
from dpsd.dpsctl.reset import reset
folder = sys.argv[2]
places = Places((folder + "/dpsd.toml",), folder + "/state", folder + "/run")
for path in reset(places, credential=True):
    pass
"""
SEAL = f"""{START}
sys.path.append({str(Path(cryptography.__file__).parents[1])!r})
from dpsd.credentials.material import Material
from dpsd.secret import Secret
from dpsd.state.places import Places
from dpsd.sealing.plaintext import read_files, remove_secrets
from dpsd.sealing.seal import seal
folder = sys.argv[2]
places = Places((folder + "/dpsd.toml",), folder + "/state", folder + "/run")
plaintext = read_files({{"primary_key": folder + "/plaintext"}})
seal(places, plaintext.material, "file")
remove_secrets(plaintext, None)
"""
OLD = RECORD
NEW = Record(
    RECORD.binding._replace(id_scope="0ne00TEST02"),
    {},
    CONNECTION._replace(iothub_hostname="other.azure-devices.net", id_scope="0ne00TEST02"),
    {"modelId": "b" * 9999},
    True,
)
KEYS = CredentialSettings("symmetric_key", "sealed", None, None, None, None)
NEWER_WITHOUT = NEW._replace(payload=None, environment=False)


@pytest.fixture
def fresh(tmp_path: Path) -> Fresh:
    def make() -> Path:
        folder = tmp_path / f"folder{len(os.listdir(tmp_path))}"
        folder.mkdir()
        return folder

    return make


def published(folder: Path) -> dict[str, bytes]:
    """All files below a folder; what a cut left half-written is none that anybody reads."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".new")]
    return {path.name: path.read_bytes() for path in files}


def places(folder: Path) -> Places:
    found = Places((), f"{folder}/state", f"{folder}/run")
    prepare_folders(found.state, found.runtime)
    return found


def files_of(record: Record, fresh: Fresh) -> dict[str, bytes]:
    folder = fresh()
    publish(record, places(folder))
    return published(folder)


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_commit_cut_at_any_call_leaves_the_old_file_or_the_new_one(fresh: Fresh, old: bytes | None) -> None:
    def start() -> Path:
        folder = fresh()
        if old is not None:
            (folder / "file").write_bytes(old)
        return folder

    outcomes = [(call, published(folder).get("file")) for call, folder in cuts(COMMIT, start)]
    assert len(outcomes) == 6
    for call, outcome in outcomes:
        assert outcome in (old, b"new" * 9999), call


@pytest.mark.parametrize(("old", "new"), [(None, OLD), (OLD, NEW), (NEW, NEWER_WITHOUT)])
def test_a_publish_cut_at_any_call_is_repaired_by_the_next(fresh: Fresh, old: Record | None, new: Record) -> None:
    def start() -> Path:
        folder = fresh()
        if old is not None:
            publish(old, places(folder))
        places(folder)
        return folder

    before = {} if old is None else files_of(old, fresh)
    after = files_of(new, fresh)
    assert before != after
    for call, folder in cuts(PUBLISH, start, render_record(new)):
        for name, content in published(folder).items():
            assert content in (before.get(name), after.get(name)), f"{name} after {call}"
        record, unreadable = load_record(places(folder).state)
        assert record in (old, new) and unreadable is None, call
        assert record == new or published(folder) == before, f"the record is the first, not so after {call}"
        publish(record or new, places(folder))
        assert published(folder) == (after if (record or new) == new else before), call
        assert [path for path in folder.rglob("*.new") if record == new] == [], call


def test_a_reset_cut_at_any_call_leaves_the_old_assignment_or_none(fresh: Fresh) -> None:
    secrets, given = ("certificate_file", "private_key_file"), ("connection_string",)
    sealed_away = ("candidate.sealed", "credential.sealed", "keys/file.key")

    def start() -> Path:
        folder = fresh()
        publish(OLD, places(folder))
        raise_flag(places(folder).runtime)
        lines = "".join(f'{name} = "{folder}/{name}"\n' for name in secrets)
        (folder / "dpsd.toml").write_text(f'[dps]\nid_scope = "0ne00TEST01"\n[credential]\ntype = "x509"\n{lines}')
        for name in (
            "history.json",
            "private/.assignment.json.new",
            "private/assignment.json.unusable",
            "private/assignment.json.newer-1",
        ):
            put_secret(folder / "state" / name, b"old")
        (folder / "run/credentials").mkdir(0o750)
        (folder / "state/private/keys").mkdir(0o700)
        there = [*(f"run/credentials/{name}" for name in given), *(f"state/private/{name}" for name in sealed_away)]
        for name in (*secrets, *there):
            put_secret(folder / name, b"secret")
        return folder

    done = start()
    assert traced(RESET, done, b"", "--trace=none", "--output=/dev/null") == 0
    assert sorted(path.name for path in done.rglob("*") if path.is_file()) == ["dpsd.toml", "lock"]
    seen = set()
    for call, folder in cuts(RESET, start):
        left = published(folder)
        if load_record(places(folder).state)[0] == OLD:
            credential = {*secrets, *map(os.path.basename, sealed_away)}
            assert credential <= left.keys(), f"a record without its credential after {call}"
        else:
            assert (
                left.keys() & {"provisioned", "connection.json", "connection.env", "payload.json", *given} == set()
            ), call
        seen.add(frozenset(left))
    assert len(seen) > 8


def sealed(folder: Path, key: str) -> str:
    """Seal a key; return its fingerprint."""
    return seal(places(folder), Material(primary_key=Secret(key.encode())), "file").header.fingerprint


def fingerprint_in(folder: Path) -> str | None:
    """Of the sealed credential, None where none can be opened."""
    try:
        return open_credential(KEYS, places(folder)).fingerprint
    except Problem as problem:
        assert problem.code in ("seal-missing", "key-source-missing")
        return None


def test_a_sealing_cut_at_any_call_leaves_the_plaintext_or_a_seal_that_opens(fresh: Fresh) -> None:
    def start() -> Path:
        folder = fresh()
        (folder / "plaintext").write_text(DEVICE_KEY)
        return folder

    wanted, ends = sealed(fresh(), DEVICE_KEY), set()
    for call, folder in cuts(SEAL, start):
        plaintext, found = (folder / "plaintext").exists(), fingerprint_in(folder)
        assert found in (None, wanted) and (plaintext or found == wanted), call
        ends.add((plaintext, found))
        assert sealed(folder, DEVICE_KEY) == wanted == fingerprint_in(folder), f"it can be done again after {call}"
    assert ends == {(True, None), (True, wanted), (False, wanted)}


def test_a_candidate_cut_off_while_it_is_promoted_is_in_use_if_the_record_is_its_own(fresh: Fresh) -> None:
    fingerprints: list[str] = []

    def start() -> Path:
        folder = fresh()
        old = sealed(folder, DEVICE_KEY)
        publish(OLD._replace(binding=OLD.binding._replace(credential=old)), places(folder))
        fingerprints[:] = [old, sealed(folder, GROUP_KEY)]
        return folder

    start()
    old, new = fingerprints
    record = NEW._replace(binding=NEW.binding._replace(credential=new))
    seen = set()
    for call, folder in cuts(PUBLISH, start, render_record(record)):
        left = load_record(places(folder).state)[0]
        assert left is not None and left.binding.credential in (old, new), call
        seen.add((left.binding.credential, fingerprint_in(folder)))
        promote(left, places(folder))
        assert fingerprint_in(folder) == left.binding.credential, call
        candidate = Path(places(folder).state.candidate).exists()
        assert candidate == (left.binding.credential == old), call
    assert seen == {(old, old), (new, old), (new, new)}
