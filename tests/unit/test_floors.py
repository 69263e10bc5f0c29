"""The floors of docs/architecture.md: which module may import which, and what the resident daemon may load."""

from __future__ import annotations

import ast
import functools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.unit.examples import CHECKOUT

FLOORS = {
    "dpsd": 0,
    "dpsd.errors": 0,
    "dpsd.explanations": 0,
    "dpsd.shape": 0,
    "dpsd.text": 0,
    "dpsd.bundle_settings": 1,
    "dpsd.config": 1,
    "dpsd.pkcs11_uri": 1,
    "dpsd.connection": 1,
    "dpsd.places": 1,
    "dpsd.progress": 1,
    "dpsd.protocol": 1,
    "dpsd.protocol.assignment": 1,
    "dpsd.protocol.dps": 1,
    "dpsd.protocol.error_codes": 1,
    "dpsd.protocol.hub": 1,
    "dpsd.protocol.identifiers": 1,
    "dpsd.protocol.login": 1,
    "dpsd.protocol.query": 1,
    "dpsd.protocol.registration": 1,
    "dpsd.protocol.retry": 1,
    "dpsd.protocol.sas": 1,
    "dpsd.protocol.websocket": 1,
    "dpsd.proxies": 1,
    "dpsd.record": 1,
    "dpsd.settings": 1,
    "dpsd.stores": 1,
    "dpsd.transports": 1,
    "dpsd.alarm": 2,
    "dpsd.archives": 2,
    "dpsd.board": 2,
    "dpsd.cipher": 2,
    "dpsd.firmware": 2,
    "dpsd.keys": 2,
    "dpsd.keys.client": 2,
    "dpsd.keys.request": 1,
    "dpsd.keys.service": 5,
    "dpsd.keys.sources": 2,
    "dpsd.credentials.sealed": 2,
    "dpsd.seal": 1,
    "dpsd.sealing": 3,
    "dpsd.plaintext": 3,
    "dpsd.handing_over": 3,
    "dpsd.systemd_creds": 2,
    "dpsd.board_names": 2,
    "dpsd.bundle": 2,
    "dpsd.bundle_content": 2,
    "dpsd.clock": 2,
    "dpsd.configuration_files": 2,
    "dpsd.credentials": 2,
    "dpsd.credentials.credential": 2,
    "dpsd.credentials.material": 2,
    "dpsd.credentials.pkcs11_module": 2,
    "dpsd.credentials.pkcs11_provider": 2,
    "dpsd.credentials.secret_file": 2,
    "dpsd.core_dumps": 2,
    "dpsd.credentials.symmetric_files": 2,
    "dpsd.credentials.symmetric_firmware": 2,
    "dpsd.credentials.x509_certificate": 2,
    "dpsd.credentials.systemd_credentials": 2,
    "dpsd.credentials.x509_files": 2,
    "dpsd.credentials.x509_pkcs11": 2,
    "dpsd.daemon": 2,
    "dpsd.credentials.pkcs12": 2,
    "dpsd.durable": 2,
    "dpsd.recorded": 2,
    "dpsd.expiry": 2,
    "dpsd.fleet_signature": 2,
    "dpsd.hardware_address": 2,
    "dpsd.inputs": 2,
    "dpsd.issuer": 2,
    "dpsd.journal": 2,
    "dpsd.link": 2,
    "dpsd.link_watch": 2,
    "dpsd.machine_id": 2,
    "dpsd.mounts": 2,
    "dpsd.mqtt": 2,
    "dpsd.notify": 2,
    "dpsd.outputs": 2,
    "dpsd.outputs.document": 2,
    "dpsd.outputs.environment": 2,
    "dpsd.ownership": 2,
    "dpsd.resolve": 2,
    "dpsd.steps": 2,
    "dpsd.stick": 2,
    "dpsd.tcp": 2,
    "dpsd.time_sync": 2,
    "dpsd.tls": 2,
    "dpsd.token_device": 2,
    "dpsd.tunnel": 2,
    "dpsd.websocket": 2,
    "dpsd.worker": 2,
    "dpsd.agent_units": 3,
    "dpsd.attempt": 3,
    "dpsd.connecting": 3,
    "dpsd.dialing": 3,
    "dpsd.device": 3,
    "dpsd.registering": 3,
    "dpsd.release": 3,
    "dpsd.history": 3,
    "dpsd.fleet_keys": 3,
    "dpsd.hub_check": 3,
    "dpsd.image": 3,
    "dpsd.import_plan": 3,
    "dpsd.importing": 3,
    "dpsd.publish": 3,
    "dpsd.renewal": 3,
    "dpsd.reset": 3,
    "dpsd.foreground": 4,
    "dpsd.found_bundle": 4,
    "dpsd.status": 4,
    "dpsd.turns": 4,
    "dpsd.supervisor": 4,
    "dpsd.wait": 4,
    "dpsd.__main__": 5,
    "dpsd.door": 5,
    "dpsd.dpsctl": 5,
    "dpsd.verbs": 5,
    "dpsd.verbs.agent": 5,
    "dpsd.verbs.config": 5,
    "dpsd.verbs.derive_key": 5,
    "dpsd.verbs.explain": 5,
    "dpsd.verbs.import_bundle": 5,
    "dpsd.verbs.provision": 5,
    "dpsd.verbs.renew": 5,
    "dpsd.verbs.reprovision": 5,
    "dpsd.verbs.reset": 5,
    "dpsd.verbs.seal": 5,
    "dpsd.verbs.show": 5,
    "dpsd.verbs.status": 5,
    "dpsd.verbs.wait": 5,
}

