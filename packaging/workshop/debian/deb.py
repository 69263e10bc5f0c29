"""The Debian package: built in a Debian 13 root whatever the host, and checked by lintian."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from workshop.debian import roots
from workshop.debian.nspawn import run_in
from workshop.dev import places
from workshop.dev.lock import only_one

SOURCES = ("LICENSE", "README.md", "debian", "docs", "dpsd", "etc", "pyproject.toml", "systemd")
REMARKS = "lintian.txt"
CACHES = shutil.ignore_patterns("__pycache__", "*.pyc", ".*_cache")
LINTIAN = ("lintian", "--allow-root", "--display-info", "--pedantic", "--fail-on=none")


def build() -> Path:
    """The path of dpsd_VERSION_all.deb, built from the checkout's files unless they were built before.

    Raises Failure with the end of the build's output. What lintian says of it is in the same folder.
    """
    folder = places.DEBS / fingerprint()
    places.DEBS.mkdir(parents=True, exist_ok=True)
    with only_one(places.DEBS / ".lock"):
        if not folder.is_dir():
            build_into(folder)
            remove_others(folder)
    return next(folder.glob("dpsd_*_all.deb"))


def remove_others(kept: Path) -> None:
    """Remove what was built of earlier sources."""
    for folder in places.DEBS.iterdir():
        if folder != kept and folder.is_dir() and not folder.suffix:  # a partial one is another process's
            shutil.rmtree(folder)


def fingerprint() -> str:
    """Changes when a file that goes into the package changes."""
    digest = hashlib.sha256()
    for path in source_files():
        mode = path.stat().st_mode & 0o777
        digest.update(f"{path.relative_to(places.CHECKOUT)} {mode:o}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def source_files() -> Iterator[Path]:
    """The files of the package's source, in one order."""
    for name in SOURCES:
        top = places.CHECKOUT / name
        for path in sorted([top, *top.rglob("*")]):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def build_into(folder: Path) -> None:
    """Build the package; what came out goes into `folder`, and lintian's remarks beside it."""
    print("dev: building the Debian package", flush=True)
    workshop = roots.overlay("workshop", roots.made(roots.workshop()))
    try:
        results = compile_in(workshop.root)
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for path in results:
            shutil.copy(path, partial)
        changes = next(path.name for path in results if path.suffix == ".changes")
        (partial / REMARKS).write_text(run_in(workshop.root, [*LINTIAN, f"/build/{changes}"]))
        partial.rename(folder)
    finally:
        roots.discard(workshop)


def compile_in(workshop: Path) -> list[Path]:
    """Copy the source into a root and run dpkg-buildpackage there; the files that it made."""
    source = workshop / "build/dpsd"
    source.mkdir(parents=True)
    for name in SOURCES:
        top = places.CHECKOUT / name
        if top.is_dir():
            shutil.copytree(top, source / name, symlinks=True, ignore=CACHES)
        elif top.exists():
            shutil.copy(top, source)
    # build-essential is always asked for, and a package without compiled code does not need its compilers.
    run_in(
        workshop,
        ["dpkg-buildpackage", "--no-check-builddeps", "--build=binary", "--no-sign"],
        folder="/build/dpsd",
    )
    return [path for path in (workshop / "build").iterdir() if path.is_file()]
