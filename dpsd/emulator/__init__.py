"""A local DPS and IoT Hub, for tests, demonstrations and development; not part of the device's package.

It shares the grammar of `dpsd.protocol` with the daemon and imports nothing else of it. From the wire inwards:

    server       opens the listeners, and holds the world
    wire/        the bytes of a connection: TLS, WebSocket, MQTT, and the faults that happen to them on purpose
    dps/         what DPS answers: who a device is, and which hub it gets; pure, `now` is handed in
    hub/         what a hub answers; pure, `now` is handed in
    actions      what dps/ and hub/ want wire/ to do
    files/       certificates, and the folder with ready-made devices
    world        what exists; switches: what is configured; events: the log

It does what Microsoft's pages say and what traces of the real service show ("seen live"); where both are silent,
`switches` names the choice. The world's attributes are plain, so that a test may look at them and change them.
"""
