"""The documents say what the code says: problems, settings, commands, files, examples, links."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dpsd import errors
from dpsd.configuration.merge import Effective, parse_config
from dpsd.configuration.settings import REQUIRED, SETTINGS, Layer
from dpsd.configuration.stores import STORES
from dpsd.dpsctl.__main__ import COMMANDS
from dpsd.dpsctl.arguments import COMMON_OPTIONS
from dpsd.emulator.dps.enrollments import parse_enrollments
from dpsd.emulator.switches import Switches
from dpsd.emulator.wire.faults import parse_faults
from dpsd.errors import PROBLEMS
from dpsd.explanations import FOLLOWS, explain
from dpsd.keys.request import SOURCES
from dpsd.outputs import FORMATS
from dpsd.protocol.dps import FAILED, REFUSED
from dpsd.protocol.identifiers import Endpoint
from dpsd.shape import Table
from dpsd.state.connection import Authentication, Connection, Mqtt
from dpsd.state.files import ROWS, Row
from dpsd.state.places import CONFIGURATION, Places
from dpsd.system.command import PLACES_OPTIONS
from workshop.dev import places

DOCS = places.CHECKOUT / "docs"
README = places.CHECKOUT / "README.md"
PROBLEMS_PAGE = (DOCS / "problems.md").read_text().replace("`", "")
PAGES = {name: (DOCS / "man" / name).read_text() for name in ("dpsd.8", "dpsctl.1", "dpsd.toml.5")}
TEXTS = [README, places.CHECKOUT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
REQUIRED_BY_TYPE = {
    "dps.registration_id",
    "credential.certificate_file",
    "credential.private_key_file",
    "credential.primary_key_file",
    "credential.token_uri",
    "credential.module",
}
ENVIRONMENTS = [
    FORMATS["env"](
        Connection(
            "contoso.azure-devices.net",
            "pi-0001",
            "pi-0001",
            "0ne00AB12CD",
            authentication,
            Mqtt("contoso.azure-devices.net", 8883, "mqtt", "pi-0001", "user", "system", None),
            "initialAssignment",
            "",
            "",
        )
    ).decode()
    for authentication in (
        Authentication("x509", "/etc/dpsd/device.pem", "/etc/dpsd/device.key"),
        Authentication("x509", "/etc/dpsd/device.pem", private_key_uri="pkcs11:...", pkcs11_module="/usr/lib/m.so"),
        Authentication("x509", store="systemd"),
        Authentication(
            "sas", identity_socket=Places().runtime.identity_socket, connection_string_file="/run/dpsd/credentials/..."
        ),
    )
]


class Item(NamedTuple):
    """A tagged item of a man page: where it stands, its first line, and its text."""

    section: str
    head: str
    text: str


def items(page: str) -> Iterator[Item]:
    """Yield the items of a page."""
    section, head, text = "", "", ""
    for line in [*PAGES[page].splitlines(), ".Sh END"]:
        starts = line.startswith((".Sh ", ".Ss ", ".It "))
        if starts and head:
            yield Item(section, head, text)
        if line.startswith(".It "):
            head, text = line[len(".It ") :], ""
        elif starts:
            section, head = line.split(" ", 1)[1].removesuffix("\\&"), ""
        else:
            text += line + "\n"


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def accept(text: str) -> Effective:
    """Parse a configuration; it must be a whole one."""
    return parse_config([Layer("example", text)])


def test_problems_are_those_of_the_code() -> None:
    row = r"^\| ([a-z0-9-]+) \| (\w+) \| (\d+) \| (.+) \| (.*) \|$"
    rows = re.findall(row, PROBLEMS_PAGE, re.MULTILINE)
    documented = [(code, retry, int(status), meaning, hint) for code, retry, status, meaning, hint in rows]
    known = map(explain, PROBLEMS)
    assert documented == [(one["code"], one["class"], one["exit_status"], one["meaning"], one["hint"]) for one in known]


def test_every_class_says_what_follows() -> None:
    rows = re.findall(r"^\| (\w+) \| (another .*) \|$", PROBLEMS_PAGE, re.MULTILINE)
    assert dict(rows) == {retry.value: follows for retry, follows in FOLLOWS.items()}


def test_exact_hints_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| a (refused|failed) \w+ \| (\d+) \| (.*?) ?\| (.*) \|$", PROBLEMS_PAGE, re.MULTILINE)
    known = [("refused", REFUSED), ("failed", FAILED)]
    assert rows == [(name, str(code), said, hint) for name, table in known for code, said, hint in table]


def setting_items() -> dict[str, Item]:
    tables = [item for item in items("dpsd.toml.5") if item.section.startswith("[")]
    return {f"{item.section.strip('[]')}.{item.head.removeprefix('Ic ')}": item for item in tables}


def test_the_man_page_has_every_setting_and_no_other() -> None:
    assert list(setting_items()) == list(SETTINGS)


@pytest.mark.parametrize("key", SETTINGS)
def test_the_man_page_has_the_default(key: str) -> None:
    text, default = setting_items()[key].text, SETTINGS[key].default
    found = re.search(r"^Default:\n\.Li (.*)$", text, re.MULTILINE)
    assert (found[1] if found else None) == _shown(default)
    assert ("equired" in text) == (default is REQUIRED or key in REQUIRED_BY_TYPE)


def _shown(default: Any) -> str | None:
    if default is REQUIRED or default is None:
        return None
    if isinstance(default, (str, Endpoint)):
        return str(default)
    return json.dumps(default)


def test_the_man_page_has_every_place_of_configuration() -> None:
    synopsis = PAGES["dpsd.toml.5"].partition(".Sh DESCRIPTION")[0]
    places_of = [path + "*.toml" if path.endswith("/") else path for path in CONFIGURATION]
    assert re.findall(r"^\.Pa (.*)$", synopsis, re.MULTILINE) == places_of


def test_the_man_page_has_every_command_with_its_options() -> None:
    documented: dict[str, tuple[set[str], list[str]]] = {}
    for item in items("dpsctl.1"):
        if item.section == "DESCRIPTION" and item.head.startswith("Ic "):
            name, *words = item.head.removeprefix("Ic ").split()
            options = {f"-{word}" for flag, word in pairwise(words) if flag == "Fl"}
            plain = re.sub(r"Oo .*? Oc|Op Fl \S+|Fl \S+ Ar \S+", "", " ".join(words))  # without the options
            operands = [word for word in plain.split() if word not in {"Ar", "Op"}]
            documented[name] = (options, operands)
    expected = {
        name: (set(command.options), [word.strip("[]") for word in command.operands])
        for name, command in COMMANDS.items()
    }
    assert documented == expected


@pytest.mark.parametrize(("page", "options"), [("dpsd.8", PLACES_OPTIONS), ("dpsctl.1", COMMON_OPTIONS)])
def test_the_man_pages_have_the_common_options(page: str, options: Mapping[str, object]) -> None:
    heads = {f"-{item.head.split()[1]}" for item in items(page) if item.head.startswith("Fl ")}
    assert heads - {"--help", "--version"} == set(options)


def test_the_man_page_has_every_exit_status() -> None:
    statuses = {int(item.head) for item in items("dpsctl.1") if item.section == "EXIT STATUS"}
    by_signal = {128 + signal.SIGINT, 128 + signal.SIGPIPE}
    assert statuses == {value for name, value in vars(errors).items() if name.startswith("EXIT_")} | by_signal


def test_the_man_page_has_every_member_of_connection_json() -> None:
    text = "".join(item.text for item in items("dpsd.8") if item.head == "Pa /var/lib/dpsd/connection.json")
    members = {"version", *Connection._fields, *Authentication._fields, *Mqtt._fields}
    assert set(re.findall(r"^\.Li (\w+)", text, re.MULTILINE)) == members


def test_every_variable_of_connection_env_is_documented() -> None:
    names = {line.partition("=")[0] for text in ENVIRONMENTS for line in text.splitlines()}
    page = "".join(item.text for item in items("dpsd.8") if item.head == "Pa /var/lib/dpsd/connection.env")
    assert set(re.findall(r"^\.Ev (\w+)", page, re.MULTILINE)) == names
    assert names <= set(re.findall(r"`(\w+)`", README.read_text()))


def test_the_man_page_has_every_file_for_others() -> None:
    _, state, runtime = Places()
    public = {state.connection_json, state.connection_env, state.payload_json, state.history}
    named = {path for item in items("dpsd.8") for path in item.head.removeprefix("Pa ").split(" , Pa ")}
    assert public | {runtime.status, runtime.provisioned, *runtime.released} <= named


def test_the_sample_configuration_is_valid() -> None:
    text = (places.CHECKOUT / "etc/dpsd.toml.example").read_text()
    assert accept(text).config.credential.type == "x509"


def test_the_sample_configuration_for_a_key_is_valid() -> None:
    text = (places.CHECKOUT / "etc/dpsd.toml.example").read_text()
    x509, _, key = text.partition("# Or a symmetric key")
    wanted = [line.removeprefix("# ") for line in key.splitlines()[1:]]
    dps = x509.partition("[credential]")[0].replace("# registration_id", "registration_id")
    assert accept("\n".join([dps, "[credential]", *wanted])).config.credential.type == "symmetric_key"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_toml_in_the_documents_is_valid(path: Path) -> None:
    for block in blocks(path.read_text(), "toml"):
        accept(block)


def test_toml_in_the_man_page_is_valid() -> None:
    examples = PAGES["dpsd.toml.5"].partition(".Sh EXAMPLES")[2]
    found = re.findall(r"^\.Bd .*?\n(.*?)^\.Ed$", examples, re.MULTILINE | re.DOTALL)
    assert [accept(block).config.credential.type for block in found] == ["x509", "symmetric_key", "x509"]


def test_examples_of_the_emulator_are_valid() -> None:
    text = (DOCS / "emulator.md").read_text()
    enrollments, faults = (json.loads(block) for block in blocks(text, "json"))
    assert len(parse_faults(faults["faults"]).rows) == 3
    Switches(re.findall(r"--switch ([a-z-]+=\w+)", text))
    key = {"type": "symmetricKey", "symmetricKey": {"primaryKey": "A" * 24, "secondaryKey": "A" * 24}}
    entries = [{**entry, "attestation": key} for entry in enrollments["individualEnrollments"]]
    assert len(parse_enrollments(Table({"individualEnrollments": entries})).individuals) == 2


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        name, _, heading = target.partition("#")
        if name.startswith("https://"):
            continue
        assert not name or (path.parent / name).exists(), target
        if heading:
            assert heading in _headings((path.parent / name) if name else path), target


def _headings(path: Path) -> set[str]:
    found = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_the_threat_model_has_every_store_and_for_each_the_same_attackers() -> None:
    text = (DOCS / "security.md").read_text()
    found = re.findall(r'^With `\w+ = "(\w+)"`[^\n]*:\n\n(\|.*?)\n\n', text, re.MULTILINE | re.DOTALL)
    tables = {kind: [row.strip("|").split("|") for row in table.splitlines()] for kind, table in found}
    for rows in tables.values():
        assert all(len(row) == len(rows[0]) and all(map(str.strip, row)) for row in rows)
    stores = {(kind, cell.strip(" `")) for kind, rows in tables.items() for cell in rows[0][1:]}
    plain = {(kind, store) for kind, store in STORES if store != "sealed"}
    assert stores == plain | {("sealed", source) for source in SOURCES}
    first, *others = ([row[0] for row in rows[2:-1]] for rows in tables.values())
    assert all(attackers == first for attackers in others)


def test_the_documents_have_the_table_of_files() -> None:
    section = (DOCS / "security.md").read_text().partition("## Files on the device")[2].partition("\n## ")[0]
    _, _, *documented = re.findall(r"^\|.*\|$", section, re.MULTILINE)
    assert documented == [f"| {' | '.join(_cells(row))} |" for row in ROWS]


def _cells(row: Row) -> list[str]:
    owner, group, mode = row.access
    access = "as it was" if mode is None else f"{mode:04o} {owner}:{group}"
    forgotten = f"{row.forgotten}: {row.why}" if row.why else row.forgotten
    return [f"`{row.path}`", access, row.holds, row.secret or "no", row.written, forgotten]


def test_commands_in_the_documents_exist() -> None:
    for path in TEXTS:
        for verb in re.findall(r"^ {4}(?:sudo )?dpsctl ([\w-]+)", path.read_text(), re.MULTILINE):
            assert verb in COMMANDS, f"{path.name}: dpsctl {verb}"


def test_verbs_of_dev_in_the_documents_exist() -> None:
    usage = subprocess.run([sys.executable, places.CHECKOUT / "packaging", "help"], capture_output=True, check=True)
    verbs = set(re.findall(r"^  (\w+)", usage.stderr.decode(), re.MULTILINE))
    for path in TEXTS:
        assert set(re.findall(r"(?:`|^ {4})(?:sudo )?\./dev ([a-z]+)", path.read_text(), re.M)) <= verbs, path.name


def test_documents_that_hints_name_are_on_the_device() -> None:
    shipped = {Path(line).name for line in (places.CHECKOUT / "debian/dpsd.docs").read_text().split()}
    said = "".join(path.read_text() for path in (places.CHECKOUT / "dpsd").rglob("*.py"))
    named = re.findall(r"/usr/share/doc/dpsd/([\w.]+)", said)
    assert named and set(named) <= shipped
    assert not [kind.hint for kind in PROBLEMS.values() if re.search(r"(?<![/\w])docs/", kind.hint)]
