"""`dpsctl seal`: what it is asked, in which order it acts, and what it says."""

from __future__ import annotations

import shlex
import subprocess
import sys
from contextlib import suppress

from dpsd.configuration.merge import Effective
from dpsd.credentials.material import check_material
from dpsd.credentials.sealed import Unsealed
from dpsd.dpsctl.arguments import Arguments
from dpsd.dpsctl.reset import FLASH
from dpsd.errors import EXIT_DONE, Problem
from dpsd.keys.request import SOURCES
from dpsd.sealing.for_systemd import hand_to_systemd
from dpsd.sealing.plaintext import (
    INPUTS,
    SIZE_LIMIT,
    Plaintext,
    list_configured_files,
    load_effective,
    parse_text,
    read_files,
    remove_secrets,
)
from dpsd.sealing.seal import Sealed, discard_candidate, forget_keys, open_seals, reseal, seal
from dpsd.state.places import Places, State
from dpsd.system.command import UsageError
from dpsd.system.daemon import ask_to_reload
from dpsd.system.owner import run_as_owner
from dpsd.text import printable

_ALONE = ("--check", "--reseal", "--discard")


def run(arguments: Arguments) -> int:
    """Do what the arguments say; raises UsageError and Problem."""
    given = {name: arguments.options[option] for name in INPUTS if (option := _option(name)) in arguments.options}
    asked = [option for option in _ALONE if arguments.has(option)]
    from_input = arguments.operands == ["-"]
    if len(asked) + bool(given) + from_input > 1 or (arguments.operands and not from_input):
        raise UsageError(f"one of: files, - for standard input, {', '.join(_ALONE)}")
    if arguments.options.get("--source", SOURCES[0]) not in SOURCES:
        raise UsageError(f"--source is one of: {' '.join(SOURCES)}")
    if asked and arguments.has("--systemd"):
        raise UsageError(f"{asked[0]} is for what dpsd seals; what systemd has is replaced by sealing it again")
    if asked:
        _ACTIONS[asked[0]](arguments)
        return EXIT_DONE
    found = load_effective(arguments.places)
    plaintext = parse_text(sys.stdin.buffer.read(SIZE_LIMIT + 1)) if from_input else _from_files(given, found)
    if arguments.has("--systemd"):
        _hand_over(plaintext, found)
    else:
        _seal(plaintext, found, arguments.places, arguments.options.get("--source"))
    _clean(plaintext, found, arguments)
    _tell_daemon(arguments.places)
    return EXIT_DONE


def seal_files(paths: dict[str, str], places: Places) -> None:
    """Seal the credential in files, which stay, say so and tell the daemon; paths: by name in `INPUTS`."""
    found = load_effective(places)
    _seal(read_files(paths), found, places)
    _tell_daemon(places)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _from_files(given: dict[str, str], found: Effective | None) -> Plaintext:
    """Read what is named, or else what the configuration names."""
    paths = given or (list_configured_files(found) if found is not None else {})
    if not paths:
        raise UsageError("say what to seal: --certificate and --private-key, or --primary-key, or - for standard input")
    return read_files(paths)


def _check_type(plaintext: Plaintext, found: Effective | None, store: str) -> None:
    """Raise Problem `credential-*` where it is none, or the configuration wants another one in this store."""
    check_material(plaintext.material, "what was given")
    kind = plaintext.material.type
    if found is not None and found.config.credential.store == store and found.config.credential.type != kind:
        said = f"credential.type is {found.config.credential.type} in the configuration, and this is {kind}"
        raise Problem("credential-invalid", said, hint="set credential.type first, or seal the other credential")


def _seal(plaintext: Plaintext, found: Effective | None, places: Places, source: str | None = None) -> None:
    _check_type(plaintext, found, "sealed")
    _show_sealed(seal(places, plaintext.material, source), places.state)


