"""The CSMS asks for a certificate signing request, at whatever moment (A02, F06)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from station.security.certificates.certificate_store import CertificateStore
from tests.csms import Csms, Payload
from tests.walk import walking


async def test_a_request_that_comes_with_the_accepted_boot_is_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A02.FR.02, F06.FR.04: also while the station reads when its certificate expires."""
    csms, requested = Csms(), asyncio.Event()
    tasks: list[asyncio.Task[Payload]] = []
    renewal_due = CertificateStore.renewal_due

    async def request_certificate() -> Payload:
        answer = await csms.call("TriggerMessage", {"requestedMessage": "SignChargingStationCertificate"})
        requested.set()
        return answer

    def accept_boot(_: Payload) -> Payload:
        tasks.append(asyncio.create_task(request_certificate()))
        return {"currentTime": csms.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "interval": 300, "status": "Accepted"}

    async def slow_renewal_due(self: CertificateStore) -> bool:
        due = await renewal_due(self)
        await requested.wait()
        await asyncio.sleep(0.05)  # and the follow-up that follows the answer
        return due

    monkeypatch.setattr(CertificateStore, "renewal_due", slow_renewal_due)
    csms.answers["BootNotification"] = accept_boot
    async with walking(tmp_path, csms) as walk:
        await walk.until(lambda: csms.received("SignCertificate"))
        assert [(await task)["status"] for task in tasks] == ["Accepted"]
