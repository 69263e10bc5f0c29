"""The emulator needs the standard library and what its extra in pyproject.toml names, and nothing else."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.unit.examples import CHECKOUT

MODULES = {"cryptography": "cryptography", "pyOpenSSL": "OpenSSL", "websockets": "websockets"}
"""What the distributions of the extra are imported as."""
THEIR_OWN = {"cffi", "_cffi_backend", "typing_extensions"}
"""What these load in turn."""


def imported(path: Path) -> Iterator[str]:
    """Yield the packages that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def test_the_emulator_imports_what_its_extra_installs() -> None:
    text = (CHECKOUT / "pyproject.toml").read_text()
    extra = re.search(r"^emulator = (\[.*\])$", text, re.MULTILINE)
    assert extra
    assert {re.split("[><=]", name)[0] for name in json.loads(extra[1])} == MODULES.keys()
    found = {name for path in (CHECKOUT / "dpsd/emulator").rglob("*.py") for name in imported(path)}
    assert found - sys.stdlib_module_names == {"dpsd", *MODULES.values()}


def test_nothing_else_is_loaded() -> None:
    code = """if True:
        import json, sys
        before = set(sys.modules)
        import dpsd.emulator.__main__
        files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
        print(json.dumps([name for name, file in files.items() if "site-packages" in file and name not in before]))
    """
    ran = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=True, capture_output=True)
    loaded = {name.partition(".")[0] for name in json.loads(ran.stdout)}
    assert set(MODULES.values()) <= loaded
    assert loaded - {*MODULES.values(), *THEIR_OWN} == set()
