"""`dpsctl renew`: another certificate, or certificate and key, in the place of the configured files.

    staged beside the old files -> registered -> noted -> renamed into place -> published

Until the new pair is noted, in renewed.json, the old one is untouched and what is staged is removed. From then on the
renewal is finished whatever happens: by `finish`, here or at the next boot (dpsd-renewal.service). The record that is
noted is the one that the next attempt takes, so that nothing is registered twice.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from dpsd.configuration.load import load_config
from dpsd.configuration.settings import CredentialSettings
from dpsd.credentials.certificate import SIZE_LIMIT, load_leaf
from dpsd.credentials.secret_file import load_secret
from dpsd.errors import Problem
from dpsd.provisioning.attempt import attempt
from dpsd.provisioning.publish import prepare_folders
from dpsd.provisioning.record_file import peek_record, peek_renewed
from dpsd.shape import ShapeError
from dpsd.state.messages import Done, Failed, Orders, encode_event, parse_event
from dpsd.state.places import Places, State
from dpsd.state.record import Record, render_record
from dpsd.state.trial import Trial
from dpsd.system.deadline import Report
from dpsd.system.files import commit, load, move, remove
from dpsd.system.owner import as_owner, run_as_owner
from dpsd.text import printable


class Pair(NamedTuple):
    """Where a certificate and its private key are."""

    certificate: str
    private_key: str

    @property
    def staged(self) -> Pair:
        """Where what replaces them waits."""
        return Pair(f"{os.path.realpath(self.certificate)}.new", f"{os.path.realpath(self.private_key)}.new")


def configured(places: Places) -> CredentialSettings:
    """Return the credential's settings; raises Problem `configuration-*`."""
    with as_owner(places.state):
        return load_config(places.configuration).config.credential


def renew(places: Places, pair: Pair, certificate: str, private_key: str | None, report: Report) -> Record:
    """Register with new files, and put them in the place of `pair`; return what the next attempt publishes.

    private_key: None where the old key stays. Raises Problem: the old pair is as it was then.
    """
    discard(pair)
    try:
        _stage(pair.certificate, pair.staged.certificate, _load_certificate(certificate))
        if private_key is not None:
            _stage(pair.private_key, pair.staged.private_key, load_secret(private_key, SIZE_LIMIT))
        record = _register(places, pair, report)
    except BaseException as error:
        discard(pair)
        if isinstance(error, Problem):
            raise _naming(error, {pair.staged.certificate: certificate, pair.staged.private_key: private_key}) from None
        raise
    finish(places.state, pair)
    return record


def _naming(problem: Problem, given: dict[str, str | None]) -> Problem:
    """Name the files that were given: what is staged is gone."""
    said = problem.sentence
    for staged, path in given.items():
        said = said.replace(printable(staged), printable(path)) if path is not None else said
    return problem.amend(said)


def check_folders(pair: Pair, state: State) -> None:
    """Raise Problem `credential-insecure` where the daemon's user could let root replace another file than these."""
    if os.geteuid() != 0 or not os.path.isdir(state):
        return
    owner = os.stat(state).st_uid
    for path in pair:
        for folder in {*Path(path).parents, *Path(os.path.realpath(path)).parents}:
            if os.path.isdir(folder) and os.stat(folder).st_uid == owner != 0:
                said = f"{printable(folder)} belongs to the user dpsd runs as, who could let root replace any file"
                hint = "keep certificate and key in a folder of root's own, such as /etc/dpsd"
                raise Problem("credential-insecure", said, hint=hint)


def is_pending(state: State) -> bool:
    """Tell whether a renewal was noted that is not yet published."""
    with as_owner(state):
        return os.path.lexists(state.renewed)


def finish(state: State, pair: Pair) -> bool:
    """Put what is staged and noted in its place; one that is not the noted one is removed. Tell which it was."""
    with as_owner(state):
        noted = peek_renewed(state)
    there = pair.staged.certificate if os.path.lexists(pair.staged.certificate) else pair.certificate
    if noted is None or load_leaf(there).fingerprint != noted.binding.credential:
        discard(pair)
        forget(state)
        return False
    for staged, path in zip(pair.staged, pair, strict=True):
        if os.path.lexists(staged):
            move(staged, os.path.realpath(path))
    return True


def forget(state: State) -> None:
    """Remove the note of a renewal; raises Problem `state-unwritable`."""
    with as_owner(state):
        remove(state.renewed)


def discard(pair: Pair) -> None:
    """Remove what is staged."""
    for path in pair.staged:
        remove(path)


def _load_certificate(path: str) -> bytes:
    text = load(os.path.realpath(path), SIZE_LIMIT)
    if text is None:
        raise Problem("credential-missing", f"{printable(path)} cannot be read as a file of at most {SIZE_LIMIT} bytes")
    return text


def _stage(path: str, staged: str, data: bytes) -> None:
    """Write what shall replace `path`, with the owner and mode of that."""
    try:
        old = os.stat(path)
        commit(staged, data, 0o600)
        os.chown(staged, old.st_uid, old.st_gid)
        os.chmod(staged, stat.S_IMODE(old.st_mode))
    except FileNotFoundError:
        raise Problem("credential-missing", f"{printable(path)}, which is to be replaced, does not exist") from None
    except PermissionError as error:
        raise Problem("not-permitted", f"{printable(staged)}: {error.strerror}") from None


def _register(places: Places, pair: Pair, report: Report) -> Record:
    """Register with the staged pair as the owner of the state directory, and note the assignment."""

    def register() -> bytes:
        try:
            return encode_event(Done(_note(places, pair, report), registered=True))
        except Problem as problem:
            return encode_event(Failed(problem))

    try:
        event = parse_event(run_as_owner(places.state, register))
    except ShapeError as error:
        raise Problem("worker-failed", f"the attempt said something odd: {error}") from None
    if isinstance(event, Failed):
        raise event.problem
    assert isinstance(event, Done)
    return event.record


def check_name(certificate: str, present: Record | None) -> None:
    """Raise Problem `registration-id-mismatch` for a certificate of another device than the one that is registered."""
    name = load_leaf(certificate).common_name or ""
    if present is not None and name.lower() != present.binding.registration_id:
        said = f"the new certificate is of '{printable(name)}', this is '{present.binding.registration_id}'"
        hint = "take a certificate of this device; to make another device of it, replace the configured files"
        raise Problem("registration-id-mismatch", said, hint=hint)


def _note(places: Places, pair: Pair, report: Report) -> Record:
    prepare_folders(places.state, places.runtime)
    staged = Trial({old: new for old, new in zip(pair, pair.staged, strict=True) if os.path.lexists(new)})
    present = peek_record(places.state)
    check_name(staged.where(pair.certificate), present)
    done = attempt(places, present, Orders(force=True, trial=staged), report)
    record = done.record._replace(inputs={})
    commit(places.state.renewed, render_record(record), 0o600)
    return record
