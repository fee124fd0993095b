"""TriggerMessage is passed on to the block whose message it is (F06), on the block itself."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ocpp_handlers.blocks.f_trigger_message import BootTriggers, TriggerMessage, TriggerResult
from ocpp_handlers.connection.boot import Registration
from ocpp_handlers.connection.link import Link
from station.charging.evse import Evse


class Station:
    """Two EVSEs, a message of the station and one of EVSEs."""

    def __init__(self) -> None:
        evses = {
            number: cast("Evse", SimpleNamespace(id=number, layout=SimpleNamespace(connector_id=1)))
            for number in (1, 2)
        }
        self.sent: list[object] = []
        self.block = TriggerMessage(evses, {"Heartbeat": self._heartbeat}, {"MeterValues": self._values})

    def _heartbeat(self) -> TriggerResult:
        async def send() -> None:
            self.sent.append("Heartbeat")

        return "Accepted", send

    def _values(self, evses: Sequence[Evse]) -> TriggerResult:
        async def send() -> None:
            self.sent.append([evse.id for evse in evses])

        return "Accepted", send

    async def trigger(self, message: str, evse: dict[str, int] | None = None) -> dict[str, Any]:
        """The response, after its follow-up has run."""
        request = {"requestedMessage": message} | ({"evse": evse} if evse is not None else {})
        answer = await self.block.trigger_message(cast("Any", request))
        if answer.follow_up is not None:
            await answer.follow_up()
        return cast("dict[str, Any]", answer.response)


@pytest.mark.parametrize("evse", [None, {"id": 1}, {"id": 99}])
async def test_an_evse_is_ignored_in_a_message_of_the_station(evse: dict[str, int] | None) -> None:
    """F06.FR.03."""
    station = Station()
    assert await station.trigger("Heartbeat", evse) == {"status": "Accepted"}
    assert station.sent == ["Heartbeat"]


@pytest.mark.parametrize(("evse", "expected"), [(None, [1, 2]), ({"id": 2}, [2]), ({"id": 2, "connectorId": 1}, [2])])
async def test_a_message_of_evses_is_about_the_one_that_is_named_or_all(
    evse: dict[str, int] | None, expected: list[int]
) -> None:
    """F06.FR.11."""
    station = Station()
    assert await station.trigger("MeterValues", evse) == {"status": "Accepted"}
    assert station.sent == [expected]


@pytest.mark.parametrize(
    ("evse", "code"), [({"id": 3}, "UnknownEvse"), ({"id": 1, "connectorId": 2}, "UnknownConnectorId")]
)
async def test_a_place_that_does_not_exist_is_rejected(evse: dict[str, int], code: str) -> None:
    station = Station()
    assert await station.trigger("MeterValues", evse) == {"status": "Rejected", "statusInfo": {"reasonCode": code}}
    assert station.sent == []


async def test_a_message_that_nobody_sends_is_not_implemented() -> None:
    """F06.FR.08."""
    assert await Station().trigger("PublishFirmwareStatusNotification") == {"status": "NotImplemented"}


@pytest.mark.parametrize(("accepted", "status", "attempts"), [(False, "Accepted", 1), (True, "Rejected", 0)])
async def test_a_boot_notification_is_sent_until_the_station_is_accepted(
    accepted: bool, status: str, attempts: int
) -> None:
    """F06.FR.17."""
    times: list[None] = []
    boot = cast("Registration", SimpleNamespace(request_notification=lambda: times.append(None)))
    triggers = BootTriggers(cast("Link", SimpleNamespace(accepted=accepted)), boot)
    answer, follow_up = triggers.trigger_boot_notification()
    if follow_up is not None:
        await follow_up()
    assert (answer, len(times)) == (status, attempts)
