"""`dpsctl config`: the effective configuration, or what must not be in an image."""

from __future__ import annotations

import json
import os
from typing import Any

from dpsd.configuration.load import load_config
from dpsd.dpsctl.arguments import Arguments
from dpsd.dpsctl.image import check_image
from dpsd.errors import EXIT_DONE
from dpsd.provisioning.candidate import has_settings
from dpsd.provisioning.device import open_device
from dpsd.system.command import UsageError
from dpsd.system.owner import become_owner
from dpsd.text import printable


def run(arguments: Arguments) -> int:
    if arguments.has("--image"):
        return _image(arguments.options["--image"])
    become_owner(arguments.places.state)
    effective = load_config(arguments.places.configuration)
    for key, value in effective.values.items():
        if value.value is not None:
            shown = value.value if isinstance(value.value, (str, int, dict)) else _plain(value.value)
            print(f"{key} = {json.dumps(shown)}  # {value.origin}")
    if has_settings(arguments.places):
        waiting = printable(arguments.places.state.candidate_settings)
        print(f"# {waiting} waits to be tried in the place of what is imported")
    device = open_device(arguments.places)
    print(f"# registration id: {device.binding.registration_id}")
    return EXIT_DONE


def _image(root: str) -> int:
    if not os.path.isdir(root):
        raise UsageError(f"{printable(root)} is not a folder")
    check_image(os.path.realpath(root).rstrip("/"))
    print("nothing is in this image that only one board may have")
    return EXIT_DONE


def _plain(value: Any) -> Any:
    """Return what the TOML file would say for a parsed value."""
    return list(value) if type(value) is tuple else str(value)
