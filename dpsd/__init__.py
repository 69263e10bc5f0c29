"""dpsd: credentials in, a working IoT Hub connection out, and systemd told when it is there.

Floor 0: here stands the version, and nothing else.
"""

__version__ = "0.1.0"
