"""dpsd: credentials in, a working IoT Hub connection out, and systemd told when it is there."""

__version__ = "0.1.0"
