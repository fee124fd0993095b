"""Acts on a simulated station through its local API, as a test bench or a person on the console does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http.client import HTTPException
from typing import Final, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from metering.frozen import frozen

_HTTP_S = 30.0
_PREFIX: Final = "/api/sim/"
_LIST: Final = "`borne sim` lists the actions"


class RefusedError(Exception):
    """The station refused, or nobody answered; the message is a sentence that says why."""


@frozen
class Action:
    """Something that can be done to a simulated station, or read of it."""

    method: str
    name: str
    """the path below /api/sim/"""
    body: str
    """an example of what is sent; empty: nothing has to be"""
    meaning: str


ACTIONS: Final = (
    Action("GET", "status", "", "the whole station at a glance (/api/status)"),
    Action("POST", "evses/1/plug", '{"ev": {"phases": 1}}', "plug a vehicle in"),
    Action("POST", "evses/1/unplug", '{"ev_side": true}', "unplug it; ev_side: the cable stays in the socket"),
    Action("POST", "evses/1/vehicle", '{"state": "suspend"}', "what the vehicle does: charging, suspend, resume, …"),
    Action("POST", "evses/1/parking-bay", '{"occupied": true}', "what the sensor of the parking bay sees"),
    Action("GET", "evses/1/circuit", "", "what flows to the vehicle"),
    Action("POST", "reader", '{"uid": "04A3B2C1D5E680"}', "hold a card to the reader"),
    Action("POST", "meter", '{"energy_wh": 1000}', "what the billing meter shows, or that it fails"),
    Action("POST", "grid", '{"loads": {"kettle": [9]}}', "what the house draws, and what its meter tells"),
    Action("POST", "temperature", '{"celsius": 70}', "the temperature inside; null: as it really is"),
    Action("POST", "selector", '{"position": "16"}', "turn the current selector"),
    Action("POST", "jumpers", '{"position": "3-4"}', "set the jumpers of the meter port"),
    Action("POST", "faults", '{"code": "ground-fault"}', "let a fault appear"),
    Action("DELETE", "faults", '{"code": "ground-fault"}', "end it"),
    Action("POST", "lock", '{"failure": true}', "let the lock fail"),
    Action("POST", "tamper", '{"open": true}', "open the flap"),
    Action("POST", "residual-monitor", '{"broken": true}', "break the residual-current monitor"),
    Action("POST", "power", '{"action": "cycle"}', "cut the power, restore it, or both"),
    Action("POST", "clock", '{"advance_s": 3600}', "let time pass, or set its rate"),
    Action("POST", "csms-link", '{"state": "down"}', "cut the link to the CSMS, or mend it"),
    Action("PUT", "network", '{"url": "ws://…", "security_profile": 0}', "dial another CSMS"),
    Action("DELETE", "network", "", "dial the CSMS of the installation file again"),
    Action("PUT", "variables", '{"component": "…", "variable": "…", "value": "…"}', "set a variable"),
    Action("DELETE", "variables", '{"component": "…", "variable": "…"}', "give it its own value again"),
    Action("PUT", "certificates", '{"type": "CSMSRootCertificate", "pem": "…"}', "put a certificate into the store"),
    Action("DELETE", "certificates", '{"type": "CSMSRootCertificate"}', "take those of a type out"),
    Action("PUT", "auth/cache", '{"token": "04A3B2C1D5E680"}', "put a card into the authorization cache"),
    Action("DELETE", "auth/cache", '{"token": "04A3B2C1D5E680"}', "take it out"),
    Action("POST", "data-transfer", '{"vendor_id": "…"}', "send a DataTransfer to the CSMS"),
    Action("PUT", "data-transfer", '{"vendor_id": "…"}', "how one of the CSMS is answered"),
)


def listing() -> str:
    """All actions, for people."""
    return "\n".join(["What can be done to a simulated station, with examples of what is sent:", *map(_line, ACTIONS)])


def _line(one: Action) -> str:
    body = f" '{one.body}'" if one.body else ""
    usual = next(other for other in ACTIONS if other.name == one.name)
    method = "" if one is usual else f" --method {one.method}"
    return f"\n{one.meaning}\n  borne sim {one.name}{body}{method}"


def perform(api: str, name: str, body: str | None = None, method: str | None = None) -> str:
    """Do an action by its name, or ask any path from /api/ on; returns the response as text.

    Without a method it is that of the action, and for another path the one that the station allows.

    Raises:
        RefusedError: it is not JSON, nobody answers, or the station refuses.
    """
    if body is not None:
        try:
            json.loads(body)
        except ValueError as error:
            raise RefusedError(f"what is to be sent is not JSON: {error}") from error
    path = "/api/status" if name == "status" else name if name.startswith("/") else f"{_PREFIX}{name}"
    known = next((one for one in ACTIONS if _place(one.name) == _place(name)), None)
    wanted = method or (known.method if known is not None else "POST")
    try:
        return _send(api, wanted, path, body)
    except HTTPError as error:
        with error:
            allowed = error.headers.get("Allow", "")
            if error.code != 405 or method is not None or allowed == wanted:
                raise RefusedError(_sentence(error, path)) from error
    try:
        return _send(api, allowed.split(",")[0].strip(), path, body)
    except HTTPError as error:
        with error:
            raise RefusedError(_sentence(error, path)) from error


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
        raise RefusedError(f"no station answers at {api}: {reason}") from error
    except (OSError, HTTPException) as error:
        raise RefusedError(f"the station at {api} has ended the connection: {error}") from error
    except ValueError as error:
        raise RefusedError(f"--api: must be an address such as http://127.0.0.1:8080: {error}") from error
    return _readable(text) if method == "GET" else text


def _readable(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    except ValueError:
        return text


def _sentence(error: HTTPError, path: str) -> str:
    """What the station says, without the form that it has for programs."""
    try:
        told: object = json.loads(error.read())
    except ValueError:
        told = None
    detail = cast("Mapping[str, object]", told).get("detail") if isinstance(told, dict) else None
    if error.code == 404 and detail == "Not Found":
        return f"the station has no {path}; {_LIST}"
    if error.code == 405:
        return f"the station takes only {error.headers.get('Allow', 'other methods')} at {path}"
    if isinstance(detail, list):
        detail = "; ".join(_field(one) for one in cast("list[object]", detail))
    return f"the station refuses: {detail}" if isinstance(detail, str) else f"the station answers {error.code}"


def _field(mistake: object) -> str:
    """One field that is wrong, and why."""
    if not isinstance(mistake, dict):
        return str(mistake)
    told = cast("Mapping[str, object]", mistake)
    where = told.get("loc")
    keys = [str(key) for key in cast("list[object]", where)][1:] if isinstance(where, list) else []
    match told.get("type"):
        case "missing":
            what = "is missing"
        case "extra_forbidden":
            what = "is not known"
        case _:
            what = str(told.get("msg")).replace("Input should be", "must be").removeprefix("Value error, ")
    return f"{'.'.join(keys) or 'what is sent'}: {what}"


def _place(name: str) -> str:
    """A name, whatever the numbers in it are."""
    return re.sub(r"\d+", "1", name.removeprefix(_PREFIX))
