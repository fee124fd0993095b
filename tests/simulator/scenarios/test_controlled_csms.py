"""A CSMS that is told by an adapter what to do: the routes and bodies that docs/scenarios.md describes."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from simulator.csms.orders import ChosenAnswer
from simulator.scenarios.controlled_csms import HttpCsmsControl
from simulator.scenarios.under_test import CsmsError


class Adapter:
    """An adapter that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.response: Response = JSONResponse({"payload": {"status": "Accepted"}})

    async def call(self, request: Request) -> Response:
        self.told.append((request.path_params["identity"], await request.json()))
        return self.response

    async def choose(self, request: Request) -> Response:
        self.told.append((request.path_params["identity"], request.path_params["action"], await request.json()))
        return self.response

    async def transactions(self, request: Request) -> Response:
        station = request.query_params["station"]
        return JSONResponse({"transactions": [{"id": "t1", "station": station, "energy_wh": 5.0}, {"id": "t2"}]})

    def control(self) -> HttpCsmsControl:
        """What a scenario has of it."""
        routes = [
            Route("/api/stations/{identity}/call", self.call, methods=["POST"]),
            Route("/api/stations/{identity}/answers/{action}", self.choose, methods=["PUT"]),
            Route("/api/transactions", self.transactions),
        ]
        transport = httpx.ASGITransport(Starlette(routes=routes))
        return HttpCsmsControl(httpx.AsyncClient(transport=transport, base_url="http://adapter"))


async def test_an_adapter_is_told_to_call_and_returns_the_answer_of_the_station() -> None:
    adapter = Adapter()
    answer = await adapter.control().call("CS 1", "Reset", {"type": "OnIdle"})
    assert (answer.payload, answer.error_code) == ({"status": "Accepted"}, None)
    assert adapter.told == [("CS 1", {"action": "Reset", "payload": {"type": "OnIdle"}, "checked": False})]
    adapter.response = JSONResponse({"error": {"code": "NotSupported", "description": "no"}})
    answer = await adapter.control().call("CS 1", "Reset", {})
    assert (answer.error_code, answer.error_description) == ("NotSupported", "no")


async def test_an_adapter_is_told_how_the_csms_answers() -> None:
    adapter = Adapter()
    chosen = ChosenAnswer({"status": "Pending"}, "InternalError", "busy", times=3)
    await adapter.control().choose_answer("CS-1", "BootNotification", chosen)
    body = {
        "payload": {"status": "Pending"},
        "silent": False,
        "times": 3,
        "error": {"code": "InternalError", "description": "busy"},
    }
    assert adapter.told == [("CS-1", "BootNotification", body)]


async def test_the_bill_of_a_transaction_is_found_by_its_id() -> None:
    control = Adapter().control()
    assert await control.bill("CS-1", "t1") == {"id": "t1", "station": "CS-1", "energy_wh": 5.0}
    assert await control.bill("CS-1", "t3") is None


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (JSONResponse({"detail": "CS-1 is not connected"}, 404), r"\(404\): CS-1 is not connected"),
        (JSONResponse(["no object"]), r"refuses /api/stations/CS-1/call \(200\)"),
        (PlainTextResponse("<html>"), "does not answer"),
    ],
)
async def test_an_adapter_that_refuses_is_an_error_with_its_reason(response: Response, reason: str) -> None:
    adapter = Adapter()
    adapter.response = response
    with pytest.raises(CsmsError, match=reason):
        await adapter.control().call("CS-1", "Reset", {})
