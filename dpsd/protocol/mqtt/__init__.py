"""MQTT 3.1.1 as a client speaks it: packets as values and bytes, and one connection as a state machine. Pure."""
