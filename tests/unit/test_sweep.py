"""The sweep can fail: a secret is found by each way out, and a file that is too open by its mode."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dpsd.state.files import PAYLOAD
from tests import canaries, sweep
from tests.processes.board import LIMIT
from tests.unit.authority import make_key, pem_of_key

KEY = base64.b64encode(bytes(range(32))).decode()
RAW = base64.b64decode(KEY)
LEAKS: dict[str, bytes] = {
    "as it is": f"key={KEY};".encode(),
    "decoded": b"\0" + RAW + b"\0",
    "in hex": RAW.hex().encode(),
    "in a URL": quote(KEY, safe="").encode(),
    "inside of something encoded": base64.b64encode(b"x" + RAW + b"yz"),
    "as Python shows bytes": repr(RAW).encode(),
    "a token that it signed": b"SharedAccessSignature sr=a&sig=" + b"Ab1%2f" * 11 + b"&se=1",
    "a key nobody noted": pem_of_key(make_key("ed25519")),
    "a connection string": b"HostName=h;SharedAccessKey=" + b"A" * 44,
}
SLEEPER = "import sys; print(flush=True); sys.stdin.read()"


@pytest.fixture(autouse=True)
def noted() -> None:
    canaries.note(KEY, "the key")


def leaking(*words: str, script: str, **more: str) -> sweep.Processes:
    """Look at a process that runs, in its environment `more`, a script that waits until it has been looked at."""
    environment = {**os.environ, **more}
    with subprocess.Popen(
        [sys.executable, "-c", script, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdin and process.stdout
        process.stdout.readline()
        try:
            sweep.Processes(process.pid).look()
        finally:
            process.stdin.close()
            process.wait(LIMIT)
    raise AssertionError("nothing was found")


CHANNELS: dict[str, Callable[[], object]] = {
    "an argument": lambda: leaking(KEY, script=SLEEPER),
    "the environment": lambda: leaking(script=SLEEPER, LEAK=KEY),
    "an argument of a child": lambda: leaking(
        script=f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEPER!r}, {KEY!r}])"
    ),
    "a core-file limit": lambda: leaking("attempt", script=SLEEPER),
    "stdout": lambda: subprocess.run(["sh", "-c", f"echo {KEY}", "dpsctl"], capture_output=True, check=True),
    "stderr": lambda: subprocess.run(["sh", "-c", f"echo {KEY} >&2", "dpsctl"], capture_output=True, check=True),
}


@pytest.mark.parametrize("form", LEAKS)
def test_a_secret_is_found_in_each_form(form: str) -> None:
    assert canaries.find(b"before" + LEAKS[form] + b"after")


@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
def test_a_private_key_is_found_in_parts(kind: str) -> None:
    key = make_key(kind)
    canaries.note(pem_of_key(key), "the private key")
    lines = pem_of_key(key).splitlines()
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert canaries.find(lines[len(lines) // 2]) and canaries.find(der) and canaries.find(der.hex().encode())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert canaries.find(public) is None


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_leak_is_found_on_each_way_out(channel: str) -> None:
    with pytest.raises(sweep.LeakError):
        CHANNELS[channel]()


def test_a_leak_is_found_in_any_file_but_where_it_was_put(tmp_path: Path) -> None:
    (tmp_path / "given").write_text(KEY)
    canaries.note(KEY, "the key", tmp_path / "given")
    sweep.check_files(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/status.json").write_text(f'{{"sentence": "{KEY}"}}')
    with pytest.raises(sweep.LeakError, match=r"the key is in .*status\.json"):
        sweep.check_files(tmp_path)
    (tmp_path / "deep/status.json").unlink()


def test_the_record_may_hold_the_payload_and_no_key(tmp_path: Path) -> None:
    record = tmp_path / "state/private/assignment.json"
    record.parent.mkdir(parents=True)
    canaries.note("payload-of-the-test", PAYLOAD)
    record.write_text("payload-of-the-test")
    sweep.check_files(tmp_path)
    record.write_text(KEY)
    with pytest.raises(sweep.LeakError):
        sweep.check_files(tmp_path)
    record.unlink()


@pytest.mark.parametrize(
    ("name", "mode"),
    [("private", 0o750), ("private/assignment.json", 0o640), ("payload.json", 0o644), ("private/new", 0o600)],
)
def test_a_file_that_is_too_open_or_in_no_row_is_found(name: str, mode: int, tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "private").mkdir(parents=True, mode=0o700)
    for file in ("private/assignment.json", "payload.json"):
        (state / file).touch(0o600)
    sweep.check_device(state, tmp_path / "run")
    (state / name).touch()
    (state / name).chmod(mode)
    with pytest.raises(sweep.LeakError):
        sweep.check_device(state, tmp_path / "run")


def test_a_secret_that_was_put_somewhere_has_to_be_closed(tmp_path: Path) -> None:
    folder, own = tmp_path / "folder", frozenset({os.geteuid()})
    folder.mkdir(mode=0o755)
    key = folder / "key"
    key.touch()
    open_, none = frozenset({key.stat().st_gid}), frozenset[int]()
    for mode, above, groups in ((0o600, 0o755, none), (0o640, 0o755, open_), (0o644, 0o700, none)):
        key.chmod(mode)
        folder.chmod(above)
        sweep.check_closed(key, tmp_path, own, groups)
    for mode, above, owners, groups in (
        (0o640, 0o755, own, none),
        (0o644, 0o755, own, open_),
        (0o660, 0o755, own, open_),
        (0o644, 0o711, own, none),
        (0o600, 0o700, none, none),
    ):
        key.chmod(mode)
        folder.chmod(above)
        with pytest.raises(sweep.LeakError):
            sweep.check_closed(key, tmp_path, owners, groups)
