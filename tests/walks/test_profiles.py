"""Charging profiles of the CSMS at work on a simulated car (K01, K05, K10)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from energy.profile_store import ProfileCriteria
from station.charging.tokens.admission import TokenOutcome
from tests.csms import running_csms
from tests.full_disk import FullDisk
from tests.walk import Walk, configuration, powered, walking
from tests.walks.steps import charge, event, request_stop, variables


def profile(limit: float = 10.0, *, unit: str = "A", **more: Any) -> dict[str, Any]:
    """Return a TxDefaultProfile without begin or end."""
    schedule = {"id": 1, "chargingRateUnit": unit, "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    return {
        "id": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": [schedule],
        **more,
    }


async def install(walk: Walk, wire: dict[str, Any], evse_id: int = 1) -> dict[str, Any]:
    """Send SetChargingProfile; returns the response."""
    answer = await walk.csms.call("SetChargingProfile", {"evseId": evse_id, "chargingProfile": wire})
    await walk.settle()
    return answer


async def clear(walk: Walk, **request: Any) -> str:
    """Send ClearChargingProfile; returns the status."""
    answer = await walk.csms.call("ClearChargingProfile", request)
    await walk.settle()
    return str(answer["status"])


def drawn_a(walk: Walk) -> float:
    """Return the current that the vehicle draws on its most loaded phase."""
    return max(walk.board.currents_a)


async def test_a_profile_that_cannot_be_kept_is_refused(tmp_path: Path, disk: FullDisk) -> None:
    """K01.FR.27; the one that is installed goes on."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await install(walk, profile(10.0))
        with disk.refusing("charging_profiles"):
            answer = await install(walk, profile(16.0))
            assert answer == {"status": "Rejected", "statusInfo": {"reasonCode": "OutOfStorage"}}
            await walk.advance(2)
            assert drawn_a(walk) == 10.0
        assert await install(walk, profile(16.0)) == {"status": "Accepted"}
        await walk.advance(2)
        assert drawn_a(walk) == 16.0


@pytest.mark.parametrize("evse_id", [0, 1])
async def test_a_default_profile_limits_a_running_charge_within_a_second(tmp_path: Path, evse_id: int) -> None:
    """K01.FR.14, K01.FR.29: the pilot follows at once, the car a second later; Clear lifts it (K10)."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        assert drawn_a(walk) == 32.0
        assert await install(walk, profile(10.0), evse_id) == {"status": "Accepted"}
        assert walk.board.outputs.pilot_a == 10.0
        await walk.advance(1)
        assert drawn_a(walk) == 10.0
        assert await clear(walk, chargingProfileId=1) == "Accepted"
        assert walk.board.outputs.pilot_a == 32.0
        await walk.advance(1)
        assert drawn_a(walk) == 32.0
        assert await clear(walk, chargingProfileId=1) == "Unknown"  # K10.FR.05


async def test_a_default_profile_holds_for_every_transaction_that_follows(tmp_path: Path) -> None:
    """K01.FR.15: TxDefaultProfile stays, a TxProfile goes with its transaction."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await install(walk, profile(8.0))
        for charge_count in (1, 2):
            await walk.plug()
            await walk.present()
            await walk.charging()
            assert drawn_a(walk) == 8.0
            await walk.present()
            await walk.until(
                lambda count=charge_count: [kind for kind, _ in walk.types_and_triggers()].count("Ended") == count
            )
            await walk.unplug()


async def test_a_tx_profile_goes_before_the_default_and_ends_with_the_transaction(tmp_path: Path) -> None:
    """K01.FR.16, K01.FR.17: TxProfile overrules, even upwards."""
    async with walking(tmp_path) as walk:
        identity = await charge(walk)
        await install(walk, profile(8.0))
        tx = profile(20.0, id=2, chargingProfilePurpose="TxProfile", transactionId=identity)
        assert await install(walk, tx) == {"status": "Accepted"}
        await walk.advance(2)
        assert drawn_a(walk) == 20.0
        await request_stop(walk, identity)
        await event(walk, "Ended", "RemoteStop")
        await walk.advance(2)
        assert [stored.id for stored in walk.parts.load.profiles.store.all()] == [1]


