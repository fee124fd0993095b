"""Facts that flash memory has spoilt: each is said in the log, and none keeps the station from starting."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from station.billing.price import PriceList
from station.core.model import EvseRef, StoppedReason, TriggerReason
from station.load.shared_limits import LimitRequest, LimitSetter
from station.security.access.accounts import Role
from tests.walk import OTHER_CARD, Walk, walking
from tests.walks.commissioned import commission
from tests.walks.steps import charge
from tests.walks.visit import Api, visiting

REQUIRED = {"identity": "BORNE-TEST", "serial_number": "0001", "commissioning": "required"}
LOGGED_BY_KIND = {
    "access-token": "access token script cannot be read",
    "account": "account of the owner cannot be read",
    "activation": "when the station was activated cannot be read",
    "availability": "stored availability/evse/1 cannot be read",
    "cable": "the stored holder of its cable cannot be read",
    "card": "a stored card of the owner cannot be read",
    "commissioning": "the commissioning result of step site cannot be read",
    "contactor": "stored contactor count cannot be read",
    "external-limit": "limit of SO cannot be read",
    "meter": "EVSE 1: the stored data of its meter cannot be read",
    "monitoring": "facts monitoring/event-ids",
    "network": "network profiles cannot be read",
    "prices": "price list cannot be read",
    "priority": "the stored priority of EVSE 1 cannot be read",
    "residual-current": "the stored value of tripped/1 cannot be read",
    "shared-limit": "the stored limit of operator cannot be read",
    "tamper": "the stored tamper alarm cannot be read",
}
"""for each kind of fact, words of the line in the log"""
QUIET = {"signing-key"}
"""kinds of which any text may be right: a key that is another than before is noted in the journal"""


async def store_each_fact(walk: Walk, api: Api) -> None:
    """Store a fact of each kind."""
    await walk.accepted()
    await commission(api)
    await api.post("/api/activation")
    await charge(walk)
    await walk.parts.access.ensure_loaded()
    await walk.parts.access.accounts.set_password(Role.OWNER, "correct horse battery")
    await walk.parts.access.create_token("script", Role.OWNER, timedelta(days=2))
    await walk.parts.cards.add(OTHER_CARD, "mine")
    await walk.parts.prices.change(PriceList("EUR", Decimal("0.30"), (), Decimal("1.00")))
    await walk.parts.load.priorities.change(1, 2)
    await walk.parts.shared_limits.set_limit(LimitSetter.OPERATOR, LimitRequest(current_a=10.0, for_s=86_400.0))
    await walk.until(lambda: walk.csms.received("NotifyChargingLimit"))
    walk.evse.end_authorization(TriggerReason.DEAUTHORIZED, StoppedReason.DE_AUTHORIZED, keep_locked=True)
    await walk.parts.station.availability.apply_order(EvseRef(1), operative=False)
    await api.post("/api/sim/tamper", {"open": True})
    await api.post("/api/sim/tamper", {"open": False})
    await api.post("/api/sim/faults", {"code": "dc-residual-current"})
    await api.client.request("DELETE", "/api/sim/faults", json={"code": "dc-residual-current"})
    await walk.advance(5)


@pytest.mark.parametrize("spoilt", ["x{", "null", "-7", "[]", b"\xff\xfe{"])
async def test_no_fact_that_flash_memory_has_spoilt_keeps_the_station_from_starting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoilt: str | bytes
) -> None:
    async with walking(tmp_path, station=REQUIRED) as walk, visiting(walk) as api:
        await store_each_fact(walk, api)
        await walk.application.cut_power()
        with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database:
            kinds = {str(name).partition("/")[0] for (name,) in database.execute("SELECT name FROM facts")}
            assert kinds == LOGGED_BY_KIND.keys() | QUIET
            database.execute("UPDATE facts SET value = CAST(? AS TEXT)", (spoilt,))
            database.commit()
        caplog.set_level(logging.WARNING)
        caplog.clear()
        await walk.application.restore_power()
        await walk.parts.access.ensure_loaded()
        await walk.advance(30)
        for kind in LOGGED_BY_KIND.keys() - ({"shared-limit"} if spoilt == "null" else set()):  # which is none
            assert LOGGED_BY_KIND[kind] in caplog.text, kind
        assert (await api.evse())["faults"] == ["dc-residual-current", "tamper"]
        assert (await api.get("/api/commissioning"))["stage"] == "not-commissioned"