SIDEWAYS = {
    ("dpsd.credentials", "dpsd.credentials.credential"): "a package shows what its modules have in common",
    ("dpsd.credentials.material", "dpsd.credentials.credential"): "what every store returns",
    ("dpsd.credentials.material", "dpsd.credentials.symmetric_files"): "one way from a key's text to a credential",
    ("dpsd.credentials.material", "dpsd.credentials.x509_certificate"): "one way to read a certificate",
    ("dpsd.credentials.material", "dpsd.credentials.x509_files"): "one way to give a pair to OpenSSL",
    ("dpsd.credentials.sealed", "dpsd.board"): "a seal is of one board",
    ("dpsd.credentials.sealed", "dpsd.cipher"): "what it is sealed by",
    ("dpsd.credentials.sealed", "dpsd.credentials.credential"): "what every store returns",
    ("dpsd.credentials.sealed", "dpsd.credentials.material"): "what was sealed is in memory",
    ("dpsd.credentials.sealed", "dpsd.durable"): "one way to read a file of bounded size",
    ("dpsd.credentials.sealed", "dpsd.keys.client"): "the daemon has no right to ask a key source",
    ("dpsd.credentials.sealed", "dpsd.keys.sources"): "root asks the key source itself",
    ("dpsd.keys.sources", "dpsd.durable"): "secrets are written and read as all files that matter",
    ("dpsd.keys.sources", "dpsd.firmware"): "one of the sources",
    ("dpsd.keys.sources", "dpsd.systemd_creds"): "one of the sources",
    ("dpsd.keys.sources", "dpsd.machine_id"): "what is named to people where it changed",
    ("dpsd.systemd_creds", "dpsd.machine_id"): "the id that its secret depends on",
    ("dpsd.machine_id", "dpsd.durable"): "one way to read a file of bounded size",
    ("dpsd.machine_id", "dpsd.mounts"): "a transient machine id is a mount",
    ("dpsd.plaintext", "dpsd.device"): "which files the configuration names",
    ("dpsd.sealing", "dpsd.publish"): "whether the present seal has provisioned",
    ("dpsd.credentials.symmetric_firmware", "dpsd.firmware"): "the key, where this process may reach it",
    ("dpsd.credentials.symmetric_firmware", "dpsd.keys.client"): "the key, where a service must be asked",
    ("dpsd.credentials.symmetric_files", "dpsd.credentials.credential"): "what every store returns",
    ("dpsd.credentials.symmetric_files", "dpsd.credentials.secret_file"): "one way to open a secret",
    ("dpsd.credentials.symmetric_firmware", "dpsd.credentials.credential"): "what every store returns",
    ("dpsd.credentials.systemd_credentials", "dpsd.credentials.credential"): "what every store returns",
    ("dpsd.credentials.systemd_credentials", "dpsd.credentials.secret_file"): "where systemd puts them",
    ("dpsd.credentials.systemd_credentials", "dpsd.credentials.symmetric_files"): "systemd's credentials are files",
    ("dpsd.credentials.systemd_credentials", "dpsd.credentials.x509_files"): "systemd's credentials are files",
    ("dpsd.credentials.systemd_credentials", "dpsd.credentials.x509_certificate"): "how large a key's file may be",
    ("dpsd.credentials.systemd_credentials", "dpsd.durable"): "one way to read a file of bounded size",
    ("dpsd.device", "dpsd.release"): "where agents find what they are given",
    (
        "dpsd.credentials.x509_certificate",
        "dpsd.credentials.credential",
    ): "what is read of a certificate",
    ("dpsd.credentials", "dpsd.credentials.sealed"): "a candidate is a seal",
    ("dpsd.credentials.x509_files", "dpsd.credentials.credential"): "what every store returns",
    ("dpsd.credentials.x509_files", "dpsd.credentials.secret_file"): "one way to open a secret",
    ("dpsd.credentials.x509_files", "dpsd.credentials.x509_certificate"): "one way to read a certificate",
    ("dpsd.credentials.x509_certificate", "dpsd.durable"): "one way to read a file of bounded size",
    ("dpsd.credentials.x509_pkcs11", "dpsd.credentials.credential"): "what every store returns",
    ("dpsd.credentials.x509_pkcs11", "dpsd.credentials.pkcs11_module"): "the token is tried before OpenSSL gets it",
    ("dpsd.credentials.x509_pkcs11", "dpsd.credentials.pkcs11_provider"): "OpenSSL's way to the token",
    ("dpsd.credentials.x509_pkcs11", "dpsd.credentials.secret_file"): "one way to open a secret",
    ("dpsd.credentials.x509_pkcs11", "dpsd.credentials.x509_certificate"): "one way to read a certificate",
    ("dpsd.bundle", "dpsd.archives"): "an archive is one form of a bundle",
    ("dpsd.bundle_content", "dpsd.bundle"): "whose files they are",
    ("dpsd.bundle_content", "dpsd.credentials.credential"): "what is found is a credential's material",
    ("dpsd.bundle_content", "dpsd.credentials.material"): "one way to check a credential in memory",
    ("dpsd.bundle_content", "dpsd.credentials.pkcs12"): "one of the forms of a credential",
    ("dpsd.bundle_content", "dpsd.credentials.x509_certificate"): "one way to read a certificate",
    ("dpsd.credentials.pkcs12", "dpsd.credentials.credential"): "what is found is a credential's material",
    ("dpsd.fleet_signature", "dpsd.bundle"): "what is signed",
    ("dpsd.daemon", "dpsd.durable"): "status.json is read, and the lock tried, as they are written and taken",
    ("dpsd.inputs", "dpsd.durable"): "one way to read a file of bounded size",
    ("dpsd.issuer", "dpsd.alarm"): "no time-out of the question may hide the verdict",
    ("dpsd.recorded", "dpsd.durable"): "one way to read a file of bounded size, and to set one aside",
    ("dpsd.mqtt", "dpsd.tcp"): "an error of the TCP connection is named where it is caught",
    ("dpsd.mqtt", "dpsd.tls"): "an error of the TLS session is named where it is caught",
    ("dpsd.mqtt", "dpsd.websocket"): "one of the two streams that a session runs on",
    ("dpsd.outputs", "dpsd.outputs.document"): "the list of formats names its rows",
    ("dpsd.outputs", "dpsd.outputs.environment"): "the list of formats names its rows",
    ("dpsd.steps", "dpsd.alarm"): "a step's time limit is an alarm",
    ("dpsd.tcp", "dpsd.link"): "that nothing is routed is told from what the board looks like",
    ("dpsd.tcp", "dpsd.resolve"): "the addresses of a name are connected to",
    ("dpsd.tls", "dpsd.tcp"): "an error of the TCP connection is named where it is caught",
    ("dpsd.tunnel", "dpsd.credentials.secret_file"): "one way to open a secret",
    ("dpsd.websocket", "dpsd.tcp"): "an error of the TCP connection is named where it is caught",
    ("dpsd.websocket", "dpsd.tls"): "a WebSocket is made of a TLS session",
    ("dpsd.renewal", "dpsd.attempt"): "the new pair is tried by an attempt",
    ("dpsd.renewal", "dpsd.device"): "which files the credential is",
    ("dpsd.renewal", "dpsd.publish"): "the record of the new pair is for the daemon to publish",
    ("dpsd.attempt", "dpsd.device"): "the device comes before its registration",
    ("dpsd.attempt", "dpsd.hub_check"): "a new assignment is tried",
    ("dpsd.attempt", "dpsd.registering"): "the conversation that makes the assignment",
    ("dpsd.attempt", "dpsd.release"): "agents get what they are promised before the attempt is done",
    ("dpsd.connecting", "dpsd.dialing"): "a session runs over whatever reaches the host",
    ("dpsd.registering", "dpsd.connecting"): "DPS and hub are reached in one way",
    ("dpsd.registering", "dpsd.device"): "what is registered",
    ("dpsd.board", "dpsd.durable"): "one way to read a file of bounded size",
    ("dpsd.board_names", "dpsd.board"): "the serial number is one of the names",
    ("dpsd.board_names", "dpsd.hardware_address"): "an interface's address is one of the names",
    ("dpsd.board_names", "dpsd.machine_id"): "the machine id is one of the names",
    ("dpsd.reset", "dpsd.device"): "which files the credential is",
    ("dpsd.hardware_address", "dpsd.durable"): "one way to read a file of bounded size",
    ("dpsd.hub_check", "dpsd.connecting"): "DPS and hub are reached in one way",
    ("dpsd.hub_check", "dpsd.device"): "whose hub is tried",
    ("dpsd.expiry", "dpsd.clock"): "the clock that judges",
    ("dpsd.import_plan", "dpsd.device"): "who the device would be",
    ("dpsd.importing", "dpsd.import_plan"): "all is checked before anything is changed",
    ("dpsd.importing", "dpsd.publish"): "the folders of the state, and whose credential is there",
    ("dpsd.importing", "dpsd.sealing"): "a credential that comes in a bundle is sealed",
    ("dpsd.time_sync", "dpsd.clock"): "the clock that is judged",
    ("dpsd.supervisor", "dpsd.turns"): "the house decides which credential is tried",
    ("dpsd.supervisor", "dpsd.wait"): "the house waits between attempts",
    ("dpsd.supervisor", "dpsd.status"): "the house tells what it does",
    ("dpsd.__main__", "dpsd.door"): "both commands have one door",
    ("dpsd.dpsctl", "dpsd.door"): "both commands have one door",
    ("dpsd.verbs.agent", "dpsd.door"): "what a command gets, and how it refuses it",
    ("dpsd.verbs.config", "dpsd.door"): "what a command gets, and how it refuses it",
    ("dpsd.verbs.derive_key", "dpsd.door"): "what a command gets, and how it refuses it",
    ("dpsd.verbs.explain", "dpsd.door"): "what a command gets, and how it refuses it",
    ("dpsd.verbs.import_bundle", "dpsd.door"): "what a command gets, and how it refuses it",
    ("dpsd.verbs.provision", "dpsd.door"): "what a command gets, and how it refuses it",
    ("dpsd.verbs.renew", "dpsd.door"): "what a command gets, and how it refuses it",
    ("dpsd.verbs.reprovision", "dpsd.door"): "what a command gets, and how it refuses it",
    ("dpsd.verbs.reset", "dpsd.door"): "what a command gets, and how it refuses it",
    ("dpsd.verbs.seal", "dpsd.door"): "what a command gets, and how it refuses it",
    ("dpsd.verbs.show", "dpsd.door"): "what a command gets, and how it refuses it",
    ("dpsd.verbs.status", "dpsd.door"): "what a command gets, and how it refuses it",
    ("dpsd.verbs.wait", "dpsd.door"): "what a command gets, and how it refuses it",
    ("dpsd.verbs.renew", "dpsd.verbs.seal"): "what is renewed in a seal is sealed again",
}
"""Imports between modules of one floor from 2 on, each with its reason."""

