"""What protects: residual current with its latch, shunt trip and tests; heat; the selector; the contactor's wear."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from energy.limit import LimitSource
from station.core.model import Fault
from station.load.residual_current import MAX_TESTS
from station.security.security_events import SecurityEventType
from station.storage.fact_store import FactStore
from tests.fakes import NOON
from tests.full_disk import FullDisk
from tests.patience import until
from tests.walk import walking
from tests.walks.steps import charge, event, statuses
from tests.walks.visit import TOKEN, visiting

FAULT = {"code": "dc-residual-current"}
TRIPPED = "/api/evses/1/residual-current"


async def test_a_dc_residual_current_is_latched_over_power_cuts_until_service_clears_it(tmp_path: Path) -> None:
    """The contactor opens at once, GroundFault ends the transaction; the monitor's recovery alone changes nothing."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await charge(walk)
        await api.post("/api/sim/faults", FAULT)
        assert not walk.board.outputs.contactor
        ended = await event(walk, "Ended", "AbnormalCondition")
        assert ended["transactionInfo"]["stoppedReason"] == "GroundFault"
        answer = await api.client.delete(TRIPPED)
        assert (answer.status_code, answer.json()["detail"]) == (
            409,
            "the monitor still reports a DC residual current",
        )
        await api.client.request("DELETE", "/api/sim/faults", json=FAULT, params={"wait": "settled"})
        assert (await api.evse())["faults"] == ["dc-residual-current"]
        await api.post("/api/sim/power", {"action": "cycle"})
        assert (await api.evse())["faults"] == ["dc-residual-current"]
        assert (await api.get(TRIPPED))["tripped"] is True
        await walk.until(lambda: statuses(walk)[-1] == "Faulted")
        await api.delete(TRIPPED)
        assert (await api.evse())["faults"] == []
        await api.post("/api/sim/power", {"action": "cycle"})
        assert (await api.evse())["faults"] == []


async def test_facts_that_flash_memory_has_spoilt_keep_no_station_from_starting(tmp_path: Path) -> None:
    """The latch that cannot be read is one, to be cleared by service."""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await charge(walk)
        await api.post("/api/sim/faults", FAULT)
        await api.client.request("DELETE", "/api/sim/faults", json=FAULT, params={"wait": "settled"})
        await walk.application.cut_power()
        with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database:
            spoilt = "name LIKE 'contactor/%' OR name LIKE 'meter/%' OR name LIKE 'residual-current/%'"
            assert database.execute(f"UPDATE facts SET value = 'x{{' WHERE {spoilt}").rowcount >= 3
            database.commit()
        await walk.application.restore_power()
        assert (await api.evse())["faults"] == ["dc-residual-current"]
        await api.delete(TRIPPED)
        assert (await api.evse())["faults"] == []


async def test_a_tamper_alarm_that_the_disk_refuses_is_brought_there_later_and_outlives_a_power_cut(
    tmp_path: Path, disk: FullDisk
) -> None:
    async with walking(tmp_path, board={"selector_a": 16}) as walk, visiting(walk) as api:
        await walk.accepted()
        with disk.refusing("'tamper'"):
            await api.post("/api/sim/tamper", {"open": True})
            await api.post("/api/sim/selector", {"position": "32"})
            await api.advance(5)
            assert walk.parts.load.grid.selector_a == 32.0  # the back plate is followed all the same
        await api.advance(11)
        await api.post("/api/sim/tamper", {"open": False})
        await api.post("/api/sim/power", {"action": "cycle"})
        assert (await api.evse())["faults"] == ["tamper"]


async def test_the_selector_is_followed_although_the_disk_hangs_over_a_tamper_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with walking(tmp_path, board={"selector_a": 32}) as walk, visiting(walk) as api:
        await walk.accepted()
        events, disk = walk.parts.security_events, asyncio.Event()
        report = events.report

        async def hangs(kind: SecurityEventType, info: str = "") -> None:
            await disk.wait()
            await report(kind, info)

        monkeypatch.setattr(events, "report", hangs)
        await api.post("/api/sim/tamper", {"open": True})
        await api.post("/api/sim/selector", {"position": "16"})
        await api.advance(5)
        assert (await api.evse())["faults"] == ["tamper"]
        assert walk.parts.load.grid.selector_a == 16.0
        disk.set()
        await api.advance(1)
        event_types = [event.type for event in await events.entries()]
        assert event_types.count("TamperDetectionActivated") == 1


