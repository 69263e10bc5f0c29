"""An MQTT session with DPS or an IoT Hub, over whichever transport the configuration allows. Floor 3."""

from __future__ import annotations

from typing import NamedTuple

from dpsd.credentials.credential import Credential
from dpsd.mqtt import Session
from dpsd.protocol.identifiers import Endpoint
from dpsd.settings import Network
from dpsd.steps import Report, step
from dpsd.tls import make_context


class Login(NamedTuple):
    """What stands in CONNECT. password: a SAS token; None where the certificate proves the device."""

    client_id: str
    username: str
    password: str | None


def open_session(endpoint: Endpoint, network: Network, credential: Credential, login: Login, report: Report) -> Session:
    """Connect and log in, in one step; the caller closes the session. Raises the Problems of `Session.open`."""
    context = make_context(network.trusted_roots)
    if credential.x509 is not None:
        credential.x509.arm(context)
    session = Session(endpoint, context, login.client_id, login.username, login.password)
    try:
        with step(f"connecting to {endpoint}", report):
            session.open()
    except BaseException:
        session.close()
        raise
    return session