ONLY_IMPORTERS = {
    "paho": {"dpsd.mqtt"},
    "pyudev": {"dpsd.token_device"},
    "sdnotify": {"dpsd.notify"},
    "cryptography": {
        "dpsd.cipher",
        "dpsd.credentials.pkcs12",
        "dpsd.credentials.x509_certificate",
        "dpsd.fleet_signature",
        "dpsd.issuer",
    },
    "socks": {"dpsd.tunnel"},
}
PURE = {
    "__future__", "base64", "binascii", "collections", "difflib", "enum", "fnmatch", "hmac", "json", "math", "re",
    "sys", "tomli", "tomllib", "typing", "urllib",
}  # fmt: skip
"""All that floors 0 and 1 may import from outside; nothing in it opens, waits, or draws lots."""

HEAVY = {
    "argparse", "asyncio", "cryptography", "ctypes", "dataclasses", "hashlib", "hmac", "logging", "paho", "pathlib",
    "pyudev", "random", "secrets", "ssl", "subprocess", "tempfile", "tomli", "tomllib",
}  # fmt: skip
"""Each costs the resident daemon memory and start-up time. contextlib would be here too, but typing imports it up to
Python 3.12."""


def name_of(path: Path) -> str:
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted((CHECKOUT / "dpsd").rglob("*.py"))}
HOUSE = [name for name in MODULES if not name.startswith("dpsd.emulator")]
ANNEX = [name for name in MODULES if name.startswith("dpsd.emulator")]


