"""One whole charge, in the orders in which it can happen (E01–E07, F01–F03)."""

from __future__ import annotations

from pathlib import Path

from station.charging.tokens.admission import TokenOutcome
from tests.walk import CARD, walking


async def test_cable_first_then_card_charges_and_the_same_card_stops(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.plug()
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()
        await walk.advance(120)
        assert await walk.present() is TokenOutcome.STOPPED
        await walk.until(lambda: ("Ended", "StopAuthorized") in walk.types_and_triggers())
        await walk.unplug()
        assert walk.types_and_triggers() == [
            ("Started", "CablePluggedIn"),
            ("Updated", "Authorized"),
            ("Updated", "ChargingStateChanged"),
            ("Updated", "MeterValuePeriodic"),
            ("Updated", "MeterValuePeriodic"),
            ("Ended", "StopAuthorized"),
        ]
        events = walk.events()
        assert [event["seqNo"] for event in events] == list(range(len(events)))
        assert {event["transactionInfo"]["transactionId"] for event in events} == {
            events[0]["transactionInfo"]["transactionId"]
        }
        assert events[0]["evse"] == {"id": 1, "connectorId": 1}
        assert events[1]["idToken"] == {"idToken": CARD.value, "type": CARD.type}
        assert events[-1]["transactionInfo"]["stoppedReason"] == "Local"
        begin = events[0]["meterValue"][0]["sampledValue"][0]
        end = events[-1]["meterValue"][-1]["sampledValue"][0]
        assert begin["context"] == "Transaction.Begin"
        assert end["context"] == "Transaction.End"
        assert end["value"] - begin["value"] > 600  # two minutes at up to 22 kW
