"""What drivers are shown of tariff and cost, as the CSMS tells it or by the owner's prices (block I)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from station.load.tariff_steering import TARIFF_KNOWN_FOR_S
from tests.csms import NO_ANSWER, Csms
from tests.walk import CARD, configuration, powered, walking
from tests.walks.house import GRID, House
from tests.walks.steps import event, request_start, transaction_id, tx_points, variables
from tests.walks.test_access import away
from tests.walks.visit import TOKEN, Api, visiting

FALLBACK = variables(
    TariffCostCtrlr__TariffFallbackMessage="Ask the owner", TariffCostCtrlr__TotalCostFallbackMessage="See your bill"
)
PRICES: dict[str, Any] = {"energy_per_kwh": 0.30, "time_per_hour": 1}


def message(text: str, language: str | None = None) -> dict[str, str]:
    """Return a MessageContentType."""
    return {"format": "UTF8", "content": text} | ({"language": language} if language else {})


async def display_texts(api: Api) -> dict[str, str]:
    """Return the texts on the driver's display, by topic."""
    return {message["topic"]: message["content"] for message in (await api.evse())["display"]}


def csms_adding(**answers: Any) -> Csms:
    """Return a CSMS that adds this to its answers: `Authorize` to the idTokenInfo, the others by event type."""
    csms = Csms()

    def rule(payload: dict[str, Any]) -> dict[str, Any]:
        info = {"idTokenInfo": {"status": "Accepted"}} if "idToken" in payload else {}
        return info | answers.get(payload["eventType"], {})

    csms.answers["TransactionEvent"] = rule
    csms.answers["Authorize"] = lambda _: {"idTokenInfo": {"status": "Accepted"} | answers.get("Authorize", {})}
    return csms


async def start_charge(api: Api) -> str:
    """Present a card, plug in, and wait for energy; returns the transaction id."""
    await api.walk.accepted()
    await api.post("/api/evses/1/token", TOKEN)
    await api.post("/api/sim/evses/1/plug", {"ev": {"max_current_a": 16, "phases": 3}})
    await api.advance(10)
    return str((await api.evse())["transaction_id"])


async def test_the_tariff_of_the_driver_is_shown_and_an_update_takes_its_place(tmp_path: Path) -> None:
    """I01.FR.03, I06.FR.03"""
    csms = csms_adding(
        Authorize={"personalMessage": message("0,28 €/kWh", "fr")},
        Updated={"updatedPersonalMessage": message("0,32 €/kWh", "fr")},
    )
    async with walking(tmp_path, csms) as walk, visiting(walk) as api:
        await walk.accepted()
        assert await display_texts(api) == {}
        await api.post("/api/evses/1/token", TOKEN)
        (tariff,) = (await api.evse())["display"]
        assert (tariff["content"], tariff["format"], tariff["language"]) == ("0,28 €/kWh", "UTF8", "fr")
        await api.post("/api/sim/evses/1/plug", {})
        await api.advance(10)
        assert await display_texts(api) == {"tariff": "0,32 €/kWh"}


async def test_without_a_tariff_of_ones_own_the_fallback_is_shown(tmp_path: Path) -> None:
    """I04.FR.01: no token is reported, and offline where the cache answers."""
    async with walking(tmp_path, variable=FALLBACK) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/evses/1/token", TOKEN)
        assert await display_texts(api) == {"tariff": "Ask the owner"}
        await api.post("/api/evses/1/stop")
    csms = csms_adding(Authorize={"personalMessage": message("0.28/kWh")})
    async with walking(tmp_path / "cached", csms, variable=FALLBACK) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/evses/1/token", TOKEN)
        assert await display_texts(api) == {"tariff": "0.28/kWh"}
        await api.post("/api/evses/1/stop")
        await api.post("/api/sim/csms-link", {"state": "down"})
        await api.post("/api/evses/1/token", TOKEN)
        assert await display_texts(api) == {"tariff": "Ask the owner"}


