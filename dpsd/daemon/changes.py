"""What may change around the daemon while it waits: files, the clock, routes."""

from __future__ import annotations

import selectors

from dpsd.configuration.observed import signature
from dpsd.system.clock import clock_offset, was_clock_set
from dpsd.system.routes import RouteWatch


class Watched:
    """The files and the clock, which are looked at now and then."""

    def __init__(self) -> None:
        self._signatures: dict[str, object] = {}
        self._offset = clock_offset()

    def remember(self, paths: list[str]) -> None:
        """Remember what clock and files look like before somebody reads them; other files are not watched any more."""
        self._offset = clock_offset()
        self._signatures = {path: signature(path) for path in paths}

    def add(self, signatures: dict[str, object]) -> None:
        """Watch more files, by what they looked like."""
        self._signatures |= signatures

    def files_changed(self) -> bool:
        """Tell whether any of the files looks different now."""
        return any(signature(path) != seen for path, seen in self._signatures.items())

    def clock_was_set(self) -> bool:
        """Tell whether somebody set the clock."""
        return was_clock_set(self._offset)


class Routes:
    """The kernel's word that a route came up, while somebody wants to hear it. selector: where it is waited for."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._wanted = False
        self._watch: RouteWatch | None = None

    def hear(self, wanted: bool) -> None:
        """Listen from now on, or no longer; where the kernel does not let us, nothing is heard."""
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if wanted:
            self._open()
        else:
            self._close()

    def came_up(self, descriptor: int) -> bool:
        """Take what is readable there, and tell whether it says that a route came up."""
        return self._watch is not None and descriptor == self._watch.descriptor and self._watch.came_up()

    def _open(self) -> None:
        try:
            self._watch = RouteWatch()
        except OSError:
            return
        self._selector.register(self._watch.descriptor, selectors.EVENT_READ)

    def _close(self) -> None:
        if self._watch is not None:
            self._selector.unregister(self._watch.descriptor)
            self._watch.close()
            self._watch = None
