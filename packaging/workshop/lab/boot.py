"""./dev deb and ./dev boot: the package, and a root with it on this terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workshop.debian import deb, roots
from workshop.debian.nspawn import QUIET
from workshop.dev import namespace, places
from workshop.dev.command import show
from workshop.dev.failure import Failure
from workshop.dev.prerequisites import LAB, require, require_root
from workshop.lab.machine import install

LOGIN = """[Service]
ExecStart=
ExecStart=-/sbin/agetty --noclear --autologin root --keep-baud console 115200,38400,9600 $TERM
"""


def enter_lab(purpose: str) -> None:
    """Be root, with the lab's tools, in the private namespace. Raises Failure where that cannot be."""
    require_root(purpose)
    require(LAB)
    namespace.enter()


def build(arguments: Sequence[str]) -> int:
    """Build the package; show lintian's remarks and where the package is."""
    enter_lab("make the Debian root that the package is built in")
    package = deb.build()
    print((package.parent / deb.REMARKS).read_text() or "lintian: no remarks")
    print(package.relative_to(places.CHECKOUT))
    return 0


def boot(arguments: Sequence[str]) -> int:
    """Boot a fresh root with the package, on the host's network, until it is powered off."""
    release = arguments[0] if arguments else roots.RELEASES[-1]
    if release not in roots.RELEASES:
        raise Failure(f"{release} is no release that is supported", f"./dev boot {'|'.join(roots.RELEASES)}")
    enter_lab("boot a Debian root")
    root = roots.overlay("boot", roots.made(roots.device(release))).root
    install(root, deb.build())
    log_in(root)
    print("dev: `poweroff` ends it, and so does pressing ^] three times; nothing in it is kept", flush=True)
    return show([*QUIET, "--boot", f"--machine=dpsd-{release}", f"--directory={root}"])


def log_in(root: Path) -> None:
    """Let the console be root's without a password."""
    folder = root / "etc/systemd/system/console-getty.service.d"
    folder.mkdir(parents=True)
    (folder / "login.conf").write_text(LOGIN)
