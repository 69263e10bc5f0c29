"""This device as the doors see it: configured, provisioned, and with a key that is opened when a token is asked for.

What was read is kept while nothing of it changes on disk, and until `forget`: an idle door holds no key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from dpsd.configuration.load import load_config
from dpsd.configuration.observed import Observer, unchanged
from dpsd.configuration.settings import Config
from dpsd.credentials import open_credential
from dpsd.credentials.credential import Signer
from dpsd.errors import Problem
from dpsd.provisioning.record_file import peek_record
from dpsd.state.places import Places
from dpsd.state.record import Record
from dpsd.system.clock import clock_offset, was_clock_set
from dpsd.system.files import load
from dpsd.system.time_sync import explain_untrusted_clock, parse_moment

CLOCK_LOOK = 30
"""Seconds until an untrusted clock may have become a trusted one."""
T = TypeVar("T")


class Kept(Generic[T]):
    """What `read` returned, as long as all files that it looked at look the same."""

    def __init__(self, read: Callable[[Observer], T]) -> None:
        self._read = read
        self._value: T | None = None
        self._observer = Observer()

    def get(self) -> T:
        """Return it, read anew where that is needed; raises what reading it raises."""
        if self._value is None or not unchanged(self._observer.inputs):
            self._value, self._observer = None, Observer()
            self._value = self._read(self._observer)
        return self._value

    def forget(self) -> None:
        self._value = None


class Prover(NamedTuple):
    """What makes tokens: the record of the assignment, and the key that the hub knows this device by."""

    record: Record
    key: Signer


class Device:
    """What doors ask; every method raises Problem."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._config = Kept(self._read_config)
        self._prover = Kept(self._read_prover)
        self._trusted: float | None = None

    def config(self) -> Config:
        """Return the configuration; raises Problem `configuration-*`."""
        return self._config.get()

    def document(self) -> bytes:
        """Return the text of connection.json; raises Problem `not-provisioned`."""
        text = load(self._places.state.connection_json) if load(self._places.runtime.provisioned) is not None else None
        if text is None:
            raise Problem("not-provisioned", "there is no connection in this boot yet")
        return text

    def prover(self) -> Prover:
        """Return what makes tokens now.

        Raises Problem `not-provisioned`, `token-needs-key`, `clock-untrusted`, or those of the store.
        """
        prover = self._prover.get()
        self._check_clock(prover.record)
        return prover

    def forget(self) -> None:
        """Let go of the key."""
        self._prover.forget()

    def _read_config(self, observer: Observer) -> Config:
        return load_config(self._places.configuration, observer).config

    def _read_prover(self, observer: Observer) -> Prover:
        config = self._read_config(observer)
        observer.by_stat(self._places.runtime.provisioned)
        observer.by_stat(self._places.state.record)
        self.document()
        record = peek_record(self._places.state)
        if record is None:
            raise Problem("not-provisioned", "there is no assignment yet")
        if config.credential.type != "symmetric_key" or record.connection.authentication.type != "sas":
            raise Problem("token-needs-key", "this device proves itself by a certificate, which signs no tokens")
        opened = open_credential(config.credential, self._places, observer)
        credential = opened.of_device(record.binding.registration_id)
        if credential.fingerprint != record.binding.credential:
            said = "the configured key is not the one that the assignment was made with"
            raise Problem("not-provisioned", f"{said}: the device is about to register with it")
        return Prover(record, credential.keys[1 if record.secondary else 0])

    def _check_clock(self, record: Record) -> None:
        """Judge the clock once, and again when it was set; raises Problem `clock-untrusted`."""
        if self._trusted is not None and not was_clock_set(self._trusted):
            return
        assigned_at = parse_moment(record.connection.assigned_at)
        doubted = explain_untrusted_clock([] if assigned_at is None else [assigned_at])
        if doubted is not None:
            raise Problem("clock-untrusted", doubted, retry_after=CLOCK_LOOK)
        self._trusted = clock_offset()
