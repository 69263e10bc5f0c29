from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from dpsd.emulator.dps.enrollments import ClientCertificates, Reprovision, merge, parse_enrollments
from dpsd.emulator.files import authority
from dpsd.shape import ShapeError, Table
from tests.emulator.worlds import KEY, group_key, group_x509, individual_key, individual_x509, world


def test_an_enrollment_has_the_services_defaults() -> None:
    enrollment = world(individual_key("PI")).enrollments.individuals["pi"]
    assert enrollment.enabled
    assert enrollment.reprovision == Reprovision(update_hub=True, migrate_data=True)
    assert (enrollment.policy, enrollment.hubs, enrollment.device_id) == ("hashed", (), None)


def test_the_services_own_policy_is_the_default_of_enrollments() -> None:
    made = world(individual_key(), individual_key("other", allocationPolicy="hashed"), allocationPolicy="static")
    assert [one.policy for one in made.enrollments.individuals.values()] == ["static", "hashed"]


def test_a_certificate_may_be_base64_as_the_service_gives_it() -> None:
    device = authority.issue_device("pi")
    entry = individual_x509(device)
    der = base64.b64encode(device.certificate.public_bytes(Encoding.DER)).decode()
    entry["attestation"]["x509"]["clientCertificates"]["primary"] = {"certificate": der}
    assert world(entry).enrollments.individuals["pi"].attestation == ClientCertificates((device.certificate,))


def test_keys_are_not_shown() -> None:
    assert KEY not in repr(world(individual_key()).enrollments)


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({"attestation": individual_key()["attestation"]}, "individualEnrollments[0].registrationId"),
        ({"registrationId": "pi"}, "individualEnrollments[0].attestation"),
        ({"registrationId": "pi", "attestation": {}}, "individualEnrollments[0].attestation.type"),
        ({"registrationId": "pi", "attestation": {"type": "tpm"}}, "individualEnrollments[0].attestation.type"),
        (individual_key(provisioningState="disabled"), "individualEnrollments[0].provisioningState"),
        (individual_key(provisioningStatus="off"), "individualEnrollments[0].provisioningStatus"),
        (individual_key(allocationPolicy="random"), "individualEnrollments[0].allocationPolicy"),
        (individual_key(deviceId="a b"), "individualEnrollments[0].deviceId"),
        (individual_key(iotHubs=[7]), "individualEnrollments[0].iotHubs[0]"),
        (individual_key(capabilities={"iotEdge": "yes"}), "individualEnrollments[0].capabilities.iotEdge"),
    ],
)
def test_a_wrong_entry_is_named_by_its_path(entry: dict[str, Any], path: str) -> None:
    with pytest.raises(ShapeError) as caught:
        world(entry)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("key", ["", "short", "AAAA", "not base64 at all!", KEY * 3])
def test_a_wrong_key_is_refused_without_showing_it(key: str) -> None:
    entry = individual_key()
    entry["attestation"]["symmetricKey"]["primaryKey"] = key
    with pytest.raises(ShapeError, match="primaryKey") as caught:
        world(entry)
    assert not key or key not in str(caught.value)


def test_a_group_may_refer_to_an_uploaded_authority_by_name() -> None:
    root = authority.issue_authority("root")
    entry = group_x509(root)
    entry["attestation"]["x509"] = {"caReferences": {"primary": "root"}}
    with pytest.raises(ShapeError, match=r"caReferences\.primary"):
        world(groups=[entry])
    made = world(groups=[entry], certificates=[{"name": "root", "certificate": root.pem()}])
    assert made.enrollments.groups["fleet"].attestation.certificates == (root.certificate,)  # type: ignore[union-attr]


def test_a_file_is_put_over_the_ready_made_entries_key_by_key() -> None:
    ready = {"individualEnrollments": [individual_key("pi"), individual_key("other")]}
    file = {"individualEnrollments": [{"registrationId": "PI", "provisioningStatus": "disabled"}], "idScope": "s"}
    merged = parse_enrollments(Table(merge(ready, Table(file))))
    assert merged.id_scope == "s"
    assert {name: one.enabled for name, one in merged.individuals.items()} == {"pi": False, "other": True}


def test_a_group_keeps_the_case_of_its_id() -> None:
    assert list(world(groups=[group_key("Fleet-1")]).enrollments.groups) == ["Fleet-1"]