def syntax(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


@functools.cache
def imports(module: str) -> frozenset[str]:
    """All that a module imports, inside functions too, and what it names in text as MODULE:FUNCTION."""
    return frozenset(found for node in ast.walk(syntax(module)) for found in _imported(node))


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0 and node.module is not None, "relative imports hide the floor"
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        modules = [name for name in inner if name in MODULES]
        yield from modules if len(modules) == len(inner) else [node.module, *modules]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from (named[1] for named in [re.fullmatch(r"(dpsd[.\w]+):\w+", node.value)] if named)


def own(module: str) -> set[str]:
    return {name for name in imports(module) if name in MODULES}


def foreign(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imports(module) if name not in MODULES}


def test_every_module_of_the_house_stands_in_the_table() -> None:
    assert sorted(FLOORS) == sorted(HOUSE)


@pytest.mark.parametrize("module", FLOORS)
def test_a_module_says_the_floor_of_the_table(module: str) -> None:
    said = re.findall(r"\bFloor (\d)", ast.get_docstring(syntax(module)) or "")
    assert said == [str(FLOORS[module])]


@pytest.mark.parametrize("module", FLOORS)
def test_a_module_imports_from_lower_floors_or_as_excepted(module: str) -> None:
    floor = FLOORS[module]
    for imported in own(module):
        assert not imported.startswith("dpsd.emulator")
        beside = floor == FLOORS[imported] and (floor < 2 or (module, imported) in SIDEWAYS)
        assert FLOORS[imported] < floor or beside, f"{module} imports {imported}"


def test_every_exception_is_needed() -> None:
    unused = [pair for pair in SIDEWAYS if pair[1] not in own(pair[0])]
    assert unused == []


def test_the_pure_floors_import_in_no_circle() -> None:
    pure = {module: own(module) for module in HOUSE if FLOORS[module] < 2}
    order = list(TopologicalSorter(pure).static_order())
    assert set(pure) <= set(order)


@pytest.mark.parametrize("module", [name for name, floor in FLOORS.items() if floor < 2])
def test_a_pure_module_touches_nothing_outside(module: str) -> None:
    calls = [node.func for node in ast.walk(syntax(module)) if isinstance(node, ast.Call)]
    called = {name.id for name in calls if isinstance(name, ast.Name)}
    assert foreign(module) <= PURE
    assert called & {"open", "print", "input", "exec", "eval", "__import__"} == set()


@pytest.mark.parametrize("package", ONLY_IMPORTERS)
def test_a_foreign_package_has_its_one_importer(package: str) -> None:
    importers = {module for module in HOUSE if package in foreign(module)}
    assert importers == ONLY_IMPORTERS[package]


def test_the_house_imports_no_other_foreign_package() -> None:
    known = sys.stdlib_module_names | ONLY_IMPORTERS.keys() | {"tomli", "tomllib"}
    strangers = {(module, name) for module in HOUSE for name in foreign(module) - known}
    assert strangers == set()


@pytest.mark.parametrize("module", ANNEX)
def test_the_emulator_shares_the_pure_floors_only(module: str) -> None:
    shared = [name for name in own(module) if name not in ANNEX]
    assert [name for name in shared if FLOORS[name] > 1] == []


def test_the_resident_daemon_loads_nothing_heavy() -> None:
    code = """if True:
        import json, sys
        sys.path.insert(0, sys.argv[1])
        import dpsd.__main__, dpsd.notify, dpsd.supervisor
        print(json.dumps(sorted(sys.modules)))
    """
    ran = subprocess.run([sys.executable, "-I", "-c", code, CHECKOUT], check=True, capture_output=True)
    loaded = set(json.loads(ran.stdout))
    assert {"dpsd.supervisor", "dpsd.publish", "sdnotify"} <= loaded
    assert loaded & {*HEAVY, "dpsd.explanations"} == set()