def _show_sealed(done: Sealed, state: State) -> None:
    for source, problem in done.passed.items():
        print(f"not sealed by {source}: {printable(problem.sentence)}")
    board = f"board {done.header.board}" if done.header.board else "a board without a serial number"
    print(f"sealed as {printable(done.path)} by {done.header.source}, for {board}; it opens")
    if done.path == state.candidate:
        print("the credential in use stays until this one has provisioned; see: dpsctl status")


def _hand_over(plaintext: Plaintext, found: Effective | None) -> None:
    _check_type(plaintext, found, "systemd")
    for path in hand_to_systemd(plaintext.material):
        print(f"wrote {path}")
    subprocess.run(["systemctl", "daemon-reload"], check=False)
    print("it counts after: systemctl restart --no-block dpsd")


def _clean(plaintext: Plaintext, found: Effective | None, arguments: Arguments) -> None:
    """Remove the plaintext where nothing needs it, and say which lines of the configuration do."""
    store = "systemd" if arguments.has("--systemd") else "sealed"
    changes = _changes(found, store)
    if changes:
        print("\n".join(["the configuration does not use it yet; change it so:", *changes]))
    if arguments.has("--keep"):
        return
    gone, kept = remove_secrets(plaintext, found)
    for path in gone:
        print(f"removed {printable(path)}")
    if gone:
        print(FLASH)
    if kept:
        print(f"kept, since the configuration names it: {printable(' '.join(kept), 1000)}")
        print(f"after the change this removes it: {_again(found, store)}")


def _again(found: Effective | None, store: str) -> str:
    """Return the command that seals the same files when the configuration does not name them any more."""
    files = list_configured_files(found) if found is not None else {}
    words = ["sudo dpsctl seal", *(["--systemd"] if store == "systemd" else [])]
    return " ".join([*words, *(f"{_option(name)} {printable(shlex.quote(path))}" for name, path in files.items())])


def _changes(found: Effective | None, store: str) -> list[str]:
    """Return what to change so that the configuration uses the store, nothing if it does or there is none."""
    if found is None or found.config.credential.store == store:
        return []
    settings = {f"credential.{name}_file": name for name in INPUTS}
    named = [(key, value.origin) for key, value in found.values.items() if key in settings and value.value is not None]
    lines = [f"  remove {key} ({origin})" for key, origin in named]
    origin = found.values["credential.store"].origin
    return [
        *lines,
        f'  add credential.store = "{store}"'
        if origin == "default"
        else f'  set credential.store = "{store}" ({origin})',
    ]


def _check(arguments: Arguments) -> None:
    for path, unsealed in open_seals(arguments.places):
        print("\n".join(_described(path, unsealed)))


def _described(path: str, unsealed: Unsealed) -> list[str]:
    header, credential = unsealed
    lines = [
        f"{printable(path)}: it opens here and now, and its parts belong together",
        f"  source: {header.source}",
        f"  board: {printable(header.board) or 'without a serial number'}",
        f"  type: {header.type}",
    ]
    if credential.x509 is None:
        return [*lines, f"  keys: {len(credential.keys)}"]
    end = credential.x509.leaf.not_after
    return [*lines, f"  CN: {printable(credential.common_name)}", f"  ends: {end:%Y-%m-%d %H:%M} UTC"]


def _reseal(arguments: Arguments) -> None:
    _show_sealed(reseal(arguments.places, arguments.options.get("--source")), arguments.places.state)
    gone = list(forget_keys(arguments.places))
    for path in gone:
        print(f"removed {printable(path)}, which opened the earlier seal")
    if gone:
        print(FLASH)
    _tell_daemon(arguments.places)


def _discard(arguments: Arguments) -> None:
    done = discard_candidate(arguments.places)
    print(f"dropped the {done}; what is in use stays" if done else "there is nothing new to drop")
    _tell_daemon(arguments.places)


def _tell_daemon(places: Places) -> None:
    """Ask as the state's owner for good: the status file is its own, and could name any process of root's."""

    def ask() -> bytes:
        with suppress(Problem):
            ask_to_reload(places)
        return b""

    run_as_owner(places.state, ask)


_ACTIONS = {"--check": _check, "--reseal": _reseal, "--discard": _discard}
