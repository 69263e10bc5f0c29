"""The configuration: every fault at once, each where it stands; later layers win key by key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsd.configuration.merge import FAULT_LIMIT, Effective, parse_config
from dpsd.configuration.settings import MISSPELLINGS, PAYLOAD_LIMIT, SETTINGS, Layer
from dpsd.errors import Problem
from dpsd.protocol.identifiers import Endpoint
from tests.unit.examples import DEVICE_KEY, problem_of

GOOD = """\
[dps]
id_scope = "0ne00AB12CD"
[credential]
type = "x509"
certificate_file = "/etc/dpsd/device.pem"
private_key_file = "/etc/dpsd/device.key"
"""
KEYS = """\
[dps]
id_scope = "0ne00AB12CD"
registration_id = "pi-1"
[credential]
type = "symmetric_key"
primary_key_file = "/etc/dpsd/device.symkey"
"""
TOKEN = """\
[dps]
id_scope = "0ne00AB12CD"
[credential]
type = "x509"
store = "pkcs11"
certificate_file = "/etc/dpsd/device.pem"
token_uri = "pkcs11:token=dpsd;object=device"
module = "/usr/lib/softhsm/libsofthsm2.so"
pin_file = "/etc/dpsd/token.pin"
"""
SYSTEMD = """\
[dps]
id_scope = "0ne00AB12CD"
[credential]
type = "x509"
store = "systemd"
"""
FIRMWARE = """\
[dps]
id_scope = "0ne00AB12CD"
registration_id = "pi-1"
[credential]
type = "symmetric_key"
store = "rpi-firmware"
"""
WRONG = {
    'dps.id_scope = "a b"': "'a b' is not an id scope",
    "dps.id_scope = 7": "expected a string, found an integer",
    'dps.id_scope = ""': "is empty",
    'dps.global_endpoint = "https://a.example/x"': "is a URL; write 'a.example'",
    'dps.api_version = "２０１９-03-31"': "is not a version such as 2019-03-31",
    'dps.registration_id = "Pi-1"': "has upper-case letters; write it as 'pi-1'",
    'dps.registration_id = "pi-{imei}"': "what can stand in braces is {serial} {machine_id} {mac} {hostname} {cn}",
    "dps.payload = 7": "expected a table, found an integer",
    "dps.payload = { at = 2026-01-10 }": "is not JSON",
    "dps.payload = { a = nan }": "is not JSON",
    f"dps.payload = {'{ a = ' * 33}1{' }' * 33}": "has more than 32 levels",
    f'dps.payload = {{ a = "{"x" * PAYLOAD_LIMIT}" }}': f"{PAYLOAD_LIMIT} are allowed",
    'credential.type = "X509"': "did you mean x509?",
    'credential.store = "tpm"': "'tpm' is not one of files or pkcs11 or sealed or systemd or rpi-firmware",
    'credential.token_uri = "pkcs11:token=t;object=o?pin-value=1"': "holds a PIN or where it is",
    'credential.certificate_file = "device.pem"': "is not an absolute path",
    'credential.certificate_file = "/etc/my device.pem"': "has a character that connection.env cannot carry",
    'network.proxy = "http://proxy.example"': "has no port; write http://proxy.example:PORT",
    'network.proxy = "http://a:b@proxy.example:3128"': "holds a password; leave it out",
    'network.proxy_password_file = "/etc/dpsd/p"': "is for the user in network.proxy, which has none",
    'network.transport = "websockets"': "did you mean websocket?",
    'network.trusted_roots = "sistem"': "is not an absolute path",
    'hub.check = "never"': "is not one of before-ready or after-ready or off",
    'hub.allow = "a.example"': "expected a list of host name patterns",
    'hub.allow = ["a.example", 7]': "expected a list of host name patterns",
    f'hub.allow = ["a.example", "{"[" * 254}"]': "a pattern has more than 253 characters",
    "outputs.environment = 1": "expected true or false, found an integer",
    "outputs.connection_string = true": "outputs.connection_string: does not belong to credential.type x509",
    "outputs.release_private_key = true": "outputs.release_private_key: agents have the files that the configuration",
}
FRAGMENTS = st.sampled_from(["[dps]\n", "[", "]", "=", '"', "'", "'''", "\n", "\r", "#", "a", "1", "{", "}", "\u2028"])
TOML = st.text() | st.lists(FRAGMENTS | st.sampled_from([*SETTINGS, *MISSPELLINGS]), max_size=20).map("".join)


def parse(*texts: str) -> Effective:
    return parse_config(Layer(f"/etc/{number}.toml", text) for number, text in enumerate(texts, 1))


def faults(*texts: str) -> list[str]:
    problem = problem_of("configuration-invalid", lambda: parse(*texts))
    return [problem.sentence, *problem.also]


def test_a_small_configuration_is_filled_with_defaults() -> None:
    config = parse(GOOD).config
    assert config.dps.id_scope == "0ne00AB12CD"
    assert config.dps.global_endpoint == Endpoint("global.azure-devices-provisioning.net", 8883)
    assert config.dps.api_version == "2019-03-31"
    assert config.credential.private_key_file == "/etc/dpsd/device.key"
    assert (config.network.transport, config.network.trusted_roots, config.network.proxy) == ("mqtt", "system", None)
    assert (config.hub.check, config.hub.allow, config.outputs.environment) == ("before-ready", (), True)


def test_a_proxy_is_taken_with_its_password_file() -> None:
    text = '[network]\nproxy = "{}"\nproxy_password_file = "/etc/dpsd/p"'
    assert (
        parse(GOOD, text.format("HTTP://me@proxy.example:3128/")).config.network.proxy == "http://me@proxy.example:3128"
    )
    assert parse(GOOD, text.format("environment")).config.network.proxy == "environment"


def test_a_value_knows_the_line_it_comes_from() -> None:
    values = parse(GOOD, "[outputs]\n\nenvironment = false\n").values
    assert values["dps.id_scope"].origin == "/etc/1.toml:2"
    assert values["outputs.environment"].origin == "/etc/2.toml:3"
    assert values["hub.check"].origin == "default"
    assert set(values) == set(SETTINGS)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("dps.id_scope = 7", ":1"),
        ('["dps"]\n"id_scope" = 7', ":2"),
        ("# [dps]\n[ dps ] # x\n  id_scope=7", ":3"),
        ("dps = { id_scope = 7 }", ""),
        ('[dps]\npayload_file = """\nid_scope = 1\n"""\nid_scope = 7', ""),
    ],
)
def test_a_line_is_left_out_where_it_is_not_certain(text: str, line: str) -> None:
    said = next(fault for fault in faults(GOOD, text) if "found an integer" in fault)
    assert said.startswith(f"/etc/2.toml{line}: dps.id_scope: ")


def test_odd_line_ends_in_a_comment_move_no_line() -> None:
    assert faults(GOOD, "# \u2028 \x85 \u2029\n[dps]\nid_scope = 7")[0].startswith("/etc/2.toml:3: dps.id_scope: ")


def test_every_fault_is_reported_at_once_where_it_stands() -> None:
    text = '[dps]\nidScope = "x"\nid_scope = 7\n[credential]\ntype = "psk"\n[netwrok]\n[outputs]\nenvironment = 1\n'
    found = faults(text)
    assert [fault.partition(": ")[0] for fault in found] == [f"/etc/1.toml:{line}" for line in (2, 3, 5, 6, 8)]
    assert found[0].endswith("dps.idScope: is not a known key; did you mean dps.id_scope?")
    assert found[3].endswith("netwrok: is not a known table; did you mean network?")


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_value_is_answered_with_what_is_expected(line: str) -> None:
    (fault,) = faults(GOOD, line)
    assert WRONG[line] in fault
    assert fault.startswith(f"/etc/2.toml:1: {line.partition(' ')[0]}: ")


@pytest.mark.parametrize("name", ["idScope", "scope_id", "registrationId", "id_scop", "ID_SCOPE", *MISSPELLINGS])
def test_a_misspelled_key_is_answered_with_the_nearest_one(name: str) -> None:
    (fault,) = faults(GOOD, f'[dps]\n{name} = "x"')
    meant = fault.partition("did you mean ")[2].rstrip("?")
    assert meant in SETTINGS
    assert MISSPELLINGS.get(name.lower(), meant) == meant


@pytest.mark.parametrize("text", ["[dps", "dps = ", '[dps]\na = "\\ud800"', "a = 1\na = 2", "[" * 5000, "\x00"])
def test_what_is_no_toml_is_named_with_the_file(text: str) -> None:
    assert faults(GOOD, text)[0].startswith("/etc/2.toml: is not TOML: ")


def test_what_is_required_is_asked_for() -> None:
    said = [fault.partition(":")[0] for fault in faults('dps.registration_id = "pi-1"')]
    assert said == ["dps.id_scope", "credential.type"]
    assert faults('dps.id_scope = "s"\ncredential.type = "x509"') == [
        "credential.certificate_file: is missing, credential.type is x509",
        "credential.private_key_file: is missing, credential.type is x509",
    ]


def test_a_symmetric_key_needs_a_name_and_no_certificate() -> None:
    assert parse(KEYS).config.credential.primary_key_file == "/etc/dpsd/device.symkey"
    named = KEYS.replace('registration_id = "pi-1"\n', "")
    assert faults(named) == ["dps.registration_id: is missing, a symmetric key has no name of its own"]
    (fault,) = faults(KEYS, 'credential.certificate_file = "/a"')
    assert fault.endswith("credential.certificate_file: does not belong to credential.type symmetric_key")


@pytest.mark.parametrize(
    ("base", "setting", "said"),
    [
        (KEYS, "connection_string", None),
        (FIRMWARE, "connection_string", "the key never leaves the firmware"),
        (KEYS, "release_private_key", "does not belong to credential.type symmetric_key"),
        (GOOD, "connection_string", "does not belong to credential.type x509"),
        (GOOD, "release_private_key", "agents have the files that the configuration names"),
        (TOKEN, "release_private_key", "the private key never leaves its token"),
        (SYSTEMD, "release_private_key", None),
    ],
)
def test_a_secret_is_given_to_agents_only_by_a_store_that_has_it(base: str, setting: str, said: str | None) -> None:
    asked = f"[outputs]\n{setting} = true"
    if said is None:
        assert getattr(parse(base, asked).config.outputs, setting)
    else:
        (fault,) = faults(base, asked)
        assert fault.startswith(f"/etc/2.toml:2: outputs.{setting}: {said}")


def test_a_key_on_a_token_is_named_by_a_uri_and_a_module() -> None:
    assert parse(TOKEN).config.credential.pin_file == "/etc/dpsd/token.pin"
    lines = TOKEN.splitlines()
    assert faults("\n".join(line for line in lines if not line.startswith(("token_uri", "module")))) == [
        "credential.token_uri: is missing, credential.store is pkcs11",
        "credential.module: is missing, credential.store is pkcs11",
    ]
    (fault,) = faults(TOKEN, 'credential.private_key_file = "/etc/dpsd/device.key"')
    assert fault.endswith("credential.private_key_file: does not belong to credential.store pkcs11")
    (fault,) = faults(KEYS, 'credential.store = "pkcs11"')
    assert fault.endswith("with credential.type symmetric_key use files or sealed or systemd or rpi-firmware")


def test_a_payload_stands_here_or_in_a_file() -> None:
    (fault,) = faults(GOOD, 'dps.payload = {}\ndps.payload_file = "/etc/payload.json"')
    assert fault == "/etc/2.toml:2: dps.payload_file: set it or dps.payload, not both"


def test_later_layers_win_key_by_key() -> None:
    second = '[dps]\nregistration_id = "pi-2"\n[hub]\nallow = ["a.net", "b.net"]\n'
    effective = parse(GOOD, second, '[dps]\nregistration_id = "pi-3"\n[hub]\nallow = ["c.net"]')
    assert effective.config.dps.id_scope == "0ne00AB12CD"
    assert effective.config.dps.registration_id == "pi-3"
    assert effective.config.hub.allow == ("c.net",)
    assert effective.values["dps.registration_id"].origin == "/etc/3.toml:2"


def test_a_later_payload_replaces_the_whole_earlier_one() -> None:
    effective = parse(GOOD, "[dps.payload]\na = 1\nb = { c = 2 }", "[dps.payload]\nb = { d = 3 }")
    assert effective.config.dps.payload == {"b": {"d": 3}}
    assert parse(GOOD, "[dps.payload]\na = 1").config.dps.payload == {"a": 1}


@pytest.mark.parametrize("secret", [DEVICE_KEY, f"/{DEVICE_KEY[1:]}", "-----BEGIN PRIVATE KEY-----\\nMIIB"])
@pytest.mark.parametrize("key", [key for key in SETTINGS if key.endswith("_file")])
def test_a_secret_pasted_for_its_file_is_never_repeated(key: str, secret: str) -> None:
    (fault,) = faults(GOOD, f'{key} = "{secret}"')
    assert fault == f"/etc/2.toml:1: {key}: is not an absolute path"


@pytest.mark.parametrize("name", ["primary_key", "symmetric_key", "private_key", "x"])
def test_a_secret_under_a_name_that_is_none_is_never_repeated(name: str) -> None:
    (fault,) = faults(GOOD, f'credential.{name} = "{DEVICE_KEY}"')
    assert f"credential.{name}: is not a known key" in fault
    assert DEVICE_KEY[:8] not in fault


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"dps{'.a' * 64} = 1", "a key has more than 64 parts"),
        (f"fleet.window = {'9' * 5000}", "is not TOML: Exceeds the limit"),
        (f"dps.payload = {'[' * 5000}", "is not TOML: "),
    ],
    ids=["key", "number", "nest"],
)
def test_what_no_parser_should_be_given_is_refused(line: str, said: str) -> None:
    (fault,) = faults(GOOD, line)
    assert fault.startswith(f"/etc/2.toml: {said}")


def test_only_the_first_of_many_faults_are_shown() -> None:
    found = faults(
        GOOD, "".join(f"x{number} = 1\n" for number in range(9000)), "".join(map("[{}]\n".format, range(99)))
    )
    assert (found[0], found[-1]) == ("/etc/2.toml:1: x0: is not a known table", "there are more faults, not shown")
    assert len(found) == FAULT_LIMIT + 1


@given(TOML, TOML)
def test_any_text_is_a_configuration_or_a_problem(first: str, second: str) -> None:
    try:
        effective = parse(GOOD, first, second)
    except Problem as problem:
        assert problem.code == "configuration-invalid"
        assert all(fault.isascii() and fault.isprintable() for fault in (problem.sentence, *problem.also))
    else:
        assert effective.config.dps.id_scope == effective.values["dps.id_scope"].value


KEYED = '[dps]\nid_scope = "0ne00AB12CD"\nregistration_id = "pi-1"\n[credential]\ntype = "symmetric_key"\n'
GROUP_KEY = 'group_key_file = "/etc/dpsd/group.symkey"\n'


def test_a_groups_key_is_refused_with_the_reason() -> None:
    (fault,) = faults(KEYED + GROUP_KEY)
    assert "whoever reads one card can impersonate every device of the group" in fault
    assert "dpsctl derive-key" in fault
    assert parse(f"{KEYED}{GROUP_KEY}allow_group_key = true").config.credential.allow_group_key


def test_a_groups_key_takes_the_place_of_the_devices() -> None:
    (fault,) = faults(f'{KEYED}{GROUP_KEY}allow_group_key = true\nprimary_key_file = "/etc/dpsd/device.symkey"')
    assert fault.endswith("primary_key_file: does not belong to credential.group_key_file /etc/dpsd/group.symkey")
