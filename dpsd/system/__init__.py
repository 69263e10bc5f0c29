"""One module for each thing that Linux gives: files, clocks, the journal, systemd, the board, mounts, routes."""
