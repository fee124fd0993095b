"""Acts on a simulated station through its local API, as a test bench or a person on the console does."""

from __future__ import annotations

import json
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

_HTTP_S = 30.0


class RefusedError(Exception):
    """The station refused, and says why."""


def post(api: str, path: str, body: str) -> str:
    """Send a JSON text; returns the answer.

    Raises:
        RefusedError: it is not JSON, nobody listens, or the station refuses.
    """
    try:
        json.loads(body)
    except ValueError as error:
        raise RefusedError(f"not JSON: {error}") from error
    request = Request(api.rstrip("/") + path, data=body.encode(), headers={"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=_HTTP_S) as answer:
            return bytes(answer.read()).decode()
    except HTTPError as error:
        with error:
            raise RefusedError(f"{error.code}: {error.read().decode()}") from error
    except URLError as error:
        raise RefusedError(f"{api}: {error.reason}") from error
