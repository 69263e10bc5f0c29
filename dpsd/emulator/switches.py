"""Choices where the real service's behaviour is unknown or differs from place to place: one row each.

The default is the first value, and follows the fact sheet's decision table. `dpsd-emulator --switch NAME=VALUE` sets
one; a value of `N` is a whole number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

NUMBER = "N"


class Switch(NamedTuple):
    """values: the allowed words, or `NUMBER`; default: the word or number taken when nothing is said."""

    values: tuple[str, ...]
    default: str
    meaning: str


def _words(*values: str, meaning: str) -> Switch:
    return Switch(values, values[0], meaning)


def _number(default: int, meaning: str) -> Switch:
    return Switch((NUMBER,), str(default), meaning)


SWITCHES: dict[str, Switch] = {
    "polls": _number(1, "polls answered `assigning` before the end; 0: the first poll is answered with the outcome"),
    "retry-after": _number(3, "seconds in the retry-after of a 202 (seen live: 3); 0: none is sent"),
    "register-limit": _number(
        0, "register requests of all devices in 10 s, the next one gets 429 (quota page: 1000 a minute); 0: no limit"
    ),
    "poll-limit": _number(5, "polls per device in 10 s, the next one gets 429 (quota page); 0: no limit"),
    "clock-drift": _number(300, "seconds a SAS token may be past its expiry (hub's error page: 5 minutes)"),
    "hang-up-delay": _number(100, "milliseconds between a 401 reply and the end of the connection"),
    "unknown-enrollment": _words(
        "by-type",
        "401",
        "404",
        meaning="no enrollment: by-type is 401002 for X.509; for a key 404201, or 401000 where a group has keys",
    ),
    "disabled-answer": _words(
        "status",
        "status-after-poll",
        "401",
        meaning="disabled enrollment: 200 with status disabled, or a refusal",
    ),
    "individual-mismatch": _words(
        "refuse",
        "groups",
        meaning="an individual enrollment has the id, but not this certificate or attestation",
    ),
    "key-cache": _words("off", "on", meaning="for 30 minutes only the key that was used last is taken (401002)"),
    "strict-connect": _words(
        "off", "on", meaning="a bad credential at DPS is refused by CONNACK 5, not by a 401 reply"
    ),
    "unknown-key-name": _words("refuse", "accept", meaning="a SAS token's skn that is not `registration`"),
    "unknown-scope": _words("connack", "401", "404", meaning="an id scope that is not this service's"),
    "api-version": _words("connack", "400", "accept", meaning="a missing or malformed api-version at DPS"),
    "invalid-id": _words("400", "connack", meaning="a registration id with characters that are not allowed"),
    "unsubscribed-register": _words(
        "process",
        "close",
        meaning="a request before the subscription: its reply is lost, or the connection ends",
    ),
    "oversized-request": _words("400", "close", meaning="a request to DPS of more than 96 KB"),
    "retained-publish": _words("ignore", "close", meaning="a request to DPS with the RETAIN flag"),
    "second-register": _words(
        "same", "new", "412", meaning="register while assigning: the same operation, a new one, or refused"
    ),
    "sixth-subscription": _words("close", "accept", meaning="more than the hub's 5 subscriptions"),
    "hub-x509-group": _words(
        "thumbprint",
        "ca",
        meaning="the hub identity of a group's device: the certificate used, or any of its CA",
    ),
    "will-at-dps": _words("ignore", "connack", meaning="a Will in a CONNECT to DPS"),
    "dps-lifetime": _number(0, "seconds after which DPS ends any connection; 0: never"),
}


class Switches:
    """The chosen values; raises ValueError on names and values that do not exist."""

    def __init__(self, chosen: Iterable[str] = ()) -> None:
        self.values = {name: switch.default for name, switch in SWITCHES.items()}
        for text in chosen:
            self.set(*text.partition("=")[::2])

    def set(self, name: str, value: str) -> None:
        switch = SWITCHES.get(name)
        if switch is None:
            raise ValueError(f"no switch '{name}'; there are: {', '.join(SWITCHES)}")
        numeric = switch.values == (NUMBER,) and value.isascii() and value.isdigit()
        if value not in switch.values and not numeric:
            raise ValueError(f"switch {name} takes {' | '.join(switch.values)}, not '{value}'")
        self.values[name] = value

    def word(self, name: str) -> str:
        return self.values[name]

    def number(self, name: str) -> int:
        return int(self.values[name])


def describe() -> str:
    """Return one line for each switch, its default first."""
    return "\n".join(
        f"  {name}={'|'.join(switch.values)} (default {switch.default})\n      {switch.meaning}"
        for name, switch in SWITCHES.items()
    )
