"""Names in DPS and IoT Hub, and the rules for them.

Sources: registration ids from Microsoft's DPS concepts page (at most 128 characters; letters, digits and `- . _ :`,
the last one alphanumeric or a dash; case-insensitive), 64 with X.509 because X.520 limits a common name; device ids
from the IoT Hub identity registry page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from dpsd.errors import Problem
from dpsd.text import printable

DPS_PORT = 8883
REGISTRATION_ID_LIMIT = 128
REGISTRATION_ID_LIMIT_X509 = 64
HOST_NAME_LIMIT = 253
TEMPLATE_NAMES = ("serial", "machine_id", "mac", "hostname", "cn")
"""Names that may stand in braces in a registration id; `mac` may be followed by an interface, as in {mac:eth0}."""

_REGISTRATION_ID = re.compile(r"[a-z0-9._:-]*[a-z0-9-]")
_PLACEHOLDER = re.compile(rf"\{{({'|'.join(TEMPLATE_NAMES)})(?:(?<=mac):([A-Za-z0-9._-]{{1,15}}))?\}}")
_ID_SCOPE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_DEVICE_ID = re.compile(r"[A-Za-z0-9.+%_#*?!(),=@$:-]{1,128}")
_IPV6 = re.compile(r"(?=[^:]*:)[0-9A-Fa-f:.]{2,45}")


class Endpoint(NamedTuple):
    """Where to connect: a host name or address without brackets, and a TCP port."""

    host: str
    port: int

    @property
    def bracketed(self) -> str:
        """The host as it is written before a port: an IPv6 address in brackets (RFC 3986, 3.2.2)."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return f"{self.bracketed}:{self.port}"


def check_registration_id(registration_id: str, *, x509: bool) -> None:
    """Raise Problem `registration-id-invalid` unless DPS takes this id. x509: it comes with a certificate."""
    limit = REGISTRATION_ID_LIMIT_X509 if x509 else REGISTRATION_ID_LIMIT
    shown = f"registration id '{printable(registration_id)}'"
    if registration_id != registration_id.lower():
        repaired = printable(registration_id.lower())
        raise Problem("registration-id-invalid", f"{shown} has upper-case letters", hint=f"write it as '{repaired}'")
    if len(registration_id) > limit:
        raise Problem("registration-id-invalid", f"{shown} has {len(registration_id)} characters, {limit} are allowed")
    if not _REGISTRATION_ID.fullmatch(registration_id):
        rule = "only a-z 0-9 - . _ : are allowed, the last one a letter, a digit or -"
        raise Problem("registration-id-invalid", f"{shown}: {rule}")


def check_template(template: str, *, x509: bool) -> None:
    """Raise Problem `registration-id-invalid` unless DPS would take the filled template. x509: with a certificate."""
    shown, names = f"'{printable(template)}'", [name for name, _ in _PLACEHOLDER.findall(template)]
    if re.search("[{}]", _PLACEHOLDER.sub("", template)):
        known = " ".join(f"{{{name}}}" for name in (*TEMPLATE_NAMES, "mac:eth0"))
        hint = f"what can stand in braces is {known}"
        raise Problem("registration-id-invalid", f"{shown} has something unknown in braces", hint=hint)
    if "cn" in names and not x509:
        said = f"{shown}: only a certificate has a common name"
        raise Problem("registration-id-invalid", said, hint="use {serial} or {mac:eth0} instead of {cn}")
    filled = _PLACEHOLDER.sub("0", template)
    if names and filled != filled.lower():
        said, hint = f"{shown} has upper-case letters", "write all letters outside of braces in lower case"
        raise Problem("registration-id-invalid", said, hint=hint)
    check_registration_id(filled, x509=x509)


def fill_template(template: str, value_of: Callable[[str, str], str]) -> str:
    """Return the template with every `{name}` and `{name:argument}` replaced by `value_of`, in lower case."""
    return _PLACEHOLDER.sub(lambda found: value_of(found[1], found[2] or "").lower(), template)


def is_id_scope(text: str) -> bool:
    """Tell whether `text` can be an id scope."""
    # The ids seen so far are 0ne and 8 hexadecimal digits; this form is not demanded here.
    return _ID_SCOPE.fullmatch(text) is not None


def is_host_name(text: str) -> bool:
    """Tell whether `text` is a DNS name of letters, digits and hyphens, or an IPv4 address."""
    return len(text) <= HOST_NAME_LIMIT and all(_LABEL.fullmatch(label) for label in text.split("."))


def is_device_id(text: str) -> bool:
    """Tell whether IoT Hub allows `text` as a device id."""
    # IoT Hub allows a single quote as well, but an output file cannot carry it.
    return _DEVICE_ID.fullmatch(text) is not None


def parse_endpoint(text: str, default_port: int = DPS_PORT) -> Endpoint:
    """Parse `host`, `host:port` or `[v6]:port`; raises ValueError, which says what to write if that is clear."""
    if "://" in text:
        host = text.split("://", 1)[1].split("/", 1)[0]
        raise ValueError(f"is a URL; write '{printable(host)}'")
    host, port = _split_port(text, default_port)
    if not is_host_name(host) and not _IPV6.fullmatch(host):
        raise ValueError(f"'{printable(text)}' is not a host, host:port or [v6]:port")
    return Endpoint(host, port)


def _split_port(text: str, default_port: int) -> tuple[str, int]:
    bracketed = re.fullmatch(r"\[([^]]*)\](?::(.*))?", text)
    if bracketed:
        host, port = bracketed.groups()
        if ":" not in host:
            raise ValueError(f"'{printable(text)}': only an IPv6 address stands in brackets")
        return host, default_port if port is None else _parse_port(port)
    host, colon, port = text.partition(":")
    if ":" in port:
        raise ValueError(f"'{printable(text)}': write an IPv6 address in brackets")
    return host, _parse_port(port) if colon else default_port


def _parse_port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ValueError(f"port '{printable(text)}' is not a number from 1 to 65535")
    return int(text)
