"""After three starts that failed early, a station starts without the rows that may be the cause, and says so."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from energy import controller
from station.configuration.installation_file import Configuration
from station.storage.database import StorageError
from station.storage.safe_start_record import FILE_NAME, SafeStartRecord
from tests.csms import Csms, running_csms
from tests.full_disk import FullDisk
from tests.walk import CARD, Walk, configuration, powered
from tests.walks.steps import charge, event, token
from tests.walks.visit import visiting

PROFILE: dict[str, Any] = {
    "id": 7,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": [
        {
            "id": 1,
            "startSchedule": "2020-01-01T00:00:00Z",
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 13.0}],
        }
    ],
}
TEN_MINUTES_S = 600.0
Break = Callable[[], None]


class PoisonError(Exception):
    """What a charging profile does to this version of the station."""


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Break:
    """A function that undoes the mutant: a station whose decision fails while a charging profile is installed."""
    limit_a, mutant = controller.limit_a, True

    def poisonous(profiles: Any, *more: Any) -> float | None:
        if profiles and mutant:
            raise PoisonError("a secret of 13 A")
        return limit_a(profiles, *more)

    def repair() -> None:
        nonlocal mutant
        mutant = False

    monkeypatch.setattr(controller, "limit_a", poisonous)
    return repair


class Site:
    """A station with its CSMS, started again and again as by a service manager."""

    def __init__(self, storage: Path, csms: Csms, url: str) -> None:
        self.csms = csms
        self.storage = storage
        self._url = url

    @property
    def config(self) -> Configuration:
        """Its installation file."""
        return configuration(self.storage, self._url)

    @contextlib.asynccontextmanager
    async def start(self) -> AsyncGenerator[Walk]:
        """Start the station, connected and accepted."""
        self.csms.calls.clear()
        async with powered(self.config, self.csms) as walk:
            await walk.accepted()
            yield walk

    async def fail(self, *, after_s: float = 0.0, limit: float = 13.0, unit: str = "A") -> None:
        """Start the station, which fails; a profile with `limit` is set `after_s` seconds after the start."""
        with pytest.raises((PoisonError, BaseExceptionGroup)):
            await self._run_until_it_fails(after_s, limit, unit)

    async def _run_until_it_fails(self, after_s: float, limit: float, unit: str) -> None:
        async with powered(self.config, self.csms) as walk:
            if after_s:
                await walk.accepted()
                await walk.advance(after_s)
                await self.set_profile(limit, unit)
            await walk.until(lambda: not walk.application.running)

    async def set_profile(self, limit: float, unit: str) -> None:
        """Let the CSMS set the profile, which is accepted."""
        (schedule,) = PROFILE["chargingSchedule"]
        period = {"startPeriod": 0, "limit": limit}
        schedule = schedule | {"chargingRateUnit": unit, "chargingSchedulePeriod": [period]}
        profile = PROFILE | {"chargingSchedule": [schedule]}
        answer = await self.csms.call("SetChargingProfile", {"evseId": 0, "chargingProfile": profile})
        assert answer["status"] == "Accepted", answer

    def rows(self, table: str) -> int:
        """The number of rows in a table; 0 if there is none."""
        with contextlib.closing(sqlite3.connect(self.storage / "borne.sqlite")) as database:
            try:
                return int(database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
            except sqlite3.OperationalError:
                return 0


@contextlib.asynccontextmanager
async def site(storage: Path) -> AsyncGenerator[Site]:
    """A station that has never run, and its CSMS."""
    async with running_csms(Csms()) as csms:
        yield Site(storage, csms, csms.url)
    assert csms.schema_faults == []


@contextlib.asynccontextmanager
async def poisoned_site(storage: Path) -> AsyncGenerator[Site]:
    """A station that has failed three times since the CSMS has set a profile, and a setting."""
    async with site(storage) as station_site:
        async with station_site.start() as walk:
            await walk.set_variable("OCPPCommCtrlr", "MessageAttempts", "7", "TransactionEvent")
        await station_site.fail(after_s=1.0)
        await station_site.fail()
        await station_site.fail()
        yield station_site


def safe_start_events(walk: Walk) -> list[dict[str, Any]]:
    """The security events of type SafeStart that the CSMS has received."""
    return [
        notification
        for notification in walk.csms.received("SecurityEventNotification")
        if notification["type"] == "SafeStart"
    ]


def aside(status: dict[str, Any]) -> dict[str, int]:
    """The number of rows set aside, by kind, from the status."""
    return {entry["kind"]: entry["rows"] for entry in status["safe_start"]["set_aside"]}


async def message_attempts(csms: Csms) -> str:
    """The setting as the CSMS reads it."""
    variable = {"name": "MessageAttempts", "instance": "TransactionEvent"}
    item = {"component": {"name": "OCPPCommCtrlr"}, "variable": variable}
    answer = await csms.call("GetVariables", {"getVariableData": [item]})
    return str(answer["getVariableResult"][0]["attributeValue"])


def forget_profile(storage: Path) -> None:
    """Remove the profile, while the station does not run."""
    with contextlib.closing(sqlite3.connect(storage / "borne.sqlite")) as database:
        database.execute("DELETE FROM charging_profiles")
        database.commit()


async def end(walk: Walk) -> None:
    """End the charge with the card, and unplug."""
    await walk.present()
    await walk.until(lambda: not walk.evse.state.observation.locked)
    await walk.unplug()
    await walk.until(lambda: walk.evse.transaction_id is None)


async def until_restarted(walk: Walk, *, within_s: float = 120.0) -> None:
    """Wait until the station has started again by itself."""
    boots = len(walk.csms.received("BootNotification"))
    await walk.until(lambda: len(walk.csms.received("BootNotification")) > boots, within_s=within_s)
    await walk.until(lambda: walk.application.running)
    await walk.settle()


async def test_the_fourth_start_does_without_profiles_and_settings_and_charges_with_6_a(
    tmp_path: Path, poison: Break, caplog: pytest.LogCaptureFixture
) -> None:
    async with poisoned_site(tmp_path) as station_site, station_site.start() as walk, visiting(walk) as api:
        assert walk.csms.received("BootNotification")[-1]["reason"] == "ApplicationReset"
        await walk.until(lambda: safe_start_events(walk))
        (notification,) = safe_start_events(walk)
        cause = "PoisonError in tests.walks.test_safe_start.poisonous, line "
        assert cause in notification["techInfo"]
        assert notification["techInfo"].endswith("set aside: charging-profiles (1), settings (1)")
        assert "safe start: the last starts failed: " + cause in caplog.text
        assert "secret" not in notification["techInfo"]
        status = await api.get("/api/status")
        assert aside(status) == {"charging-profiles": 1, "settings": 1}
        assert cause in status["safe_start"]["cause"]
        assert await message_attempts(station_site.csms) != "7"
        await charge(walk)
        limits = {limit["source"]: limit["current_a"] for limit in (await api.evse())["limits"]}
        assert limits["safe-start"] == 6.0
        assert walk.evse.offered_a == 6.0
        assert await event(walk, "Updated", "ChargingStateChanged", chargingState="Charging")
        await walk.advance(60)
        await end(walk)
        await event(walk, "Ended", "StopAuthorized")


@pytest.mark.parametrize(("limit", "unit", "offered_a"), [(0.0, "A", 0.0), (2000.0, "W", 0.0), (10.0, "A", 6.0)])
async def test_a_limit_that_is_set_aside_is_not_exceeded(
    tmp_path: Path, poison: Break, limit: float, unit: str, offered_a: float
) -> None:
    """Whichever EVSE, phase or time it was for: a period below the lowest charging current is a pause."""
    async with site(tmp_path) as station_site:
        await station_site.fail(after_s=1.0, limit=limit, unit=unit)
        await station_site.fail()
        await station_site.fail()
        async with station_site.start() as walk, visiting(walk) as api:
            await walk.present()
            await walk.plug()
            await walk.advance(30)
            limits = {limit["source"]: limit["current_a"] for limit in (await api.evse())["limits"]}
            assert limits["safe-start"] == walk.evse.offered_a == offered_a


async def test_a_full_disk_does_not_keep_a_station_from_starting_without_its_rows(
    tmp_path: Path, poison: Break, disk: FullDisk, caplog: pytest.LogCaptureFixture
) -> None:
    async with poisoned_site(tmp_path) as station_site, station_site.start() as walk:
        await walk.advance(TEN_MINUTES_S - 30)
        with disk.refusing("FROM aside_"):
            await until_restarted(walk)
        assert "rows cannot be set aside or put back: database or disk is full" in caplog.text
        assert station_site.rows("aside_charging_profiles") == 1


async def test_a_power_cut_while_rows_are_put_back_blames_no_other_kind(tmp_path: Path, poison: Break) -> None:
    async with poisoned_site(tmp_path) as station_site:
        poison()
        async with station_site.start() as walk:
            await walk.advance(TEN_MINUTES_S - 30)
            await walk.application.cut_power()
        state = replace(SafeStartRecord(tmp_path).state, trial="charging-profiles")
        SafeStartRecord(tmp_path).save(state)  # the power failed after this was written, before the rows were moved
        assert station_site.rows("charging_profiles") == 0
        async with station_site.start() as walk, visiting(walk) as api:
            status = (await api.get("/api/status"))["safe_start"]
            assert (status["trial"], [entry["kind"] for entry in status["set_aside"]]) == (
                "charging-profiles",
                ["settings"],
            )
            assert station_site.rows("charging_profiles") == 1


async def test_it_puts_the_rows_back_one_kind_after_the_other_but_not_the_one_that_fails_again(
    tmp_path: Path, poison: Break
) -> None:
    async with poisoned_site(tmp_path) as station_site:
        with pytest.raises((PoisonError, BaseExceptionGroup)):
            await fail_with_the_profile_put_back(station_site)
        async with station_site.start() as walk, visiting(walk) as api:
            status = (await api.get("/api/status"))["safe_start"]
            assert {(entry["kind"], entry["failed"]) for entry in status["set_aside"]} == {
                ("charging-profiles", True),
                ("settings", False),
            }
            await until_restarted(walk, within_s=TEN_MINUTES_S + 120)
            assert aside(await api.get("/api/status")) == {"charging-profiles": 1}
            assert (await api.get("/api/status"))["safe_start"]["trial"] == "settings"
            assert await message_attempts(station_site.csms) == "7"
            boots = len(walk.csms.received("BootNotification"))
            await walk.advance(3 * TEN_MINUTES_S)
            assert len(walk.csms.received("BootNotification")) == boots, "there is nothing left to try"
            answer = await station_site.csms.call("ClearChargingProfile", {"chargingProfileId": PROFILE["id"]})
            assert answer["status"] == "Accepted"
        async with station_site.start() as walk, visiting(walk) as api:
            await walk.advance(TEN_MINUTES_S + 1)
            await walk.until(lambda: not (tmp_path / FILE_NAME).exists())
            assert (await api.get("/api/status"))["safe_start"] is None


async def fail_with_the_profile_put_back(station_site: Site) -> None:
    """Run the station until it has put the charging profile back, which ends it."""
    async with station_site.start() as walk:
        await walk.advance(TEN_MINUTES_S - 30)
        assert station_site.rows("charging_profiles") == 0
        await walk.until(lambda: station_site.rows("charging_profiles"), within_s=120)
        await walk.until(lambda: not walk.application.running, within_s=120)


async def test_it_does_not_restart_by_itself_while_somebody_charges(tmp_path: Path, poison: Break) -> None:
    async with poisoned_site(tmp_path) as station_site, station_site.start() as walk:
        poison()
        await charge(walk)
        boots = len(walk.csms.received("BootNotification"))
        await walk.advance(3 * TEN_MINUTES_S)
        assert len(walk.csms.received("BootNotification")) == boots
        await end(walk)
        await walk.until(lambda: len(walk.csms.received("BootNotification")) > boots, within_s=120)
        assert walk.csms.received("BootNotification")[-1]["reason"] == "ApplicationReset"
        assert station_site.rows("charging_profiles") == 1


async def test_all_is_as_before_once_every_kind_has_lasted(tmp_path: Path, poison: Break) -> None:
    async with poisoned_site(tmp_path) as station_site, station_site.start() as walk, visiting(walk) as api:
        poison()  # a new version of the program
        for _ in ("charging profiles", "settings"):
            await until_restarted(walk, within_s=TEN_MINUTES_S + 120)
        await walk.advance(TEN_MINUTES_S + 1)
        await walk.until(lambda: not (tmp_path / FILE_NAME).exists())
        assert (await api.get("/api/status"))["safe_start"] is None
        assert await message_attempts(station_site.csms) == "7"
        assert station_site.rows("charging_profiles") == 1


@pytest.mark.parametrize(("order", "profiles"), [("put-back", 1), ("delete", 0)])
async def test_the_owner_ends_it_with_all_rows_or_without_those_set_aside(
    tmp_path: Path, poison: Break, order: str, profiles: int
) -> None:
    async with poisoned_site(tmp_path) as station_site, station_site.start() as walk, visiting(walk) as api:
        poison()
        await charge(walk)
        await api.post("/api/safe-start/end", {"rows": order}, status=409)
        await end(walk)
        await api.post("/api/safe-start/end", {"rows": order}, status=202)
        await until_restarted(walk)
        assert (await api.get("/api/status"))["safe_start"] is None
        assert station_site.rows("charging_profiles") == profiles
        assert (await message_attempts(station_site.csms) == "7") == bool(profiles)
        await api.post("/api/safe-start/end", {"rows": order}, status=409)


async def test_the_csms_ends_it_by_a_variable_and_a_reset(tmp_path: Path, poison: Break) -> None:
    async with poisoned_site(tmp_path) as station_site, station_site.start() as walk:
        poison()
        active = {"component": {"name": "SafeStart"}, "variable": {"name": "Active"}}
        answer = await station_site.csms.call("GetVariables", {"getVariableData": [active]})
        assert answer["getVariableResult"][0]["attributeValue"] == "true"
        answer = await station_site.csms.call(
            "SetVariables", {"setVariableData": [{**active, "attributeValue": "true"}]}
        )
        assert answer["setVariableResult"][0]["attributeStatus"] == "Rejected"
        answer = await station_site.csms.call(
            "SetVariables", {"setVariableData": [{**active, "attributeValue": "false"}]}
        )
        assert answer["setVariableResult"][0]["attributeStatus"] == "RebootRequired"
        await station_site.csms.call("Reset", {"type": "Immediate"})
        await until_restarted(walk)
        assert station_site.rows("charging_profiles") == 1
        answer = await station_site.csms.call("GetVariables", {"getVariableData": [active]})
        assert answer["getVariableResult"][0]["attributeStatus"] == "UnknownComponent"


async def test_a_failure_in_a_safe_start_sets_aside_what_the_station_can_do_without(
    tmp_path: Path, poison: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with poisoned_site(tmp_path) as station_site:
        from station.charging.reservations.reservation_store import ReservationStore

        load = ReservationStore.load

        async def poisonous(store: ReservationStore) -> Any:
            if station_site.rows("reservations"):
                raise PoisonError
            return await load(store)

        with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database:
            reserved = json.dumps({"id_token": {"value": CARD.value, "type": CARD.type}})
            database.execute("INSERT INTO reservations (reservation_id, payload) VALUES (1, '{}'), (2, ?)", (reserved,))
            database.commit()
        monkeypatch.setattr(ReservationStore, "load", poisonous)
        await station_site.fail()
        async with station_site.start() as walk, visiting(walk) as api:
            assert aside(await api.get("/api/status")).items() > {"settings": 1, "reservations": 2}.items()
            request = {"requestId": 1, "report": True, "clear": True, "idToken": token()}
            await walk.csms.call("CustomerInformation", request)
            await walk.until(lambda: walk.csms.received("NotifyCustomerInformation"))
            (notification,) = walk.csms.received("NotifyCustomerInformation")
            assert "Set aside after failed starts: 1 entries" in notification["data"]
            assert aside(await api.get("/api/status"))["reservations"] == 1, "no row of the customer can be put back"


async def test_failures_later_than_ten_minutes_after_a_start_are_reported_and_not_counted(
    tmp_path: Path, poison: Break
) -> None:
    async with site(tmp_path) as station_site:
        for _ in range(4):
            await station_site.fail(after_s=TEN_MINUTES_S + 10)
            forget_profile(tmp_path)
        async with station_site.start() as walk, visiting(walk) as api:
            assert walk.csms.received("BootNotification")[-1]["reason"] == "ApplicationReset"
            assert (await api.get("/api/status"))["safe_start"] is None
        async with station_site.start() as walk:
            assert walk.csms.received("BootNotification")[-1]["reason"] == "PowerUp"


async def test_rows_are_put_back_also_if_the_record_cannot_be_read(tmp_path: Path, poison: Break) -> None:
    async with poisoned_site(tmp_path) as station_site:
        poison()
        async with station_site.start():
            pass
        (tmp_path / FILE_NAME).write_text("{")
        async with station_site.start() as walk, visiting(walk) as api:
            assert aside(await api.get("/api/status")) == {"charging-profiles": 1, "settings": 1}
            await until_restarted(walk, within_s=TEN_MINUTES_S + 120)
            assert station_site.rows("charging_profiles") == 1


async def test_two_failures_do_not_count_any_more_once_a_run_has_lasted(tmp_path: Path, poison: Break) -> None:
    async with site(tmp_path) as station_site:
        await station_site.fail(after_s=1.0)
        await station_site.fail()
        assert (tmp_path / FILE_NAME).exists()
        forget_profile(tmp_path)
        async with station_site.start() as walk:
            await walk.advance(TEN_MINUTES_S + 1)
            await walk.until(lambda: not (tmp_path / FILE_NAME).exists())
        await station_site.fail(after_s=1.0)
        await station_site.fail()
        forget_profile(tmp_path)
        async with station_site.start() as walk, visiting(walk) as api:
            assert (await api.get("/api/status"))["safe_start"] is None


async def test_a_storage_that_fails_is_no_reason_for_a_safe_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from borne.station_runtime import StartError
    from station.storage.outbox import Outbox

    async def failing(_: Outbox) -> None:
        raise StorageError("disk I/O error")

    async with site(tmp_path) as station_site:
        with monkeypatch.context() as patched:
            patched.setattr(Outbox, "check", failing)
            for _ in range(4):
                with pytest.raises((StartError, BaseExceptionGroup)):
                    async with station_site.start():
                        pass
        assert not (tmp_path / FILE_NAME).exists()
