"""`dpsctl status`: what the daemon does, in lines for people or as JSON."""

from __future__ import annotations

import json
import math
import time
from typing import Any

from dpsd.configuration.observed import configuration_files
from dpsd.dpsctl.arguments import Arguments
from dpsd.errors import EXIT_DONE, EXIT_NOT_PROVISIONED, PROBLEMS, Problem
from dpsd.provisioning.candidate import has_settings
from dpsd.state.places import Places
from dpsd.system.daemon import is_provisioned, is_running, load_status, read_problem
from dpsd.text import printable


def run(arguments: Arguments) -> int:
    places = arguments.places
    status, provisioned = load_status(places.runtime), is_provisioned(places.runtime)
    if arguments.has("--json"):
        known = {"running": is_running(status), "provisioned": provisioned, "settings_wait": has_settings(places)}
        print(json.dumps({**(status or {}), **known}))
    else:
        print("\n".join(_status_lines(status, provisioned, places)))
    return EXIT_DONE if provisioned else EXIT_NOT_PROVISIONED


def _status_lines(status: dict[str, Any] | None, provisioned: bool, places: Places) -> list[str]:
    lines = [f"provisioned: {'yes' if provisioned else 'no'}"]
    if has_settings(places):
        lines.append("settings: newly imported ones wait to be tried; to drop them: sudo dpsctl seal --discard")
    if status is None or not is_running(status):
        code = "not-running" if configuration_files(places.configuration) else "configuration-missing"
        return [*lines, "daemon: not running", f"hint: {PROBLEMS[code].hint}"]
    lines.append(f"daemon: {printable(status.get('state'))} since {printable(status.get('since'))}")
    lines.append(f"doing: {printable(status.get('step'))}")
    problem, moment = read_problem(status), _next_try(status)
    if problem is not None:
        lines += _problem_lines("problem", problem)
    lines += [*_certificate_lines(status, problem), *_board_lines(status)]
    if moment is not None:
        lines.append(f"next try: in {max(0, round(moment - time.clock_gettime(time.CLOCK_BOOTTIME)))} s")
    return lines


def _problem_lines(name: str, problem: Problem) -> list[str]:
    said = [f"{name}: {problem.code}: {sentence}" for sentence in (problem.sentence, *problem.also)]
    return [*said, f"hint: {problem.hint}"]


def _certificate_lines(status: dict[str, Any], said: Problem | None) -> list[str]:
    """Return when the certificate ends, and what is to be done where that is near; said: what is there already."""
    told = status.get("certificate")
    if not isinstance(told, dict):
        return []
    problem = read_problem(told)
    ends = f"certificate: ends {printable(told.get('not_after'))}"
    if problem is None or (said is not None and said.code == problem.code):
        return [ends]
    return [ends, *_problem_lines("warning", problem)]


def _board_lines(status: dict[str, Any]) -> list[str]:
    told = status.get("board")
    words = {name: printable(value) for name, value in told.items() if value} if isinstance(told, dict) else {}
    said = [f"{name.replace('_', ' ')} {words[name]}" for name in ("model", "serial_number", "card") if name in words]
    return [f"board: {', '.join(said)}"] if said else []


def _next_try(status: dict[str, Any]) -> float | None:
    """Return the moment of the next attempt, by the clock that counts from the boot."""
    told = status.get("next_try")
    moment = told.get("boottime") if isinstance(told, dict) else None
    return moment if isinstance(moment, float) and math.isfinite(moment) else None
