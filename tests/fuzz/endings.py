"""What may become of any input: a value, or a refusal with a name that is fit to be shown."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator

from dpsd.errors import Problem, encode_problem
from dpsd.protocol.retry import choose_delay
from dpsd.shape import Table
from dpsd.state.messages import parse_problem

SENTENCE_LIMIT = 1000
"""Characters; what the journal shows of a line."""
RUN = 12
"""Characters of base64 in a row that cannot be a coincidence: no word of ours, or of OpenSSL's, is as long."""


@contextlib.contextmanager
def refusing(*errors: type[Exception]) -> Iterator[None]:
    """Let what is inside end in one of `errors`; anything else passes through and is a finding."""
    try:
        yield
    except errors:
        pass


@contextlib.contextmanager
def problems(*codes: str, secret: bytes = b"") -> Iterator[None]:
    """Let what is inside end in a Problem of `codes` that can be shown, and shows nothing of `secret`."""
    try:
        yield
    except Problem as problem:
        assert problem.code in codes, problem
        check_shown(problem)
        check_silent(problem, secret)


def check_shown(problem: Problem) -> None:
    """Fail unless all ways in which a problem goes on can take it: the journal, the pipe, the retry policy."""
    sentences = [problem.sentence, problem.hint, *problem.also]
    for sentence in sentences:
        check_line(sentence)
    carried = parse_problem(Table(json.loads(json.dumps(encode_problem(problem)))))
    assert encode_problem(carried) == encode_problem(problem)
    seconds = choose_delay(problem, 1, 0.5)
    assert seconds is None or (math.isfinite(seconds) and seconds > 0)


def check_line(text: str) -> None:
    """Fail unless `text` is one line of printable ASCII."""
    assert re.fullmatch(rf"[ -~]{{0,{SENTENCE_LIMIT}}}", text), ascii(text[: 2 * SENTENCE_LIMIT])


def check_silent(problem: Problem, secret: bytes) -> None:
    """Fail if the problem repeats a part of a secret file."""
    told = " ".join([problem.sentence, problem.hint, *problem.also])
    for run in re.findall(rb"[A-Za-z0-9+/=]{%d,}" % RUN, secret):
        parts = {run[at : at + RUN].decode() for at in range(len(run) - RUN + 1)}
        assert not [part for part in parts if part in told], "a secret file's content is shown"
