"""The grammar and the rules of DPS and IoT Hub, in both directions, without sockets, clocks, files or randomness."""
