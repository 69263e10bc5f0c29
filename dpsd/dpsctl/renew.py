"""`dpsctl renew`: another certificate, tried by a registration before it takes the old one's place."""

from __future__ import annotations

import os

from dpsd.configuration.stores import BY_PAIR, BY_SEAL, STORES
from dpsd.daemon.foreground import publish_renewed, tell
from dpsd.dpsctl.arguments import Arguments
from dpsd.dpsctl.seal import seal_files
from dpsd.errors import EXIT_DONE
from dpsd.provisioning.record_file import peek_record
from dpsd.provisioning.renewal import Pair, check_folders, check_name, configured, finish, forget, is_pending, renew
from dpsd.state.places import Places
from dpsd.system.command import UsageError
from dpsd.system.owner import as_owner, become_owner
from dpsd.text import printable


def run(arguments: Arguments) -> int:
    """Try new files by a registration and put them in place; without any, finish what was cut short."""
    places, certificate = arguments.places, arguments.options.get("--certificate")
    private_key, pending = arguments.options.get("--private-key"), is_pending(arguments.places.state)
    if certificate is None and (private_key is not None or not pending):
        raise UsageError("write: dpsctl renew --certificate FILE [--private-key FILE]; there is nothing to finish")
    settings = configured(places)
    renewed = STORES[settings.type, settings.store].renewed
    if renewed == BY_SEAL and certificate is not None:
        _renew_seal(certificate, private_key, places)
        return EXIT_DONE
    if renewed != BY_PAIR:
        if certificate is None:
            forget(places.state)
            print("forgot a renewal of files that the configuration does not name any more")
            return EXIT_DONE
        raise UsageError(f"renew replaces files; the credential is {settings.type} in the store {settings.store}")
    pair = Pair(settings.certificate_file or "", settings.private_key_file or "")
    check_folders(pair, places.state)
    if {os.path.realpath(path) for path in (certificate, private_key) if path} & {*map(os.path.realpath, pair.staged)}:
        raise UsageError("give the new files other names: FILE.new beside the old ones is where they wait")
    if pending and finish(places.state, pair):
        print("finished the renewal that was cut short: dpsd publishes it at its next start, or reload")
    if certificate is not None:
        record = renew(places, pair, certificate, private_key, tell)
        become_owner(places.state)
        publish_renewed(places)
        print(f"renewed: {record.connection.device_id} at {record.connection.iothub_hostname}")
        _tell_what_stays(private_key)
    return EXIT_DONE


def _renew_seal(certificate: str, private_key: str | None, places: Places) -> None:
    """Seal the new pair as a candidate, which the daemon tries before it takes the place of the present one."""
    if private_key is None:
        raise UsageError("what is sealed is a whole pair: give --private-key, too")
    with as_owner(places.state):
        present = peek_record(places.state)
    check_name(certificate, present)
    seal_files({"certificate": certificate, "private_key": private_key}, places)
    _tell_what_stays(private_key)


def _tell_what_stays(private_key: str | None) -> None:
    if private_key is not None:
        print(f"{printable(private_key)} is still there, with the new key in it: remove it, and its copies")
