"""A connection's bytes: TLS, WebSocket and MQTT packets, and what goes wrong with them on purpose."""
