"""The lines of the log about begin and end of a transaction."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from msgspec.structs import replace

from metering.reading import RegisterReading
from station.charging.transaction_logger import TransactionLogger
from station.core.model import EventType, IdToken, StoppedReason, TransactionEvent, TriggerReason
from station.storage.outbox import Outbox
from tests import fakes
from tests.databases import open_database


def _begin(register_wh: float | None = 1000.0) -> TransactionEvent:
    event = fakes.event("tx", EventType.STARTED, TriggerReason.REMOTE_START)
    card, register = IdToken("04A3B2C1D5E680", "ISO14443"), _register(register_wh)
    return replace(event, id_token=card, remote_start_id=5, reservation_id=3, register=register)


def _end(register_wh: float | None, *, substitute: bool = False) -> TransactionEvent:
    event = fakes.event("tx", EventType.ENDED, TriggerReason.EV_DEPARTED)
    reason, register = StoppedReason.EV_DISCONNECTED, _register(register_wh, substitute=substitute)
    return replace(event, stopped_reason=reason, lasted_s=600.4, register=register)


def _register(energy_wh: float | None, *, substitute: bool = False) -> RegisterReading | None:
    return RegisterReading(energy_wh, fakes.NOON, substitute=substitute) if energy_wh is not None else None


def _logged_end(caplog: pytest.LogCaptureFixture) -> str:
    return caplog.messages[-1].removeprefix("EVSE 1: transaction tx ended: reason EVDisconnected, trigger EVDeparted, ")


def test_the_begin_has_evse_token_register_and_what_it_comes_from(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    TransactionLogger().event_recorded(_begin())
    assert caplog.messages == [
        "EVSE 1: transaction tx begins: trigger RemoteStart, token 04A3…80, remote start 5, reservation 3,"
        " register 1.000 kWh"
    ]


@pytest.mark.parametrize(
    ("begin", "end", "energy_text"),
    [
        (_begin(), _end(5512.3), "4.512 kWh, duration 600 s"),
        (_begin(), _end(5512.3, substitute=True), "4.512 kWh (the meter did not answer), duration 600 s"),
        (_begin(), _end(None), "energy unknown, duration 600 s"),
        (_begin(None), _end(5512.3), "energy unknown, duration 600 s"),
    ],
)
def test_the_end_has_reason_energy_and_duration(
    begin: TransactionEvent, end: TransactionEvent, energy_text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    logger = TransactionLogger()
    logger.event_recorded(begin)
    logger.event_recorded(fakes.event("tx", EventType.UPDATED))
    logger.event_recorded(end)
    assert len(caplog.messages) == 2
    assert _logged_end(caplog) == energy_text


async def test_the_end_after_a_power_cut_has_the_energy_since_the_stored_begin(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = fakes.clock()
    async with open_database(tmp_path / "db", clock) as database:
        await Outbox(database, clock).append(_begin())
    caplog.set_level(logging.INFO)
    async with open_database(tmp_path / "db", clock) as database:
        outbox, logger = Outbox(database, clock), TransactionLogger()
        await logger.load(outbox)
        outbox.appended.subscribe(logger.event_recorded)
        await outbox.append(_end(3000.0))
    assert _logged_end(caplog) == "2.000 kWh, duration 600 s"
