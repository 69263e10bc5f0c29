from __future__ import annotations

import base64

import pytest

from dpsd.emulator.dps.attestation import KEY_CACHE_SECONDS, Credential, RequestError, authenticate
from dpsd.emulator.files import authority
from dpsd.emulator.files.authority import EXPIRED, NOT_YET, Issued
from dpsd.emulator.world import World
from dpsd.protocol.sas import derive_device_key
from dpsd.secret import Secret
from tests.emulator.device import token
from tests.emulator.worlds import (
    KEY,
    NOW,
    OTHER_KEY,
    SCOPE,
    WRONG_KEY,
    group_key,
    group_x509,
    individual_key,
    individual_x509,
    login,
    with_chain,
    with_key,
    world,
)

ROOT = authority.issue_authority("root")
MIDDLE = authority.issue_authority("middle", ROOT)
LOWER = authority.issue_authority("lower", MIDDLE)
DEVICE = authority.issue_device("pi", LOWER)
SELF_SIGNED = authority.issue_device("pi")
IMPOSTOR = authority.issue_device("pi", authority.issue_authority("lower", authority.issue_authority("middle")))


def accepted(made: World, credential: Credential, registration_id: str = "pi", now: float = NOW) -> str:
    return authenticate(made, login(registration_id), credential, now).enrollment.id


def refused(made: World, credential: Credential, registration_id: str = "pi", now: float = NOW) -> tuple[int, str]:
    with pytest.raises(RequestError) as caught:
        authenticate(made, login(registration_id), credential, now)
    return caught.value.error_code, caught.value.message


@pytest.mark.parametrize("enrolled", [ROOT, MIDDLE, LOWER], ids=["root", "middle", "lower"])
def test_a_group_takes_a_device_below_any_of_its_authorities(enrolled: Issued) -> None:
    assert accepted(world(groups=[group_x509(enrolled)]), with_chain(DEVICE, LOWER, MIDDLE)) == "fleet"


def test_an_rsa_device_is_taken() -> None:
    device = authority.issue_device("pi", ROOT, key=authority.make_key("rsa"))
    assert accepted(world(groups=[group_x509(ROOT)]), with_chain(device)) == "fleet"


def test_intermediates_may_stand_in_any_order() -> None:
    assert accepted(world(groups=[group_x509(ROOT)]), with_chain(DEVICE, ROOT, MIDDLE, LOWER)) == "fleet"


@pytest.mark.parametrize(
    "chain",
    [
        pytest.param([DEVICE], id="no intermediate"),
        pytest.param([DEVICE, LOWER], id="an intermediate is missing"),
        pytest.param([DEVICE, MIDDLE], id="the wrong one is missing"),
        pytest.param([IMPOSTOR, LOWER, MIDDLE], id="same names, other keys"),
    ],
)
def test_a_chain_that_does_not_reach_the_group_is_refused(chain: list[Issued]) -> None:
    assert refused(world(groups=[group_x509(ROOT)]), with_chain(*chain)) == (401002, "CA certificate not found.")


def test_a_device_certificate_is_no_authority() -> None:
    forged = authority.issue_device("pi", authority.Issued(DEVICE.certificate, DEVICE.key))
    credential = with_chain(forged, DEVICE, LOWER, MIDDLE)
    assert refused(world(groups=[group_x509(ROOT)]), credential)[0] == 401002


@pytest.mark.parametrize("validity", [EXPIRED, NOT_YET], ids=["expired", "not yet valid"])
def test_a_leaf_outside_its_dates_is_refused(validity: authority.Validity) -> None:
    device = authority.issue_device("pi", validity=validity)
    assert refused(world(individual_x509(device)), with_chain(device)) == (401002, "Invalid certificate.")


def test_an_expired_intermediate_breaks_the_chain() -> None:
    old = authority.issue_authority("old", ROOT, EXPIRED)
    credential = with_chain(authority.issue_device("pi", old), old)
    assert refused(world(groups=[group_x509(ROOT)]), credential) == (401002, "CA certificate not found.")


def test_the_common_name_must_be_the_registration_id() -> None:
    made = world(individual_x509(SELF_SIGNED), groups=[group_x509(LOWER)])
    assert refused(made, with_chain(DEVICE), "other") == (401002, "Invalid certificate.")


def test_the_common_name_is_compared_without_case() -> None:
    device = authority.issue_device("PI", LOWER)
    assert accepted(world(groups=[group_x509(LOWER)]), with_chain(device), "Pi") == "fleet"


def test_an_individual_enrollment_comes_before_the_group() -> None:
    made = world(individual_x509(DEVICE), groups=[group_x509(LOWER)])
    assert accepted(made, with_chain(DEVICE)) == "pi"


def test_another_certificate_than_the_individuals_is_refused() -> None:
    made = world(individual_x509(SELF_SIGNED), groups=[group_x509(LOWER)])
    assert refused(made, with_chain(DEVICE)) == (401002, "Invalid certificate.")
    made.switches.set("individual-mismatch", "groups")
    assert accepted(made, with_chain(DEVICE)) == "fleet"


def test_the_lowest_group_decides() -> None:
    groups = [group_x509(ROOT, "top"), group_x509(LOWER, "bottom")]
    assert accepted(world(groups=groups), with_chain(DEVICE, LOWER, MIDDLE)) == "bottom"


