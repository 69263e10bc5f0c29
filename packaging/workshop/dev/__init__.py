"""Tools that every part of ./dev uses, and the commands that need no Debian root."""
