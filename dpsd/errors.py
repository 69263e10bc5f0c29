"""Names for everything that can go wrong.

There is one exception, `Problem`. What differs between problems is data: `PROBLEMS` gives each code its retry class,
its exit status and the next thing a person should do. A problem's sentence says what happened this time; text in it
that came from outside has gone through `dpsd.text.printable`.

Any other exception that reaches `main` is a bug, and the program exits with `EXIT_BUG`.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

EXIT_DONE = 0
EXIT_BUG = 1
EXIT_USAGE = 2
EXIT_NOT_PROVISIONED = 3
EXIT_NOT_REMOVED = 3
"""A reset that was not confirmed has removed nothing."""
EXIT_UNAVAILABLE = 69
EXIT_LATER = 75
EXIT_REFUSED = 77
EXIT_CONFIGURATION = 78


class Retry(enum.Enum):
    """The class of a problem, by which `dpsd.protocol.retry` chooses the next attempt."""

    NETWORK = "network"
    """Nothing was decided about this device: try again soon."""
    SERVICE = "service"
    """The service answered that it cannot help now: its retry-after wins."""
    THROTTLED = "throttled"
    """The service has too many devices at once: its retry-after wins, and the fleet spreads its attempts."""
    REFUSED = "refused"
    """The service or the fleet's owner said no: try again, but rarely."""
    CLOCK = "clock"
    """The board's clock is wrong or not known to be right: try again when it changes, or soon."""
    CONFIGURATION = "configuration"
    """Something on this device is wrong: wait until a watched file changes."""


class Kind(NamedTuple):
    """What all problems of one code share."""

    retry: Retry
    exit_status: int
    hint: str


def _network(hint: str) -> Kind:
    return Kind(Retry.NETWORK, EXIT_UNAVAILABLE, hint)


def _service(hint: str, exit_status: int = EXIT_UNAVAILABLE) -> Kind:
    return Kind(Retry.SERVICE, exit_status, hint)


def _clock(hint: str) -> Kind:
    return Kind(Retry.CLOCK, EXIT_LATER, hint)


def _refused(hint: str) -> Kind:
    return Kind(Retry.REFUSED, EXIT_REFUSED, hint)


def _local(hint: str) -> Kind:
    return Kind(Retry.CONFIGURATION, EXIT_CONFIGURATION, hint)


_SEAL = "sudo dpsctl seal --certificate FILE --private-key FILE, or --primary-key FILE"
_PORT = "let the firewall pass TCP port 8883 (WebSocket: 443), or set network.transport to auto"

