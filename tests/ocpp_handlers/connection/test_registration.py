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
    [(CallTimeoutError("no response"), 6), (InvalidRequestError("TypeConstraintViolation", "was not sent"), 1)],
)
async def test_one_that_is_not_valid_is_not_tried_again_and_again(error: NoAnswerError, attempts: int) -> None:
    clock, tried = fakes.clock(), list[float]()

    class Session:
        async def call(self, *_: object) -> None:
            tried.append(clock.monotonic())
            raise error

    identification = Identification("Model", "Vendor")
    registration = Registration(
        BootMessageFilter(), identification, CsmsLinkSettings(), clock, fakes.LoudCalls(), reason=BootReason.POWER_UP
    )
    waiting = asyncio.create_task(registration.obtain_acceptance(cast("OcppSession", Session())))
    await clock.advance(55.0)
    assert len(tried) == attempts
    registration.request_notification()
    await clock.settle()
    assert len(tried) == attempts + 1, "the CSMS has asked for it"
    waiting.cancel()