@pytest.mark.parametrize("size", [0, 12])
async def test_a_personal_message_that_is_too_long_is_not_used(tmp_path: Path, size: int) -> None:
    """DisplayMessageCtrlr.PersonalMessageSize: the fallback is shown instead (I04.FR.01), and no update of it"""
    csms = csms_adding(
        Authorize={"personalMessage": message("x" * (size + 1))},
        Started={"updatedPersonalMessage": message("y" * (size + 1))},
    )
    settings = FALLBACK + variables(DisplayMessageCtrlr__PersonalMessageSize=str(size))
    async with walking(tmp_path, csms, variable=settings) as walk, visiting(walk) as api:
        await start_charge(api)
        assert (await display_texts(api))["tariff"] == "Ask the owner"
        if size:
            csms.answers["TransactionEvent"] = lambda _: {"updatedPersonalMessage": message("z" * size)}
            await api.advance(70)
            assert (await display_texts(api))["tariff"] == "z" * size


async def test_a_remote_start_shows_the_tariff_that_comes_with_the_first_event(tmp_path: Path) -> None:
    info = {"idTokenInfo": {"status": "Accepted", "personalMessage": message("0.40/kWh")}}
    async with walking(tmp_path, csms_adding(Started=info, Updated=info)) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/evses/1/plug", {})
        assert (await request_start(walk))["status"] == "Accepted"
        await event(walk, "Updated", "RemoteStart")
        await walk.until(lambda: walk.parts.tariff_and_cost.display.of(1))
        assert await display_texts(api) == {"tariff": "0.40/kWh"}


async def test_the_running_cost_is_shown_as_it_comes_and_the_total_in_its_place(tmp_path: Path) -> None:
    """I02.FR.02 to FR.04, I03.FR.03; the log keeps the total."""
    csms = csms_adding(Updated={"totalCost": 0.1}, Ended={"totalCost": 2.5})
    async with walking(tmp_path, csms) as walk, visiting(walk) as api:
        identity = await start_charge(api)
        assert (await display_texts(api))["cost"] == "0.10 EUR"
        cost_update = {"totalCost": 1.2345, "transactionId": identity}
        assert await walk.csms.call("CostUpdated", cost_update) == {}
        assert (await display_texts(api))["cost"] == "1.23 EUR"
        assert (await api.evse())["cost"] == {
            "transaction_id": identity,
            "amount": "1.23",
            "currency": "EUR",
            "final": False,
            "told_by": "csms",
        }
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        assert (await display_texts(api))["cost"] == "2.50 EUR"
        assert (await api.evse())["cost"]["final"] is True
        found = await walk.parts.transactions.get(identity)
        assert found is not None
        assert found.stated_cost is not None
        assert (str(found.stated_cost.amount), found.stated_cost.currency) == ("2.5", "EUR")


async def test_a_free_charge_costs_nothing_and_one_without_a_total_is_not_free(tmp_path: Path) -> None:
    """I03.FR.04"""
    async with walking(tmp_path, csms_adding(Ended={"totalCost": 0})) as walk, visiting(walk) as api:
        await start_charge(api)
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        assert (await display_texts(api))["cost"] == "0.00 EUR"
    csms = csms_adding(Updated={"totalCost": 1})
    async with walking(tmp_path / "b", csms, variable=FALLBACK) as walk, visiting(walk) as api:
        await start_charge(api)
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        assert (await display_texts(api))["cost"] == "See your bill"
        assert (await api.evse())["cost"] is None, "what it had cost on the way is no total"


async def test_offline_at_the_end_the_fallback_is_shown_and_a_total_that_comes_later_is_only_recorded(
    tmp_path: Path,
) -> None:
    """I05.FR.02, I03 remark"""
    csms = csms_adding(Ended={"totalCost": 2.5})
    async with walking(tmp_path, csms, variable=FALLBACK) as walk, visiting(walk) as api:
        identity = await start_charge(api)
        await api.post("/api/sim/csms-link", {"state": "down"})
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        assert (await display_texts(api))["cost"] == "See your bill"
        await api.post("/api/sim/csms-link", {"state": "up"})
        await event(walk, "Ended", "StopAuthorized")
        await api.advance(5)
        assert (await display_texts(api))["cost"] == "See your bill"
        found = await walk.parts.transactions.get(identity)
        assert found is not None
        assert str(found.stated_cost.amount if found.stated_cost is not None else "") == "2.5"