def test_an_unverified_authority_is_not_found() -> None:
    entry = group_x509(ROOT)
    entry["attestation"]["x509"] = {"caReferences": {"primary": "root"}}
    uploaded = {"name": "root", "certificate": ROOT.pem(), "isVerified": False}
    made = world(groups=[entry], certificates=[uploaded])
    assert refused(made, with_chain(DEVICE, LOWER, MIDDLE)) == (401002, "CA certificate not found.")


def test_a_certificate_that_is_not_enrolled_is_refused_as_the_switch_says() -> None:
    made = world()
    assert refused(made, with_chain(SELF_SIGNED)) == (401002, "Invalid certificate.")
    made.switches.set("unknown-enrollment", "404")
    assert refused(made, with_chain(SELF_SIGNED)) == (404201, "Enrollment not found.")


@pytest.mark.parametrize("key", [KEY, OTHER_KEY], ids=["primary", "secondary"])
def test_either_key_of_an_individual_enrollment_is_taken(key: str) -> None:
    assert accepted(world(individual_key()), with_key(key)) == "pi"


def derived(key: str, registration_id: str) -> str:
    return base64.b64encode(derive_device_key(base64.b64decode(key), registration_id)).decode()


@pytest.mark.parametrize("key", [KEY, OTHER_KEY], ids=["primary", "secondary"])
@pytest.mark.parametrize("spelling", ["pi", "PI"])
def test_a_group_takes_keys_derived_from_either_of_its_own(key: str, spelling: str) -> None:
    credential = with_key(derived(key, spelling), spelling)
    assert accepted(world(groups=[group_key()]), credential, spelling) == "fleet"


def test_a_groups_own_key_is_not_a_devices() -> None:
    assert refused(world(groups=[group_key()]), with_key(KEY)) == (401000, "Unauthorized")


def test_a_wrong_key_is_unauthorized() -> None:
    assert refused(world(individual_key()), with_key(WRONG_KEY)) == (401000, "Unauthorized")


def test_a_key_without_an_enrollment_is_not_found() -> None:
    assert refused(world(), with_key(KEY)) == (404201, "Enrollment not found.")


def test_an_individual_enrollment_hides_the_groups() -> None:
    made = world(individual_key(), groups=[group_key()])
    assert refused(made, with_key(derived(KEY, "pi"))) == (401000, "Unauthorized")


@pytest.mark.parametrize(
    "password",
    [
        pytest.param(token(f"{SCOPE}/registrations/other", KEY, int(NOW) + 60), id="another device's"),
        pytest.param(token("0neOTHER/registrations/pi", KEY, int(NOW) + 60), id="another scope's"),
        pytest.param(token(f"{SCOPE}/registrations/pi", KEY, int(NOW) - 301), id="expired"),
        pytest.param(token(f"{SCOPE}/registrations/pi", KEY, int(NOW) + 60, "owner"), id="another key name"),
        pytest.param("SharedAccessSignature sr=x", id="incomplete"),
        pytest.param("hunter2", id="no token"),
        pytest.param("\udcff", id="not even text"),
    ],
)
def test_a_token_for_something_else_is_unauthorized(password: str) -> None:
    credential = Credential((), Secret(password.encode("utf-8", "surrogateescape")))
    assert refused(world(individual_key()), credential) == (401000, "Unauthorized")


@pytest.mark.parametrize("name", [None, "", "registration"])
def test_the_key_name_is_optional(name: str | None) -> None:
    assert accepted(world(individual_key()), with_key(KEY, name=name)) == "pi"


def test_a_token_may_be_late_by_the_clocks_drift() -> None:
    assert accepted(world(individual_key()), with_key(KEY, expiry=NOW - 299)) == "pi"


def test_the_resource_is_compared_without_case_but_verified_as_it_stands() -> None:
    assert accepted(world(individual_key()), with_key(KEY, "PI")) == "pi"


PUBLISHED_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="
UPPER = (
    "SharedAccessSignature sr=0ne00TEST01%2Fregistrations%2Frpi-0001"
    "&sig=J5Gmzc4ozckt5c4g0tekRYxSYqhOJSH%2F%2BX7qE%2BP4i%2Fc%3D&se=1893456000&skn=registration"
)
LOWER_CASE = (
    "SharedAccessSignature sr=0ne00TEST01%2fregistrations%2frpi-0001"
    "&sig=IyLXvsU3gqkJ4Tun%2Fq4q%2Fwv%2FBmcLLWak0tx0FNyXU0Y%3D&se=1893456000&skn=registration"
)


@pytest.mark.parametrize("password", [UPPER, LOWER_CASE], ids=["%2F", "%2f"])
def test_computed_vectors_of_a_derived_key_are_taken(password: str) -> None:
    entry = group_key()
    entry["attestation"]["symmetricKey"]["primaryKey"] = PUBLISHED_KEY
    credential = Credential((), Secret(password.encode()))
    assert accepted(world(groups=[entry]), credential, "rpi-0001", now=1893455000) == "fleet"


def test_the_key_cache_takes_only_the_last_key_for_half_an_hour() -> None:
    made = world(individual_key(), switches=["key-cache=on"])
    assert accepted(made, with_key(KEY)) == "pi"
    assert refused(made, with_key(OTHER_KEY), now=NOW + 60) == (401002, "Unauthorized")
    later = NOW + KEY_CACHE_SECONDS
    assert accepted(made, with_key(OTHER_KEY, expiry=later + 60), now=later) == "pi"


def test_no_credential_at_all_is_unauthorized() -> None:
    assert refused(world(individual_key()), with_chain()) == (401002, "Unauthorized")
