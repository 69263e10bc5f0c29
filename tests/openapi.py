"""docs/token-door.openapi.yaml, with which each answer of the token door in a test is compared."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import yaml  # type: ignore[import-untyped]

PATH = Path(__file__).parents[1] / "docs/token-door.openapi.yaml"
WITHOUT_OPERATION = {404, 405, 408, 411, 413}
"""Statuses of what is no request to any operation; `Invalid` says so."""


@functools.cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(PATH.read_text())
    return found


def check(method: str, target: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Fail unless the document says that this can be answered to a request, and in this form."""
    response = _response(method.lower(), target.partition("?")[0], status)
    for name, said in response.get("headers", {}).items():
        assert name.lower() in headers or not said.get("required"), f"{name} is missing"
    kind = headers["content-type"].partition(";")[0]
    value = json.loads(body) if kind == "application/json" else body.decode()
    schema = {**response["content"][kind]["schema"], "components": document()["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def _response(method: str, path: str, status: int) -> dict[str, Any]:
    if status in WITHOUT_OPERATION:
        invalid: dict[str, Any] = document()["components"]["responses"]["Invalid"]
        assert str(status) in invalid["description"]
        return invalid
    found: dict[str, Any] = document()["paths"][path][method]["responses"][str(status)]
    reference = found.get("$ref")
    if reference is None:
        return found
    named: dict[str, Any] = document()["components"]["responses"][reference.rpartition("/")[2]]
    return named