async def test_a_running_cost_that_comes_after_the_end_is_no_total(tmp_path: Path) -> None:
    """The CSMS answers late to what happened before the end: with what the charge had cost by then (I02.FR.04)."""
    rows = FALLBACK + variables(SampledDataCtrlr__TxUpdatedInterval=5)
    async with walking(tmp_path, csms_adding(Updated={"totalCost": 1}), variable=rows) as walk, visiting(walk) as api:
        identity = await start_charge(api)
        await api.post("/api/sim/csms-link", {"state": "down"})
        await api.advance(12)
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        await api.post("/api/sim/csms-link", {"state": "up"})
        await event(walk, "Ended", "StopAuthorized")
        await api.advance(5)
        found = await walk.parts.transactions.get(identity)
        assert found is not None
        assert found.stated_cost is None
        assert (await display_texts(api))["cost"] == "See your bill"


async def test_a_total_that_the_csms_sends_when_the_driver_has_left_is_in_the_log(tmp_path: Path) -> None:
    csms = csms_adding(Ended={"totalCost": 2.5})
    async with walking(tmp_path, csms) as walk, visiting(walk) as api:
        identity = await start_charge(api)
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        await api.post("/api/sim/evses/1/unplug")
        await api.advance(120)
        assert await walk.csms.call("CostUpdated", {"totalCost": 3, "transactionId": identity}) == {}
        await api.advance(1)
        found = await walk.parts.transactions.get(identity)
        assert found is not None
        assert found.cost is not None
        assert str(found.cost.amount) == "3.00"
        assert await display_texts(api) == {}


async def test_a_driver_who_has_driven_off_is_shown_nothing(tmp_path: Path) -> None:
    """I03.FR.05: the transaction ends where the parking bay is left."""
    rows = tx_points("ParkingBayOccupancy", "ParkingBayOccupancy") + FALLBACK
    csms = csms_adding(Ended={"totalCost": 2.5})
    async with walking(tmp_path, csms, variable=rows) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/evses/1/parking-bay", {"occupied": True})
        await start_charge(api)
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        await api.post("/api/sim/evses/1/unplug")
        await api.post("/api/sim/evses/1/parking-bay", {"occupied": False})
        await event(walk, "Ended", "EVDeparted")
        await api.advance(1)
        assert await display_texts(api) == {}
        assert (await api.evse())["cost"] is None


async def test_the_next_driver_does_not_read_what_the_last_one_paid(tmp_path: Path) -> None:
    csms = csms_adding(Authorize={"personalMessage": message("gold card")}, Ended={"totalCost": 2.5})
    async with walking(tmp_path, csms) as walk, visiting(walk) as api:
        await start_charge(api)
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        assert await display_texts(api) == {"tariff": "gold card", "cost": "2.50 EUR"}
        await api.post("/api/sim/evses/1/unplug")
        assert await display_texts(api) == {}
        assert (await api.evse())["cost"] is None
        await start_charge(api)
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        assert (await display_texts(api))["cost"] == "2.50 EUR"
        await api.post("/api/sim/evses/1/unplug")
        await api.post("/api/evses/1/token", TOKEN)
        assert await display_texts(api) == {"tariff": "gold card"}


async def test_what_is_switched_off_is_not_shown_and_cost_updates_are_answered_all_the_same(tmp_path: Path) -> None:
    csms = csms_adding(Authorize={"personalMessage": message("gold card")}, Ended={"totalCost": 2.5})
    rows = variables(TariffCostCtrlr__Enabled__Tariff=False, TariffCostCtrlr__Enabled__Cost=False) + FALLBACK
    async with walking(tmp_path, csms, variable=rows, prices=PRICES) as walk, visiting(walk) as api:
        identity = await start_charge(api)
        assert await walk.csms.call("CostUpdated", {"totalCost": 1, "transactionId": identity}) == {}
        assert await display_texts(api) == {}
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        assert await display_texts(api) == {}
        assert (await api.evse())["cost"] is None


