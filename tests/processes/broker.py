"""mosquitto, a real MQTT broker in the place of the hub: on a unix socket for the device, on TCP for the hub's role."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import pytest

from tests.emulator_process import next_address

PORT = 1883
START_SECONDS = 10
EVERYTHING = ("-t", "#", "-t", "$iothub/#")


class Broker:
    """A context manager. path: the unix socket."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("mosquitto") is None or shutil.which("mosquitto_pub") is None:
            pytest.skip("mosquitto is not installed")
        self.path, self.log = folder / "mqtt.sock", folder / "mosquitto.log"
        self._address, self._config = next_address(), folder / "mosquitto.conf"
        listeners = f"listener 0 {self.path}\nlistener {PORT} {self._address}\n"
        self._config.write_text(f"user root\n{listeners}allow_anonymous true\nlog_type all\nmax_queued_messages 0\n")
        self._process: subprocess.Popen[bytes] | None = None
        self._heard: list[tuple[subprocess.Popen[bytes], Path]] = []

    def __enter__(self) -> Broker:
        with self.log.open("ab") as log:
            command = ["mosquitto", "-c", str(self._config)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._await(lambda: self.path.exists() and self._publishes())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for listening, _ in self._heard:
            listening.kill()
            listening.wait(START_SECONDS)
        self.stop()

    def stop(self) -> None:
        """Stop it, as a hub that goes away."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(START_SECONDS)
        self.path.unlink(missing_ok=True)

    def publish(self, topic: str, body: str = "") -> None:
        """Publish at QoS 1, as the hub."""
        said = ["-m", body] if body else ["-n"]
        subprocess.run([*self._client("mosquitto_pub"), "-q", "1", "-t", topic, *said], check=True, timeout=20)

    def listen(self, output: Path) -> None:
        """Write what is published to `output` from now on: the QoS, the topic and the body, a line each."""
        with output.open("wb") as lines:
            command = [*self._client("mosquitto_sub"), "-q", "1", *EVERYTHING, "-F", "%q %t %p"]
            self._heard.append((subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=lines), output))

        def is_heard() -> bool:
            self.publish("ready")
            return b"ready" in output.read_bytes()

        self._await(is_heard)

    def _publishes(self) -> bool:
        command = [*self._client("mosquitto_pub"), "-t", "ready", "-n"]
        return subprocess.run(command, stderr=subprocess.DEVNULL, timeout=20).returncode == 0

    def _client(self, name: str) -> list[str]:
        return [name, "-h", self._address, "-p", str(PORT), "-V", "mqttv311"]

    def _await(self, happens: Callable[[], bool]) -> None:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if happens():
                return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())
