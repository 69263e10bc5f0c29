"""./dev fuzz: the targets of tests/fuzz under atheris, one after the other, and what came of it.

What is found, and the inputs that reach new code, are kept below build/fuzz from run to run. An input that shows a bug
stays in tests/fuzz/corpus for good, where every run of the tests tries it.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from workshop.dev import environments, places
from workshop.dev.environments import Environment
from workshop.dev.failure import Failure

SECONDS = 60
"""For each target, unless said otherwise."""
INPUT_SECONDS, INPUT_BYTES, MEMORY = 10, 8192, 1024
"""Limits: of one execution, of one input, and MiB of the whole process."""
ENDING = 60
"""Seconds for a process to start, and to end by itself when its time is over."""
CORPUS = places.CHECKOUT / "tests/fuzz/corpus"
KEPT = places.BUILD / "fuzz"
PYTHONS = ((3, 11), (3, 13))


class Outcome(NamedTuple):
    """What came of one target. coverage: edges in dpsd's code. corpus: inputs that each reach something more."""

    target: str
    executions: int
    coverage: int
    corpus: int
    findings: list[Path]

    def __str__(self) -> str:
        figures = f"{self.executions:>11} {self.coverage:>9} {self.corpus:>7} {len(self.findings):>9}"
        return f"{self.target:22} {figures}"


def fuzz(arguments: Sequence[str]) -> int:
    """Run the targets named, or all, for --seconds N each. The exit status: 1 with findings."""
    targets, seconds = parse(arguments)
    python = environments.python_of(engine())
    outcomes = []
    for target in targets:
        print(f"dev: {target}, {seconds} s", flush=True)
        outcomes.append(run(python, target, seconds))
    print(table(outcomes))
    found = [(outcome.target, path) for outcome in outcomes for path in outcome.findings]
    for target, path in found:
        print(advice(target, path))
    return 1 if found else 0


def parse(arguments: Sequence[str]) -> tuple[list[str], int]:
    """The targets and seconds. Raises Failure for a target that is none."""
    words, seconds = list(arguments), SECONDS
    known = sorted(path.name for path in CORPUS.iterdir())
    if "--seconds" in words:
        at = words.index("--seconds")
        number = "".join(words[at + 1 : at + 2])
        if not re.fullmatch("[1-9][0-9]{0,5}", number):
            raise Failure("--seconds needs a number", "./dev fuzz --seconds 60")
        seconds = int(number)
        del words[at : at + 2]
    for word in words:
        if word not in known:
            raise Failure(f"no such target: {word}", f"one of: {' '.join(known)}")
    return words or known, seconds


def engine() -> Environment:
    """What the tests need, and atheris. Raises Failure where that cannot be had."""
    first, last = PYTHONS
    if platform.machine() != "x86_64" or not first <= sys.version_info[:2] <= last:
        hint = "run it on an x86-64 Debian 12 or 13; the tests feed the same targets anywhere"
        raise Failure("atheris is there for x86-64 and Python 3.11 to 3.13 only", hint)
    return Environment("fuzz", (*environments.development().requirements, "atheris>=3"))


def run(python: Path, target: str, seconds: int) -> Outcome:
    """Run one target until its time is over, or something is found."""
    folder = KEPT / target
    for name in ("corpus", "findings"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "words").write_text(words_of(target))
    log = folder / "log"
    with log.open("wb") as output:
        command = ["nice", python, "-m", "tests.fuzz.under_atheris", target, *options(target, seconds)]
        ended = subprocess.run(
            [str(word) for word in command],
            cwd=places.CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=seconds + ENDING,
            check=False,
        )
    outcome = read(target, log.read_text(errors="replace"))
    if ended.returncode != 0 and not outcome.findings:
        raise Failure(f"{target} ended with status {ended.returncode} and no finding", f"see {log}")
    return outcome


def options(target: str, seconds: int) -> list[str]:
    """What libFuzzer is told: limits, and folders of inputs, the first of which gets the new ones."""
    folder = KEPT / target
    limits = {"max_total_time": seconds, "timeout": INPUT_SECONDS, "rss_limit_mb": MEMORY, "max_len": INPUT_BYTES}
    said = {**limits, "dict": folder / "words", "artifact_prefix": f"{folder}/findings/", "print_final_stats": 1}
    inputs = (folder / "corpus", CORPUS / target, folder / "findings")
    return [*(f"-{name}={value}" for name, value in said.items()), *map(str, inputs)]


def words_of(target: str) -> str:
    """The words of a target's corpus, as libFuzzer reads them: what a mutation may put in or exchange."""
    texts = [path.read_bytes() for path in (CORPUS / target).iterdir()]
    words = {word.decode() for text in texts for word in re.findall(rb"[A-Za-z0-9$./_-]{3,40}", text)}
    return "".join(f'"{word}"\n' for word in sorted(words))


def read(target: str, log: str) -> Outcome:
    """Read libFuzzer's log."""
    progress = re.findall(r"cov: (\d+) .*?corp: (\d+)/", log) or [("0", "0")]
    executions = re.search(r"number_of_executed_units: *(\d+)", log)
    findings = [Path(name) for name in re.findall(r"Test unit written to (\S+)", log)]
    coverage, corpus = map(int, progress[-1])
    return Outcome(target, int(executions[1]) if executions else 0, coverage, corpus, findings)


def table(outcomes: Sequence[Outcome]) -> str:
    heads = f"{'target':22} {'executions':>11} {'coverage':>9} {'corpus':>7} {'findings':>9}"
    return "\n".join([heads, *map(str, outcomes)])


def advice(target: str, finding: Path) -> str:
    """How to look at a finding, and how to keep it when it is mended."""
    python = environments.python_of(environments.development())
    return "\n".join(
        [
            f"finding: {finding}",
            f"  what happened: {KEPT / target / 'log'}",
            "  to keep the least of it, under a name that says what is odd about it:",
            f"  {python} -m tests.fuzz.minimal {target} {finding} > {CORPUS / target}/NAME",
        ]
    )
