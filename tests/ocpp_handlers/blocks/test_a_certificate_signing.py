"""Asking for a certificate: when, how often, and when to stop (A02, A03)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from ocpp_handlers.blocks.a_certificate_signing import CertificateSigning
from ocpp_handlers.connection.link import Link
from ocpp_handlers.wire.call_errors import CallRefusedError, CallTimeoutError, LinkLostError
from station.core.csms import NoAnswerError
from station.security.certificates.certificate_results import CertificateRefusal, CertificateRefusalReason
from station.security.certificates.certificate_store import CertificateStore
from station.security.certificates.station_certificate import CertificateSubject
from station.security.security_settings import SecuritySettings
from tests.fakes import clock
from tests.patience import PATIENCE_S

DAY_S = 86_400.0


class Desk:
    """A signing block whose link and store are stand-ins that remember."""

    def __init__(self) -> None:
        self.clock = clock()
        self.settings = SecuritySettings()
        self.settings.override(SecuritySettings.cert_signing_wait_minimum_s, 10)
        self.settings.override(SecuritySettings.cert_signing_repeat_times, 2)
        self.sent: list[float] = []
        self.csrs: list[str] = []
        self.reply: Callable[[], str] = lambda: "Accepted"
        self.online = True
        self.due = False
        self.unreadable: OSError | None = None
        """why the certificate of the station cannot be read; None: it can"""
        self.refusal: CertificateRefusal | None = None
        self.switched = 0
        self._keys = 0
        self.block = CertificateSigning(
            cast(Link, self), cast(CertificateStore, self), self.settings, self.clock, "0000001", self._switch
        )

    # What the block sees of others

    async def call(self, action: Any, request: Any, *, requested: bool) -> dict[str, str]:
        del action, requested
        self.sent.append(self.clock.monotonic())
        self.csrs.append(request["csr"])
        return {"status": self.reply()}

    async def renewal_due(self) -> bool:
        if self.unreadable is not None:
            raise self.unreadable
        return self.due

    async def new_signing_request(self, owner: CertificateSubject) -> str:
        assert owner == CertificateSubject("0000001", "")
        self._keys += 1
        return f"CSR {self._keys}"

    async def install_signed(self, pem: str) -> CertificateRefusal | None:
        del pem
        return self.refusal

    async def _switch(self) -> None:
        self.switched += 1

    # What the CSMS does

    async def trigger(self) -> None:
        """TriggerMessage: answered, then its errand runs."""
        status, errand = self.block.trigger()
        assert status == "Accepted"
        assert errand is not None
        await errand()
        await self.clock.settle()

    async def answer(self, kind: str | None = None) -> str:
        """CertificateSigned: the status, after the errand that follows it."""
        request: Any = {"certificateChain": "PEM"} | ({"certificateType": kind} if kind else {})
        answer = await self.block.certificate_signed(request)
        if answer.follow_up is not None:
            await answer.follow_up()
        await self.clock.settle()
        return answer.response["status"]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """While the block runs."""
        task = asyncio.create_task(self.block.run())
        await self.clock.settle()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def _raises(error: Exception) -> Callable[[], str]:
    def reply() -> str:
        raise error

    return reply


async def test_it_asks_once_when_the_csms_wants_it_and_stops_when_the_certificate_comes(desk: Desk) -> None:
    """A02.FR.02, A02.FR.08."""
    async with desk.running():
        assert desk.sent == []
        await desk.trigger()
        assert desk.sent == [0.0]
        assert await desk.answer() == "Accepted"
        assert desk.switched == 1
        await desk.clock.advance(DAY_S)
    assert len(desk.sent) == 1


async def test_it_asks_again_after_ever_longer_times_and_then_no_more(desk: Desk) -> None:
    """A02.FR.17, A02.FR.18, A02.FR.19: doubled twice, so after 10, 20 and 40 seconds, with the same request."""
    desk.due = True
    async with desk.running():
        await desk.clock.advance(3 * DAY_S)
        assert [after - before for before, after in zip(desk.sent, desk.sent[1:], strict=False)] == [10.0, 20.0, 40.0]
        assert set(desk.csrs) == {"CSR 1"}
        await desk.trigger()  # only the CSMS begins anew
    assert desk.csrs[4:] == ["CSR 2"]


async def test_without_increments_it_asks_again_once(desk: Desk) -> None:
    desk.settings.override(SecuritySettings.cert_signing_repeat_times, 0)
    async with desk.running():
        await desk.trigger()
        await desk.clock.advance(DAY_S)
    assert desk.sent == [0.0, 10.0]


@pytest.mark.parametrize("reply", [lambda: "Rejected", _raises(CallRefusedError("InternalError", ""))])
async def test_a_refused_request_is_not_repeated(desk: Desk, reply: Callable[[], str]) -> None:
    desk.reply = reply
    async with desk.running():
        await desk.trigger()
        await desk.clock.advance(3 * DAY_S)
    assert desk.sent == [0.0]


@pytest.mark.parametrize("error", [LinkLostError("gone"), CallTimeoutError("late")])
async def test_a_request_that_nobody_answered_is_repeated(desk: Desk, error: Exception) -> None:
    desk.reply = _raises(error)
    async with desk.running():
        await desk.trigger()
        desk.reply = lambda: "Accepted"
        await desk.clock.advance(10.0)
        assert len(desk.sent) == 2
        assert await desk.answer() == "Accepted"


async def test_a_month_before_the_expiry_it_asks_of_its_own_accord(desk: Desk) -> None:
    """A03.FR.02; while the CSMS is away it waits."""
    async with desk.running():
        await desk.clock.advance(2 * DAY_S)
        assert desk.sent == []
        desk.online, desk.due = False, True
        await desk.clock.advance(2 * DAY_S)
        assert desk.sent == []
        desk.online = True
        desk.block.check_expiry()
        await desk.clock.settle()
        assert len(desk.sent) == 1
        desk.block.check_expiry()  # the link was lost and is back
        await desk.clock.advance(9.0)
        assert len(desk.sent) == 1
        desk.due = False
        assert await desk.answer() == "Accepted"
        await desk.clock.advance(2 * DAY_S)
    assert len(desk.sent) == 1


async def test_a_refused_request_of_its_own_is_made_again_a_day_later(desk: Desk) -> None:
    desk.due, desk.reply = True, lambda: "Rejected"
    async with desk.running():
        await desk.clock.advance(DAY_S - 1.0)
        assert len(desk.sent) == 1
        await desk.clock.advance(3_601.0)
    assert desk.csrs == ["CSR 1", "CSR 2"]


async def test_after_an_invalid_certificate_it_asks_no_more_before_the_csms_wants_it(desk: Desk) -> None:
    """A02.FR.07, A02.FR.20."""
    desk.due, desk.refusal = (
        True,
        CertificateRefusal(CertificateRefusalReason.INVALID, "does not match the key of the request"),
    )
    async with desk.running():
        assert len(desk.sent) == 1
        assert await desk.answer() == "Rejected"
        assert desk.switched == 0
        await desk.clock.advance(3 * DAY_S)
        assert len(desk.sent) == 1
        await desk.trigger()
    assert len(desk.sent) == 2


async def test_too_long_a_chain_is_refused_and_the_right_one_still_waited_for(desk: Desk) -> None:
    """A02.FR.16."""
    desk.refusal = CertificateRefusal(CertificateRefusalReason.TOO_LARGE, "has more than 100 characters")
    async with desk.running():
        await desk.trigger()
        assert await desk.answer() == "Rejected"
        await desk.clock.advance(10.0)
    assert desk.sent == [0.0, 10.0]


async def test_a_certificate_for_iso_15118_is_refused(desk: Desk) -> None:
    async with desk.running():
        assert await desk.answer("V2GCertificate") == "Rejected"
    assert desk.switched == 0


async def test_a_trigger_while_it_waits_begins_anew_with_a_new_key(desk: Desk) -> None:
    async with desk.running():
        await desk.trigger()
        await desk.clock.advance(5.0)
        await desk.trigger()
        await desk.clock.advance(5.0)
    assert desk.sent == [0.0, 5.0]
    assert desk.csrs == ["CSR 1", "CSR 2"]


@pytest.mark.parametrize("error", [LinkLostError("gone"), NoAnswerError("not before it is accepted")])
async def test_a_long_time_without_a_link_does_not_end_the_asking(desk: Desk, error: Exception) -> None:
    """A02.FR.19 is about a CSMS that accepts; with nobody there the certificate would expire."""
    desk.due = True
    async with desk.running():
        desk.reply = _raises(error)
        desk.online = False
        await desk.clock.advance(3 * DAY_S)
        tried = len(desk.sent)
        desk.online = True
        desk.reply = lambda: "Accepted"
        desk.block.check_expiry()
        await desk.clock.advance(2 * 3_600.0)
        assert len(desk.sent) > tried
        assert await desk.answer() == "Accepted"


async def test_a_certificate_that_cannot_be_read_costs_no_link(desk: Desk) -> None:
    desk.unreadable = OSError(5, "Input/output error")
    async with desk.running():
        await desk.clock.advance(DAY_S)
        await desk.trigger()
        assert len(desk.sent) == 1


async def test_a_trigger_while_the_expiry_is_read_is_not_lost(desk: Desk) -> None:
    """A02.FR.02: the disk may be slow, and the CSMS fast."""
    read, reading = asyncio.Event(), asyncio.Event()

    async def renewal_due() -> bool:
        reading.set()
        await read.wait()
        return False

    desk.renewal_due = renewal_due
    async with desk.running():
        await asyncio.wait_for(reading.wait(), PATIENCE_S)
        await desk.trigger()
        assert desk.sent == []
        read.set()
        await desk.clock.settle()
        assert desk.sent == [0.0]