async def test_the_higher_stack_level_wins_and_leaves_the_word_when_it_is_over(tmp_path: Path) -> None:
    """K01.FR.13, K01.FR.30, K01.FR.11: duration of the upper profile."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await install(walk, profile(10.0))
        upper = profile(16.0, id=2, stackLevel=3)
        upper["chargingSchedule"][0]["duration"] = 120
        await install(walk, upper)
        await walk.advance(2)
        assert drawn_a(walk) == 16.0
        await walk.advance(120)
        assert drawn_a(walk) == 10.0


async def test_periods_follow_one_another(tmp_path: Path) -> None:
    """K01.FR.31, Absolute: each period from its start, to the second."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        wire = profile(16.0, chargingProfileKind="Absolute")
        schedule = wire["chargingSchedule"][0]
        schedule["startSchedule"] = walk.application.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        schedule["chargingSchedulePeriod"] += [{"startPeriod": 60, "limit": 7.0}, {"startPeriod": 120, "limit": 24.0}]
        await install(walk, wire)
        currents_a: list[float] = []
        for _ in range(3):
            await walk.advance(30)
            currents_a.append(drawn_a(walk))
            await walk.advance(30)
        assert currents_a == [16.0, 7.0, 24.0]


async def test_watts_become_amperes_of_the_phases_that_are_named(tmp_path: Path) -> None:
    """K01.FR.50, K01.FR.51: 6900 W on three phases are 10 A each, at the set voltage."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await install(walk, profile(6900.0, unit="W"))
        await walk.advance(2)
        assert drawn_a(walk) == pytest.approx(10.0, abs=0.05)


async def test_a_limit_below_six_amperes_pauses_and_the_charge_comes_back(tmp_path: Path) -> None:
    """K01, chargingState SuspendedEVSE: less than the least current of IEC 61851-1 is a pause."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await install(walk, profile(0.0))
        await event(walk, "Updated", "ChargingStateChanged", chargingState="SuspendedEVSE")
        assert not walk.board.outputs.contactor
        await clear(walk)
        await walk.charging()
        assert "Ended" not in [kind for kind, _ in walk.types_and_triggers()]


async def test_a_profile_counts_only_while_it_is_valid(tmp_path: Path) -> None:
    """K01.FR.36, K01.FR.37: validFrom and validTo."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        now = walk.application.clock.now()

        def text(after_s: float) -> str:
            return (now + timedelta(seconds=after_s)).strftime("%Y-%m-%dT%H:%M:%SZ")

        await install(walk, profile(9.0, validFrom=text(60), validTo=text(120)))
        await walk.advance(30)
        assert drawn_a(walk) == 32.0
        await walk.advance(60)
        assert drawn_a(walk) == 9.0
        await walk.advance(60)
        assert drawn_a(walk) == 32.0


async def test_a_profile_with_the_same_id_replaces_the_old_one(tmp_path: Path) -> None:
    """K01.FR.05."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await install(walk, profile(9.0))
        await install(walk, profile(12.0, stackLevel=4))
        await walk.advance(2)
        assert drawn_a(walk) == 12.0
        assert len(walk.parts.load.profiles.store.all()) == 1


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"chargingProfilePurpose": "TxProfile", "transactionId": "another"}, "TxNotFound"),  # K01.FR.09
        ({"chargingProfilePurpose": "TxProfile"}, "MissingParam"),  # K01.FR.03
        ({"chargingProfilePurpose": "ChargingStationExternalConstraints"}, "InvalidProfile"),  # K01.FR.22
        ({"chargingProfileKind": "Absolute"}, "InvalidSchedule"),  # K01.FR.40
        ({"stackLevel": 101}, "InvalidStackLevel"),
        ({"transactionId": "another"}, "InvalidProfile"),
    ],
)
async def test_a_profile_that_cannot_be_is_refused_and_limits_nothing(
    tmp_path: Path, wrong: dict[str, Any], reason: str
) -> None:
    """K01: Rejected with a reason code, and the charge goes on as it was."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        answer = await install(walk, profile(7.0, **wrong))
        assert answer["status"] == "Rejected"
        assert answer["statusInfo"]["reasonCode"] == reason
        await walk.advance(3)
        assert drawn_a(walk) == 32.0


@pytest.mark.parametrize(
    "schedule",
    [
        [{"startPeriod": 1, "limit": 7.0}],  # K01.FR.31
        [{"startPeriod": 0, "limit": 7.0}, {"startPeriod": 60, "limit": 8.0}, {"startPeriod": 30, "limit": 9.0}],
        [{"startPeriod": 0, "limit": -1.0}],
    ],
)
async def test_a_schedule_that_cannot_be_is_refused(tmp_path: Path, schedule: list[dict[str, float]]) -> None:
    """K01.FR.31, K01.FR.35."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        wire = profile()
        wire["chargingSchedule"][0]["chargingSchedulePeriod"] = schedule
        answer = await install(walk, wire)
        assert answer["status"] == "Rejected"
        assert answer["statusInfo"]["reasonCode"] == "InvalidSchedule"


