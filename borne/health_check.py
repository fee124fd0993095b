"""The health check of a running station, for a supervisor such as a container engine."""

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from station.configuration.network_tables import HttpConfig

_TIMEOUT_S: Final = 15.0
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
"""the loopback address on which a station listens that listens on all networks"""


def check_health(http: HttpConfig) -> str | None:
    """Ask the local API of a station on this machine whether it responds; returns why it does not, else None."""
    host = _LOOPBACK.get(http.host, http.host)
    address = f"{host}:{http.port}"
    try:
        connection = _connection(host, http.port, tls=http.tls)
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        answer.read()
    except TimeoutError:
        return f"the station at {address} does not respond within {_TIMEOUT_S:g} s"
    except (OSError, HTTPException) as error:
        return f"the station at {address} does not respond: {error}"
    connection.close()
    return None if answer.status == 200 else f"the station at {address} answers with HTTP {answer.status}"


def _connection(host: str, port: int, *, tls: bool) -> HTTPConnection:
    if not tls:
        return HTTPConnection(host, port, timeout=_TIMEOUT_S)
    # Whether it is alive does not depend on its certificate, which is self-made by default; nothing secret is sent.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
