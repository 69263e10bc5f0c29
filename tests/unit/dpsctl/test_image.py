"""What must not be in an image that boards are made from is found, all of it, and nothing outside is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpsd.dpsctl.image import check_image, resolve
from tests.unit.authority import make_key, pem_of_key, put_secret
from tests.unit.bundles import tgz_of, zip_of
from tests.unit.examples import DEVICE_KEY, problem_of

CONFIGURATION = """\
[dps]
id_scope = "0ne00TEST01"
[credential]
type = "x509"
certificate_file = "/etc/dpsd/device.pem"
private_key_file = "/srv/keys/device.key"
"""
UNIT = b"[Service]\nLoadCredential=dpsd.private_key\nLoadCredentialEncrypted=dpsd.private_key:/srv/keys/loaded.key\n"


def put(root: Path, path: str, data: bytes = b"x") -> None:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    put_secret(place, data)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An image with a configuration, and the folders of the package."""
    put(tmp_path, "/etc/dpsd/dpsd.toml", CONFIGURATION.encode())
    put(tmp_path, "/etc/machine-id", b"uninitialized\n")
    put(tmp_path, "/usr/lib/systemd/system/dpsd.service", UNIT)
    (tmp_path / "var/lib/dpsd/private").mkdir(parents=True)
    return tmp_path


UNSAFE = {
    "/var/lib/dpsd-import/adopted.json": b"{}",
    "/var/lib/dpsd/private/assignment.json": b"{}",
    "/var/lib/dpsd/connection.json": b"{}",
    "/var/lib/dpsd/history.json": b"{}",
    "/var/lib/dpsd/imported.toml": b"",
    "/var/lib/dpsd/candidate.toml": b"",
    "/var/lib/dpsd/private/credential.sealed": b"sealed",
    "/var/lib/dpsd-keys/key": b"secret",
    "/var/lib/systemd/credential.secret": b"secret",
    "/etc/machine-id": b"0123456789abcdef0123456789abcdef\n",
    "/var/lib/dbus/machine-id": b"0123456789ABCDEF0123456789abcdef",
    "/etc/dpsd/old.key": pem_of_key(make_key("ec")),
    "/etc/dpsd/group.symkey": DEVICE_KEY.encode(),
    "/boot/firmware/dpsd/device.p12": b"\x30",
    "/boot/firmware/dpsd/key.tgz": tgz_of({"primary_key": DEVICE_KEY.encode()}),
    "/boot/firmware/dpsd/pkcs12.zip": zip_of({"bundle/identity.p12": b"\x30"}),
    "/var/lib/dpsd-import/adopting.json": b"{}",
    "/run/dpsd/credentials/connection_string": b"HostName=",
    "/var/lib/dpsd/core": b"of whatever crashed",
    "/etc/credstore.encrypted/dpsd.private_key": b"sealed",
    "/etc/credstore.encrypted/dpsd.unheard_of": b"sealed",
    "/etc/systemd/system/dpsd.service.d/50-dpsd-credentials.conf": b"[Service]\n",
    "/etc/systemd/system/dpsd-identity.service.d/50-dpsd-credentials.conf": b"[Service]\n",
    "/etc/systemd/system/dpsd-identity.service.d/k.conf": b"[Service]\nSetCredential=dpsd.primary_key:secret\n",
    "/etc/dpsd/device.pem": b"whatever the configuration names",
    "/srv/keys/device.key": b"whatever the configuration names",
    "/srv/keys/.device.key.new.new": b"what a renewal left that was cut short",
    "/etc/systemd/system/dpsd.service.d/key.conf": b"[Service]\nSetCredential=dpsd.primary_key:secret\n",
    "/srv/keys/loaded.key": b"whatever a unit loads",
}


def test_an_image_with_a_configuration_alone_is_good(root: Path) -> None:
    check_image(str(root))


def test_what_forgets_a_file_is_said(root: Path) -> None:
    put(root, "/var/lib/dpsd/history.json")
    put(root, "/var/lib/dpsd/imported.toml", b"")
    found = problem_of("image-unsafe", lambda: check_image(str(root)))
    assert found.sentence.endswith("; remove it before the image is taken: dpsctl reset --yes")
    assert found.also[0].endswith("; remove it before the image is taken: dpsctl reset --credential --yes")


