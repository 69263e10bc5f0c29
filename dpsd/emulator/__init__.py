"""A local DPS and IoT Hub, for tests, demonstrations and development; not part of the device's package.

It shares the grammar of `dpsd.protocol` with the daemon and imports nothing else of it. From the wire inwards:

    server       listeners, the world's life, the event log's readers
    session      one connection: packets in, steps out, faults; the only module that sends
    tls_stream, websocket, packets     bytes to MQTT packets and back
    dps_service, hub_service           what DPS and a hub answer; pure, time comes in
    attestation, allocation, provisioning      who a device is, which hub it gets, what its hub is told
    world, enrollments, switches, faults       what exists, what is configured, what goes wrong on purpose
    authority, devices                 the throw-away CA, ready-made device credentials

The fact sheet's decision table is followed; where the real service's behaviour is not known, `switches` names the
choice. The world's attributes are plain, so that a test may look at them and change them.
"""
