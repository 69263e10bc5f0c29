"""How the network setting reaches a host: directly, or through the proxy. Floor 3."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import NoReturn

from dpsd.errors import Problem
from dpsd.link import check_interface, check_routes
from dpsd.protocol.identifiers import Endpoint
from dpsd.proxies import Proxy
from dpsd.resolve import Address, literal, resolve
from dpsd.settings import Network
from dpsd.steps import Report, step
from dpsd.tcp import connect
from dpsd.tunnel import dig, effective_proxy

Dial = Callable[[Endpoint], socket.socket]
"""Connects to a port of the host; raises Problem."""
_LINK = ("no-interface", "radio-blocked", "no-route")
"""Problems of this board's own end, whatever was to be reached."""


def make_dial(network: Network, host: str, report: Report) -> Dial:
    """Find out how to reach `host`, its addresses or the proxy's included: they serve for every port.

    Raises Problem `configuration-invalid`, `name-not-resolved`, `dns-*`, `no-interface`, `radio-blocked`, `no-route`
    or `proxy-unreachable`.
    """
    proxy = effective_proxy(network.proxy, host)
    if proxy is None:
        addresses = _addresses(host, report)
        return lambda endpoint: connect(endpoint, addresses)
    try:
        proxy_addresses = _addresses(proxy.endpoint.host, report)
    except Problem as problem:
        _raise_of_proxy(proxy, problem)
    return lambda endpoint: dig(_reach(proxy, proxy_addresses), proxy, network.proxy_password_file, endpoint)


def _addresses(host: str, report: Report) -> tuple[Address, ...]:
    if addresses := literal(host):
        return addresses
    with step(f"resolving {host}", report):
        try:
            return resolve(host)
        except Problem as problem:
            if problem.code != "name-not-resolved":
                check_interface()
                check_routes()
            raise


def _reach(proxy: Proxy, addresses: tuple[Address, ...]) -> socket.socket:
    try:
        return connect(proxy.endpoint, addresses)
    except Problem as problem:
        _raise_of_proxy(proxy, problem)


def _raise_of_proxy(proxy: Proxy, problem: Problem) -> NoReturn:
    if problem.code in _LINK:
        raise problem
    raise Problem("proxy-unreachable", f"the proxy {proxy} cannot be reached: {problem.sentence}") from None
