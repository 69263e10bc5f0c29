"""Sealing a credential to this device, or handing it to systemd."""