async def test_an_alarm_that_is_answered_for_while_the_flap_opens_again_stays(tmp_path: Path, disk: FullDisk) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/sim/tamper", {"open": True})
        await api.post("/api/sim/tamper", {"open": False})

        async def open_flap() -> None:
            walk.world.back_plate.move_flap(True)

        disk.meanwhile("('tamper', 'none')", open_flap)
        answer = await api.client.delete("/api/tamper")
        assert (answer.status_code, answer.json()["detail"]) == (409, "the flap is open again")
        await walk.settle()
        await api.post("/api/sim/tamper", {"open": False})
        await api.post("/api/sim/power", {"action": "cycle"})
        assert (await api.evse())["faults"] == ["tamper"]


async def test_what_cannot_be_read_of_a_tamper_alarm_is_one(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await api.post("/api/sim/tamper", {"open": True})
        await api.post("/api/sim/tamper", {"open": False})
        await walk.application.cut_power()
        with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database:
            assert database.execute("UPDATE facts SET value = 'alar\x7f' WHERE name = 'tamper'").rowcount == 1
            database.commit()
        await walk.application.restore_power()
        assert (await api.evse())["faults"] == ["tamper"]
        await api.delete("/api/tamper")
        assert (await api.evse())["faults"] == []


@pytest.mark.parametrize("kind", ["none", "pulse", "hold"])
async def test_the_shunt_trip_is_energised_as_local_rules_demand_it(tmp_path: Path, kind: str) -> None:
    protection = {"shunt_trip": kind, "shunt_trip_pulse_s": 2.0}
    async with walking(tmp_path, protection=protection) as walk, visiting(walk) as api:
        await charge(walk)
        plate = walk.world.back_plate
        await api.post("/api/sim/faults", FAULT)
        assert plate.shunt_trip is (kind != "none")
        await api.client.request("DELETE", "/api/sim/faults", json=FAULT, params={"wait": "settled"})
        await api.advance(5)
        assert plate.shunt_trip is (kind == "hold")
        await api.post("/api/sim/power", {"action": "cycle"})
        await api.advance(5)
        assert plate.shunt_trip is (kind == "hold")
        assert plate.trips <= 1  # a breaker that was closed again is not tripped by the same fault
        await api.delete(TRIPPED)
        assert plate.shunt_trip is False
        await api.post("/api/sim/faults", FAULT)
        assert plate.shunt_trip is (kind != "none")


@pytest.mark.parametrize("slow_s", [0.1, 1e6])
async def test_the_trip_that_takes_the_stations_power_waits_for_the_latch_but_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow_s: float
) -> None:
    async with walking(tmp_path, protection={"shunt_trip": "pulse"}) as walk:
        await walk.accepted()
        clock, plate, save = walk.world.clock, walk.world.back_plate, FactStore.save
        saved: list[str] = []

        async def slow(self: FactStore, name: str, value: str) -> None:
            if name == "tripped/1":
                await clock.sleep(slow_s)
            await save(self, name, value)
            saved.append(name)

        monkeypatch.setattr(FactStore, "save", slow)
        walk.board.raise_fault(Fault.DC_RESIDUAL_CURRENT)
        await walk.settle()
        assert not walk.board.outputs.contactor
        assert (saved, plate.shunt_trip) == ([], False)
        await walk.until(lambda: plate.shunt_trip, within_s=0.5, step_s=0.05)
        assert saved == (["tripped/1"] if slow_s < 1 else [])


async def test_a_disk_that_refuses_hinders_neither_the_shunt_trip_nor_the_end_of_its_pulse(
    tmp_path: Path, disk: FullDisk
) -> None:
    """Once the disk takes it again, the fault is latched there and the evidence of the tests kept."""
    protection = {"shunt_trip": "pulse", "monitor_test_every_h": 1}
    async with walking(tmp_path, protection=protection) as walk, visiting(walk) as api:
        await walk.accepted()
        plate = walk.world.back_plate
        with disk.refusing("/tripped/", "/test/"):
            await walk.advance(3 * 3600)
            walk.board.raise_fault(Fault.DC_RESIDUAL_CURRENT)
            await walk.until(lambda: plate.shunt_trip, within_s=1.0, step_s=0.1)
            await walk.until(lambda: not plate.shunt_trip, within_s=1.5, step_s=0.1)
            walk.board.clear_fault(Fault.DC_RESIDUAL_CURRENT)
        await walk.advance(61)
        await api.post("/api/sim/power", {"action": "cycle"})
        assert (await api.evse())["faults"] == ["dc-residual-current"]
        assert plate.trips == 1


