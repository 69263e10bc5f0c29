"""What import bundles have set, also where that file is damaged: it is dpsd's own, so that nobody mends it."""

from __future__ import annotations

import os

from dpsd.configuration.files import load_layers, writers
from dpsd.configuration.merge import parse_import
from dpsd.configuration.observed import configuration_files
from dpsd.configuration.settings import Layer
from dpsd.errors import Problem
from dpsd.state.places import Places
from dpsd.system.journal import WARNING, log
from dpsd.system.owner import as_owner


def settings_in(path: str, places: Places) -> Layer | None:
    """Return what bundles have set that lies at `path`, empty where nothing does, None where it is damaged.

    Raises Problem `configuration-insecure`.
    """
    if not os.path.lexists(path):
        return Layer(path, "")
    try:
        with as_owner(places.state):
            layer = load_layers([path], writers(places.configuration))[0]
        parse_import([layer])
    except Problem as problem:
        if problem.code != "configuration-invalid":
            raise
        log(WARNING, f"what earlier bundles have set does not count: {problem.sentence}")
        return None
    return layer


def layers_with(places: Places, *imported: Layer | None) -> list[Layer]:
    """Return the configuration as it is with these in the place of the imported settings; raises Problem
    `configuration-*`."""
    layers: list[Layer] = []
    with as_owner(places.state):
        for place in places.configuration:
            files = configuration_files((place,))
            if place == places.state.imported:
                layers += [layer for layer in imported if layer is not None]
            elif files:
                layers += load_layers(files, writers(places.configuration))
    return layers