PROBLEMS: dict[str, Kind] = {
    # On this device: the configuration and the credential.
    "configuration-missing": _local("copy the example to /etc/dpsd/dpsd.toml and set id_scope and the credential"),
    "configuration-invalid": _local("correct the named keys, then check with: dpsctl config"),
    "configuration-insecure": _local("let only root write the configuration and the folders above it"),
    "credential-missing": _local("put the file in place, or correct its path in the configuration"),
    "credential-insecure": _local("let only its owner, root or the dpsd user, read the file"),
    "credential-invalid": _local("replace the file with one in the format that dpsd.toml(5) describes"),
    "credential-encrypted": _local("store the key without a passphrase: openssl pkey -in OLD -out NEW"),
    "credential-mismatch": _local("put the private key that belongs to the certificate in place"),
    "token-missing": _network("plug the token in; to see which are there: pkcs11-tool --module MODULE --list-slots"),
    "token-unusable": _local(
        "install the module and pkcs11-provider (Debian 12: from backports), then: sudo dpsctl reprovision"
    ),
    "token-pin-refused": _local(
        "correct pin_file; to try a PIN by hand: pkcs11-tool --module MODULE --login --list-objects"
    ),
    "token-pin-locked": _local("unlock the token with the tool of its maker, then put the new PIN into pin_file"),
    "token-key-missing": _local(
        "correct token_uri; to see the keys: pkcs11-tool --module MODULE --login --list-objects"
    ),
    "token-failed": _network("check the token and its reader; see what the module's own log says"),
    "firmware-missing": _local("install the command: apt-get install rpifwcrypto; or set credential.firmware_command"),
    "firmware-not-permitted": _local("let dpsd.service reach the firmware: see dpsd.toml(5), A key in the firmware"),
    "firmware-key-missing": _local("see which key there is: sudo rpi-fw-crypto get-key-status 1"),
    "firmware-failed": _network("see what it says when run by hand: sudo rpi-fw-crypto get-key-status 1"),
    "seal-missing": _local(f"seal a credential on this device: {_SEAL}"),
    "seal-damaged": _local(f"seal the credential again: {_SEAL}"),
    "seal-newer": _local(f"install the version of dpsd that wrote it, or seal the credential again: {_SEAL}"),
    "seal-other-board": _local(
        "put the card back into its board; or start over on this board: sudo systemctl stop dpsd, "
        "sudo dpsctl reset --credential --yes, and seal a credential for it"
    ),
    "key-source-missing": _local(f"restore it, then: sudo dpsctl reprovision; or seal the credential again: {_SEAL}"),
    "key-source-changed": _local(f"restore it, then: sudo dpsctl reprovision; or seal the credential again: {_SEAL}"),
    "key-source-failed": _network(f"fix what it reports; or seal the credential again: {_SEAL}"),
    "key-helper-unreachable": _network("see why it does not answer: systemctl status dpsd-keys.socket"),
    "certificate-not-yet-valid": _network("check the board's clock; if it is right, check the certificate's dates"),
    "certificate-expired": Kind(
        Retry.REFUSED, EXIT_CONFIGURATION, "renew the device certificate, and check the board's clock"
    ),
    "certificate-ends-soon": _local(
        "renew it: put a new one in place, or run dpsctl renew; see /usr/share/doc/dpsd/certificates.md"
    ),
    "image-unsafe": _local("remove what is listed, and look again: dpsctl config --image ROOT"),
    "registration-id-invalid": _local("set dps.registration_id to lower-case letters, digits and - . _ :"),
    "registration-id-unavailable": _local("use another value in dps.registration_id; see dpsd.toml(5)"),
    "registration-id-mismatch": _local("set dps.registration_id to the certificate's CN, or leave it out"),
    "release-not-in-memory": _local(
        "put the runtime directory on tmpfs, or turn outputs.release_private_key and outputs.connection_string off"
    ),
    "payload-invalid": _local("make the payload a JSON object of at most 64 KiB"),
    "board-changed": _local("put the card back into its board, or set board.clone_guard to reprovision"),
    "fleet-spread": _service("wait, or set fleet.window and fleet.volatile_window", EXIT_LATER),
    # An import bundle.
    "bundle-missing": _local("name a folder, .tar, .tar.gz or .zip with the files that dpsctl(1), import, lists"),
    "bundle-invalid": _local("make the bundle again, only of the files that dpsctl(1), import, lists"),
    "bundle-not-signed": _local("leave the named settings out, or sign the bundle and set import.fleet_key_file"),
    "bundle-signature-invalid": _local("sign the bundle again with the fleet's key; see /usr/share/doc/dpsd/import.md"),
    "bundle-overridden": _local("remove the named setting from that file, or from the bundle"),
    "bundle-ignored": _local("run as root: dpsctl import PATH; or set import.replace = true"),
    # The clock.
    "clock-not-synchronized": _clock("wait, or check that NTP (UDP port 123) gets through: timedatectl"),
    "clock-wrong": _clock("set the clock, or check that NTP (UDP port 123) gets through: timedatectl"),
    "clock-changed": _clock("nothing to do: the attempt starts over"),
    # Between this device and the service.
    "no-interface": _network("check the cable or Wi-Fi, and what manages the network: ip link"),
    "radio-blocked": _network("unblock the radio: rfkill unblock wifi; on a new Raspberry Pi set the Wi-Fi country"),
    "interface-missing": _network("wait for the interface, or name another one in dps.registration_id: ip link"),
    "no-route": _network("check DHCP and the gateway: ip route"),
    "no-ipv4-route": _network("DPS has IPv4 addresses only: give the network IPv4, or NAT64 with DNS64"),
    "dns-unavailable": _network("check the name servers: resolvectl status, or /etc/resolv.conf"),
    "dns-no-answer": _network("check the name servers and that a firewall lets UDP and TCP port 53 through"),
    "name-not-resolved": _network("check dps.global_endpoint for a spelling mistake, and the name servers"),
    "proxy-unreachable": _network("check network.proxy and that the proxy runs"),
    "proxy-failed": _network("see the proxy's log; it must be able to reach the endpoint"),
    "proxy-refused": _refused("let the proxy pass CONNECT to the endpoint's host and port"),
    "proxy-unauthorized": _refused("check the user in network.proxy and the file network.proxy_password_file"),
    "connection-refused": _network(_PORT),
    "connection-failed": _network("check the network, its route, and the firewall"),
    "connection-lost": _network("nothing to do if it passes; otherwise check the link and the firewall's idle limits"),
    "no-answer": _network(_PORT),
    "intercepted": _network("let the firewall or portal pass this host untouched, or check network.trusted_roots"),
    "tls-wrong-name": _network("check dps.global_endpoint, and for a captive portal or a firewall inspecting TLS"),
    "tls-certificate-dates": _network("check the board's clock; the server's certificate is outside its dates"),
    "tls-alert": _network("see which alert it is; check the device certificate, and what filters TLS in between"),
    "tls-failed": _network("check that nothing between board and service inspects or filters TLS"),
    "attempt-deadline": _network("see the step it stopped at; check the network's speed and DNS"),
    # MQTT.
    "mqtt-unauthorized": _refused("check dps.id_scope and the registration id against the enrollment"),
    "mqtt-rejected": _refused("check that dps.global_endpoint names a Device Provisioning Service"),
    "mqtt-unavailable": _service("wait: the service says it is unavailable"),
    "mqtt-subscribe-refused": _service("wait: the service did not accept the subscription"),
    # What DPS decides.
    "dps-unauthorized": _refused("check the enrollment: its key or certificate authority must match this device"),
    "dps-not-found": _refused("create an enrollment for this device, or check dps.id_scope"),
    "dps-bad-request": _refused("check the registration id and the payload against the enrollment"),
    "dps-disabled": _refused("enable the enrollment of this device, or retire the device"),
    "dps-unassigned": _refused("see in the enrollment and its allocation policy why it gets no IoT Hub"),
    "dps-failed": _refused("check the enrollment's allocation policy and its linked IoT Hubs"),
    "dps-conflict": _service("wait; if it lasts, look for a second device with the same registration id"),
    "dps-assigning": _service("wait: DPS is still assigning an IoT Hub", EXIT_LATER),
    "dps-throttled": Kind(
        Retry.THROTTLED, EXIT_LATER, "wait: the service limits registrations for all devices together"
    ),
    "dps-unavailable": _service("wait: the service reports an error of its own"),
    "dps-reply-invalid": _service("if it lasts, report it with the journal's lines"),
    "assignment-invalid": _refused("check the IoT Hub linked to the enrollment and the device id it sets"),
    "assignment-mqtt5": _refused("link an IoT Hub of the classic profile, which speaks MQTT 3.1.1, to the enrollment"),
    "assignment-not-allowed": _refused("check hub.allow in the configuration and the enrollment's IoT Hubs"),
    # What the IoT Hub says about the device.
    "hub-refused": _refused("check the device in the hub; after hub.reprovision_after it registers again"),
    "hub-unavailable": _service("wait: the IoT Hub says it is unavailable"),
    # What is said to the IoT Hub, and what it answers.
    "hub-message-invalid": _local("correct what is to be sent"),
    "hub-modules": _local("use the device's own identity, without a module"),
    "hub-bad-request": _refused("check what was sent against the limits of IoT Hub"),
    "hub-throttled": Kind(Retry.THROTTLED, EXIT_LATER, "wait: the IoT Hub limits how much is sent to it"),
    "hub-no-answer": _network("try again; if it lasts, look whether the IoT Hub has troubles of its own"),
    "hub-reply-invalid": _service("if it lasts, report it with the sentence"),
    # The doors, where agents ask.
    "door-refused": _refused("name the unit, user or group in [doors] of the configuration"),
    "door-request-invalid": _local("see /usr/share/doc/dpsd/agents.md for what the door takes"),
    "door-busy": _service("ask again after the time that Retry-After tells", EXIT_LATER),
    "token-needs-key": _refused("use the certificate and key that connection.json names"),
    "clock-untrusted": _clock("wait, or check that NTP (UDP port 123) gets through: timedatectl"),
    "door-unreachable": _network(
        "join the group dpsd-agents, or see why it does not answer: systemctl status dpsd-identity.socket"
    ),
    # dpsd itself, and dpsctl.
    "state-unwritable": _network("check that the state directory's disk has room and is writable"),
    "state-locked": Kind(Retry.NETWORK, EXIT_LATER, "another dpsd or dpsctl holds the state directory: let it finish"),
    "state-unreadable": _local("look at the named file; move it away to start over"),
    "state-newer": _local("nothing to do: the device registers again, and the file is kept for the newer version"),
    "worker-failed": Kind(Retry.NETWORK, EXIT_BUG, "report it with the journal's lines: this is a bug"),
    "not-running": Kind(Retry.NETWORK, EXIT_UNAVAILABLE, "start the daemon: sudo systemctl start --no-block dpsd"),
    "not-provisioned": Kind(Retry.NETWORK, EXIT_NOT_PROVISIONED, "see what it waits for: dpsctl status"),
    "not-permitted": Kind(Retry.CONFIGURATION, EXIT_CONFIGURATION, "run it as root: sudo dpsctl ..."),
    "unit-invalid": Kind(Retry.CONFIGURATION, EXIT_CONFIGURATION, "list units with: systemctl list-unit-files"),
    "timeout": Kind(Retry.NETWORK, EXIT_LATER, "see what it waits for: dpsctl status"),
}

