"""A stick: which one the udev rule means, and what is read from it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dpsd.importing.found import adopt_stick
from dpsd.importing.stick import mounted
from dpsd.state.places import Places
from tests.unit.bundles import Content, note_secrets, put_folder
from tests.unit.examples import CHECKOUT, DEVICE_KEY, problem_of

NEEDED = ("udevadm", "umockdev-run", "losetup", "mkfs.vfat", "mkfs.ext4", "mcopy")
IS_ROOT = os.geteuid() == 0 and os.path.exists("/dev/loop-control")
pytestmark = pytest.mark.skipif(not IS_ROOT or not all(map(shutil.which, NEEDED)), reason="needs root, loop and tools")

STICK = {"ID_BUS": "usb", "ID_FS_TYPE": "vfat", "ID_FS_LABEL": "DPSD", "DEVTYPE": "partition"}
BUNDLE = {
    "dpsd.toml": b'[dps]\nid_scope = "0ne00TEST01"\nregistration_id = "pi-1"\n',
    "primary_key": DEVICE_KEY.encode(),
}
OTHERS = [{"ID_BUS": "ata"}, {"ID_FS_TYPE": "ext4"}, {"ID_FS_LABEL": "dpsd"}, {"DEVTYPE": "disk"}]


def wanted(folder: Path, properties: dict[str, str]) -> bool:
    """Whether udev, with our rule alone, would start the service for a device with these properties."""
    shutil.copy(CHECKOUT / "systemd/dpsd-import.rules", folder / "85-dpsd-import.rules")
    lines = ["P: /devices/usb1/sdx/sdx1", "N: sdx1", "E: SUBSYSTEM=block", "E: DEVNAME=/dev/sdx1"]
    (folder / "stick.umockdev").write_text(
        "\n".join(lines + [f"E: {key}={properties[key]}" for key in properties]) + "\n"
    )
    test = f"umockdev-run -d {folder}/stick.umockdev -- udevadm test --action=add /sys/devices/usb1/sdx/sdx1"
    script = f"mount --bind {folder} /usr/lib/udev/rules.d && {test}"
    ran = subprocess.run(["unshare", "--mount", "sh", "-euc", script], capture_output=True, text=True, check=True)
    assert "ID_BUS=" in ran.stdout
    return "SYSTEMD_WANTS=dpsd-import-usb@sdx1.service" in ran.stdout


def test_the_rule_is_for_such_a_stick_and_no_other_device(tmp_path: Path) -> None:
    assert wanted(tmp_path, STICK)
    assert not any(wanted(tmp_path, {**STICK, **other}) for other in OTHERS)


@pytest.fixture(params=["vfat", "ext4"])
def plug_in(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Content], tuple[str, str]]]:
    """Make a stick with a bundle, and return its device and its kind of file system."""
    kind = request.param
    if kind not in Path("/proc/filesystems").read_text().split():
        pytest.skip(f"this kernel has no {kind}")
    devices: list[str] = []

    def make(content: Content) -> tuple[str, str]:
        image = str(tmp_path / "stick.img")
        (tmp_path / "stick").mkdir()
        note_secrets(tmp_path / "stick.img", content)
        put_folder(tmp_path / "stick/dpsd", content)
        options = ["-d", str(tmp_path / "stick"), image, "8M"] if kind == "ext4" else ["-C", image, "8192"]
        subprocess.run([f"mkfs.{kind}", *options], check=True, capture_output=True)
        if kind == "vfat":
            subprocess.run(["mcopy", "-s", "-i", image, str(tmp_path / "stick/dpsd"), "::"], check=True)
        losetup = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True)
        devices.append(losetup.stdout.strip())
        return devices[-1], kind

    yield make
    for device in devices:
        subprocess.run(["losetup", "--detach", device], check=True)


def places(folder: Path, rights: str) -> Places:
    (folder / "image.toml").write_text(f"[import]\n{rights}\n")
    return Places((f"{folder}/image.toml", f"{folder}/state/imported.toml"), f"{folder}/state", f"{folder}/run")


def test_a_bundle_on_a_stick_is_adopted_once_and_stays(
    tmp_path: Path, plug_in: Callable[[Content], tuple[str, str]]
) -> None:
    stick = plug_in(BUNDLE)
    assert not adopt_stick(stick[0], places(tmp_path, ""), stick[1])
    allowed = places(tmp_path, "usb = true")
    assert adopt_stick(stick[0], allowed, stick[1])
    assert not adopt_stick(stick[0], allowed, stick[1])
    assert os.listdir(f"{allowed.imports}/stick") == []
    assert os.path.exists(allowed.state.imported)


def test_a_stick_is_not_written_to_and_runs_nothing(
    tmp_path: Path, plug_in: Callable[[Content], tuple[str, str]]
) -> None:
    (tmp_path / "mounted").mkdir()
    device, kind = plug_in(BUNDLE)
    with mounted(device, f"{tmp_path}/mounted", kind):
        options = next(
            line for line in Path("/proc/self/mounts").read_text().splitlines() if f"{tmp_path}/mounted" in line
        )
        assert {"ro", "nosuid", "nodev", "noexec"} <= set(options.split()[3].split(","))
    assert f"{tmp_path}/mounted" not in Path("/proc/self/mounts").read_text()


def test_what_cannot_be_mounted_is_a_problem(tmp_path: Path) -> None:
    allowed = places(tmp_path, "usb = true")
    for device in ("/dev/null", f"{tmp_path}/missing", str(tmp_path)):
        problem = problem_of("bundle-missing", lambda device=device: adopt_stick(device, allowed))  # type: ignore[misc]
        assert problem.sentence.startswith(f"{device} cannot be mounted as vfat: ")
