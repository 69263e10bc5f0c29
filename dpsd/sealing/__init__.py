"""Sealing a credential to this device, and handing one over to systemd."""
