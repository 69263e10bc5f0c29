"""The grammar and the rules of DPS and IoT Hub, in both directions: no socket, clock, file or randomness."""
