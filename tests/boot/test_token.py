"""A device whose private key is on a PKCS#11 token: first boot, and an agent that uses the same token."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dpsd.credentials.token_provider import render_key
from tests.boot.lab import Device, Emulator, Layers, add_names, daemon_group, put, user_id
from tests.processes.softhsm import MODULE, PIN, Token
from workshop.debian import deb, roots
from workshop.dev import places
from workshop.dev.failure import Failure
from workshop.lab.machine import Machine, eventually, install

pytestmark = pytest.mark.root

TOKENS = "var/lib/token"
MESSAGE = "signed-by-the-token"
# SoftHSM keeps its tokens in files, which a sandboxed service has to be let to.
DROP_IN = f"""\
[Service]
Environment=SOFTHSM2_CONF=/{TOKENS}/device.conf
ReadWritePaths=/{TOKENS}
"""
OPENSSL = f"""\
openssl_conf = agent
[agent]
providers = providers
[providers]
default = default_provider
pkcs11 = pkcs11_provider
[default_provider]
activate = 1
[pkcs11_provider]
pkcs11-module-path = {MODULE}
pkcs11-module-quirks = no-deinit
pkcs11-module-token-pin = file:/etc/dpsd/token.pin
activate = 1
"""
AGENT = f"""\
set -eu
. /var/lib/dpsd/connection.env
exec env SOFTHSM2_CONF=/{TOKENS}/device.conf OPENSSL_CONF=/root/agent.cnf mosquitto_pub --host "$IOTHUB_HOSTNAME" \\
    --port "$IOTHUB_MQTT_PORT" --id "$IOTHUB_DEVICE_ID" --username "$IOTHUB_MQTT_USERNAME" \\
    --protocol-version mqttv311 --cafile /etc/dpsd/ca.pem --cert "$X509_CERT_FILE" --key /root/agent.key --qos 1 \\
    --topic "devices/$IOTHUB_DEVICE_ID/messages/events/" --message {MESSAGE}
"""
SAMPLE = f"""\
set -eua
. /var/lib/dpsd/connection.env
SOFTHSM2_CONF=/{TOKENS}/device.conf OPENSSL_CONF=/root/agent.cnf exec python3 /usr/share/agent.py /etc/dpsd/ca.pem
"""


@pytest.fixture(scope="module")
def with_softhsm(release: str) -> Iterator[Layers]:
    """A disk with the package and what a token of files needs."""
    try:
        made = roots.made(roots.device_with_token(release))
    except Failure as failure:
        if release != "bookworm":
            raise
        pytest.skip(f"bookworm-backports cannot be had here: {failure.sentence.splitlines()[0]}")
    disk = roots.overlay(f"{release}-token", made)
    install(disk.root, deb.build())
    add_names(disk.root)
    roots.unmount(disk)
    yield disk.layers
    roots.discard(disk)


def give_token(root: Path, emulator: Emulator) -> str:
    """Put the device's key on a token of the disk, and nowhere else; return its URI."""
    emulator.give_credential(root)
    (root / "etc/dpsd/device.key").unlink()
    token = Token(root / TOKENS)
    uri = token.put(emulator.folder / "devices/x509-group/device.key")
    token.pin_file.unlink()  # the device has a file of its own
    (root / TOKENS / "device.conf").write_text(f"directories.tokendir = /{TOKENS}/tokens\n")
    for path in [root / TOKENS, *(root / TOKENS).rglob("*")]:
        os.chown(path, user_id(root, "dpsd"), daemon_group(root))
    put(root, "token.pin", PIN.encode(), 0o640)
    folder = root / "etc/systemd/system/dpsd.service.d"
    folder.mkdir()
    (folder / "token.conf").write_text(DROP_IN)
    return uri


def configuration(emulator: Emulator, uri: str) -> bytes:
    lines = f'store = "pkcs11"\ntoken_uri = "{uri}"\nmodule = "{MODULE}"\npin_file = "/etc/dpsd/token.pin"\n'
    return re.sub("private_key_file.*\n", lines, emulator.configuration().decode()).encode()


def test_a_key_on_a_token_brings_the_device_up(device: Device, with_softhsm: Layers, emulator: Emulator) -> None:
    machine = device(with_softhsm)
    uri = give_token(machine.root, emulator)
    put(machine.root, "dpsd.toml", configuration(emulator, uri))
    machine.boot()
    eventually(lambda: machine.is_active("dpsd.service"), "the device is provisioned", within=60)
    connection = json.loads(machine.run("cat", "/var/lib/dpsd/connection.json"))
    assert connection["authentication"]["private_key_uri"] == uri
    assert [line["service"] for line in emulator.of("connect")] == ["dps", "hub"]
    send(machine, uri)
    eventually(lambda: [line["body"] for line in emulator.of("message")] == [MESSAGE], "the hub has the message")
    (machine.root / "usr/share/agent.py").write_text((places.CHECKOUT / "docs/examples/agent.py").read_text())
    machine.run("sh", "/root/sample.sh")
    assert len(emulator.of("message")) == 2


def send(machine: Machine, uri: str) -> None:
    """Send a message by a client that is not ours, which has OpenSSL use the same token."""
    (machine.root / "root/agent.cnf").write_text(OPENSSL)
    (machine.root / "root/agent.key").write_bytes(render_key(uri))
    (machine.root / "root/agent.sh").write_text(AGENT)
    (machine.root / "root/sample.sh").write_text(SAMPLE)
    machine.run("sh", "/root/agent.sh")


def test_a_token_that_is_gone_is_waited_for(device: Device, with_softhsm: Layers, emulator: Emulator) -> None:
    machine = device(with_softhsm)
    put(machine.root, "dpsd.toml", configuration(emulator, give_token(machine.root, emulator)))
    tokens = machine.root / TOKENS / "tokens"
    tokens.rename(tokens.with_name("pulled"))
    tokens.mkdir()
    os.chown(tokens, user_id(machine.root, "dpsd"), daemon_group(machine.root))
    machine.boot()
    eventually(lambda: "token-missing" in machine.properties("dpsd.service")["StatusText"], "it says what is missing")
    assert not emulator.of("connect")
    machine.run("sh", "-c", f"rmdir /{TOKENS}/tokens && mv /{TOKENS}/pulled /{TOKENS}/tokens")
    eventually(lambda: machine.is_active("dpsd.service"), "the token is found", within=90)
