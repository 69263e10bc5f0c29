"""How bytes get from this board to DPS and the hub: names, addresses, TLS, proxies, WebSocket, MQTT.

Whoever wants to speak MQTT opens a session by `connecting`; nothing outside needs more of it.
"""
