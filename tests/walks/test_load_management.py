"""Load management end to end: house and vehicle on one connection, limits from outside, cheap hours, restarts."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from energy.grid import MeterTariff
from station.core.hardware.board import Outputs
from station.core.model import ChargingState
from tests.csms import CallErrorAnswer, Csms
from tests.walk import Walk, walking
from tests.walks.house import GRID, House
from tests.walks.visit import visiting


async def charging(walk: Walk, house: House, **model: Any) -> None:
    """A vehicle that charges, with a meter that has spoken for a while."""
    await walk.accepted()
    await house.live(3)
    await walk.plug(**model)
    await walk.present()
    await house.live(10)
    assert walk.evse.state.charging_state is ChargingState.CHARGING


async def test_the_vehicle_gets_what_the_house_leaves_and_less_at_once(tmp_path: Path) -> None:
    async with walking(tmp_path, grid=GRID) as walk:
        house = House(walk)
        await charging(walk, house, phases=3)
        assert walk.evse.offered_a == 32.0
        house.loads_a = (20.0, 4.0, 4.0)
        await house.live(3)
        assert walk.evse.offered_a == pytest.approx(19.0)  # 40 − 1 for whole amperes − 20
        house.loads_a = (26.0, 4.0, 4.0)
        await house.live(3)
        assert walk.evse.offered_a == pytest.approx(13.0)
        house.loads_a = (4.0, 4.0, 4.0)
        await house.live(28)
        assert walk.evse.offered_a == pytest.approx(13.0)
        await house.live(60)
        assert walk.evse.offered_a == 32.0


async def test_a_long_shortage_is_a_pause_that_says_when_it_may_end(tmp_path: Path) -> None:
    async with walking(tmp_path, grid=GRID) as walk, visiting(walk) as api:
        house = House(walk)
        await charging(walk, house, phases=3)
        house.loads_a = (36.0, 4.0, 4.0)
        await house.live(20)
        assert walk.evse.state.charging_state is ChargingState.SUSPENDED_EVSE
        limit = (await api.evse())["limit"]
        assert (limit["source"], limit["current_a"], limit["words"]) == (
            "grid",
            0.0,
            "the current left on the grid connection",
        )
        assert limit["next_change"] > walk.application.clock.now().isoformat()
        house.loads_a = (4.0, 4.0, 4.0)
        await house.live(150)
        assert walk.evse.offered_a == 0.0
        await house.live(60)
        assert walk.evse.offered_a > 6.0


async def test_above_three_times_the_contactor_opens_before_the_vehicle_has_followed(tmp_path: Path) -> None:
    async with walking(tmp_path, grid=GRID) as walk:
        house = House(walk, cut_off_va=36_000.0)
        await charging(walk, house, phases=3, reaction_s=5.0)
        house.loads_a = (230.0, 4.0, 4.0)
        await house.live(2)
        assert walk.board.outputs.contactor is False
        assert sum(walk.board.currents_a) == 0.0
        assert walk.evse.state.charging_state is ChargingState.SUSPENDED_EVSE


async def test_status_log_and_load_management_give_one_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with walking(tmp_path, grid=GRID) as walk, visiting(walk) as api:
        house = House(walk)
        await charging(walk, house, phases=3)
        house.loads_a = (20.0, 4.0, 4.0)
        await house.live(3)
        reason = (await api.get("/api/load-management"))["reasons"]["1"]
        assert reason == (await api.evse())["limit"]
        assert reason["source"] == "grid"
        assert any(
            "19.0 A: grid, the current left on the grid connection" in record.getMessage() for record in caplog.records
        )


async def test_a_csms_that_implements_no_notification_of_limits_is_one_warning_however_many_limits_follow(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    csms = Csms()
    csms.answers["NotifyChargingLimit"] = lambda _: CallErrorAnswer("NotImplemented")
    async with walking(tmp_path, csms) as walk, visiting(walk) as api:
        await walk.accepted()
        for current_a in (10, 16, 8, 20):
            count = len(csms.received("NotifyChargingLimit"))
            await api.put("/api/load-management/limits/user", {"current_a": current_a, "for_s": 600})
            await walk.until(lambda count=count: len(csms.received("NotifyChargingLimit")) > count)
            await walk.settle()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text for text in warnings if "NotifyChargingLimit" in text] == [
        "the CSMS refused NotifyChargingLimit for source EMS: NotImplemented"
    ]


async def test_a_limit_through_the_api_holds_until_its_time_is_over_also_over_a_restart(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await walk.plug(phases=3)
        await walk.present()
        await walk.charging()
        body = {"current_a": 10, "for_s": 600, "by": "solar"}
        await api.put("/api/load-management/limits/user", body)
        limit = (await api.evse())["limit"]
        assert (limit["source"], limit["by"], limit["current_a"]) == ("user", "solar", 10.0)
        assert walk.evse.offered_a == 10.0
        await walk.application.cut_power()
        await walk.application.restore_power()
        assert (await api.get("/api/load-management"))["limits"]["user"]["current_a"] == 10.0
        assert (await api.get("/api/load-management"))["limits"]["user"]["until"] == limit["next_change"]
        await walk.advance(600)
        assert (await api.get("/api/load-management"))["limits"] == {}
        assert (await api.get("/api/load-management"))["reasons"]["1"]["source"] != "user"


@pytest.mark.parametrize("by", ["Énergie\u00a0: Nord", "Netz Süd", "50\u202fHz"])
async def test_every_name_that_the_api_takes_with_a_limit_is_read_again_after_a_restart(
    tmp_path: Path, by: str
) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await api.put("/api/load-management/limits/operator", {"current_a": 10, "by": by})
        await walk.application.cut_power()
        await walk.application.restore_power()
        assert (await api.get("/api/load-management"))["limits"]["operator"]["by"] == by


@pytest.mark.parametrize("by", ["a" * 51, "\x7f", "a\u200bb", "a\nb"])
async def test_a_name_that_nobody_can_read_is_refused_by_the_api(tmp_path: Path, by: str) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        body = {"current_a": 10, "by": by}
        assert (await api.client.put("/api/load-management/limits/operator", json=body)).status_code == 422
        assert walk.parts.load.limits.shared == {}


@pytest.mark.parametrize("correction", [timedelta(hours=1), timedelta(seconds=-400), timedelta(days=-1)])
async def test_a_limit_through_the_api_lasts_as_long_as_asked_whatever_the_wall_time_is_corrected_to(
    tmp_path: Path, correction: timedelta
) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await api.put("/api/load-management/limits/user", {"current_a": 10, "for_s": 900})
        await walk.advance(100)
        walk.application.clock.adjust(correction)
        await walk.advance(2)
        reason = (await api.evse())["limit"]
        left_s = (datetime.fromisoformat(reason["next_change"]) - walk.application.clock.now()).total_seconds()
        assert (reason["source"], left_s) == ("user", pytest.approx(798.0, abs=1.0))
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.advance(790)
        assert (await api.evse())["limit"]["source"] == "user"
        await walk.advance(10)
        assert (await api.get("/api/load-management"))["limits"] == {}


async def test_a_limit_lasts_no_longer_than_asked_where_the_clock_has_lost_its_time_with_the_power(
    tmp_path: Path,
) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await api.put("/api/load-management/limits/user", {"current_a": 10, "for_s": 900})
        await walk.application.cut_power()
        walk.application.clock.adjust(timedelta(days=-3000))
        await walk.application.restore_power()
        await walk.advance(890)
        assert (await api.evse())["limit"]["source"] == "user"
        await walk.advance(15)
        assert (await api.get("/api/load-management"))["limits"] == {}


async def test_the_longest_limit_survives_a_restart_at_any_moment(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        for _ in range(5):
            await walk.advance(1.1)
            await api.put("/api/load-management/limits/user", {"current_a": 10, "for_s": 86_400})
            await walk.application.cut_power()
            await walk.application.restore_power()
            assert "user" in (await api.get("/api/load-management"))["limits"]


async def test_a_limit_that_lasts_and_a_pause_outlive_a_restart(tmp_path: Path) -> None:
    """And the limit holds again when the pause ends."""
    async with walking(tmp_path, csms=None) as walk, visiting(walk) as api:
        await api.put("/api/load-management/limits/user", {"current_a": 10, "lasting": True})
        await api.put("/api/load-management/pause", None)
        await walk.advance(1_000)
        await walk.application.cut_power()
        await walk.application.restore_power()
        state = await api.get("/api/load-management")
        assert (state["paused"], state["limits"]["user"]["current_a"]) == (True, 0.0)
        await api.delete("/api/load-management/pause")
        state = await api.get("/api/load-management")
        assert (state["paused"], state["limits"]["user"]["current_a"]) == (False, 10.0)
        assert state["limits"]["user"]["until"] is None
        for wrong in ({"for_s": 60, "lasting": True}, {"lasting": "yes"}):
            body = {"current_a": 10, **wrong}
            assert (await api.client.put("/api/load-management/limits/user", json=body)).status_code == 422
        await api.delete("/api/load-management/limits/user")
        await api.put("/api/load-management/pause", None)
        await api.delete("/api/load-management/limits/user")
        state = await api.get("/api/load-management")
        assert (state["paused"], state["limits"]) == (False, {})


async def test_a_limit_that_was_taken_back_does_not_come_back(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await api.put("/api/load-management/limits/operator", {"power_w": 4200, "for_s": 3600})
        await api.delete("/api/load-management/limits/operator")
        await walk.application.cut_power()
        await walk.application.restore_power()
        assert (await api.get("/api/load-management"))["limits"] == {}


@pytest.mark.parametrize(
    "body", [{}, {"current_a": -1}, {"current_a": 10, "for_s": 0}, {"power_w": 1e9}, {"amps": 10}, {"current_a": "x"}]
)
async def test_a_limit_that_makes_no_sense_is_refused(tmp_path: Path, body: dict[str, Any]) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        answer = await api.client.put("/api/load-management/limits/user", json=body)
        assert answer.status_code == 422
        assert walk.parts.load.limits.shared == {}


@pytest.mark.parametrize(
    "text",
    [
        '{"current_a": NaN}',
        '{"power_w": 1e999}',
        '{"current_a": true}',
        '{"current_a": 10, "for_s": Infinity}',
        '{"current_a": 10, "by": "\\ud800"}',
        '{"current_a": 10, "\\ud800": 1}',
    ],
)
async def test_a_limit_that_is_no_number_or_no_text_is_refused_and_says_where(tmp_path: Path, text: str) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        json_text = {"content-type": "application/json"}
        answer = await api.client.put("/api/load-management/limits/user", content=text, headers=json_text)
        assert (answer.status_code, answer.json()["detail"][0]["loc"][0]) == (422, "body")
        assert walk.parts.load.limits.shared == {}


async def test_a_refusal_does_not_repeat_what_was_given(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        answer = await api.client.put("/api/load-management/limits/user", json={"by": "s3cret" * 10, "pin": "s3cret"})
        assert answer.status_code == 422
        assert "s3cret" not in answer.text


@pytest.mark.parametrize(
    ("grid", "tariff", "reason"),
    [
        (None, None, "no-grid-meter"),
        (GRID, None, "not-told"),
        (GRID, MeterTariff("BASE", flat=True, contact_closed=False), "flat"),
    ],
)
async def test_without_cheap_hours_it_charges_at_once_and_says_why_when_the_mode_is_chosen(
    tmp_path: Path, grid: dict[str, Any] | None, tariff: MeterTariff | None, reason: str
) -> None:
    async with walking(tmp_path, **({} if grid is None else {"grid": grid})) as walk, visiting(walk) as api:
        house = House(walk, tariff=tariff)
        await walk.accepted()
        await house.live(3)
        signal = {"usable": False, "reason": reason}
        answer = await api.put("/api/load-management/tariff", {"mode": "off-peak"})
        assert answer["price_signal"] == signal
        assert (await api.get("/api/load-management"))["tariff"]["price_signals"]["off-peak"] == signal
        assert (await api.put("/api/load-management/tariff", {"mode": "none"}))["price_signal"] is None
        await api.put("/api/load-management/tariff", {"mode": "off-peak"})
        await walk.plug(phases=3)
        await walk.present()
        await house.live(60)
        assert walk.evse.offered_a > 6.0


async def test_cheap_hours_are_waited_for_unless_the_driver_wants_it_now(tmp_path: Path) -> None:
    async with walking(tmp_path, grid=GRID) as walk, visiting(walk) as api:
        await api.put("/api/load-management/tariff", {"mode": "off-peak"})
        house = House(walk, tariff=MeterTariff(off_peak=False))
        await walk.accepted()
        await house.live(3)
        await walk.plug(phases=3)
        await walk.present()
        await house.live(5)
        assert (await api.evse())["limit"]["source"] == "tariff"
        assert walk.evse.offered_a == 0.0
        await api.post("/api/evses/1/charge-now")
        await house.live(5)
        assert walk.evse.offered_a > 6.0
        await walk.present()
        await house.live(10)
        await walk.present()
        await house.live(5)
        assert (await api.evse())["limit"]["source"] == "tariff"
        house.sample_fields = {"tariff": MeterTariff(off_peak=True)}
        await house.live(5)
        assert walk.evse.offered_a > 6.0


async def test_a_departure_begins_the_charge_in_dear_hours(tmp_path: Path) -> None:
    async with walking(tmp_path, grid=GRID) as walk, visiting(walk) as api:
        at = walk.application.clock.now()
        plan = {"mode": "off-peak", "departure": f"{(at.hour + 4) % 24:02}:{at.minute:02}", "energy_wh": 11_000}
        await api.put("/api/load-management/tariff", plan)
        house = House(walk, tariff=MeterTariff(off_peak=False))
        await walk.accepted()
        await house.live(2)
        await walk.plug(phases=1, max_current_a=16.0)
        await walk.present()
        await house.live(3)
        assert walk.evse.offered_a == 0.0
        next_change = (await api.evse())["limit"]["next_change"]
        assert next_change is not None
        await walk.advance(3600)  # the meter is silent meanwhile, and its tariff is old
        await house.live(3)
        assert walk.evse.offered_a >= 6.0


async def test_a_vehicle_that_shows_to_be_faster_than_reckoned_waits_again(tmp_path: Path) -> None:
    async with walking(tmp_path, grid=GRID) as walk, visiting(walk) as api:
        at = walk.application.clock.now()
        plan = {"mode": "off-peak", "departure": f"{(at.hour + 3) % 24:02}:{at.minute:02}", "energy_wh": 11_000}
        await api.put("/api/load-management/tariff", plan)
        house = House(walk, tariff=MeterTariff(off_peak=False))
        await walk.accepted()
        await house.live(2)
        await walk.plug(phases=3)
        await walk.present()
        await house.live(30)  # one phase of 16 A would need 3 h, so it begins; it draws 22 kW, and needs half an hour
        assert walk.evse.offered_a == 0.0
        assert (await api.evse())["limit"]["source"] == "tariff"
        register = walk.evse.meter.latest
        assert register is not None
        assert (register.energy_import_wh or 0.0) > 0.0


async def waits(api: Any) -> list[str]:
    """The end of the restart delay of EVSE 1; empty if it does not wait."""
    return [limit["next_change"] for limit in (await api.evse())["limits"] if limit["source"] == "restart-delay"]


async def test_after_a_blackout_vehicles_wait_for_a_random_time(tmp_path: Path) -> None:
    async with walking(tmp_path, grid={**GRID, "restart_delay_max_s": 600}) as walk, visiting(walk) as api:
        house = House(walk)
        await walk.accepted()
        wait_ends: list[str] = []
        for _ in range(4):
            await walk.application.cut_power()
            await walk.application.restore_power()
            await house.live(2)
            wait_ends += await waits(api)
        assert len(set(wait_ends)) > 1
        await house.live(601)
        assert await waits(api) == []


async def test_after_a_reboot_vehicles_do_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def longest(_: float, most_s: float) -> float:
        return most_s

    monkeypatch.setattr("random.uniform", longest)
    async with walking(tmp_path, grid={**GRID, "restart_delay_max_s": 600}) as walk, visiting(walk) as api:
        house = House(walk)
        await walk.accepted()
        await walk.application.cut_power()
        await walk.application.restore_power()
        await house.live(2)
        assert await waits(api) != []
        assert await walk.csms.call("Reset", {"type": "Immediate"}) == {"status": "Accepted"}
        await walk.until(lambda: walk.csms.received("BootNotification")[-1]["reason"] == "RemoteReset")
        await house.live(2)
        assert await waits(api) == []


async def test_a_wait_ends_in_time_whatever_its_fraction_of_a_microsecond(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for microseconds in (0.1, 0.4, 0.6, 0.9):

        def almost_whole(_: float, most_s: float, part: float = microseconds * 1e-6) -> float:
            return most_s - 10.0 + part if most_s else 0.0

        monkeypatch.setattr("random.uniform", almost_whole)
        folder = tmp_path / str(microseconds)
        async with walking(folder, grid={**GRID, "restart_delay_max_s": 60}) as walk, visiting(walk) as api:
            house = House(walk)
            await walk.accepted()
            await walk.application.cut_power()
            await walk.application.restore_power()
            await house.live(48)
            assert await waits(api) != []
            await house.live(3)
            assert await waits(api) == []


async def test_a_silent_meter_ends_in_a_pause(tmp_path: Path) -> None:
    async with walking(tmp_path, grid=GRID) as walk:
        house = House(walk)
        await charging(walk, house, phases=3)
        await walk.advance(15)
        assert walk.evse.offered_a == 8.0
        await walk.advance(600)
        assert walk.evse.offered_a == 6.0
        await walk.advance(3000)
        assert walk.evse.offered_a == 0.0
        assert walk.evse.state.charging_state is ChargingState.SUSPENDED_EVSE


async def test_from_a_sample_to_the_pilot_it_takes_milliseconds(tmp_path: Path) -> None:
    """Our own time, over the real decision, the EVSE and its board's driver; generous, as machines differ.

    It is the processor's time: what other programs do meanwhile is no delay of ours.
    """
    async with walking(tmp_path, grid=GRID) as walk:
        house = House(walk)
        await charging(walk, house, phases=3)
        ordered: list[tuple[float, float | None]] = []
        apply = walk.board.apply

        async def noted(outputs: Outputs) -> None:
            ordered.append((time.thread_time(), outputs.pilot_a))
            await apply(outputs)

        walk.board.apply = noted
        house.loads_a = (25.0, 4.0, 4.0)
        await house.send_sample()
        await walk.advance(1)
        began_s = time.thread_time()
        await house.send_sample()  # a motor that starts would be over
        await walk.settle()
        took_s, pilot_a = ordered[-1]
        assert pilot_a == pytest.approx(14.0)
        assert took_s - began_s < 0.05


async def test_where_one_phase_of_three_is_full_the_board_takes_two_away_and_gives_them_back(tmp_path: Path) -> None:
    evse = [{"id": 1, "phases": 3, "max_current_a": 32.0, "phase_switching": True}]
    async with walking(tmp_path, grid=GRID, evse=evse) as walk, visiting(walk) as api:
        house = House(walk)
        await charging(walk, house, phases=3)
        house.loads_a = (4.0, 36.0, 4.0)
        await house.live(30)
        assert walk.evse.state.charging_state is ChargingState.CHARGING
        assert tuple(walk.board.currents_a) == (32.0, 0.0, 0.0)
        assert (await api.evse())["phases"] == 1
        operations = walk.board.contactor_operations
        house.loads_a = (4.0, 4.0, 4.0)
        await house.live(700)
        assert tuple(walk.board.currents_a) == (32.0, 32.0, 32.0)
        assert walk.board.contactor_operations - operations == 2


async def test_a_fuse_that_only_the_meter_knows_limits_after_a_restart_before_the_first_sample(tmp_path: Path) -> None:
    site = GRID | {"max_current_a": 32.0, "safe_current_a": 16.0}
    async with walking(tmp_path, grid=site) as walk:
        house = House(walk, fuse_a=10.0)
        house.loads_a = (0.0, 0.0, 0.0)
        await charging(walk, house, phases=3)
        await house.live(10)
        assert 6.0 <= walk.evse.offered_a <= 10.0
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.present()
        most_a = 0.0
        for _ in range(30):
            await walk.advance(1)
            most_a = max(most_a, walk.board.outputs.pilot_a or 0.0)
        assert most_a == 10.0


async def test_restarts_beside_a_silent_meter_do_not_hold_the_safe_current_for_ever(tmp_path: Path) -> None:
    site = GRID | {"safe_current_a": 16.0, "silent_least_after_s": 120, "silent_pause_after_s": 300}
    async with walking(tmp_path, grid=site) as walk:
        await walk.accepted()
        await walk.plug(phases=3)
        offers_a: list[float] = []
        for _ in range(6):
            await walk.present()
            await walk.advance(60)
            offers_a.append(walk.board.outputs.pilot_a or 0.0)
            await walk.application.cut_power()
            await walk.application.restore_power()
        assert offers_a[0] == 16.0
        assert sorted(set(offers_a), reverse=True) == [16.0, 6.0, 0.0]
        assert offers_a == sorted(offers_a, reverse=True)
