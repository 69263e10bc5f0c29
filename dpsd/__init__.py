"""dpsd: credentials in, a working IoT Hub connection out, and systemd told when it is there.

Only the version stands here. docs/architecture.md says what each folder is for.
"""

__version__ = "0.1.0"
