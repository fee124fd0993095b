"""Client for the local API of a simulated station, for the command `borne sim`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http.client import HTTPException
from typing import Final, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from foundation.frozen import Frozen

_HTTP_S = 30.0
_PREFIX: Final = "/api/sim/"
_LIST: Final = "`borne sim` lists the actions"


class SimulatorRequestError(Exception):
    """The station rejected a request of `borne sim`, or no station answered; the message says why."""


class SimAction(Frozen):
    """A request that `borne sim` can send to a simulated station: method, path and an example of its body."""

    method: str
    """HTTP method"""
    name: str
    """the path below /api/sim/"""
    body: str
    """an example as JSON; empty: no body is needed"""
    meaning: str
    """what it does, for the list of actions"""


ACTIONS: Final = (
    SimAction("GET", "status", "", "show the state of the whole station (/api/status)"),
    SimAction("POST", "evses/1/plug", '{"ev": {"phases": 1}}', "plug in a vehicle"),
    SimAction(
        "POST",
        "evses/1/unplug",
        '{"ev_side": true}',
        "unplug the vehicle; ev_side: only at the vehicle, the cable stays in the socket",
    ),
    SimAction("POST", "evses/1/vehicle", '{"state": "suspend"}', "change the vehicle: charging, suspend, resume, …"),
    SimAction("POST", "evses/1/parking-bay", '{"occupied": true}', "set the sensor of the parking bay"),
    SimAction("GET", "evses/1/circuit", "", "show the currents to the vehicle"),
    SimAction("POST", "reader", '{"uid": "04A3B2C1D5E680"}', "present a card to the reader"),
    SimAction("POST", "meter", '{"energy_wh": 1000}', "set the register of the billing meter, or make it fail"),
    SimAction("POST", "grid", '{"loads": {"kettle": [9]}}', "set the loads of the house, and disturb its grid meter"),
    SimAction("POST", "temperature", '{"celsius": 70}', "set the temperature inside; null: no longer simulated"),
    SimAction("POST", "selector", '{"position": "16"}', "turn the current selector"),
    SimAction("POST", "jumpers", '{"position": "3-4"}', "set the jumpers of the meter port"),
    SimAction("POST", "faults", '{"code": "ground-fault"}', "raise a fault"),
    SimAction("DELETE", "faults", '{"code": "ground-fault"}', "clear a fault"),
    SimAction("POST", "lock", '{"failure": true}', "make the connector lock fail"),
    SimAction("POST", "tamper", '{"open": true}', "open the SIM-card flap"),
    SimAction("POST", "residual-monitor", '{"broken": true}', "make the residual-current monitor fail"),
    SimAction("POST", "power", '{"action": "cycle"}', "cut the power, restore it, or both"),
    SimAction("POST", "clock", '{"advance_s": 3600}', "advance the virtual clock, or set its rate"),
    SimAction("POST", "csms-link", '{"state": "down"}', "cut the link to the CSMS, or restore it"),
    SimAction("PUT", "network", '{"url": "ws://…", "security_profile": 0}', "connect to another CSMS"),
    SimAction("DELETE", "network", "", "connect to the CSMS of the installation file again"),
    SimAction(
        "PUT", "variables", '{"component": "…", "variable": "…", "value": "…"}', "override a device-model variable"
    ),
    SimAction("DELETE", "variables", '{"component": "…", "variable": "…"}', "restore a device-model variable"),
    SimAction("PUT", "certificates", '{"type": "CSMSRootCertificate", "pem": "…"}', "install a certificate"),
    SimAction("DELETE", "certificates", '{"type": "CSMSRootCertificate"}', "remove the certificates of a type"),
    SimAction("PUT", "auth/cache", '{"token": "04A3B2C1D5E680"}', "add a card to the authorization cache"),
    SimAction("DELETE", "auth/cache", '{"token": "04A3B2C1D5E680"}', "remove a card from the authorization cache"),
    SimAction("PUT", "auth/list", '{"token": "04A3B2C1D5E680"}', "add a card to the local authorization list"),
    SimAction("DELETE", "auth/list", '{"token": "04A3B2C1D5E680"}', "remove a card from the local authorization list"),
    SimAction("POST", "data-transfer", '{"vendor_id": "…"}', "send a DataTransfer to the CSMS"),
    SimAction("PUT", "data-transfer", '{"vendor_id": "…"}', "set the response to a DataTransfer of the CSMS"),
)
"""the actions that `borne sim` lists; for a name with several methods, the first is the default"""


def listing() -> str:
    """Return the list of all actions as text, each with an example command; sends nothing."""
    return "\n".join(["The actions on a simulated station, each with an example of its body:", *map(_line, ACTIONS)])


def _line(one: SimAction) -> str:
    body = f" '{one.body}'" if one.body else ""
    first = next(other for other in ACTIONS if other.name == one.name)
    method = "" if one is first else f" --method {one.method}"
    return f"\n{one.meaning}\n  borne sim {one.name}{body}{method}"


def send_action(api: str, name: str, body: str | None = None, method: str | None = None) -> str:
    """Send one request to a running station and return the body of its response; blocks for up to 30 s.

    `api`: address of the local API. `name`: an action (`evses/1/plug`), or any path that begins with /api/. `method`:
    None: that of the action; for any other path POST, or if that is not allowed, the one that the station allows.

    Raises:
        SimulatorRequestError: the body is not JSON, no station answers, or the station rejects the request.
    """
    if body is not None:
        try:
            json.loads(body)
        except ValueError as error:
            raise SimulatorRequestError(f"the body is not valid JSON: {error}") from error
    path = "/api/status" if name == "status" else name if name.startswith("/") else f"{_PREFIX}{name}"
    known = next((one for one in ACTIONS if _without_numbers(one.name) == _without_numbers(name)), None)
    wanted = method or (known.method if known is not None else "POST")
    try:
        return _send(api, wanted, path, body)
    except HTTPError as error:
        with error:
            allowed = error.headers.get("Allow", "")
            if error.code != 405 or method is not None or allowed == wanted:
                raise SimulatorRequestError(_sentence(error, path)) from error
    try:
        return _send(api, allowed.split(",")[0].strip(), path, body)
    except HTTPError as error:
        with error:
            raise SimulatorRequestError(_sentence(error, path)) from error


def _send(api: str, method: str, path: str, body: str | None) -> str:
    data = None if method == "GET" else (body or "{}").encode()
    try:
        request = Request(api.rstrip("/") + quote(path, safe="/?&=%"), data=data, method=method)
        request.add_header("Content-Type", "application/json")
        with urlopen(request, timeout=_HTTP_S) as answer:
            text = bytes(answer.read()).decode()
    except HTTPError:
        raise
    except URLError as error:
        reason = error.reason.strerror or error.reason if isinstance(error.reason, OSError) else error.reason
        raise SimulatorRequestError(f"cannot connect to a station at {api}: {reason}") from error
    except (OSError, HTTPException) as error:
        raise SimulatorRequestError(f"the station at {api} closed the connection: {error}") from error
    except ValueError as error:
        raise SimulatorRequestError(f"--api: must be an address such as http://127.0.0.1:8080: {error}") from error
    return _readable(text) if method == "GET" else text


def _readable(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    except ValueError:
        return text


def _sentence(error: HTTPError, path: str) -> str:
    """The reason in an error response, as a sentence."""
    try:
        body: object = json.loads(error.read())
    except ValueError:
        body = None
    detail = cast("Mapping[str, object]", body).get("detail") if isinstance(body, dict) else None
    if error.code == 404 and detail == "Not Found":
        return f"the station has no route {path}; {_LIST}"
    if error.code == 405:
        return f"the station allows only {error.headers.get('Allow', 'other methods')} at {path}"
    if isinstance(detail, list):
        detail = "; ".join(_field(one) for one in cast("list[object]", detail))
    return (
        f"the station rejects the request: {detail}"
        if isinstance(detail, str)
        else f"the station responds with HTTP status {error.code}"
    )


def _field(mistake: object) -> str:
    """Describe one invalid field of the request."""
    if not isinstance(mistake, dict):
        return str(mistake)
    field = cast("Mapping[str, object]", mistake)
    where = field.get("loc")
    keys = [str(key) for key in cast("list[object]", where)][1:] if isinstance(where, list) else []
    match field.get("type"):
        case "missing":
            what = "is missing"
        case "extra_forbidden":
            what = "is not known"
        case _:
            what = str(field.get("msg")).replace("Input should be", "must be").removeprefix("Value error, ")
    return f"{'.'.join(keys) or 'the body'}: {what}"


def _without_numbers(name: str) -> str:
    """The name of an action with each number replaced by 1, to compare names."""
    return re.sub(r"\d+", "1", name.removeprefix(_PREFIX))