async def test_a_trip_while_the_last_one_is_being_cleared_is_latched_and_trips_the_breaker_again(
    tmp_path: Path, disk: FullDisk
) -> None:
    async with walking(tmp_path, protection={"shunt_trip": "pulse"}) as walk, visiting(walk) as api:
        await walk.accepted()
        plate = walk.world.back_plate
        await api.post("/api/sim/faults", FAULT)
        await api.client.request("DELETE", "/api/sim/faults", json=FAULT, params={"wait": "settled"})
        await walk.advance(5)
        assert plate.trips == 1

        async def trip() -> None:
            walk.board.raise_fault(Fault.DC_RESIDUAL_CURRENT)
            await until(lambda: walk.evse.state.observation.faults)

        disk.meanwhile("('residual-current/tripped/1', 'false')", trip)
        answer = await api.client.delete(TRIPPED)
        assert (answer.status_code, answer.json()["detail"]) == (409, "the monitor reports a DC residual current again")
        await walk.advance(5)
        walk.board.clear_fault(Fault.DC_RESIDUAL_CURRENT)
        await walk.advance(5)
        await api.post("/api/sim/power", {"action": "cycle"})
        assert (await api.evse())["faults"] == ["dc-residual-current"]
        assert plate.trips == 2


async def test_the_monitor_is_tested_at_the_start_and_on_schedule_with_evidence(tmp_path: Path) -> None:
    async with walking(tmp_path, protection={"monitor_test_every_h": 1}) as walk, visiting(walk) as api:
        await walk.accepted()
        first = (await api.get(TRIPPED))["last_test"]
        assert first["result"] == "passed"
        await api.advance(3601)
        second = (await api.get(TRIPPED))["last_test"]
        assert second["at"] > first["at"]
        await api.post("/api/sim/residual-monitor", {"broken": True})
        await api.advance(3601)
        assert (await api.get(TRIPPED))["last_test"]["result"] == "failed"
        assert (await api.evse())["faults"] == ["residual-monitor-failure"]
        await api.post("/api/sim/power", {"action": "cycle"})
        assert (await api.evse())["faults"] == ["residual-monitor-failure"]
        await api.post("/api/sim/residual-monitor", {"broken": False})
        answer = await api.client.post(f"{TRIPPED}/test")
        assert (answer.status_code, answer.json()) == (200, {"result": "passed"})
        assert (await api.evse())["faults"] == []


async def test_of_a_monitors_tests_the_newest_are_kept_over_power_cuts(tmp_path: Path) -> None:
    days = (NOON - timedelta(days=days) for days in range(1, MAX_TESTS))
    earlier = [f"residual-current/test/1/{day.isoformat()}" for day in days]
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await walk.application.cut_power()
        with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database:
            rows = [(name, '"passed"') for name in earlier]
            database.executemany("INSERT INTO facts (name, value) VALUES (?, ?)", rows)
            database.commit()
        await walk.application.restore_power()
        for _ in range(2):
            for _ in range(3):
                await api.advance(5)
                assert (await api.client.post(f"{TRIPPED}/test")).json() == {"result": "passed"}
            await api.post("/api/sim/power", {"action": "cycle"})
        newest = (await api.get(TRIPPED))["last_test"]["at"]
    with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database:
        names = [name for (name,) in database.execute("SELECT name FROM facts WHERE name LIKE '%/test/1/%'")]
    assert len(names) == MAX_TESTS
    assert max(names).endswith(newest)
    new = set(names) - set(earlier)
    assert len(new) > 6
    assert set(names) - new == set(earlier[: -(len(new) - 1)])


async def test_nobody_who_charges_is_interrupted_by_a_test(tmp_path: Path) -> None:
    async with walking(tmp_path, protection={"monitor_test_every_h": 1}) as walk, visiting(walk) as api:
        await charge(walk)
        first = (await api.get(TRIPPED))["last_test"]
        assert (await api.client.post(f"{TRIPPED}/test")).status_code == 409
        await api.advance(3700)
        assert sum(walk.board.currents_a) > 0
        assert (await api.get(TRIPPED))["last_test"] == first
        await walk.present()
        await walk.until(lambda: not walk.board.locked)
        await walk.unplug()
        await api.advance(120)
        assert (await api.get(TRIPPED))["last_test"]["at"] > first["at"]


