"""The resident daemon: its state machine and the loop around it, its worker, and what it tells."""
