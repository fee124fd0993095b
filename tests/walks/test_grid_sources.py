"""A whole station behind a simulated house: every kind of grid meter on its wire, the operator's contact, jumpers."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from station.maintenance.commissioning.site_settings import SettingsRefusedError, SiteSettings
from tests.patience import until
from tests.walk import Walk, configuration, walking
from tests.walks.steps import charge
from tests.walks.visit import visiting

TRI = [3.0, 4.0, 5.0]
SOURCES: dict[str, dict[str, Any]] = {
    "p1": {"type": "p1", "device": "simulated", "version": "modern"},
    "modbus-tcp": {
        "type": "modbus",
        "meter": {"type": "modbus-tcp", "model": "siemens-pac2200", "host": "simulated", "timeout_s": 5.0},
    },
    "modbus-rtu": {
        "type": "modbus",
        "meter": {"type": "modbus-rtu", "model": "eastron-sdm630", "device": "simulated", "timeout_s": 5.0},
    },
}


def grid(source: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"phases": 3, "max_current_a": 25, "source": source, **more}


async def until_house_currents(walk: Walk, api: Any, currents_a: list[float]) -> None:
    """Wait until the status shows these currents of the house."""

    async def known() -> bool:
        grid_status = (await api.get("/api/status"))["grid"]
        return grid_status is not None and all(
            abs(a - b) < 1 for a, b in zip(grid_status["currents_a"], currents_a, strict=True)
        )

    await until(known, meanwhile=lambda: walk.advance(0.5))  # its wire is real


def with_short_timeout(source: dict[str, Any]) -> dict[str, Any]:
    """Return the source with a short timeout: a silent Modbus meter blocks for it, in real time."""
    return {**source, "meter": {**source["meter"], "timeout_s": 0.5}} if "meter" in source else source


@pytest.mark.parametrize("kind", SOURCES)
async def test_the_house_is_measured_by_its_meter_and_a_silent_meter_is_reported(tmp_path: Path, kind: str) -> None:
    async with walking(tmp_path, grid=grid(with_short_timeout(SOURCES[kind]))) as walk, visiting(walk) as api:
        await api.post("/api/sim/grid", {"currents_a": TRI})
        await until_house_currents(walk, api, TRI)
        grid_status = (await api.get("/api/status"))["grid"]
        assert grid_status["power_w"] == pytest.approx(12 * 230, rel=0.01)
        await api.post("/api/sim/grid", {"silence": True})
        await walk.advance(20)
        assert (await api.get("/api/status"))["grid"]["age_s"] > 15
        await api.post("/api/sim/grid", {"silence": False, "currents_a": [1.0, 1.0, 1.0]})
        await until_house_currents(walk, api, [1.0, 1.0, 1.0])


@pytest.mark.parametrize("kind", SOURCES)
async def test_a_charge_does_not_trust_a_meter_that_shows_the_same_for_ever(tmp_path: Path, kind: str) -> None:
    """It answers, so that nothing is silent; the house's next load would not be seen."""
    source = grid(SOURCES[kind], safe_current_a=8)
    async with walking(tmp_path, grid=source) as walk, visiting(walk) as api:
        await api.post("/api/sim/grid", {"currents_a": TRI})
        await until_house_currents(walk, api, TRI)
        await charge(walk)
        await walk.until(lambda: min(walk.board.currents_a) > 15.0, within_s=600)
        await walk.advance(60)  # a quiet house is no reason; the wires of a busy machine may be
        await walk.until(lambda: min(walk.board.currents_a) > 15.0, within_s=900)
        await api.post("/api/sim/grid", {"frozen": True})
        await walk.until(lambda: max(walk.board.currents_a) <= 8.0, within_s=90)
        assert (await api.evse())["limit"]["source"] == "failsafe"
        await api.post("/api/sim/grid", {"frozen": False})
        await walk.until(lambda: min(walk.board.currents_a) > 15.0, within_s=900)