async def test_heat_takes_current_away_then_all_of_it_and_says_so(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await charge(walk)

        async def offered(celsius: float) -> tuple[float, Any]:
            await api.post("/api/sim/temperature", {"celsius": celsius})
            await api.advance(20)
            evse = await api.evse()
            return evse["offered_a"], evse["limit"]["source"]

        assert (await offered(44.0))[0] == 32.0
        assert await offered(47.5) == (19.0, LimitSource.TEMPERATURE)
        assert await offered(51.0) == (0.0, LimitSource.TEMPERATURE)
        assert "over-temperature" not in (await api.evse())["faults"]  # a pause, no fault
        assert (await offered(49.0))[0] == 0.0
        assert (await offered(30.0))[0] == 32.0
        assert len([event for event in walk.events() if event["eventType"] == "Ended"]) == 0


async def test_the_selector_caps_whatever_else_is_configured_also_while_it_is_turned(tmp_path: Path) -> None:
    async with walking(tmp_path, board={"selector_a": 25}) as walk, visiting(walk) as api:
        await charge(walk)
        for position, current_a in (("16", 16.0), ("8", 8.0), ("32", 32.0), ("Y", 8.0), ("20", 20.0), (None, 8.0)):
            await api.post("/api/sim/selector", {"position": position})
            await api.advance(2)
            evse = await api.evse()
            assert (evse["offered_a"], evse["limit"]["source"] in {"selector", "hardware"}) == (current_a, True)
        await api.post("/api/sim/power", {"action": "cycle"})
        await api.post("/api/token", TOKEN)
        await api.advance(10)
        assert (await api.evse())["offered_a"] == 8.0


async def test_operations_of_the_contactor_are_counted_over_power_cuts_and_reported(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await charge(walk)
        await walk.present()
        await walk.until(lambda: not walk.board.outputs.contactor)
        await walk.settle()
        await api.post("/api/sim/power", {"action": "cycle"})
        evse = await api.evse()
        assert (evse["contactor_operations"], evse["contactor_opened_under_load"]) == (1, 0)
        rows = await api.get("/api/variables")
        (count,) = [row["value"] for row in rows if (row["component"], row["variable"]) == ("PowerContactor", "Count")]
        assert count == "1"


async def test_a_contactor_that_does_not_close_ends_the_transaction_and_is_distinguished_from_a_weld(
    tmp_path: Path,
) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        walk.board.stuck_open = True
        await walk.present()
        await walk.plug()
        await walk.until(lambda: statuses(walk)[-1] == "Faulted", within_s=30)
        assert Fault.CONTACTOR_STUCK_OPEN in walk.evse.state.faults
        assert sum(walk.board.currents_a) == 0
        ended = await event(walk, "Ended", "AbnormalCondition")
        assert ended["transactionInfo"]["stoppedReason"] == "Other"


async def test_a_contactor_that_was_mended_is_reset_by_the_service_and_one_that_was_not_faults_again(
    tmp_path: Path,
) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        walk.board.stuck_open = True
        for _ in range(2):
            await walk.present()
            await walk.plug()
            await walk.until(lambda: statuses(walk)[-1] == "Faulted", within_s=30)
            await walk.unplug()
            await walk.advance(5)
            await api.delete("/api/evses/1/faults")
            await walk.until(lambda: statuses(walk)[-1] == "Available")
        walk.board.stuck_open = False
        await walk.present()
        await walk.plug()
        await walk.charging()
        assert (await api.client.delete("/api/evses/1/faults")).status_code == 409
        log = [event.info for event in await walk.parts.security_events.entries()]
        assert log.count("this machine: DELETE /api/evses/{evse_id}/faults, from 127.0.0.1") == 2


async def test_a_cable_without_a_rating_gets_what_is_configured_for_it(tmp_path: Path) -> None:
    evse = [{"cable_without_rating": 13}]
    async with walking(tmp_path, evse=evse) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/token", TOKEN)
        await api.post("/api/sim/evses/1/plug", {"ev": {"cable_ohm": 1000.0}})
        await walk.charging()
        assert walk.board.outputs.pilot_a == 13.0


async def test_a_cable_without_a_rating_is_refused_where_nothing_is_configured(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/token", TOKEN)
        await api.post("/api/sim/evses/1/plug", {"ev": {"cable_ohm": 1000.0}})
        await api.advance(30)
        evse = await api.evse()
        assert (evse["offered_a"], evse["contactor_closed"], evse["limit"]["source"]) == (0.0, False, "cable")
