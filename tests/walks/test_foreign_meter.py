"""A meter that is not believed: the CSMS learns of it, the journal keeps it, and only a person puts another one in."""

from __future__ import annotations

from pathlib import Path

from simulator.board import MeterOverride
from tests.walk import Walk, walking
from tests.walks.steps import charge, event, statuses, variables
from tests.walks.visit import Api, visiting


async def journal_details(api: Api, kind: str) -> list[dict[str, object]]:
    """Return the details of the journal entries of one kind, the newest first."""
    return [entry["details"] for entry in await api.get("/api/metering/journal") if entry["event"] == kind]


async def exchange_meter(walk: Walk) -> None:
    """Replace the meter by one with another serial number; it is silent meanwhile."""
    world = walk.world
    world.fail_meter(1, True)
    await walk.advance(3)
    world.meter_serials[1] = "OTHER-2"
    world.fail_meter(1, False)


async def test_another_meter_stops_the_energy_and_is_reported_to_the_csms(tmp_path: Path) -> None:
    """Another serial is an exchange; A04: the tamper detection of part 2, appendix 1."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await charge(walk)
        await exchange_meter(walk)
        await walk.until(lambda: statuses(walk)[-1] == "Faulted", within_s=20)
        await walk.until(lambda: sum(walk.board.currents_a) == 0)
        await walk.until(lambda: walk.csms.received("SecurityEventNotification"))
        (notification,) = [
            sent_event
            for sent_event in walk.csms.received("SecurityEventNotification")
            if sent_event["type"] == "TamperDetectionActivated"
        ]
        assert "OTHER-2, not SIMULATED-1" in notification["techInfo"]
        (refused,) = await journal_details(api, "meter-refused")
        assert "OTHER-2" in str(refused["reason"])
        assert len(await journal_details(api, "meter-fault")) == 1


async def test_with_stop_the_transaction_ends_with_the_last_register_of_the_old_meter(tmp_path: Path) -> None:
    rows = variables(SampledDataCtrlr__SignReadings=True)
    async with walking(tmp_path, variable=rows, evse=[{"on_meter_failure": "stop"}]) as walk, visiting(walk) as api:
        await charge(walk)
        await walk.advance(60)
        await exchange_meter(walk)
        await walk.advance(60)  # in which the meter might have spoken again (TxCtrlr.EndRegisterWait)
        ended = await event(walk, "Ended", "AbnormalCondition")
        assert ended["transactionInfo"]["stoppedReason"] == "Other"
        identity = ended["transactionInfo"]["transactionId"]
        text = (await api.client.get(f"/api/transactions/{identity}/record", params={"form": "text"})).text
        end = text.splitlines()[-1]
        assert '"EF":"E"' in end  # nothing to bill by: what is there is no register of this transaction
        assert '"ST":"X"' in end


async def test_an_exchange_has_somebody_who_answers_for_it(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await charge(walk)
        order = {"by": "Installer 7", "reason": "meter broken"}
        refused = await api.client.post("/api/evses/1/meter-exchange", json=order)
        assert (refused.status_code, "transaction" in refused.text) == (409, True)
        await walk.present()
        await event(walk, "Ended", "StopAuthorized")
        await exchange_meter(walk)
        await walk.until(lambda: statuses(walk)[-1] == "Faulted", within_s=20)
        exchange = await api.post("/api/evses/1/meter-exchange", order, status=200, settled=False)
        assert (exchange["old_serial"], exchange["new_serial"]) == ("SIMULATED-1", "OTHER-2")
        assert exchange["old_register_wh"] is not None
        await walk.advance(3)
        assert walk.evse.meter.error is None
        await walk.until(lambda: statuses(walk)[-1] != "Faulted")
        (entry,) = await journal_details(api, "meter-exchange")
        assert (entry["by"], entry["reason"], entry["new_serial"]) == ("Installer 7", "meter broken", "OTHER-2")
    async with walking(tmp_path) as walk:
        walk.world.meter_serials[1] = "OTHER-2"
        await walk.accepted()
        await walk.advance(5)
        assert walk.evse.meter.serial_number == "OTHER-2"


async def test_a_display_that_rolls_over_in_a_charge_is_believed_after_it(tmp_path: Path) -> None:
    """No session has an energy below zero, and no register is corrected."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        walk.board.meter_override = MeterOverride(energy_wh=1e9 - 10.0)
        await charge(walk)
        await walk.advance(3)
        walk.board.meter_override = MeterOverride(energy_wh=5.0)
        await walk.until(lambda: statuses(walk)[-1] == "Faulted", within_s=20)
        await walk.present()
        await walk.advance(60)  # the same display might have come back (TxCtrlr.EndRegisterWait)
        ended = await event(walk, "Ended", "StopAuthorized")
        assert ended["meterValue"][-1]["sampledValue"][0]["value"] == 1e9 - 10.0
        await walk.until(lambda: statuses(walk)[-1] != "Faulted", within_s=30)
        (entry,) = await journal_details(api, "meter-rolled-over")
        assert entry == {"before_wh": "999999990.000", "register_wh": "5.000"}