async def test_an_order_of_the_grid_operator_limits_the_charge_and_is_recorded(tmp_path: Path) -> None:
    """EnWG §14a: 4.2 kW for one device; three phases of 6 A are 4.14 kW."""
    order = {"type": "dry-contact", "polarity": "closed-dims", "chip": "simulated", "line": 17, "opposite_line": 27}
    async with walking(tmp_path, grid_order=order) as walk, visiting(walk) as api:
        first = (await api.get("/api/status"))["grid_order"]
        assert first is None or first["reason"] == "not-read-yet"
        await walk.advance(1)
        await charge(walk)
        assert max(walk.board.currents_a) == 32.0
        await api.post("/api/sim/grid", {"contact": True})
        await walk.advance(5)
        assert (await api.get("/api/status"))["grid_order"]["limit_w"] == 4200.0
        assert max(walk.board.currents_a) * 3 * 230 <= 4200.0
        assert (await api.evse())["limit"]["source"] == "grid-order"
        await walk.until(lambda: walk.csms.received("NotifyChargingLimit"))
        limits = [notified["chargingLimit"] for notified in walk.csms.received("NotifyChargingLimit")]
        assert {limit.get("isGridCritical") for limit in limits} == {True}
        await api.post("/api/sim/grid", {"contact_wire_broken": True})
        await walk.advance(5)
        assert (await api.get("/api/grid-orders"))["order"]["reason"] == "wire-broken"
        assert max(walk.board.currents_a) * 3 * 230 <= 4200.0
        await api.post("/api/sim/grid", {"contact": False})
        await walk.advance(240)
        await walk.until(lambda: max(walk.board.currents_a) == 32.0, within_s=600)
        record = await api.get("/api/grid-orders")
        events = [entry["event"] for entry in record["entries"] if entry["event"] != "power"]
        assert events == ["begin", "change", "end"]
        assert record["order"] is None
        assert not record["damaged"]
        assert record["entries"][0]["devices_w"] == pytest.approx(3 * 32 * 230, rel=0.02)
        table = list(csv.reader(io.StringIO((await api.client.get("/api/grid-orders.csv")).text)))
        assert len(table) == len(record["entries"]) + 1


async def test_an_input_that_fails_dims(tmp_path: Path) -> None:
    order = {"type": "dry-contact", "polarity": "open-dims", "chip": "simulated", "line": 17}
    async with walking(tmp_path, grid_order=order) as walk, visiting(walk) as api:
        await api.post("/api/sim/grid", {"contact": True})
        await walk.advance(2)
        assert (await api.get("/api/status"))["grid_order"] is None
        await api.post("/api/sim/grid", {"contact_failing": True})
        await walk.advance(2)
        assert (await api.get("/api/status"))["grid_order"]["reason"] == "input-failed"


async def test_jumpers_that_do_not_fit_the_meter_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        walking(tmp_path, grid=grid(SOURCES["p1"]), board={"jumpers": "1-2"}) as walk,
        visiting(walk) as api,
    ):
        jumpers = (await api.get("/api/status"))["jumpers"]
        assert (jumpers["position"], jumpers["expected"]) == ("1-2", "5-6")
        assert "move them to position 5-6" in jumpers["mismatch"]
        assert "move them to position 5-6" in caplog.text
        await api.post("/api/sim/jumpers", {"position": "5-6"})
        assert (await api.get("/api/status"))["jumpers"]["mismatch"] is None