def test_an_image_whose_configuration_is_to_be_completed_is_good(root: Path) -> None:
    put(root, "/etc/dpsd/dpsd.toml", b"[fleet]\nwindow = 60\n")
    put(root, "/boot/firmware/dpsd/bundle.tar.gz", tgz_of({"dpsd.toml": CONFIGURATION.encode()}))
    put(root, "/var/lib/dpsd-import/lock", b"")
    check_image(str(root))


def test_a_key_of_a_configuration_that_is_to_be_completed_is_found(root: Path) -> None:
    put(root, "/etc/dpsd/dpsd.toml", b'[credential]\nprivate_key_file = "/srv/keys/device.key"\n')
    put(root, "/srv/keys/device.key")
    assert problem_of("image-unsafe", lambda: check_image(str(root))).sentence.startswith("/srv/keys/device.key: ")


def test_files_that_the_daemon_does_not_read_are_no_configuration(root: Path) -> None:
    for path in ("/etc/dpsd/dpsd.toml.d/.hidden.toml", "/etc/dpsd/dpsd.toml.d/folder/nested.toml"):
        put(root, path, b"not TOML")
    check_image(str(root))


@pytest.mark.parametrize("path", UNSAFE)
def test_what_only_one_board_may_have_is_found(root: Path, path: str) -> None:
    put(root, path, UNSAFE[path])
    found = problem_of("image-unsafe", lambda: check_image(str(root)))
    assert found.sentence.startswith(f"{path}: ") and found.also == ()


def test_the_command_that_empties_a_machine_id_is_for_that_of_the_image(root: Path) -> None:
    put(root, "/etc/machine-id", b"0123456789abcdef0123456789abcdef\n")
    found = problem_of("image-unsafe", lambda: check_image(str(root)))
    assert found.sentence.endswith(f": truncate --size=0 {root}/etc/machine-id")


def test_the_machine_id_of_dbus_is_found_unless_it_is_a_link_to_that_of_the_system(root: Path) -> None:
    dbus = root / "var/lib/dbus/machine-id"
    put(root, "/var/lib/dbus/machine-id", b"0123456789abcdef0123456789abcdef\n")
    found = problem_of("image-unsafe", lambda: check_image(str(root)))
    assert found.sentence.endswith(f": every board would get this id at its first boot; remove it: rm {dbus}")
    dbus.unlink()
    dbus.symlink_to("/etc/machine-id")
    check_image(str(root))
    put(root, "/etc/machine-id", b"0123456789abcdef0123456789abcdef\n")
    found = problem_of("image-unsafe", lambda: check_image(str(root)))
    assert found.sentence.startswith("/etc/machine-id: ") and found.also == ()


def test_all_is_found_at_once(root: Path) -> None:
    for path, data in UNSAFE.items():
        put(root, path, data)
    found = problem_of("image-unsafe", lambda: check_image(str(root)))
    assert {one.partition(": ")[0] for one in (found.sentence, *found.also)} == set(UNSAFE)


def test_a_key_that_is_found_in_two_ways_is_named_once(root: Path) -> None:
    put(root, "/etc/dpsd/dpsd.toml", CONFIGURATION.replace("/srv/keys", "/etc/dpsd").encode())
    put(root, "/etc/dpsd/device.key", pem_of_key(make_key("ec")))
    assert problem_of("image-unsafe", lambda: check_image(str(root))).also == ()


def test_a_configuration_that_others_may_write_or_with_a_fault_is_found(root: Path) -> None:
    put(root, "/etc/dpsd/dpsd.toml", CONFIGURATION.replace("id_scope", "scope").encode())
    (root / "etc/dpsd/dpsd.toml").chmod(0o666)
    found = problem_of("image-unsafe", lambda: check_image(str(root)))
    assert "may be written by others" in found.sentence
    assert found.sentence.endswith(f"mend it: chmod go-w {root}/etc/dpsd/dpsd.toml")
    assert "did you mean dps.id_scope" in found.also[0]


def test_links_stay_inside_of_the_image(root: Path, tmp_path: Path) -> None:
    (root / "etc/outside").symlink_to("/../../../../etc/dpsd")
    assert resolve(str(root), "/etc/outside/dpsd.toml") == f"{root}/etc/dpsd/dpsd.toml"
    (root / "etc/loop").symlink_to("loop")
    assert "too many links" in problem_of("image-unsafe", lambda: resolve(str(root), "/etc/loop")).sentence
