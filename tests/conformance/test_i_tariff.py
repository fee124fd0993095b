"""Block I, tariff and cost (Advanced User Interface): what the driver is shown, seen through the local API.

What Part 6 leaves to an eye before the display (its tool validations look at messages only) is asked of `/api/status`.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance import states
from tests.conformance.bench import PERIODIC, VALID_TOKEN, Bench
from tests.conformance.cases import case
from tests.conformance.frames import Payload

_COST = "Charging costs 0.28 EUR/kWh"
"""<Configured Cost>"""
_UPDATED_COST = "Charging costs 0.32 EUR/kWh"
_COSTS = (0.5, 1.25, 3.0)
"""<Configured Cost2>, n times"""
_GENERATED_COST = 4.2
_INTERVAL_S = 10


def message(text: str) -> Payload:
    """MessageContentType."""
    return {"format": "UTF8", "content": text}


async def displayed_texts(bench: Bench) -> dict[str, str]:
    """The texts on the EVSE's display, by topic."""
    status = await bench.station.get("/api/status")
    return {text["topic"]: text["content"] for text in status["evses"][bench.evse_id - 1]["display"]}


async def expect_displayed(bench: Bench, topic: str, text: str) -> None:
    """Expect a text on the display within a second: the response that carries it may be in transit."""
    displayed: dict[str, str] = {}
    for _ in range(10):
        displayed = await displayed_texts(bench)
        if displayed.get(topic) == text:
            return
        await bench.advance(0.1)
    raise AssertionError(f"{topic}: {text!r} is not shown, but {displayed}")


async def start_with_a_tariff(bench: Bench, points: str) -> None:
    """Before, and steps 1 to 5 of TC_I_01_CS and TC_I_07_CS."""
    info: Payload = {"status": "Accepted"}
    bench.on("Authorize", {"idTokenInfo": info | {"personalMessage": message(_COST)}})
    await states.authorization_on(bench)
    await bench.configure("TxCtrlr", "TxStartPoint", points)
    await bench.configure("SampledDataCtrlr", "TxUpdatedInterval", str(_INTERVAL_S))
    await states.ev_connected_pre_session(bench)
    session = bench.session()
    was_started = session.started
    await bench.present()
    request = await bench.expect("Authorize")
    assert request["idToken"]["idToken"] == VALID_TOKEN["idToken"], request
    assert request["idToken"]["type"] == VALID_TOKEN["type"], request
    await expect_displayed(bench, "tariff", _COST)
    event = await bench.expect_event()
    assert event["triggerReason"] == "Authorized", event
    assert event["idToken"]["idToken"] == VALID_TOKEN["idToken"], event
    assert event["idToken"]["type"] == VALID_TOKEN["type"], event
    assert event["eventType"] == ("Updated" if was_started else "Started"), event
    session.authorized = True
    await states.energy_transfer_started(bench)


async def periodic(bench: Bench) -> Payload:
    """Step 6: the next TransactionEventRequest, a sample."""
    return await bench.expect(
        "TransactionEvent", within_s=3.0 * _INTERVAL_S, where=lambda event: event["triggerReason"] in PERIODIC
    )


def answering(bench: Bench, answer: Callable[[Payload], Payload]) -> None:
    """The CSMS answers TransactionEventRequests as usual, and with this."""
    bench.on("TransactionEvent", lambda event: bench.csms.default_reply("TransactionEvent", event) | answer(event))  # type: ignore[operator]


@pytest.mark.parametrize("points", ["EVConnected,Authorized", "Authorized"])
@case("Advanced User Interface", "M")
async def test_tc_i_01_cs(bench: Bench, points: str) -> None:
    """Show EV Driver running total cost during charging - CostUpdatedRequest"""
    await start_with_a_tariff(bench, points)
    for number, cost in enumerate(_COSTS):
        tariff = _UPDATED_COST if number % 2 else _COST
        answering(bench, lambda event, text=tariff: {"updatedPersonalMessage": message(text)})
        await periodic(bench)
        await expect_displayed(bench, "tariff", tariff)
        request: Payload = {"totalCost": cost, "transactionId": bench.session().transaction_id}
        assert await bench.call("CostUpdated", request) == {}
        await expect_displayed(bench, "cost", f"{cost:.2f} EUR")


@pytest.mark.parametrize("points", ["EVConnected,Authorized", "Authorized"])
@case("Advanced User Interface", "M")
async def test_tc_i_07_cs(bench: Bench, points: str) -> None:
    """Show EV Driver running total cost during charging - TransactionEventResponse"""
    await start_with_a_tariff(bench, points)
    for number, cost in enumerate(_COSTS):
        tariff = _UPDATED_COST if number % 2 else _COST
        reply: Payload = {"updatedPersonalMessage": message(tariff), "totalCost": cost}
        answering(bench, lambda event, reply=reply: reply)
        await periodic(bench)
        await expect_displayed(bench, "tariff", tariff)
        await expect_displayed(bench, "cost", f"{cost:.2f} EUR")


@pytest.mark.parametrize("points", ["Authorized", "EVConnected,Authorized", "EVConnected", "ParkingBayOccupancy"])
@case("Advanced User Interface", "M")
async def test_tc_i_02_cs(bench: Bench, points: str) -> None:
    """Show EV Driver Final Total Cost After Charging"""
    await bench.configure("TxCtrlr", "TxStopPoint", points)
    ends: list[Payload] = []

    def rule(event: Payload) -> Payload:
        if event["eventType"] != "Ended":
            return {}
        ends.append(event)
        return {"totalCost": _GENERATED_COST}

    answering(bench, rule)
    await states.energy_transfer_started(bench)
    session = bench.session()
    for state in (states.stop_authorized, states.ev_connected_post_session, states.ev_disconnected):
        await state(bench)
        if session.ended:
            await expect_displayed(bench, "cost", f"{_GENERATED_COST:.2f} EUR")
            break
    await states.parking_bay_unoccupied(bench)
    (end,) = ends
    assert end["eventType"] == "Ended", end
    if points == "ParkingBayOccupancy":  # I03.FR.05: the driver has left already
        assert end["triggerReason"] == "EVDeparted", end
        assert "cost" not in await displayed_texts(bench)
