"""What each problem means, in words for people, and what the daemon does next.

`dpsctl explain`, the journal's catalog (`journalctl -x`) and docs/problems.md show what stands here. The daemon never
imports this module, so that the words take no memory there; that is why they are not in `dpsd.errors`.
"""

from __future__ import annotations

from dpsd.errors import PROBLEMS, Retry

FOLLOWS = {
    Retry.NETWORK: "another attempt soon: after 2 to 4 s at first, later below a ceiling that doubles up to 300 s",
    Retry.SERVICE: (
        "another attempt when the service asks for it, 24 h at most; if it names no time, after at least 5 s, below a "
        "ceiling that doubles up to 300 s"
    ),
    Retry.THROTTLED: (
        "another attempt no earlier than the service asks for, 24 h at most, spread over a minute at first and over "
        "up to 30 minutes later, so that a fleet comes in as fast as the service takes it"
    ),
    Retry.CLOCK: "another attempt when the clock is set or synchronized, otherwise soon",
    Retry.REFUSED: "another attempt in 5 to 10 minutes, then at longer and longer intervals, up to 6 h",
    Retry.CONFIGURATION: "another attempt when a configuration or credential file changes",
}
"""What the daemon does after a problem of a class."""

MEANINGS = {
    # On this device: configuration and credential.
    "configuration-missing": "No configuration file says what to register, or the user dpsd may not read it.",
    "configuration-invalid": (
        "A file is not TOML, a key is unknown, missing or has a wrong value, or network.trusted_roots names no usable "
        "PEM file. All mistakes are listed at once."
    ),
    "configuration-insecure": (
        "Somebody other than root could change a configuration file or the file that network.trusted_roots names, "
        "because of its own permissions or those of a folder above it. The hint names the command."
    ),
    "credential-missing": (
        "A certificate or key file that the configuration names does not exist or cannot be opened, or systemd did not "
        "hand it over."
    ),
    "credential-insecure": (
        "Users other than its owner and the group dpsd can read or write a key file, or it belongs to somebody else, "
        "is a link, has several names or an access control list, or the daemon may not read it. The hint names the "
        "command."
    ),
    "credential-invalid": (
        "A certificate or key is not in the expected form: it is not PEM or not base64, it is neither EC nor RSA, it "
        "does not have exactly one CN, or it is too long or too short."
    ),
    "credential-encrypted": "The private key has a passphrase, and nobody is there to type it.",
    "credential-mismatch": "The certificate and the private key do not belong together.",
    "token-missing": (
        "No token fits credential.token_uri: it is not plugged in, its reader is missing, the service that drives the "
        "reader does not run, or the daemon's sandbox hides the device."
    ),
    "token-unusable": (
        "The PKCS#11 module of credential.module or OpenSSL's pkcs11-provider is not installed or cannot be loaded, or "
        "the URI fits several tokens."
    ),
    "token-pin-refused": (
        "The token did not take the PIN of credential.pin_file, or it has only one try left, which dpsd does not use. "
        "dpsd tries a PIN once: the next attempt follows a changed file, a reload or a restart."
    ),
    "token-pin-locked": "The token's PIN is locked after too many wrong ones.",
    "token-key-missing": (
        "The token has no private key with the label and id of credential.token_uri, or it has several."
    ),
    "token-failed": "The token, its module or OpenSSL's provider reported an error of its own.",
    "firmware-missing": "The command rpi-fw-crypto is missing or cannot be run.",
    "firmware-not-permitted": (
        "rpi-fw-crypto may not open the firmware's device node: the daemon's sandbox hides it, or the user dpsd is not "
        "in its group."
    ),
    "firmware-key-missing": (
        "The Raspberry Pi's one-time programmable memory holds no key under credential.firmware_key_id. dpsd never "
        "writes one."
    ),
    "firmware-failed": "The firmware did not sign. The sentence has all that rpi-fw-crypto says about it.",
    "seal-missing": "credential.store is sealed, and nothing has been sealed on this device yet.",
    "seal-damaged": (
        "The sealed credential is not as it was written: somebody changed its clear line or its ciphertext, or the "
        "disk damaged it. It is not used."
    ),
    "seal-newer": "A later version of dpsd sealed the credential. The file is left as it is.",
    "seal-other-board": (
        "The credential was sealed on another board: the card was moved or cloned. It is not used here."
    ),
    "key-source-missing": (
        "What the credential is sealed with is missing: its file, systemd's own command, or a lasting machine id. "
        "Nothing can replace it."
    ),
    "key-source-changed": (
        "The key source no longer has the key that sealed the credential: the machine id, the file or the firmware's "
        "key has changed. dpsd does not ask systemd under another machine id: systemd would delete its own secret."
    ),
    "key-source-failed": (
        "systemd-creds reported an error of its own; the sentence has its words. If systemd has lost its own secret, "
        "what it encrypted is lost as well: remove /var/lib/dpsd-keys/systemd.json and seal the credential again."
    ),
    "key-helper-unreachable": (
        "The root service dpsd-keys, which asks key sources and firmware for the daemon, does not answer."
    ),
    "certificate-not-yet-valid": "By the clock, the device certificate is not valid yet. Usually the clock is wrong.",
    "certificate-expired": (
        "By the clock, the device certificate has expired. The device keeps an earlier assignment and is ready with "
        "it, but IoT Hub and DPS refuse the certificate."
    ),
    "certificate-ends-soon": (
        "By the clock, the device certificate ends within 30, 7 or 1 days. Nothing has failed yet."
    ),
    "image-unsafe": (
        "The image holds what belongs to one board, or what all boards made from it would share: state, keys, seal "
        "secrets, a machine id; or a configuration that others may write. All of it is listed at once."
    ),
    "registration-id-invalid": (
        "The registration id, or the certificate's CN, is too long or has a character that DPS does not allow."
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
        "disk. A secret written there would stay readable on the card, so dpsd does not write it."
    ),
    "payload-invalid": "dps.payload_file does not exist, is not a JSON object, or is too large or too deep.",
    "board-changed": (
        "The state directory's assignment was made on another board: the card was moved or cloned. The old identity "
        "is not used."
    ),
    "fleet-spread": (
        "Nothing failed. Devices that start together spread their first attempts over a window, and this device's turn "
        "comes later."
    ),
    # An import bundle.
    "bundle-missing": "There is no bundle at this path, or it is empty.",
    "bundle-invalid": (
        "A file of the bundle has a name that no bundle has, is too large, or is a link or a device; the archive is "
        "broken or packed in a way that dpsd does not read; or the files do not make a whole credential. Nothing of it "
        "was adopted."
    ),
    "bundle-not-signed": (
        "The bundle sets what only a bundle signed by the fleet's key may set: the authorities to trust, outputs, "
        "another bundle's rights, a path on this device. Otherwise, whoever can write to a card could hand the device "
        "to somebody else, or have a file of it sent away."
    ),
    "bundle-signature-invalid": (
        "The bundle is not what the key of import.fleet_key_file has signed: a file was changed, SHA256SUMS lacks a "
        "file or names one too many, or another key signed it. Or that key file cannot be used."
    ),
    "bundle-overridden": (
        "A configuration file of the device sets the same thing as the bundle, and would win. dpsd adopts a bundle as "
        "a whole or not at all."
    ),
    "bundle-ignored": (
        "The device is configured or provisioned already. At boot and from a stick a bundle is then adopted only with "
        "import.replace = true."
    ),
    # The clock.
    "clock-not-synchronized": (
        "Nothing has confirmed yet that the clock is right. dpsd waits for that, for clock.wait seconds from its start "
        "at most, and then tries anyway."
    ),
    "clock-wrong": (
        "A certificate's dates or a token's time were refused while the clock is not known to be right. dpsd blames "
        "the clock until something confirms it."
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
    "proxy-unreachable": "The proxy's name cannot be resolved, or dpsd cannot connect to the proxy.",
    "proxy-failed": (
        "The proxy could not reach the endpoint, closed the connection, or answered something that is not the proxy's "
        "protocol."
    ),
    "proxy-refused": "The proxy does not allow a connection to the endpoint's host or port. Many allow port 443 only.",
    "proxy-unauthorized": "The proxy asks for a user and password, or does not accept those it was given (407, 401).",
    "connection-refused": (
        "The endpoint's address answers that nothing listens on the port, or a firewall answers so in its place."
    ),
    "connection-failed": (
        "TCP cannot connect because of another error, which the sentence names: for example, a router is gone."
    ),
    "connection-lost": "The other side closed the connection in the middle.",
    "no-answer": (
        "No answer came within 30 s of a step, or within 10 s of connecting; with the transport auto, within 10 s on "
        "the first port."
    ),
    "intercepted": (
        "Something in between answers in the endpoint's place: the server's certificate comes from an authority that "
        "is not trusted here, or the answer on port 443 is not WebSocket. Captive portals and TLS inspection look like "
        "this; the sentence names the issuer."
    ),
    "tls-wrong-name": "The server's certificate is for another name. The sentence says for which.",
    "tls-certificate-dates": (
        "By the clock, the server's certificate has expired or is not valid yet. Usually the clock is wrong."
    ),
    "tls-alert": "The other side ended TLS with an alert, which the sentence names.",
    "tls-failed": "TLS failed in another way: the server offers only old versions, or does not speak TLS at all.",
    "attempt-deadline": "The attempt took longer than 300 s and was killed.",
    # MQTT.
    "mqtt-unauthorized": "DPS refused the MQTT login. It does so for an id scope that does not exist.",
    "mqtt-rejected": (
        "The endpoint speaks MQTT but does not accept this protocol version or client id. It is probably not DPS."
    ),
    "mqtt-unavailable": 'DPS answered the MQTT login with "server unavailable".',
    "mqtt-subscribe-refused": "DPS did not accept the subscription to its replies.",
    # What DPS decides.
    "dps-unauthorized": (
        "DPS does not accept the credential (401 or 403). It also refuses a key when the clock is too far in the past."
    ),
    "dps-not-found": "DPS knows no enrollment for this device (404).",
    "dps-bad-request": (
        "DPS says that the request is wrong (another 4xx status). The sentence has its error code and message."
    ),
    "dps-disabled": "The enrollment is disabled, or DPS has the device on a list of blocked ones.",
    "dps-unassigned": "DPS ended the registration without an IoT Hub for this device.",
    "dps-failed": "DPS accepted the device but could not assign a hub.",
    "dps-conflict": "DPS is busy with this registration id (409 or 412).",
    "dps-assigning": (
        "DPS asked to be polled again in more than 60 s. The attempt ends, and the next one resumes the same operation."
    ),
    "dps-throttled": "All devices together have sent too many registrations at once (429).",
    "dps-unavailable": "DPS reports an error of its own (5xx).",
    "dps-reply-invalid": "What came back is not a reply that DPS sends, or it is not MQTT.",
    "assignment-invalid": (
        "The assigned hub or device id is not a name that may be written into files, or the custom allocation sent a "
        "payload that cannot be stored. Nothing was written."
    ),
    "assignment-mqtt5": "The assigned hub has the connection profile mqttV5, so it does not speak MQTT 3.1.1.",
    "assignment-not-allowed": "The assigned hub is not one of hub.allow. Nothing was written.",
    # The IoT Hub.
    "hub-refused": (
        "The assigned hub does not let the device in: it does not know the device, has it disabled, or does not accept "
        "the credential. If that lasts, the device registers again."
    ),
    "hub-unavailable": 'The hub answered the MQTT login with "server unavailable", or a request with a 5xx status.',
    "hub-message-invalid": "A message, a twin's property or an answer breaks a limit of IoT Hub. It was not sent.",
    "hub-modules": "The id names a module. dpsd connects devices only.",
    "hub-bad-request": "The hub says that a request is wrong (a 4xx status).",
    "hub-throttled": "The hub has too much to do (429).",
    "hub-no-answer": "The connection stands, but the hub has not acknowledged a message or answered a request in time.",
    "hub-reply-invalid": "What came is nothing that an IoT Hub sends, or it is not MQTT.",
    # The doors.
    "door-refused": (
        "[doors] of the configuration names who may use the doors, and whoever asked is not among them. Root always "
        "may."
    ),
    "door-request-invalid": (
        "A request to the token door is not HTTP/1.1, is too large, or asks for what the door does not have. The "
        "sentence says what is wrong."
    ),
    "door-busy": (
        "A user asked the token door, or for a look at the hub, more often than it takes. Nothing is wrong with the "
        "device."
    ),
    "token-needs-key": (
        "The device proves itself by a certificate, and a token can be signed by a symmetric key only."
    ),
    "clock-untrusted": (
        "A token expires by the clock, and this one is not known to be right: a token with a wrong date is worse than "
        "none."
    ),
    "door-unreachable": (
        "The token door does not answer, or its socket does not let this user in: the group dpsd-agents may connect."
    ),
    # dpsd itself, and dpsctl.
    "state-unwritable": (
        "A file in the state directory cannot be written: the disk is full or read-only, or dpsd has no right to write "
        "there."
    ),
    "state-locked": "Another dpsd or dpsctl provision works with the same state directory.",
    "state-unreadable": (
        "connection.json or the assignment record is damaged. A damaged record is kept beside its place as "
        "assignment.json.unusable, and the device registers again."
    ),
    "state-newer": (
        "A later version of dpsd wrote the assignment record. It is kept beside its place as assignment.json.newer-N, "
        "where no number is used twice, and the device registers again."
    ),
    "worker-failed": "The attempt crashed, could not be started, or sent a message that makes no sense.",
    "not-running": "dpsctl asked for the daemon, which does not run.",
    "not-provisioned": "dpsctl show was asked for a connection, and there is none yet.",
    "not-permitted": "Only root may do this.",
    "unit-invalid": "dpsctl agent was given a name that is not a unit's, or the unit does not exist.",
    "timeout": "dpsctl wait --timeout ended before the device was provisioned.",
}
"""By code, what the problem means. The sentence that comes with a problem says what happened this time."""


def explain(code: str) -> dict[str, str | int]:
    """Return what is known of a problem before it happens, by the names that `dpsctl explain` shows."""
    kind = PROBLEMS[code]
    return {
        "code": code,
        "meaning": MEANINGS[code],
        "hint": kind.hint,
        "class": kind.retry.value,
        "follows": FOLLOWS[kind.retry],
        "exit_status": kind.exit_status,
    }
