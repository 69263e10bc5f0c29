"""The house's line: the device as configured, an attempt, the registration, and the files that it ends in."""
