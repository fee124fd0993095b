"""Reads the local API of the station on this machine, for `borne status`."""

from __future__ import annotations

import ipaddress
import json
import ssl
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from foundation.frozen import Frozen
from foundation.json_values import is_object
from station.configuration.network_tables import HttpConfig

_TIMEOUT_S: Final = 5.0
_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::", ""})


class ApiUnavailableError(Exception):
    """The local API does not answer, or refuses; the message says why."""


class LocalApi(Frozen):
    """How to reach the local API of a station."""

    url: str
    """URL without a path"""
    token: str | None = None
    """access token; None: send none, which is enough on the station's own machine"""

    def get(self, path: str) -> dict[str, object]:
        """Return the JSON object of a GET request; blocks for at most some seconds.

        Raises:
            ApiUnavailableError: there is none.
        """
        try:
            request = Request(self.url.rstrip("/") + path)
            if self.token is not None:
                request.add_unredirected_header("Authorization", f"Bearer {self.token}")
            with urlopen(request, timeout=_TIMEOUT_S, context=_tls_context(self.url)) as response:
                body: object = json.loads(response.read())
        except HTTPError as error:
            with error:
                hint = "; sign in with --token or BORNE_TOKEN" if error.code in {401, 403} else ""
                raise ApiUnavailableError(f"{self.url} responds with HTTP status {error.code}{hint}") from error
        except URLError as error:
            reason = error.reason.strerror or error.reason if isinstance(error.reason, OSError) else error.reason
            raise ApiUnavailableError(f"{self.url} does not answer: {reason}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise ApiUnavailableError(f"{self.url} does not answer: {error}") from error
        if not is_object(body):
            raise ApiUnavailableError(f"{self.url} is not the API of a station")
        return body


def api_url(http: HttpConfig, port: int | None) -> str:
    """The URL of the API as this machine reaches it. `port`: instead of `http.port`."""
    host = "127.0.0.1" if http.host in _ANY_ADDRESS else http.host
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if http.tls else 'http'}://{host}:{http.port if port is None else port}"


def _tls_context(url: str) -> ssl.SSLContext | None:
    """How the certificate of the page is checked: on this machine it may be the self-made one, for other names."""
    parts = urlsplit(url)
    if parts.scheme != "https":
        return None
    context = ssl.create_default_context()
    if _is_loopback(parts.hostname or ""):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
