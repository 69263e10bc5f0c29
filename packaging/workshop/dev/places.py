"""Where things are in the checkout; all that is made lies below build/."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
BUILD = CHECKOUT / "build"
ROOTS = BUILD / "roots"  # Debian roots, kept
DEBS = BUILD / "debs"
ENVIRONMENTS = BUILD / "environments"  # Python virtual environments, kept
SCRATCH = BUILD / "scratch"  # a tmpfs of this run, see namespace.py
