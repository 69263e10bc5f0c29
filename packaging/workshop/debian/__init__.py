"""Debian roots and the package that is built in one."""
