"""What each problem means, for people, and what the daemon does next.

The one source of `dpsctl explain`, of the journal's catalog (`journalctl -x`) and of docs/problems.md. Words only, kept
apart from `dpsd.errors` so that the resident daemon does not hold them in memory: it never imports this.
"""

from __future__ import annotations

from dpsd.errors import PROBLEMS, Retry

FOLLOWS = {
    Retry.NETWORK: "another attempt soon: 2 to 4 s at first, a ceiling that doubles up to 300 s",
    Retry.SERVICE: (
        "another attempt when the service asked for it, at most 24 h; else after 5 s at least, with a ceiling that "
        "doubles up to 300 s"
    ),
    Retry.THROTTLED: (
        "another attempt not before the service asked for it, at most 24 h, spread over a minute at first, a time that "
        "doubles up to 30 minutes, so that a fleet comes in as fast as the service takes it"
    ),
    Retry.CLOCK: "another attempt when the clock is set or synchronized, and else soon",
    Retry.REFUSED: "another attempt in 5 to 10 minutes, then more and more slowly, up to 6 h",
    Retry.CONFIGURATION: "another attempt when a configuration or credential file changes",
}
"""What the daemon does after a problem of a class."""

MEANINGS = {
    # On this device: configuration and credential.
    "configuration-missing": "No configuration file says what to register, or the user dpsd may not read it.",
    "configuration-invalid": (
        "A file is not TOML, a key is unknown, missing or has a wrong value, or network.trusted_roots names no "
        "usable PEM file. All faults are listed at once."
    ),
    "configuration-insecure": (
        "Somebody besides root could change a configuration file, or the one that network.trusted_roots names, by the "
        "file or by a folder above it. The hint names the command."
    ),
    "credential-missing": (
        "A certificate or key file that the configuration names is not there or cannot be opened, or systemd did not "
        "hand it over."
    ),
    "credential-insecure": (
        "A key file can be read or written by more than its owner and the group dpsd, belongs to somebody else, is "
        "a link, has several names or an access control list, or the daemon may not read it. The hint names the "
        "command."
    ),
    "credential-invalid": (
        "A certificate or key is not in the expected form: no PEM, no single CN, neither EC nor RSA, not base64, or "
        "too long or too short."
    ),
    "credential-encrypted": "The private key has a passphrase. Nobody is there to type it.",
    "credential-mismatch": "Certificate and private key do not belong together.",
    "token-missing": (
        "No token fits credential.token_uri: it is not plugged in, its reader is not there, the service that drives "
        "the reader does not run, or the daemon's sandbox hides the device."
    ),
    "token-unusable": (
        "The PKCS#11 module of credential.module or OpenSSL's pkcs11-provider is not installed or cannot be loaded, or "
        "the URI fits several tokens."
    ),
    "token-pin-refused": (
        "The token did not take the PIN of credential.pin_file, or has only one try left, which dpsd does not use. One "
        "PIN is tried once: the next attempt follows a changed file, a reload or a restart."
    ),
    "token-pin-locked": "The token's PIN is locked after too many wrong ones.",
    "token-key-missing": "The token has no private key, or several, with the label and id of credential.token_uri.",
    "token-failed": "The token, its module or OpenSSL's provider reported an error of its own.",
    "firmware-missing": "The command rpi-fw-crypto is not there, or cannot be run.",
    "firmware-not-permitted": (
        "rpi-fw-crypto may not open the firmware's device node: the daemon's sandbox hides it, or the user dpsd is not "
        "in its group."
    ),
    "firmware-key-missing": (
        "The Raspberry Pi's one-time programmable memory holds no key under credential.firmware_key_id. dpsd never "
        "writes one."
    ),
    "firmware-failed": "The firmware did not sign, and rpi-fw-crypto does not say more than the sentence.",
    "seal-missing": "credential.store is sealed, and nothing has been sealed on this device yet.",
    "seal-damaged": (
        "The sealed credential is not as it was written: its clear line or its ciphertext was changed, or the disk has "
        "damaged it. It is not used."
    ),
    "seal-newer": "A later version of dpsd has sealed the credential. The file is left as it is.",
    "seal-other-board": (
        "The credential was sealed on another board: the card was moved or cloned. It is not used here."
    ),
    "key-source-missing": (
        "What the credential is sealed with is not there: its file, systemd's own command, or a lasting machine id. "
        "Nothing stands in for it."
    ),
    "key-source-changed": (
        "The key source has another key than when the credential was sealed: another machine id, another file, "
        "another firmware key. systemd is not asked with another machine id, since it would delete its own secret."
    ),
    "key-source-failed": (
        "systemd-creds reported an error of its own; the sentence has its words. If systemd has lost its own secret, "
        "what it encrypted is lost, too: remove /var/lib/dpsd-keys/systemd.json and seal the credential again."
    ),
    "key-helper-unreachable": (
        "The root service dpsd-keys, which asks key sources and firmware for the daemon, does not answer."
    ),
    "certificate-not-yet-valid": (
        "The device certificate's first day lies ahead of the clock. Mostly it is the clock."
    ),
    "certificate-expired": (
        "The device certificate's last day is over by the clock. An earlier assignment stays, and the device is ready "
        "by it, but IoT Hub and DPS refuse the certificate."
    ),
    "certificate-ends-soon": (
        "The end of the device certificate is 30, 7 or 1 days away by the clock. Nothing has failed yet."
    ),
    "image-unsafe": (
        "The image holds what belongs to one board, or what every board made from it would share: state, keys, seal "
        "secrets, a machine id; or a configuration that others may write. All of it is listed at once."
    ),
    "registration-id-invalid": (
        "The registration id has a character that DPS does not allow, is too long, or the certificate's CN is so."
    ),
    "registration-id-unavailable": (
        "dps.registration_id asks for something that this board does not have, or that is not its own: a serial "
        "number without a device tree, a machine id that is made anew at every boot, a host name that every new "
        "system has, one of several network interfaces. The hint names what to use instead."
    ),
    "registration-id-mismatch": (
        "dps.registration_id is not the certificate's CN, or its template gives another id. DPS would refuse it."
    ),
    "release-not-in-memory": (
        "The configuration gives agents the private key or a connection string, and the runtime directory is on a "
        "disk. A secret that was written there stays readable on the card, so that it is not written."
    ),
    "payload-invalid": "dps.payload_file is not there, is no JSON object, or is too large or too deep.",
    "board-changed": (
        "The state directory's assignment was made on another board: the card was moved or cloned. The old identity "
        "is not used."
    ),
    "fleet-spread": (
        "Nothing failed. The first attempts of a fleet that starts together are spread over a window, and this "
        "device's turn comes later."
    ),
    # An import bundle.
    "bundle-missing": "There is no bundle at this path, or it is empty.",
    "bundle-invalid": (
        "A file of the bundle has a name that no bundle has, is too large, or is a link or a device; the archive is "
        "broken or packed in a way that is not taken; or the files do not make a whole credential. Nothing of it was "
        "adopted."
    ),
    "bundle-not-signed": (
        "The bundle sets what only one that the fleet's key has signed may set: the authorities to trust, outputs, "
        "another bundle's rights, a path on this device. Whoever can write to a card could else hand the device to "
        "somebody, or have a file of it sent away."
    ),
    "bundle-signature-invalid": (
        "The bundle is not what the key of import.fleet_key_file has signed: a file was changed, is missing in "
        "SHA256SUMS or too much there, or another key has signed it. Or that key file cannot be used."
    ),
    "bundle-overridden": (
        "A configuration file of the device sets what the bundle sets too, and would win. A bundle is adopted as a "
        "whole or not at all."
    ),
    "bundle-ignored": (
        "The device is configured or provisioned already. At boot and from a stick a bundle is then adopted only with "
        "import.replace = true."
    ),
    # The clock.
    "clock-not-synchronized": (
        "Nothing has confirmed yet that the clock is right. dpsd waits for that, at most clock.wait seconds from "
        "its start, and then tries anyway."
    ),
    "clock-wrong": (
        "A certificate's dates or a token's time were refused while the clock is not known to be right. The clock "
        "is to blame until shown otherwise."
    ),
    "clock-changed": "The clock was set during the attempt, which starts over.",
    # Between this device and DPS.
    "no-interface": "No network interface is up.",
    "radio-blocked": (
        "No network interface is up, and the Wi-Fi radio is blocked (rfkill), as on a new Raspberry Pi OS without a "
        "Wi-Fi country."
    ),
    "interface-missing": (
        "dps.registration_id asks for the hardware address of a network interface that is not there, or not yet. dpsd "
        "waits for it."
    ),
    "no-route": "An interface is up, but no route leads to the endpoint.",
    "no-ipv4-route": "The endpoint has IPv4 addresses only, and this network routes only IPv6.",
    "dns-unavailable": "The name servers cannot be asked now, or say that they cannot answer now (EAI_AGAIN).",
    "dns-no-answer": "The name servers do not answer within 20 s, or the system's resolver gave up waiting for them.",
    "name-not-resolved": "DNS says that the endpoint's name does not exist or has no address.",
    "proxy-unreachable": "The proxy's name cannot be resolved or the proxy cannot be connected to.",
    "proxy-failed": (
        "The proxy could not reach the endpoint, closed the connection, or answered something that is not the "
        "proxy's protocol."
    ),
    "proxy-refused": "The proxy does not allow a connection to the endpoint's host or port. Many allow port 443 only.",
    "proxy-unauthorized": "The proxy asks for a user and password, or does not accept the given ones (407, 401).",
    "connection-refused": (
        "The endpoint's address answers that nothing listens on the port, or a firewall does in its place."
    ),
    "connection-failed": (
        "TCP cannot connect because of another error, which the sentence names: a router that is gone, for one."
    ),
    "connection-lost": "The connection was closed in the middle.",
    "no-answer": (
        "Nothing came back within 30 s of a step, or 10 s of connecting; with the transport auto, within 10 s on the "
        "first port."
    ),
    "intercepted": (
        "Somebody in between answers: the server's certificate comes from an authority that is not trusted here, or "
        "the answer on port 443 is no WebSocket. Captive portals and TLS inspection look so; the sentence names the "
        "issuer."
    ),
    "tls-wrong-name": "The server's certificate is for another name. The sentence tells for which.",
    "tls-certificate-dates": (
        "The server's certificate is expired or not yet valid by the clock. Mostly it is the clock."
    ),
    "tls-alert": "The other side ended TLS with an alert, which the sentence names.",
    "tls-failed": "TLS failed in another way: the server offers only old versions, or does not speak TLS at all.",
    "attempt-deadline": "The attempt took longer than 300 s and was killed.",
    # MQTT.
    "mqtt-unauthorized": "DPS refused the MQTT login. It does so for an id scope that does not exist.",
    "mqtt-rejected": (
        "The endpoint speaks MQTT but does not take this protocol version or client id. It is hardly DPS."
    ),
    "mqtt-unavailable": 'DPS answered the MQTT login with "server unavailable".',
    "mqtt-subscribe-refused": "DPS did not accept the subscription to its replies.",
    # What DPS decides.
    "dps-unauthorized": (
        "DPS does not accept the credential (401 or 403). Also with a key when the clock is too far in the past."
    ),
    "dps-not-found": "DPS knows no enrollment for this device (404).",
    "dps-bad-request": (
        "DPS calls the request wrong (another 4xx status). The sentence has its error code and message."
    ),
    "dps-disabled": "The enrollment is disabled.",
    "dps-failed": "DPS took the device but could not assign a hub.",
    "dps-conflict": "DPS is busy with this registration id (409 or 412).",
    "dps-assigning": (
        "DPS asked to be polled again in more than 60 s. The attempt ends, and the next one resumes the same operation."
    ),
    "dps-throttled": "Too many registrations at once (429), of all devices together.",
    "dps-unavailable": "DPS reports a fault of its own (5xx).",
    "dps-reply-invalid": "What came back is not what DPS says, or not MQTT.",
    "assignment-invalid": (
        "The assigned hub or device id is not a name that may be written into files, or the custom allocation sent "
        "a payload that cannot be stored. Nothing was written."
    ),
    "assignment-not-allowed": "The assigned hub is not one of hub.allow. Nothing was written.",
    # The IoT Hub.
    "hub-refused": (
        "The assigned hub does not let the device in: it is unknown there, disabled, or the credential is not "
        "accepted. When that lasts, the device registers again."
    ),
    "hub-unavailable": 'The hub answered the MQTT login with "server unavailable".',
    # dpsd itself, and dpsctl.
    "state-unwritable": "A file in the state directory cannot be written: disk full, read-only, or no right to.",
    "state-locked": "Another dpsd or dpsctl provision works with the same state directory.",
    "state-unreadable": (
        "connection.json or the assignment record is damaged. A damaged record is kept beside its place as "
        "assignment.json.unusable, and the device registers again."
    ),
    "state-newer": (
        "A later version of dpsd wrote the assignment record. It is kept beside its place as assignment.json.newer-N, "
        "a number that is not used twice, and the device registers again."
    ),
    "worker-failed": "The attempt crashed, could not be started, or said something odd.",
    "not-running": "dpsctl asked for the daemon, and it does not run.",
    "not-provisioned": "dpsctl show was asked for a connection, and there is none yet.",
    "not-permitted": "Only root may do this.",
    "unit-invalid": "dpsctl agent was given a name that is no unit, or of a unit that does not exist.",
    "timeout": "dpsctl wait --timeout ended before the device was provisioned.",
}
"""By code: what is the case when a problem is told. The sentence that comes with it says what happened this time."""


def explain(code: str) -> dict[str, str | int]:
    """Return all that is known of a problem before it happens, by the names that `dpsctl explain` shows."""
    kind = PROBLEMS[code]
    return {
        "code": code,
        "meaning": MEANINGS[code],
        "hint": kind.hint,
        "class": kind.retry.value,
        "follows": FOLLOWS[kind.retry],
        "exit_status": kind.exit_status,
    }
