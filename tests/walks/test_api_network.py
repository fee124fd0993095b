"""Another CSMS for the length of a test, through the local API: appointed, and given up again."""

from __future__ import annotations

from pathlib import Path

from tests.csms import Csms, running_csms
from tests.walk import Walk, walking
from tests.walks.visit import Api, visiting

PASSWORD = "AnotherPassword-0123"


async def _reboot(walk: Walk, api: Api, csms: Csms) -> None:
    """Cut and restore the power; wait until the station boots at this CSMS."""
    boots = len(csms.received("BootNotification"))
    await api.post("/api/sim/power", {"action": "cycle"})
    await walk.until(lambda: len(csms.received("BootNotification")) > boots)


async def test_the_next_boot_finds_the_csms_that_was_appointed_and_the_one_after_its_own(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api, running_csms() as second_csms:
        await walk.accepted()
        configured_url = (await api.get("/api/status"))["csms"]["url"]
        url = f"ws://127.0.0.1:{second_csms.port}/elsewhere"
        await api.put("/api/sim/network", {"url": url, "security_profile": 1, "password": PASSWORD})
        await _reboot(walk, api, second_csms)
        assert (await api.get("/api/status"))["csms"]["url"] == url
        assert walk.parts.credentials.password == PASSWORD
        assert walk.parts.network.security_profile == 1
        await api.delete("/api/sim/network")
        await _reboot(walk, api, walk.csms)
        assert (await api.get("/api/status"))["csms"]["url"] == configured_url
        assert walk.parts.credentials.password != PASSWORD


async def test_a_csms_that_nobody_can_reach_is_not_appointed(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        for url in ("http://127.0.0.1/", "ws://", "wss://127.0.0.1/"):  # the last one for want of security
            refused = await api.client.put("/api/sim/network", json={"url": url, "security_profile": 1})
            assert refused.status_code == 422, url
        await _reboot(walk, api, walk.csms)
