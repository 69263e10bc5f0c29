"""The device's side of IoT Hub: a session with it, over a connection of its own or somebody else's socket."""
