"""Booted machines: a root under systemd-nspawn, or a whole computer under QEMU, and their network."""
