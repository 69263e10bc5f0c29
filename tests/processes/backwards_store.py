"""The daemon with a store that dpsd does not have, made of one module, this one, and one row: a key that is written
backwards."""

from __future__ import annotations

import sys

from dpsd.configuration.stores import STORES, Store

STORES["symmetric_key", "backwards"] = Store("backwards:open_backwards", ("primary_key_file",))

from dpsd.__main__ import main  # noqa: E402 - the settings are made from the rows
from dpsd.configuration.observed import Observer  # noqa: E402
from dpsd.configuration.settings import CredentialSettings  # noqa: E402
from dpsd.credentials.credential import Credential, opener  # noqa: E402
from dpsd.credentials.secret_file import load_secret  # noqa: E402
from dpsd.credentials.symmetric import decode_key, of_decoded  # noqa: E402
from dpsd.state.places import Places  # noqa: E402


@opener
def open_backwards(settings: CredentialSettings, _: Places, observer: Observer) -> Credential:
    path = observer.by_stat(settings.primary_key_file or "")
    return of_decoded([decode_key(load_secret(path, 100).strip()[::-1], path)])


if __name__ == "__main__":
    sys.modules["dpsd.credentials.backwards"] = sys.modules[__name__]
    sys.exit(main())
