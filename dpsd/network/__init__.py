"""How bytes get from this board to DPS and the hub: names, addresses, TLS, proxies, WebSocket, MQTT.

Other folders open a session with `connecting.open_session`, and seldom need more of this one.
"""