@pytest.mark.parametrize("cost", [1e300, -1e12])
async def test_a_cost_that_is_none_is_refused_and_one_of_another_transaction_shown_nowhere(
    tmp_path: Path, cost: float
) -> None:
    async with walking(tmp_path, csms_adding(Updated={"totalCost": cost})) as walk, visiting(walk) as api:
        identity = await start_charge(api)
        refused = await walk.csms.request("CostUpdated", {"totalCost": cost, "transactionId": identity})
        assert refused[0] == 4
        assert refused[2] == "PropertyConstraintViolation"
        assert await walk.csms.call("CostUpdated", {"totalCost": 1, "transactionId": "another"}) == {}
        assert "cost" not in await display_texts(api)


async def test_a_station_that_stands_alone_shows_the_owners_prices(tmp_path: Path) -> None:
    csms = Csms()
    config = configuration(tmp_path, None, prices=PRICES, variable=variables(AuthCtrlr__Enabled=False))
    async with powered(config, csms) as walk, visiting(walk) as api:
        await api.post("/api/sim/evses/1/plug", {"ev": {"max_current_a": 16, "phases": 3}})
        await api.advance(3600)
        texts = await display_texts(api)
        assert texts["tariff"] == "0.3 EUR/kWh + 1 EUR/h"
        running = (await api.evse())["cost"]
        assert (running["final"], running["told_by"]) == (False, "station")
        assert texts["cost"] == f"{running['amount']} EUR"
        assert 4.2 < float(running["amount"]) < 4.5  # 11 kW for an hour at 0.30, and the hour
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        total = (await api.evse())["cost"]
        assert total["final"] is True
        assert float(total["amount"]) >= float(running["amount"])
        assert (await display_texts(api))["cost"] == f"{total['amount']} EUR"
        await api.post("/api/sim/evses/1/unplug")
        assert await display_texts(api) == {}
        assert (await api.evse())["cost"] is None


async def test_nobody_is_shown_an_amount_that_nobody_can_be_asked_for(tmp_path: Path) -> None:
    """The meter is silent at the end and stays so: nothing proves what was charged."""
    config = configuration(tmp_path, None, prices=PRICES, variable=variables(AuthCtrlr__Enabled=False))
    async with powered(config, Csms()) as walk, visiting(walk) as api:
        await api.post("/api/sim/evses/1/plug", {"ev": {"max_current_a": 16, "phases": 3}})
        await api.advance(3600)
        identity = str((await api.evse())["transaction_id"])
        await api.post("/api/sim/meter", {"evse": 1, "failure": True})
        await api.post("/api/evses/1/stop")
        await api.advance(7200)
        transaction = await api.get(f"/api/transactions/{identity}")
        assert transaction["cost"] == {
            "amount": None,
            "currency": "EUR",
            "told_by": "station",
            "final": False,
            "objection": "a register is what the meter showed before it fell silent",
        }
        assert (await api.evse())["cost"] is None
        assert "cost" not in await display_texts(api)


async def test_prices_of_the_csms_outweigh_the_owners(tmp_path: Path) -> None:
    csms = csms_adding(Ended={"totalCost": 9.99})
    async with walking(tmp_path, csms, prices=PRICES) as walk, visiting(walk) as api:
        identity = await start_charge(api)
        assert (await api.evse())["cost"]["told_by"] == "station"
        await walk.csms.call("CostUpdated", {"totalCost": 7, "transactionId": identity})
        assert (await display_texts(api))["cost"] == "7.00 EUR"
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        assert (await display_texts(api))["cost"] == "9.99 EUR"
        assert transaction_id(walk) == identity
        assert CARD.value not in str((await api.evse())["display"])


