"""Asking for a certificate: when, how often, and when to stop (A02, A03)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from ocpp_handlers.blocks.a_certificate_signing import CertificateRequester, CertificateSigning
from ocpp_handlers.connection.link import Link
from ocpp_handlers.wire.call_errors import CallRefusedError, CallTimeoutError, LinkLostError
from station.core.csms import NoAnswerError
from station.security.certificates.certificate_results import CertificateRefusal, CertificateRefusalReason
from station.security.certificates.certificate_store import CertificateStore
from station.security.certificates.renewals import StationCertificateRenewal
from station.security.certificates.station_certificate import CertificateSubject
from station.security.security_settings import SecuritySettings
from tests.fakes import clock
from tests.patience import PATIENCE_S

DAY_S = 86_400.0


class SigningFixture:
    """A signing block whose link and certificate store are fakes that record their calls."""

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
        store = cast(CertificateStore, self)
        renewal = StationCertificateRenewal(store, self.settings, "0000001")
        requester = CertificateRequester(cast(Link, self), renewal, self.settings, self.clock)
        self.block = CertificateSigning(requester, store, self._switch, {}, None)

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
        """TriggerMessage: answered, then the follow-up runs."""
        status, follow_up = self.block.station.trigger()
        assert status == "Accepted"
        assert follow_up is not None
        await follow_up()
        await self.clock.settle()

    async def answer(self, kind: str | None = None) -> str:
        """Send CertificateSigned, and run its follow-up; returns the status."""
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
def fixture() -> SigningFixture:
    return SigningFixture()


def _raising_reply(error: Exception) -> Callable[[], str]:
    def reply() -> str:
        raise error

    return reply


async def test_it_asks_once_when_the_csms_wants_it_and_stops_when_the_certificate_comes(
    fixture: SigningFixture,
) -> None:
    """A02.FR.02, A02.FR.08."""
    async with fixture.running():
        assert fixture.sent == []
        await fixture.trigger()
        assert fixture.sent == [0.0]
        assert await fixture.answer() == "Accepted"
        assert fixture.switched == 1
        await fixture.clock.advance(DAY_S)
    assert len(fixture.sent) == 1


async def test_it_asks_again_after_ever_longer_times_and_then_no_more(fixture: SigningFixture) -> None:
    """A02.FR.17, A02.FR.18, A02.FR.19: doubled twice, so after 10, 20 and 40 seconds, with the same request."""
    fixture.due = True
    async with fixture.running():
        await fixture.clock.advance(3 * DAY_S)
        assert [after - before for before, after in zip(fixture.sent, fixture.sent[1:], strict=False)] == [
            10.0,
            20.0,
            40.0,
        ]
        assert set(fixture.csrs) == {"CSR 1"}
        await fixture.trigger()  # only the CSMS starts again
    assert fixture.csrs[4:] == ["CSR 2"]


async def test_without_increments_it_asks_again_once(fixture: SigningFixture) -> None:
    fixture.settings.override(SecuritySettings.cert_signing_repeat_times, 0)
    async with fixture.running():
        await fixture.trigger()
        await fixture.clock.advance(DAY_S)
    assert fixture.sent == [0.0, 10.0]


@pytest.mark.parametrize("reply", [lambda: "Rejected", _raising_reply(CallRefusedError("InternalError", ""))])
async def test_a_refused_request_is_not_repeated(fixture: SigningFixture, reply: Callable[[], str]) -> None:
    fixture.reply = reply
    async with fixture.running():
        await fixture.trigger()
        await fixture.clock.advance(3 * DAY_S)
    assert fixture.sent == [0.0]


@pytest.mark.parametrize("error", [LinkLostError("gone"), CallTimeoutError("late")])
async def test_a_request_that_nobody_answered_is_repeated(fixture: SigningFixture, error: Exception) -> None:
    fixture.reply = _raising_reply(error)
    async with fixture.running():
        await fixture.trigger()
        fixture.reply = lambda: "Accepted"
        await fixture.clock.advance(10.0)
        assert len(fixture.sent) == 2
        assert await fixture.answer() == "Accepted"


async def test_a_month_before_the_expiry_it_asks_of_its_own_accord(fixture: SigningFixture) -> None:
    """A03.FR.02; while the CSMS is away it waits."""
    async with fixture.running():
        await fixture.clock.advance(2 * DAY_S)
        assert fixture.sent == []
        fixture.online, fixture.due = False, True
        await fixture.clock.advance(2 * DAY_S)
        assert fixture.sent == []
        fixture.online = True
        fixture.block.check_expiry()
        await fixture.clock.settle()
        assert len(fixture.sent) == 1
        fixture.block.check_expiry()  # the link was lost and is back
        await fixture.clock.advance(9.0)
        assert len(fixture.sent) == 1
        fixture.due = False
        assert await fixture.answer() == "Accepted"
        await fixture.clock.advance(2 * DAY_S)
    assert len(fixture.sent) == 1


async def test_a_refused_request_of_its_own_is_made_again_a_day_later(fixture: SigningFixture) -> None:
    fixture.due, fixture.reply = True, lambda: "Rejected"
    async with fixture.running():
        await fixture.clock.advance(DAY_S - 1.0)
        assert len(fixture.sent) == 1
        await fixture.clock.advance(3_601.0)
    assert fixture.csrs == ["CSR 1", "CSR 2"]


async def test_after_an_invalid_certificate_it_asks_no_more_before_the_csms_wants_it(fixture: SigningFixture) -> None:
    """A02.FR.07, A02.FR.20."""
    fixture.due, fixture.refusal = (
        True,
        CertificateRefusal(CertificateRefusalReason.INVALID, "does not match the key of the request"),
    )
    async with fixture.running():
        assert len(fixture.sent) == 1
        assert await fixture.answer() == "Rejected"
        assert fixture.switched == 0
        await fixture.clock.advance(3 * DAY_S)
        assert len(fixture.sent) == 1
        await fixture.trigger()
    assert len(fixture.sent) == 2


async def test_too_long_a_chain_is_refused_and_the_right_one_still_waited_for(fixture: SigningFixture) -> None:
    """A02.FR.16."""
    fixture.refusal = CertificateRefusal(CertificateRefusalReason.TOO_LARGE, "has more than 100 characters")
    async with fixture.running():
        await fixture.trigger()
        assert await fixture.answer() == "Rejected"
        await fixture.clock.advance(10.0)
    assert fixture.sent == [0.0, 10.0]


async def test_a_certificate_for_iso_15118_is_refused(fixture: SigningFixture) -> None:
    async with fixture.running():
        assert await fixture.answer("V2GCertificate") == "Rejected"
    assert fixture.switched == 0


async def test_a_trigger_while_it_waits_restarts_with_a_new_key(fixture: SigningFixture) -> None:
    async with fixture.running():
        await fixture.trigger()
        await fixture.clock.advance(5.0)
        await fixture.trigger()
        await fixture.clock.advance(5.0)
    assert fixture.sent == [0.0, 5.0]
    assert fixture.csrs == ["CSR 1", "CSR 2"]


@pytest.mark.parametrize("error", [LinkLostError("gone"), NoAnswerError("not before it is accepted")])
async def test_a_long_time_without_a_link_does_not_end_the_asking(fixture: SigningFixture, error: Exception) -> None:
    """A02.FR.19 is about a CSMS that accepts; with nobody there the certificate would expire."""
    fixture.due = True
    async with fixture.running():
        fixture.reply = _raising_reply(error)
        fixture.online = False
        await fixture.clock.advance(3 * DAY_S)
        tried = len(fixture.sent)
        fixture.online = True
        fixture.reply = lambda: "Accepted"
        fixture.block.check_expiry()
        await fixture.clock.advance(2 * 3_600.0)
        assert len(fixture.sent) > tried
        assert await fixture.answer() == "Accepted"


async def test_a_certificate_that_cannot_be_read_costs_no_link(fixture: SigningFixture) -> None:
    fixture.unreadable = OSError(5, "Input/output error")
    async with fixture.running():
        await fixture.clock.advance(DAY_S)
        await fixture.trigger()
        assert len(fixture.sent) == 1


async def test_a_trigger_while_the_expiry_is_read_is_not_lost(fixture: SigningFixture) -> None:
    """A02.FR.02: the disk may be slow, and the CSMS fast."""
    read, reading = asyncio.Event(), asyncio.Event()

    async def renewal_due() -> bool:
        reading.set()
        await read.wait()
        return False

    fixture.renewal_due = renewal_due
    async with fixture.running():
        await asyncio.wait_for(reading.wait(), PATIENCE_S)
        await fixture.trigger()
        assert fixture.sent == []
        read.set()
        await fixture.clock.settle()
        assert fixture.sent == [0.0]
