"""The way to a host that the network settings ask for: directly, or through a proxy."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from dpsd.configuration.proxy import Proxy
from dpsd.configuration.settings import Network
from dpsd.errors import Problem
from dpsd.network.diagnosis import check_interface, check_routes
from dpsd.network.resolve import Address, parse_address, resolve
from dpsd.network.tcp import connect
from dpsd.network.tunnel import choose_proxy, open_tunnel
from dpsd.protocol.identifiers import Endpoint
from dpsd.system.deadline import Report, step

_LINK = ("no-interface", "radio-blocked", "no-route")
"""Problems of this board's own end of the network."""


class Dial(NamedTuple):
    """How to reach a host. connect: opens a connection to one of its ports, raises Problem."""

    connect: Callable[[Endpoint], socket.socket]
    proxy: Proxy | None = None

    def __str__(self) -> str:
        return "" if self.proxy is None else f" through {self.proxy}"


def make_dial(network: Network, host: str, report: Report) -> Dial:
    """Find out how to reach `host` and resolve it, or its proxy, once for all ports.

    Raises Problem `configuration-invalid`, `name-not-resolved`, `dns-*`, `no-interface`, `radio-blocked`, `no-route`
    or `proxy-unreachable`.
    """
    proxy = choose_proxy(network.proxy, host)
    if proxy is None:
        addresses = _find_addresses(host, report)
        return Dial(lambda endpoint: connect(endpoint, addresses))
    try:
        proxy_addresses = _find_addresses(proxy.endpoint.host, report, near=True)
    except Problem as problem:
        _raise_for_proxy(proxy, problem)
    file = network.proxy_password_file
    return Dial(lambda endpoint: open_tunnel(_connect_to_proxy(proxy, proxy_addresses), proxy, file, endpoint), proxy)


def _find_addresses(host: str, report: Report, *, near: bool = False) -> tuple[Address, ...]:
    """Return a host's addresses. near: the host may be in the local network, which needs no route."""
    if addresses := parse_address(host):
        return addresses
    with step(f"resolving {host}", report):
        try:
            return resolve(host)
        except Problem as problem:
            if problem.code != "name-not-resolved":
                _check_link(near)
            raise


def _check_link(near: bool) -> None:
    """Raise the Problem of this board's own end, if there is one, that keeps it from the name servers."""
    check_interface()
    if not near:
        check_routes()


def _connect_to_proxy(proxy: Proxy, addresses: tuple[Address, ...]) -> socket.socket:
    try:
        return connect(proxy.endpoint, addresses)
    except Problem as problem:
        _raise_for_proxy(proxy, problem)


def _raise_for_proxy(proxy: Proxy, problem: Problem) -> NoReturn:
    if problem.code in _LINK:
        raise problem
    raise Problem("proxy-unreachable", f"the proxy {proxy} cannot be reached: {problem.sentence}") from None