async def test_a_running_cost_of_the_csms_is_never_followed_by_a_total_of_the_owners_prices(tmp_path: Path) -> None:
    """What the CSMS sent last stays, and is no total until it says so."""
    async with walking(tmp_path, csms_adding(Updated={"totalCost": 7}), prices=PRICES) as walk, visiting(walk) as api:
        identity = await start_charge(api)
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        cost = (await api.evse())["cost"]
        assert (cost["amount"], cost["final"], cost["told_by"]) == ("7.00", False, "csms")
        assert (await display_texts(api))["cost"] == "7.00 EUR"
        await walk.csms.call("CostUpdated", {"totalCost": 8, "transactionId": identity})
        cost = (await api.evse())["cost"]
        assert (cost["amount"], cost["final"], cost["told_by"]) == ("8.00", True, "csms")


async def test_the_owners_bill_is_no_total_while_the_one_of_the_csms_may_come(tmp_path: Path) -> None:
    csms = csms_adding()
    async with walking(tmp_path, csms, prices=PRICES) as walk, visiting(walk) as api:
        await start_charge(api)
        csms.answers["TransactionEvent"] = lambda _: NO_ANSWER
        await api.post("/api/evses/1/stop")
        await api.advance(10)
        assert (await api.evse())["cost"]["final"] is False


async def test_what_is_switched_off_or_on_meanwhile_applies_at_once(tmp_path: Path) -> None:
    """TariffCostCtrlr.Enabled"""
    csms = csms_adding(Authorize={"personalMessage": message("gold card")}, Updated={"totalCost": 1})
    async with walking(tmp_path, csms) as walk, visiting(walk) as api:
        await start_charge(api)
        for value, both in (("false", {}), ("true", {"tariff": "gold card", "cost": "1.00 EUR"})):
            for instance in ("Tariff", "Cost"):
                await walk.set_variable("TariffCostCtrlr", "Enabled", value, instance)
            assert await display_texts(api) == both
            assert ((await api.evse())["cost"] is None) is (value == "false")


async def test_passers_by_see_what_it_costs_but_no_message_for_one_driver(tmp_path: Path) -> None:
    """As long as nobody has signed in; nor do they learn the transaction's id."""
    csms = csms_adding(Authorize={"personalMessage": message("Welcome, Mrs Smith")}, Updated={"totalCost": 1})
    async with (
        walking(tmp_path, csms, page={"visitors": "all"}) as walk,
        visiting(walk) as api,
        away(walk) as passer_by,
    ):
        identity = await start_charge(api)
        evse = (await passer_by.get("/api/status")).json()["evses"][0]
        assert evse["cost"] == {"amount": "1.00", "currency": "EUR", "final": False, "told_by": "csms"}
        assert [(message["topic"], message["content"]) for message in evse["display"]] == [("cost", "1.00 EUR")]
        assert identity not in str(evse)
    async with walking(tmp_path / "b", variable=FALLBACK) as walk, visiting(walk) as api, away(walk) as passer_by:
        await start_charge(api)
        (tariff,) = (await passer_by.get("/api/status")).json()["evses"][0]["display"]
        assert tariff["content"] == "Ask the owner"


async def test_a_grid_meter_that_has_fallen_silent_gives_no_tariff_period_any_more(tmp_path: Path) -> None:
    """Else all that is charged after it would have the price of the hour in which it fell silent."""
    async with walking(tmp_path, grid=GRID) as walk, visiting(walk) as api:
        house = House(walk, tariff_period="HC..")
        await walk.accepted()
        await house.live(2)
        await api.put("/api/prices", PRICES | {"period": [{"name": "HC", "energy_per_kwh": 0.20}]})
        await walk.plug()
        await walk.present()
        await house.live(10)
        identity = str((await api.evse())["transaction_id"])
        await walk.advance(TARIFF_KNOWN_FOR_S + 10)
        periods = (await api.get(f"/api/transactions/{identity}"))["periods"]
        assert [period["period"] for period in periods] == ["HC..", None]