ONE_TRY = frozenset({"token-pin-refused", "token-pin-locked"})
"""Codes after which only a changed file starts another attempt: each wrong PIN brings a token nearer to its lock."""
NOT_FAILED = frozenset({"clock-not-synchronized", "fleet-spread"})
"""Codes of an attempt that waits before its first packet: nothing has failed."""


class Problem(Exception):  # noqa: N818 - not an error of the program but something for a person to act on
    """Something that a person can act on.

    code: a key of `PROBLEMS`. sentence: what happened, in one line. hint: the next thing to do, if the code's own hint
    is not exact enough. retry_after: seconds that the service asked for. also: more sentences, when several things are
    wrong at once. window: seconds over which the owner spreads the fleet.
    """

    def __init__(
        self,
        code: str,
        sentence: str,
        *,
        hint: str | None = None,
        retry_after: float | None = None,
        also: tuple[str, ...] = (),
        window: float = 0,
    ) -> None:
        super().__init__(sentence)
        self.kind = PROBLEMS[code]
        self.code = code
        self.sentence = sentence
        self.hint = hint or self.kind.hint
        self.retry_after = retry_after
        self.also = also
        self.window = window

    def amend(self, sentence: str | None = None, *, hint: str | None = None, window: float | None = None) -> Problem:
        """Return a copy with another sentence, hint or window (seconds)."""
        return Problem(
            self.code,
            self.sentence if sentence is None else sentence,
            hint=self.hint if hint is None else hint,
            retry_after=self.retry_after,
            also=self.also,
            window=self.window if window is None else window,
        )

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"


def encode_problem(problem: Problem) -> dict[str, Any]:
    """Return the problem as JSON values, for --json, status.json and the worker's pipe."""
    return {
        "code": problem.code,
        "sentence": problem.sentence,
        "hint": problem.hint,
        "also": list(problem.also),
        "class": problem.kind.retry.value,
        "exit_status": problem.kind.exit_status,
        "retry_after": problem.retry_after,
        "window": problem.window,
    }


class ProtocolError(ValueError):
    """The network sent bytes that the protocol does not allow; this becomes the problem `dps-reply-invalid`."""
