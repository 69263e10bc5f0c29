"""The floors of docs/architecture.md: which module may import which, and what the resident daemon may load.

A module's docstring says its floor, and nothing else does.
"""

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

SHARED_HANDS = {"dpsd.alarm", "dpsd.child", "dpsd.clock", "dpsd.durable", "dpsd.sysfs"}
"""What any module of floor 2 may use: time limits, child processes, the clocks, and one way to write and read files and
the kernel's."""

HANDS = {
    "dpsd.board_names": {"dpsd.board", "dpsd.hardware_address", "dpsd.machine_id"},  # the names of a board
    "dpsd.bundle": {"dpsd.archives"},  # one form of a bundle
    "dpsd.bundle_content": {"dpsd.bundle", "dpsd.credentials"},  # whose files they are, and what they hold
    "dpsd.credentials": {"dpsd.board", "dpsd.cipher", "dpsd.firmware", "dpsd.keys"},  # a seal is of one board
    "dpsd.fleet_signature": {"dpsd.bundle"},  # what is signed
    "dpsd.keys": {"dpsd.firmware", "dpsd.machine_id", "dpsd.systemd_creds"},  # the sources
    "dpsd.machine_id": {"dpsd.mounts"},  # a transient machine id is a mount
    "dpsd.network": {"dpsd.credentials", "dpsd.steps"},  # who logs in, and what is told of it
    "dpsd.systemd_creds": {"dpsd.machine_id"},  # what its secret depends on
}
"""Floor 2 has a module, or a package of them, for each thing outside. They do not import each other but for these."""

ONLY_IMPORTERS = {
    "paho": {"dpsd.network.mqtt"},
    "pyudev": {"dpsd.token_device"},
    "sdnotify": {"dpsd.notify"},
    "cryptography": {
        "dpsd.cipher",
        "dpsd.credentials.pkcs12",
        "dpsd.credentials.x509_certificate",
        "dpsd.fleet_signature",
        "dpsd.network.issuer",
    },
    "socks": {"dpsd.network.tunnel"},
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


@functools.cache
def syntax(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def said_floors(module: str) -> list[int]:
    return [int(digit) for digit in re.findall(r"\bFloor (\d)", ast.get_docstring(syntax(module)) or "")]


FLOORS = {module: floor for module in HOUSE for floor in said_floors(module)}
PURE_MODULES = [name for name, floor in FLOORS.items() if floor < 2]


@functools.cache
def imports(module: str) -> frozenset[str]:
    """All that a module imports, inside functions too."""
    return frozenset(found for node in ast.walk(syntax(module)) for found in _imported(node))


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0 and node.module is not None, "relative imports hide the floor"
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        modules = [name for name in inner if name in MODULES]
        yield from modules if len(modules) == len(inner) else [node.module, *modules]


def own(module: str) -> set[str]:
    return {name for name in imports(module) if name in MODULES}


def foreign(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imports(module) if name not in MODULES}


def hand(module: str) -> str:
    """The module or package directly below dpsd that a module is, or is of."""
    return ".".join(module.split(".")[:2])


def beside(module: str) -> set[str]:
    """The other hands that a module of floor 2 imports."""
    return {hand(name) for name in own(module) if FLOORS[name] == 2} - {hand(module)}


@pytest.mark.parametrize("module", HOUSE)
def test_a_module_says_its_floor(module: str) -> None:
    assert len(said_floors(module)) == 1 and FLOORS[module] in range(6)


@pytest.mark.parametrize("module", HOUSE)
def test_a_module_imports_from_no_higher_floor(module: str) -> None:
    assert own(module) <= FLOORS.keys(), "the emulator is no part of the house"
    assert [name for name in own(module) if FLOORS[name] > FLOORS[module]] == []


def test_no_imports_go_in_a_circle() -> None:
    TopologicalSorter({module: own(module) for module in MODULES}).prepare()


@pytest.mark.parametrize("module", [name for name, floor in FLOORS.items() if floor == 2])
def test_a_hand_uses_no_other_hand_but_as_excepted(module: str) -> None:
    assert beside(module) - SHARED_HANDS <= HANDS.get(hand(module), set())


def test_every_exception_is_needed() -> None:
    used = {(hand(module), other) for module in FLOORS if FLOORS[module] == 2 for other in beside(module)}
    assert {(one, other) for one, others in HANDS.items() for other in others} <= used
    assert {other for _, other in used} >= SHARED_HANDS


@pytest.mark.parametrize("module", PURE_MODULES)
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
