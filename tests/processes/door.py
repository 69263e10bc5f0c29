"""The token door of a board: the real service, on a socket that the test holds and hands over as systemd does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from http.client import HTTPConnection, HTTPResponse
from typing import Any, NamedTuple

from tests import openapi, sweep
from tests.processes.board import LIMIT, Board, environment

AGENT = 4321
"""A user that nobody is."""
HAND_OVER = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&0 </dev/null'


class Answer(NamedTuple):
    """What came over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Door:
    """The socket, and the service behind it while one runs; a context manager.

    Started and ended by the test, as systemd would: `start` when somebody waits, `stop` for a restart.
    """

    def __init__(self, board: Board, extra: dict[str, str] | None = None) -> None:
        self.board = board
        self.path = f"{board.run}-identity/identity.sock"
        self.log = board.folder / "door.log"
        self._extra = extra
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(prefix="door-")  # pytest's folders are closed to other users
        os.chmod(self._folder.name, 0o755)
        self.open_path = f"{self._folder.name}/identity.sock"
        os.symlink(self.open_path, self.path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.open_path)
        os.chmod(self.open_path, 0o666)
        self._listener.listen(4096)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Door:
        command = ["/bin/sh", "-c", HAND_OVER, "sh", *self.board.command("dpsd.doors.service")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=self._listener.fileno(), stdout=log, stderr=log, env=environment(self._extra)
            )
        self._processes = sweep.Processes(self.process.pid)
        return self

    def stop(self) -> None:
        """End the service in order, as systemd does for a restart; the socket stays."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(LIMIT) == 0, self.log.read_text()

    def __enter__(self) -> Door:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self._processes.look()
            self.stop()
        self._listener.close()
        os.unlink(self.path)
        self._folder.cleanup()
        sweep.check(self.log.read_bytes(), "the door's log")

    def connect(self, uid: int | None = None) -> socket.socket:
        """Connect; as another user if this is root: the kernel keeps who it was at that moment."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(LIMIT)
        before = os.geteuid()
        if uid is not None:
            os.seteuid(uid)
        try:
            connection.connect(self.open_path)
        finally:
            os.seteuid(before)
        return connection

    def ask(
        self,
        method: str,
        target: str,
        body: str | None = None,
        *,
        uid: int | None = None,
        source: socket.socket | None = None,
    ) -> Answer:
        """Make one request, by Python's own HTTP; the answer must be one of those that the documents describe."""
        http = HTTPConnection("localhost")
        http.sock = source or self.connect(uid)
        try:
            http.request(method, target, body)
            response: HTTPResponse = http.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, headers, response.read())
        finally:
            http.close()
        openapi.check(method, target, *answer)
        return answer

    def await_end(self, within: float = LIMIT) -> None:
        """Wait until the service has ended by itself."""
        assert self.process is not None
        end = time.monotonic() + within
        while self.process.poll() is None:
            assert time.monotonic() < end, "the door does not end"
            time.sleep(0.05)
        assert self.process.returncode == 0
