"""Client for the local API of a simulated station, for the command `borne sim`."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object
from simulator.clock_progress import clock_progress
from station.core.vehicle_link import Contract

_DEFAULT_TIMEOUT_S: Final = 30.0
_PROGRESS_TIMEOUT_S: Final = 5.0
_CLOCK_PATH: Final = "/api/sim/clock"
_STATUS_PATH: Final = "/api/status"
_SIMULATOR_PREFIX: Final = "/api/sim/"
TOKEN_VARIABLE: Final = "BORNE_TOKEN"
"""the environment variable with the access token of `borne sim`"""
_LIST_HINT: Final = "`borne sim` lists the actions"


class SimulatorRequestError(Exception):
    """The station rejected a request of `borne sim`, or no station answered; the message says why."""


class ApiConnection(Frozen):
    """How `borne sim` reaches the local API of a station."""

    url: str = "http://127.0.0.1:8080"
    """URL of the API, without a path"""
    token: str | None = None
    """access token to sign in with; None: send none, which is enough on the station's own machine"""
    timeout_s: float | None = None
    """real seconds to wait for a response; None: 30 s, but without a limit while the clock is advanced"""
    show_progress: Callable[[str], None] | None = None
    """called each second with the progress while the clock is advanced, and at its end with an empty text; None: not
    called"""


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
        "evses/1/plug",
        '{"ev": {"iso15118": {"energy_wh": 22000, "departs_in_s": 32400}}}',
        "plug in a vehicle that communicates (ISO 15118); with --contract FILE it has a contract",
    ),
    SimAction(
        "POST",
        "evses/1/unplug",
        '{"ev_side": true}',
        "unplug the vehicle; ev_side: only at the vehicle, the cable stays in the socket",
    ),
    SimAction("POST", "evses/1/vehicle", '{"state": "suspend"}', "change the vehicle: charging, suspend, resume, …"),
    SimAction(
        "POST", "evses/1/vehicle", '{"session": "renegotiate"}', "let its session renegotiate, pause, wake, stop, …"
    ),
    SimAction("POST", "evses/1/vehicle", '{"secc": "stop"}', "stop what speaks ISO 15118 with vehicles, or start it"),
    SimAction("POST", "evses/1/parking-bay", '{"occupied": true}', "set the sensor of the parking bay"),
    SimAction("GET", "evses/1/circuit", "", "show the currents to the vehicle"),
    SimAction("POST", "reader", '{"uid": "04A3B2C1D5E680"}', "present a card to the reader"),
    SimAction("POST", "meter", '{"energy_wh": 5000000}', "set the register of the billing meter, or make it fail"),
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
    SimAction(
        "POST",
        "misbehaviour",
        '{"way": "duplicate", "action": "TransactionEvent"}',
        "let the station drop, delay, repeat or spoil its next messages",
    ),
    SimAction("GET", "misbehaviour", "", "show what is done to messages, and what was done"),
    SimAction("DELETE", "misbehaviour", "", "let the station keep to the protocol again"),
    SimAction("POST", "recording", "", "record what is done with the station, for a scenario"),
    SimAction("GET", "recording", "", "show whether somebody records"),
    SimAction("GET", "frames/1/step", "", "show a request of the log of messages as a step of a scenario"),
    SimAction("GET", "recording/scenario", "", "show what was recorded as a scenario"),
    SimAction("DELETE", "recording", "", "end the recording"),
    SimAction("GET", "state", "", "show house, clock, readers, misbehaviour and recording"),
    SimAction("GET", "auth/cards", "", "list the cards that the CSMS has sent"),
    SimAction("POST", "frame", '{"action": "NoSuchAction"}', "send any frame to the CSMS"),
    SimAction("POST", "handshake", '{"subprotocols": ["ocpp9.9"]}', "try a handshake that the CSMS should refuse"),
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
    return "\n".join(
        ["The actions on a simulated station, each with an example of its body:", *map(_action_text, ACTIONS)]
    )


def _action_text(action: SimAction) -> str:
    body = f" '{action.body}'" if action.body else ""
    first = next(other for other in ACTIONS if other.name == action.name)
    method = "" if action.method == first.method else f" --method {action.method}"
    return f"\n{action.meaning}\n  borne sim {action.name}{body}{method}"


def send_action(api: ApiConnection, name: str, body: str | None = None, method: str | None = None) -> str:
    """Send one request to a running station and return the body of its response; blocks until then.

    `name`: an action (`evses/1/plug`), or any path that begins with /api/. `method`: None: that of the action; for any
    other path POST, or if that is not allowed, the one that the station allows.

    Raises:
        SimulatorRequestError: the body is not JSON, no station answers, or the station rejects the request.
    """
    advance_s = None
    path = _STATUS_PATH if name == "status" else name if name.startswith("/") else f"{_SIMULATOR_PREFIX}{name}"
    if body is not None:
        given = _parsed(body)
        advance_s = _advance_s(given) if path == _CLOCK_PATH else None
    known = next(
        (known_action for known_action in ACTIONS if _without_numbers(known_action.name) == _without_numbers(name)),
        None,
    )
    http_method = method or (known.method if known is not None else "POST")
    timeout_s = api.timeout_s or (_DEFAULT_TIMEOUT_S if advance_s is None else None)
    try:
        with _progress(api, advance_s):
            return _send(api, http_method, path, body, timeout_s)
    except HTTPError as error:
        with error:
            allowed = error.headers.get("Allow", "")
            if error.code != 405 or method is not None or allowed == http_method:
                raise SimulatorRequestError(_error_sentence(error, path)) from error
    try:
        return _send(api, allowed.split(",")[0].strip(), path, body, timeout_s)
    except HTTPError as error:
        with error:
            raise SimulatorRequestError(_error_sentence(error, path)) from error


