"""The floors of docs/architecture.md: a folder is a floor, and imports only from the rows above its own.

What the resident daemon may load is tested here too, and which module may import a foreign package.
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

FLOORS = [
    ("errors",),
    ("text",),
    ("secret", "shape"),
    ("explanations",),
    ("protocol", "state"),
    ("system", "outputs"),
    ("configuration",),
    ("keys",),
    ("credentials",),
    ("network",),
    ("hub",),
    ("provisioning",),
    ("daemon", "doors", "sealing"),
    ("importing",),
    ("dpsctl",),
    ("emulator",),
]
"""The rooms of dpsd: a module for each of the words, else a folder. The command `dpsd`, `__main__`, may import all."""

PURE = ("errors", "text", "secret", "shape", "explanations", "protocol", "state", "outputs")
"""Rooms in which nothing opens, waits, or draws lots."""
TYPING = "TYPE_CHECKING"
CHAIN = 4
"""Modules that a chain of imports inside one room may have."""
PURE_MODULES = ("dpsd.daemon.actions", "dpsd.daemon.machine")
"""Modules of other rooms that are as pure, and import besides themselves from pure rooms alone."""
PURE_IMPORTS = {
    "__future__", "base64", "binascii", "collections", "difflib", "enum", "fnmatch", "hmac", "json", "math", "re",
    "sys", "typing", "urllib",
}  # fmt: skip
"""All that they may import from outside."""

SHARED_WITH_EMULATOR = ("errors", "text", "secret", "shape", "protocol")
"""The emulator sees the words and the protocol, and nothing of the house imports it."""

ONLY_IMPORTERS = {
    "paho": {"dpsd.network.mqtt"},
    "pyudev": {"dpsd.credentials.token_device"},
    "sdnotify": {"dpsd.system.notify"},
    "cryptography": {
        "dpsd.keys.cipher",
        "dpsd.credentials.pkcs12",
        "dpsd.credentials.certificate",
        "dpsd.importing.signature",
        "dpsd.network.issuer",
    },
    "socks": {"dpsd.network.tunnel"},
}

HEAVY = {
    "argparse", "asyncio", "cryptography", "ctypes", "dataclasses", "hashlib", "hmac", "logging", "paho", "pathlib",
    "pyudev", "random", "secrets", "ssl", "subprocess", "tempfile", "tomli", "tomllib", "traceback",
}  # fmt: skip
"""Each costs the resident daemon memory and start-up time. contextlib would be here too, but typing imports it up to
Python 3.12."""


def name_of(path: Path) -> str:
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted((CHECKOUT / "dpsd").rglob("*.py"))}
HEIGHTS = {room: height for height, row in enumerate(FLOORS) for room in row}
HOUSE = [name for name in MODULES if not name.startswith("dpsd.emulator")]


def room_of(module: str) -> str:
    """The folder of a module inside dpsd; the package itself is in no room."""
    return room(module) if module.count(".") > 1 else module


def room(module: str) -> str:
    """The module or folder directly below dpsd that a module is, or is in."""
    return module.split(".")[1]


IN_ROOMS = [name for name in MODULES if name not in ("dpsd", "dpsd.__main__")]


@functools.cache
def syntax(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


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


def loaded(module: str) -> set[str]:
    """What a module imports of its own when it runs, rather than for the type checker alone."""
    tests = [node for node in ast.walk(syntax(module)) if isinstance(node, ast.If) and ast.unparse(node.test) == TYPING]
    typing = {found for test in tests for node in ast.walk(test) for found in _imported(node)}
    return own(module) - typing


def foreign(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imports(module) if name not in MODULES}


def test_every_room_has_its_floor() -> None:
    assert {room(module) for module in IN_ROOMS} == HEIGHTS.keys()


def test_the_documents_say_what_each_room_is_for_in_the_order_of_the_floors() -> None:
    described = re.findall(r"^\| `(\w+)(?:\.py)?`", (CHECKOUT / "docs/architecture.md").read_text(), re.MULTILINE)
    assert described == [room for row in FLOORS for room in row]


def test_no_test_module_is_imported() -> None:
    tests = [path for path in (CHECKOUT / "tests").rglob("*.py") if "test_" in path.name]
    nodes = [node for path in (CHECKOUT / "tests").rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    imported = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    named = {name for node in imported for name in (node.module, *(f"{node.module}.{one.name}" for one in node.names))}
    assert tests and named & {name_of(path) for path in tests} == set()


@pytest.mark.parametrize("module", IN_ROOMS)
def test_a_module_imports_from_its_own_folder_and_from_lower_floors(module: str) -> None:
    used = {room(name) for name in own(module) - {"dpsd"}} - {room(module)}
    assert {name for name in used if HEIGHTS[name] >= HEIGHTS[room(module)]} == set()


def test_no_imports_go_in_a_circle() -> None:
    TopologicalSorter({module: own(module) for module in MODULES}).prepare()


def test_inside_a_room_a_chain_of_imports_is_short() -> None:
    depths: dict[str, int] = {}
    inside = {module: {name for name in loaded(module) if room_of(name) == room_of(module)} for module in IN_ROOMS}
    for module in TopologicalSorter(inside).static_order():
        depths[module] = 1 + max((depths[name] for name in inside[module]), default=0)
    assert {module: depth for module, depth in depths.items() if depth > CHAIN and room(module) != "emulator"} == {}


@pytest.mark.parametrize("module", [*(name for name in IN_ROOMS if room(name) in PURE), *PURE_MODULES])
def test_a_pure_module_touches_nothing_outside(module: str) -> None:
    calls = [node.func for node in ast.walk(syntax(module)) if isinstance(node, ast.Call)]
    called = {name.id for name in calls if isinstance(name, ast.Name)}
    assert foreign(module) <= PURE_IMPORTS
    assert called & {"open", "print", "input", "exec", "eval", "__import__"} == set()
    assert {name for name in own(module) if room(name) not in PURE} <= {*PURE_MODULES}


@pytest.mark.parametrize("module", [name for name in IN_ROOMS if room(name) == "emulator"])
def test_the_emulator_shares_the_words_and_the_protocol(module: str) -> None:
    assert {room(name) for name in own(module) - {"dpsd"}} <= {*SHARED_WITH_EMULATOR, "emulator"}


@pytest.mark.parametrize("package", ONLY_IMPORTERS)
def test_a_foreign_package_has_its_one_importer(package: str) -> None:
    importers = {module for module in HOUSE if package in foreign(module)}
    assert importers == ONLY_IMPORTERS[package]


def test_the_house_imports_no_other_foreign_package() -> None:
    known = sys.stdlib_module_names | ONLY_IMPORTERS.keys() | {"tomli", "tomllib"}
    strangers = {(module, name) for module in HOUSE for name in foreign(module) - known}
    assert strangers == set()


def test_the_resident_daemon_loads_nothing_heavy() -> None:
    code = """if True:
        import json, sys
        sys.path.insert(0, sys.argv[1])
        import dpsd.__main__, dpsd.system.notify, dpsd.daemon.supervisor
        print(json.dumps(sorted(sys.modules)))
    """
    ran = subprocess.run([sys.executable, "-I", "-c", code, CHECKOUT], check=True, capture_output=True)
    loaded = set(json.loads(ran.stdout))
    assert {"dpsd.daemon.supervisor", "dpsd.provisioning.publish", "sdnotify"} <= loaded
    assert loaded & {*HEAVY, "dpsd.explanations", "dpsd.dpsctl", "dpsd.state.files"} == set()
