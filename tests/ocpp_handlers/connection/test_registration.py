"""How often a BootNotification without an answer is sent again."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from ocpp_handlers.connection.boot import BootMessageFilter, Identification, Registration
from ocpp_handlers.connection.link_settings import CsmsLinkSettings
from ocpp_handlers.wire.call_errors import CallTimeoutError, InvalidRequestError
from ocpp_handlers.wire.session import OcppSession
from station.core.csms import NoAnswerError
from station.core.model import BootReason
from tests import fakes


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(CallTimeoutError("no response"), 6), (InvalidRequestError("TypeConstraintViolation", "was not sent"), 2)],
)
async def test_one_that_is_not_valid_is_not_tried_again_and_again(error: NoAnswerError, attempts: int) -> None:
    clock, tried = fakes.clock(), list[float]()

    class Session:
        async def call(self, *_: object) -> None:
            tried.append(clock.monotonic())
            raise error

    identification = Identification("Model", "Vendor")
    registration = Registration(
        BootMessageFilter(), identification, CsmsLinkSettings(), clock, fakes.RaisingCalls(), reason=BootReason.POWER_UP
    )
    waiting = asyncio.create_task(registration.obtain_acceptance(cast("OcppSession", Session())))
    await clock.advance(55.0)
    assert len(tried) == attempts
    registration.request_notification()
    await clock.settle()
    calls = 2 if isinstance(error, InvalidRequestError) else 1  # the second one has only the required fields
    assert len(tried) == attempts + calls, "the CSMS has asked for it"
    waiting.cancel()


async def test_an_optional_field_that_is_not_valid_keeps_no_station_from_its_csms() -> None:
    """Such as a firmware version that is too long: the CSMS could never send another firmware."""
    sent: list[object] = []

    class Session:
        async def call(self, _: object, request: object) -> dict[str, object]:
            sent.append(request)
            if len(sent) == 1:
                raise InvalidRequestError("PropertyConstraintViolation", "BootNotification was not sent")
            return {"currentTime": "2026-01-01T00:00:00Z", "interval": 300, "status": "Accepted"}

    identification = Identification("Model", "Vendor", serial_number="4711", firmware_version="9" * 60)
    gate = BootMessageFilter()
    registration = Registration(
        gate, identification, CsmsLinkSettings(), fakes.clock(), fakes.RaisingCalls(), reason=BootReason.POWER_UP
    )
    await registration.obtain_acceptance(cast("OcppSession", Session()))
    assert gate.accepted
    assert sent[1] == {"reason": "PowerUp", "chargingStation": {"model": "Model", "vendorName": "Vendor"}}
