"""The grammar and the rules of DPS and IoT Hub, in both directions. Floor 1: no socket, clock, file or randomness."""