async def test_a_profile_that_is_accepted_counts_whatever_its_id_is(tmp_path: Path) -> None:
    """K01.FR.07; the ids of external constraints are none that the CSMS cannot use (K11.FR.06)."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        for identity in (-1, -2, -77):
            await clear(walk)
            assert await install(walk, profile(12.0 + identity / 100, id=identity)) == {"status": "Accepted"}
            await walk.advance(5)
            assert drawn_a(walk) == pytest.approx(12.0 + identity / 100, abs=0.1)


async def test_an_unknown_evse_is_refused(tmp_path: Path) -> None:
    """K01.FR.28."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert (await install(walk, profile(), 7))["status"] == "Rejected"


async def test_an_evse_and_the_station_cannot_have_the_same_place_in_the_stack(tmp_path: Path) -> None:
    """K01.FR.52, K01.FR.53: DuplicateProfile."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await install(walk, profile(10.0), 0)
        answer = await install(walk, profile(12.0, id=2), 1)
        assert answer["status"] == "Rejected"
        assert answer["statusInfo"]["reasonCode"] == "DuplicateProfile"


async def test_clear_takes_what_matches_and_nothing_else(tmp_path: Path) -> None:
    """K10.FR.03, K10.FR.04: by purpose, EVSE and stack level."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        await install(walk, profile(10.0))
        await install(walk, profile(20.0, id=2, stackLevel=5))
        assert await clear(walk, chargingProfileCriteria={"stackLevel": 9}) == "Unknown"
        assert await clear(walk, chargingProfileCriteria={"stackLevel": 5, "evseId": 1}) == "Accepted"
        await walk.advance(2)
        assert drawn_a(walk) == 10.0


async def test_offline_a_profile_of_the_transaction_holds_to_its_end_and_the_default_from_the_next_start_on(
    tmp_path: Path,
) -> None:
    """K06.FR.01, K07.FR.01, K06.FR.02"""
    rows = variables(AuthCtrlr__OfflineTxForUnknownIdEnabled=True)
    async with walking(tmp_path, variable=rows) as walk:
        identity = await charge(walk)
        await install(walk, profile(9.0))
        await install(walk, profile(20.0, id=2, chargingProfilePurpose="TxProfile", transactionId=identity))
        await walk.until(lambda: drawn_a(walk) == 20.0)
        walk.stack.cut_network()
        await walk.advance(1800)
        assert drawn_a(walk) == 20.0
        await walk.present()
        await walk.advance(5)
        await walk.unplug()
        await walk.plug()
        await walk.present()
        await walk.charging()
        assert drawn_a(walk) == 9.0
        assert await walk.parts.load.profiles.clear(ProfileCriteria()) == 1
        await walk.until(lambda: drawn_a(walk) == 32.0)


async def test_default_profiles_survive_a_power_cycle_and_those_of_transactions_do_not(tmp_path: Path) -> None:
    """K01.FR.27."""
    async with running_csms() as csms, powered(configuration(tmp_path, csms.url), csms) as walk:
        identity = await charge(walk)
        await install(walk, profile(9.0))
        await install(walk, profile(20.0, id=2, chargingProfilePurpose="TxProfile", transactionId=identity))
        await walk.application.cut_power()
        await walk.advance(10)
        await walk.application.restore_power()
        await walk.until(lambda: len(csms.received("BootNotification")) == 2)
        assert [stored.id for stored in walk.parts.load.profiles.store.all()] == [1]
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()
        assert drawn_a(walk) == 9.0
