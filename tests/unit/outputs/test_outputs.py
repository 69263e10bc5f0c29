"""What agents read: connection.json, and connection.env as a real shell reads it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.outputs import FORMATS
from dpsd.outputs.environment import render_environment
from dpsd.shape import parse_object
from dpsd.state.connection import Authentication, Connection, parse_connection
from tests.unit.examples import CONNECTION, problem_of

NAMES = (
    "IOTHUB_HOSTNAME", "IOTHUB_DEVICE_ID", "IOTHUB_AUTH", "X509_CERT_FILE", "X509_KEY_FILE", "IOTHUB_IDENTITY_SOCKET",
    "IOTHUB_MQTT_TRANSPORT", "IOTHUB_MQTT_PORT", "IOTHUB_MQTT_USERNAME",
)  # fmt: skip
FORBIDDEN = "'\"\\` \n\r\t\0\x1b\x7fé\u2028"
DEVICE_IDS = st.text(st.sampled_from("azAZ09.+%_#*?!(),=@$:-&|<>{}[]~^/;"), min_size=1, max_size=40)
KEYED = CONNECTION._replace(authentication=Authentication("sas", identity_socket="/run/dpsd-identity/identity.sock"))


def read_by_shell(environment: bytes, folder: Path) -> list[str]:
    """The values of NAMES after a shell has read the file, "unset" for one that is missing."""
    file = folder / "connection.env"
    file.write_bytes(environment)
    shown = " ".join(f'"${{{name}-unset}}"' for name in NAMES)
    script = f"set -eu; . '{file}'; printf '%s\\n' {shown}"
    ran = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True, env={})
    return ran.stdout.splitlines()


def test_a_shell_reads_the_environment_of_a_certificate(tmp_path: Path) -> None:
    assert read_by_shell(render_environment(CONNECTION), tmp_path) == [
        "contoso.azure-devices.net",
        "pi-1",
        "x509",
        "/etc/dpsd/device.pem",
        "/etc/dpsd/device.key",
        "unset",
        "mqtt",
        "8883",
        "contoso.azure-devices.net/pi-1/?api-version=2021-04-12",
    ]


def test_a_shell_reads_the_environment_of_a_key(tmp_path: Path) -> None:
    values = read_by_shell(render_environment(KEYED), tmp_path)
    assert values[2:6] == ["sas", "unset", "unset", "/run/dpsd-identity/identity.sock"]


@pytest.mark.parametrize("device_id", ["$HOME", "$(id)", "a#b", "*", "!x", "a=b&c", "~", "%i"])
def test_a_shell_changes_no_device_id(device_id: str, tmp_path: Path) -> None:
    environment = render_environment(CONNECTION._replace(device_id=device_id))
    assert read_by_shell(environment, tmp_path)[1] == device_id


@given(DEVICE_IDS, st.sampled_from(FORBIDDEN), DEVICE_IDS)
def test_a_character_that_a_reader_would_change_is_refused(before: str, bad: str, after: str) -> None:
    assert f"='{before}{after}'\n" in render_environment(CONNECTION._replace(device_id=before + after)).decode()
    spoiled = CONNECTION._replace(device_id=before + bad + after)
    problem = problem_of("assignment-invalid", lambda: render_environment(spoiled))
    assert problem.sentence == "IOTHUB_DEVICE_ID has a character that connection.env cannot carry"


@pytest.mark.parametrize("connection", [CONNECTION, KEYED])
def test_the_document_is_parsed_back_and_ends_in_a_newline(connection: Connection) -> None:
    text = FORMATS["json"](connection)
    assert text.endswith(b"}\n")
    assert json.loads(text)["version"] == 1
    assert parse_connection(parse_object(text)) == connection


def test_no_format_names_what_belongs_to_others() -> None:
    assert sorted(FORMATS) == ["env", "json"]
    lines = FORMATS["env"](CONNECTION).decode().splitlines()
    assert not [line for line in lines if line.startswith(("IOTEDGE_", "HOSTNAME"))]
    assert len(lines) == 8
