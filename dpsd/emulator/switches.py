"""The switches: a row for each choice where the behaviour of the real service is not known, or differs.

The default is the first value: what is most likely. `dpsd-emulator --switch NAME=VALUE` sets another; a value of `N` is
a whole number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

NUMBER = "N"


class Switch(NamedTuple):
    """values: the words that it takes, or `NUMBER`. default: its value unless it is set."""

    values: tuple[str, ...]
    default: str
    meaning: str


def _make_choice(*values: str, meaning: str) -> Switch:
    return Switch(values, values[0], meaning)


def _make_number(default: int, meaning: str) -> Switch:
    return Switch((NUMBER,), str(default), meaning)


SWITCHES: dict[str, Switch] = {
    "polls": _make_number(1, "polls that are answered `assigning` before the outcome; 0: the first poll gets it"),
    "retry-after": _make_number(3, "seconds in the retry-after of a 202 (seen live: 3); 0: none is sent"),
    "register-limit": _make_number(
        0, "register requests of all devices in 10 s; the next one gets 429 (quota page: 1000 a minute); 0: no limit"
    ),
    "poll-limit": _make_number(5, "polls of a device in 10 s; the next one gets 429 (quota page); 0: no limit"),
    "clock-drift": _make_number(300, "seconds a SAS token may be past its expiry (hub's error page: 5 minutes)"),
    "hang-up-delay": _make_number(100, "milliseconds between a 401 reply and the end of the connection"),
    "unknown-enrollment": _make_choice(
        "by-type",
        "401",
        "404",
        meaning="no enrollment: by-type is 401002 for X.509; for a key 404201, or 401000 where a group has keys",
    ),
    "disabled-answer": _make_choice(
        "status",
        "status-after-poll",
        "401",
        meaning="disabled enrollment: 200 with status disabled, or a refusal",
    ),
    "individual-mismatch": _make_choice(
        "refuse",
        "groups",
        meaning="an individual enrollment has the id, but not this certificate or attestation",
    ),
    "key-cache": _make_choice(
        "off", "on", meaning="for 30 minutes DPS takes only the key that was used last, and answers the other by 401002"
    ),
    "strict-connect": _make_choice(
        "off", "on", meaning="a bad credential at DPS is refused by CONNACK 5, not by a 401 reply"
    ),
    "unknown-key-name": _make_choice("refuse", "accept", meaning="a SAS token's skn that is not `registration`"),
    "unknown-scope": _make_choice("connack", "401", "404", meaning="an id scope that is not this service's"),
    "api-version": _make_choice("connack", "400", "accept", meaning="a missing or malformed api-version at DPS"),
    "invalid-id": _make_choice("400", "connack", meaning="a registration id with characters that are not allowed"),
    "unsubscribed-register": _make_choice(
        "process",
        "close",
        meaning="a request before the subscription: its reply is lost, or the connection ends",
    ),
    "oversized-request": _make_choice("400", "close", meaning="a request to DPS of more than 96 KB"),
    "retained-publish": _make_choice("ignore", "close", meaning="a request to DPS with the RETAIN flag"),
    "second-register": _make_choice(
        "same", "new", "412", meaning="register while assigning: the same operation, a new one, or refused"
    ),
    "sixth-subscription": _make_choice("close", "accept", meaning="more than the hub's 5 subscriptions"),
    "hub-x509-group": _make_choice(
        "thumbprint",
        "ca",
        meaning="the hub identity of a group's device: the certificate used, or any of its CA",
    ),
    "will-at-dps": _make_choice("ignore", "connack", meaning="a Will in a CONNECT to DPS"),
    "dps-lifetime": _make_number(0, "seconds after which DPS ends any connection; 0: never"),
}


class Switches:
    """The chosen values, by name. chosen: texts NAME=VALUE; raises ValueError as `set` does."""

    def __init__(self, chosen: Iterable[str] = ()) -> None:
        self.values = {name: switch.default for name, switch in SWITCHES.items()}
        for text in chosen:
            self.set(*text.partition("=")[::2])

    def set(self, name: str, value: str) -> None:
        """Set a switch; raises ValueError for a name or value that does not exist."""
        switch = SWITCHES.get(name)
        if switch is None:
            raise ValueError(f"no switch '{name}'; there are: {', '.join(SWITCHES)}")
        numeric = switch.values == (NUMBER,) and value.isascii() and value.isdigit() and len(value) < 10
        if value not in switch.values and not numeric:
            raise ValueError(f"switch {name} takes {' | '.join(switch.values)}, not '{value}'")
        self.values[name] = value

    def get_word(self, name: str) -> str:
        """Return the value of a switch with words."""
        return self.values[name]

    def get_number(self, name: str) -> int:
        """Return the value of a switch with a number."""
        return int(self.values[name])


def describe_switches() -> str:
    """Return the lines of the help, two for each switch."""
    return "\n".join(
        f"  {name}={'|'.join(switch.values)} (default {switch.default})\n      {switch.meaning}"
        for name, switch in SWITCHES.items()
    )