async def test_without_a_contact_there_is_no_record(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        assert (await api.client.get("/api/grid-orders")).status_code == 404


@pytest.mark.parametrize("mode", ["historique", "standard"])
async def test_the_tariff_period_of_a_linky_is_shown(tmp_path: Path, mode: str) -> None:
    linky = {"mode": mode, "phases": 3, "subscribed_va": 18000}
    async with (
        walking(tmp_path, grid=grid({"type": "linky", "mode": mode}), simulation={"linky": linky}) as walk,
        visiting(walk) as api,
    ):
        await api.post("/api/sim/grid", {"tariff_period": "HCJW", "tomorrow": "ROUG", "currents_a": TRI})
        await until_house_currents(walk, api, TRI)
        await walk.advance(10)
        tariff = (await api.get("/api/status"))["grid"]["tariff"]
        assert (tariff["off_peak"], tariff["today"], tariff["tomorrow"]) == (True, "white", "red")
        await api.post("/api/sim/grid", {"tariff_period": "PM.."})
        await walk.advance(10)
        assert (await api.get("/api/status"))["grid"]["tariff"]["peak_now"] is True


@pytest.mark.parametrize("mode", ["historique", "standard"])
async def test_on_a_flat_linky_contract_nothing_is_waited_for_and_on_another_one_it_is(
    tmp_path: Path, mode: str
) -> None:
    """BASE with its dry contact open, as standard mode tells it; then HP of a contract with cheap hours."""
    linky = {"mode": mode, "phases": 3, "subscribed_va": 18000}
    async with (
        walking(tmp_path, grid=grid({"type": "linky", "mode": mode}), simulation={"linky": linky}) as walk,
        visiting(walk) as api,
    ):
        await api.put("/api/load-management/tariff", {"mode": "off-peak"})
        await api.post("/api/sim/grid", {"currents_a": TRI})
        await until_house_currents(walk, api, TRI)
        signals = (await api.get("/api/load-management"))["tariff"]["price_signals"]
        assert signals["off-peak"] == {"usable": False, "reason": "flat"}
        await charge(walk)
        assert walk.evse.offered_a > 6.0
        await api.post("/api/sim/grid", {"tariff_period": "HP.."})
        await walk.advance(10)
        assert (await api.evse())["limit"]["source"] == "tariff"


async def test_the_house_draws_what_a_recording_says(tmp_path: Path) -> None:
    """A trace is replayed second by second over the meter's own wire; after its end the house draws nothing."""
    recording = tmp_path / "evening.csv"
    lines = ["second,l1,l2,l3", *(f"{second},12.0,3.0,4.0" for second in range(20))]
    lines += [f"{second},1.0,18.0,4.0" for second in range(20, 40)]
    recording.write_text("\n".join(lines), encoding="utf-8")
    grid = {"phases": 3, "max_current_a": 40.0, "source": {"type": "p1", "device": "simulated"}}
    async with walking(tmp_path, grid=grid) as walk, visiting(walk) as api:
        await walk.accepted()
        energy_wh = walk.world.house.energy_wh
        await api.post("/api/sim/grid", {"trace_file": str(recording)})
        await api.advance(15)
        assert _amperes(await api.get("/api/status")) == pytest.approx([12.0, 3.0, 4.0], abs=0.1)
        await api.advance(15)
        assert _amperes(await api.get("/api/status")) == pytest.approx([1.0, 18.0, 4.0], abs=0.1)
        await api.advance(60)
        assert _amperes(await api.get("/api/status")) == pytest.approx([0.0, 0.0, 0.0], abs=0.1)
        drawn_wh = walk.world.house.energy_wh - energy_wh
        assert drawn_wh == pytest.approx((20 * 19.0 + 20 * 23.0) * 230.0 / 3600.0, rel=0.02)


async def test_a_recording_that_cannot_be_is_refused_by_file_and_line(tmp_path: Path) -> None:
    recording = tmp_path / "evening.csv"
    async with walking(tmp_path) as walk, visiting(walk) as api:
        for text, refusal in (
            ("h\n0,1,2,x\n", "line 2"),
            ("h\n0,1,2,3\n1,2\n", "line 3"),
            ("h\n0,1,2,1e9\n", "line 2"),
            ("h\n", "header"),
        ):
            recording.write_text(text, encoding="utf-8")
            answer = await api.post("/api/sim/grid", {"trace_file": str(recording)}, status=422)
            assert answer["detail"].startswith("trace_file: evening.csv")
            assert refusal in answer["detail"]
        answer = await api.post("/api/sim/grid", {"trace_file": str(tmp_path / "none.csv")}, status=422)
        assert "No such file" in answer["detail"]


def _amperes(status: dict[str, Any]) -> list[float]:
    return [float(current_a) for current_a in status["grid"]["currents_a"]]


async def test_what_is_refused_in_part_is_not_done_at_all(tmp_path: Path) -> None:
    linky = {"mode": "standard", "phases": 3, "subscribed_va": 18000}
    async with (
        walking(tmp_path, grid=grid({"type": "linky"}), simulation={"linky": linky}) as walk,
        visiting(walk) as api,
    ):
        before = walk.world.house.loads
        refused = {"frozen": True, "currents_a": TRI, "loads": {"oven": [9.0]}, "silence": True}
        assert "freeze" in (await api.post("/api/sim/grid", refused, status=409))["detail"]
        assert walk.world.house.loads == before


async def test_a_contact_set_on_site_whose_driver_is_missing_dims_and_stops_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As after an update of the program without the extra for boards. Set on site, it is refused, with the reason."""
    contact = {"type": "dry-contact", "polarity": "open-dims", "line": 17}
    site = SiteSettings(configuration(tmp_path, None), {})
    site.apply_patch({"grid_order": contact})
    monkeypatch.delitem(sys.modules, "energy.sources.gpio_contacts", raising=False)
    monkeypatch.setitem(sys.modules, "gpiod", None)
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await charge(walk)
        await walk.advance(5)
        assert max(walk.board.currents_a) * 3 * 230 <= 4200.0
        assert (await api.get("/api/status"))["grid_order"]["reason"] == "input-failed"
        assert "contact cannot be read, which counts as an order: gpiod is not installed" in caplog.text
    with pytest.raises(SettingsRefusedError, match=r"^grid_order\.type: needs gpiod"):
        site.apply_patch({"grid_order": {**contact, "line": 18}})
    assert site.apply_patch({"evse": [{"phase_rotation": "STR"}]}).grid_order is not None
    assert site.apply_patch({"grid_order": None}).grid_order is None