def with_contract(body: str | None, contract: Contract) -> str:
    """The body of a plug action whose vehicle has this contract: `ev.iso15118.contract`.

    Raises:
        SimulatorRequestError: the body is not a JSON object, or `ev` or `ev.iso15118` is none.
    """
    tree = _parsed(body or "{}")
    place = tree
    for key in ("ev", "iso15118"):
        place = place.setdefault(key, {}) if is_object(place) else None
    if not is_object(tree) or not is_object(place):
        raise SimulatorRequestError("--contract: the body must be an object, such as that of evses/1/plug")
    place["contract"] = {"emaid": contract.emaid, "chain": contract.chain}
    return json.dumps(tree)


def _parsed(body: str) -> object:
    """The value of a body.

    Raises:
        SimulatorRequestError: it is not JSON.
    """
    try:
        return json.loads(body)
    except ValueError as error:
        raise SimulatorRequestError(f"the body is not valid JSON: {error}") from error


def _advance_s(body: object) -> float | None:
    """The seconds by which a body of the clock advances it; None: it does something else."""
    seconds = body.get("advance_s") if is_object(body) else None
    return float(seconds) if isinstance(seconds, int | float) else None


def _progress(api: ApiConnection, advance_s: float | None) -> AbstractContextManager[None]:
    """Show the progress while the clock is advanced, on a terminal."""
    if api.show_progress is None or advance_s is None:
        return contextlib.nullcontext()

    def read_clock() -> float | None:
        try:
            status = json.loads(_send(api, "GET", _STATUS_PATH, None, _PROGRESS_TIMEOUT_S))
            return float(status["clock"]["monotonic_s"])
        except (SimulatorRequestError, HTTPError, ValueError, KeyError, TypeError):
            return None

    return clock_progress(read_clock, advance_s, api.show_progress)


def _send(api: ApiConnection, method: str, path: str, body: str | None, timeout_s: float | None) -> str:
    data = None if method == "GET" else (body or "{}").encode()
    if api.token is not None and re.fullmatch(r"[!-~]+", api.token) is None:
        raise SimulatorRequestError(
            "the access token is not valid: it must consist of printable ASCII characters without spaces"
        )
    try:
        request = Request(api.url.rstrip("/") + quote(path, safe="/?&=%"), data=data, method=method)
        request.add_header("Content-Type", "application/json")
        if api.token is not None:
            request.add_unredirected_header("Authorization", f"Bearer {api.token}")
        with urlopen(request, timeout=timeout_s) as answer:
            text = bytes(answer.read()).decode()
    except HTTPError:
        raise
    except TimeoutError as error:
        raise SimulatorRequestError(_timeout_text(api, timeout_s)) from error
    except URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise SimulatorRequestError(_timeout_text(api, timeout_s)) from error
        reason = error.reason.strerror or error.reason if isinstance(error.reason, OSError) else error.reason
        raise SimulatorRequestError(f"cannot connect to a station at {api.url}: {reason}") from error
    except (OSError, HTTPException) as error:
        raise SimulatorRequestError(f"the station at {api.url} closed the connection: {error}") from error
    except ValueError as error:
        raise SimulatorRequestError(f"--url: must be an address such as http://127.0.0.1:8080: {error}") from error
    return _readable(text) if method == "GET" else text


def _timeout_text(api: ApiConnection, timeout_s: float | None) -> str:
    return (
        f"the station at {api.url} has not answered within {timeout_s:g} s, and may still process the request;"
        " see --timeout"
    )


def _readable(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    except ValueError:
        return text


def _error_sentence(error: HTTPError, path: str) -> str:
    """The reason in an error response, as a sentence."""
    try:
        body: object = json.loads(error.read())
    except ValueError:
        body = None
    detail = body.get("detail") if is_object(body) else None
    if error.code == 404 and detail == "Not Found":
        return f"the station has no route {path}; {_LIST_HINT}"
    if error.code == 405:
        return f"the station allows only {error.headers.get('Allow', 'other methods')} at {path}"
    if error.code == 401 and isinstance(detail, str):
        detail = f"{detail}; sign in with an access token: --token or {TOKEN_VARIABLE}"
    if is_list(detail):
        detail = "; ".join(_field_mistake_text(mistake) for mistake in detail)
    return (
        f"the station rejects the request: {detail}"
        if isinstance(detail, str)
        else f"the station responds with HTTP status {error.code}"
    )


def _field_mistake_text(mistake: object) -> str:
    """Describe one invalid field of the request."""
    if not is_object(mistake):
        return str(mistake)
    where = mistake.get("loc")
    keys = [str(key) for key in where][1:] if is_list(where) else []
    match mistake.get("type"):
        case "missing":
            problem = "is missing"
        case "extra_forbidden":
            problem = "is not known"
        case _:
            problem = str(mistake.get("msg")).replace("Input should be", "must be").removeprefix("Value error, ")
    return f"{'.'.join(keys) or 'the body'}: {problem}"


def _without_numbers(name: str) -> str:
    """The name of an action with each number replaced by 1, to compare names."""
    return re.sub(r"\d+", "1", name.removeprefix(_SIMULATOR_PREFIX))
