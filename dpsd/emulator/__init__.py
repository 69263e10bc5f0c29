"""A local DPS and IoT Hub, for tests, demonstrations and development; not part of the device's package.

It shares the grammar of `dpsd.protocol` with the daemon and imports nothing else of it. From the wire inwards:

    server       listeners, the world's life
    wire/        a connection's bytes: session, TLS, WebSocket, packets; and what goes wrong with them on purpose
    dps/         what DPS answers, who a device is, which hub it gets; pure, time comes in
    hub/         what a hub answers; pure, time comes in
    files/       certificates, and the folder with ready-made devices
    world        what exists; switches: what is configured; events: the log

The fact sheet's decision table is followed; where the real service's behaviour is not known, `switches` names the
choice. The world's attributes are plain, so that a test may look at them and change them.
"""
