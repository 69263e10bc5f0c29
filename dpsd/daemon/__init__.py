"""The resident daemon: its supervisor, the wait between attempts, and what it tells."""
