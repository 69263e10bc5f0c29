"""A local DPS and IoT Hub, for tests, demonstrations and development; not part of the device's package.

It shares the grammar of `dpsd.protocol` with the daemon and imports nothing else of it. From the wire inwards:

    server       listeners, the world's life
    session      one connection: packets in, steps out
    wire         its bytes: tls_stream, websocket, packets; and what goes wrong on purpose: faults, deeds, spoil
    dps_service, hub_service           what DPS and a hub answer; pure, time comes in
    attestation, allocation, provisioning      who a device is, which hub it gets, what its hub is told
    world, enrollments, switches       what exists, and what is configured
    authority, directory, events       certificates, the folder with ready-made devices, the log

The fact sheet's decision table is followed; where the real service's behaviour is not known, `switches` names the
choice. The world's attributes are plain, so that a test may look at them and change them.
"""
