"""The network connection profiles: what may be stored, in which order it is tried, what success changes (B09, B10)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from msgspec.structs import replace

from station.security.network_profile import NetworkProfile
from station.security.security_settings import SecuritySettings
from tests import fakes
from tests.databases import open_database
from tests.network_profile_harness import (
    MUTUAL,
    PASSWORD,
    PLAIN,
    SECURED,
    booted,
)


def first_attempts(attempts: Iterator[int], count: int) -> list[int]:
    return list(islice(attempts, count))


# What may be stored (B09)


async def test_the_installation_file_is_slot_one_and_what_is_stored_counts_from_the_next_boot(tmp_path: Path) -> None:
    """B09.FR.01; B09 remark: not before a reboot, not even for the active profile."""
    async with booted(tmp_path) as harness:
        network = harness.network
        assert (network.priority, network.active, network.security_profile) == ((1,), 1, 1)
        changed = replace(PLAIN, url="ws://elsewhere")
        assert await network.check_profile(1, changed) is None
        await network.store(1, changed)
        assert network.profile == PLAIN
    async with booted(tmp_path) as harness:
        assert harness.network.profile == changed


@pytest.mark.parametrize("slot", [-1, 0, 4, 999])
async def test_a_slot_that_does_not_exist_is_refused(tmp_path: Path, slot: int) -> None:
    """B09.FR.05."""
    async with booted(tmp_path) as harness:
        refusal = await harness.network.check_profile(slot, PLAIN)
        assert refusal is not None
        assert refusal.reason_code == "InvalidConfSlot"


@pytest.mark.parametrize(
    "profile",
    [
        NetworkProfile("", 1, 30.0),
        NetworkProfile("http://csms", 1, 30.0),
        NetworkProfile("ws://user:secret@csms", 1, 30.0),
        NetworkProfile("ws://csms:port", 1, 30.0),
        NetworkProfile("wss://csms", 1, 30.0),
        NetworkProfile("ws://csms", 2, 30.0),
        NetworkProfile("ws://csms", 3, 30.0),
        NetworkProfile("wss://csms", 4, 30.0),
        NetworkProfile("wss://csms", -1, 30.0),
        NetworkProfile("ws://csms", 1, 0.0),
        NetworkProfile("ws://csms", 1, -5.0),
        NetworkProfile("ws://csms", 1, 1e9),
    ],
)
async def test_a_profile_that_cannot_work_is_refused(tmp_path: Path, profile: NetworkProfile) -> None:
    """B09.FR.02."""
    async with booted(tmp_path) as harness:
        refusal = await harness.network.check_profile(2, profile)
        assert refusal is not None
        assert refusal.reason_code == "InvalidNetworkConf"
        assert "secret" not in refusal.info


@pytest.mark.parametrize("timeout_s", [1.0, 21.0, 120.0, 3_600.0])
async def test_any_reasonable_message_timeout_is_taken(tmp_path: Path, timeout_s: float) -> None:
    async with booted(tmp_path) as harness:
        assert await harness.network.check_profile(2, replace(PLAIN, message_timeout_s=timeout_s)) is None


@pytest.mark.parametrize(
    ("used", "new", "downgrade", "allowed"),
    [
        (PLAIN, PLAIN, False, True),
        (PLAIN, SECURED, False, True),
        (SECURED, PLAIN, False, False),
        (SECURED, PLAIN, True, False),
        (MUTUAL, SECURED, False, False),
        (MUTUAL, SECURED, True, True),
        (MUTUAL, PLAIN, True, False),
        (PLAIN, NetworkProfile("ws://none", 0, 30.0), True, False),
    ],
)
async def test_less_security_is_refused_but_for_3_to_2_where_the_installer_allows_it(
    tmp_path: Path, used: NetworkProfile, new: NetworkProfile, downgrade: bool, allowed: bool
) -> None:
    """A00.FR.005, B09.FR.04, B09.FR.31, A05.FR.08, A05.FR.09, A05.FR.10, with errata 2.5 and 2.12."""
    async with booted(tmp_path, used) as harness:
        harness.settings.override(SecuritySettings.allow_security_profile_downgrade, downgrade)
        refusal = await harness.network.check_profile(2, new)
        assert (refusal is None) == allowed
        if refusal is not None:
            assert refusal.reason_code == "NoSecurityDowngrade"
        await harness.network.store(2, new)  # as an earlier, less strict program might have
        with contextlib.nullcontext() if allowed else pytest.raises(ValueError, match="slot 2"):
            await harness.network.set_priority("2,1")


# The order (B10, A05)


@pytest.mark.parametrize("text", ["", ",", "1,1", "1;2", "0", "4", "1,3", "one", "1,", "2", "-1", "1 2"])
async def test_an_order_with_a_slot_that_is_unknown_empty_or_named_twice_is_refused(tmp_path: Path, text: str) -> None:
    """B10.FR.02."""
    async with booted(tmp_path) as harness:
        with pytest.raises(ValueError, match=r"slot|is not one of"):
            await harness.network.set_priority(text)
        assert harness.network.priority == (1,)


@pytest.mark.parametrize(
    ("profile", "root", "own", "password", "allowed"),
    [
        (SECURED, True, False, PASSWORD, True),
        (SECURED, False, True, PASSWORD, False),
        (SECURED, True, True, None, False),
        (MUTUAL, True, True, None, True),
        (MUTUAL, False, True, PASSWORD, False),
        (MUTUAL, True, False, PASSWORD, False),
    ],
)
async def test_a_higher_security_profile_needs_its_certificates_and_password(
    tmp_path: Path, profile: NetworkProfile, root: bool, own: bool, password: str | None, allowed: bool
) -> None:
    """A05.FR.02, A05.FR.03, A05.FR.04; a slot that is in use already is refused itself."""
    unsecured = NetworkProfile("ws://one", 0, 30.0)
    async with booted(tmp_path, unsecured if password is None else PLAIN, password) as harness:
        harness.certificates.root, harness.certificates.own = root, own
        assert await harness.network.check_profile(2, profile) is None
        await harness.network.store(2, profile)
        if allowed:
            await harness.network.set_priority("2,1")
            assert harness.network.priority == (2, 1)
        else:
            with pytest.raises(ValueError, match=r"BasicAuthPassword is not set|no valid \w+ is installed"):
                await harness.network.set_priority("2,1")
        assert (await harness.network.check_profile(1, profile) is None) == allowed


async def test_the_next_boot_begins_with_the_first_of_the_order(tmp_path: Path) -> None:
    """B10.FR.04, A05.FR.05."""
    async with booted(tmp_path) as harness:
        harness.settings.override(SecuritySettings.network_profile_connection_attempts, 2)
        await harness.network.store(2, replace(PLAIN, url="ws://two"))
        await harness.network.set_priority("2,1")
        assert first_attempts(harness.network.attempt_slots(), 4) == [1, 1, 1, 1]  # this run keeps its order
    async with booted(tmp_path) as harness:
        harness.settings.override(SecuritySettings.network_profile_connection_attempts, 2)
        assert harness.network.active == 2
        assert first_attempts(harness.network.attempt_slots(), 6) == [2, 2, 1, 1, 2, 2]


async def three_slots(folder: Path, last_good: int) -> None:
    async with booted(folder) as harness:
        await harness.network.store(2, replace(PLAIN, url="ws://two"))
        await harness.network.store(3, replace(PLAIN, url="ws://three"))
        await harness.network.set_priority("3,2,1")
    async with booted(folder) as harness:
        await harness.network.note_connected(last_good)


async def test_when_all_have_failed_the_one_that_worked_last_is_tried_and_then_all_again(tmp_path: Path) -> None:
    """B10.FR.03, B10.FR.07, B10.FR.08, B10.FR.09, A02.FR.28."""
    await three_slots(tmp_path, last_good=1)
    async with booted(tmp_path) as harness:
        harness.settings.override(SecuritySettings.network_profile_connection_attempts, 2)
        attempts = harness.network.attempt_slots()
        assert first_attempts(attempts, 6) == [3, 3, 2, 2, 1, 1]
        assert harness.certificates.times_unreachable == 0
        assert first_attempts(attempts, 8) == [1, 1, 3, 3, 2, 2, 1, 1]
        assert harness.certificates.times_unreachable == 1


async def test_a_lost_connection_is_first_sought_where_it_was(tmp_path: Path) -> None:
    """B10.FR.03 with errata 2.13."""
    await three_slots(tmp_path, last_good=2)
    async with booted(tmp_path) as harness:
        harness.settings.override(SecuritySettings.network_profile_connection_attempts, 1)
        assert first_attempts(harness.network.attempt_slots(2), 5) == [2, 3, 1, 2, 2]


async def test_after_a_lost_connection_the_order_is_the_one_that_was_set_last(tmp_path: Path) -> None:
    """B10.FR.03 with errata 2.13; the profile that was connected is not replaced before a reboot (B09, remark)."""
    async with booted(tmp_path) as harness:
        network = harness.network
        harness.settings.override(SecuritySettings.network_profile_connection_attempts, 1)
        await network.note_connected(1)
        await network.store(1, replace(PLAIN, url="ws://elsewhere"))
        await network.store(2, replace(PLAIN, url="ws://two"))
        await network.set_priority("2,1")
        tried = [(slot, network.profile) for slot in islice(network.attempt_slots(1), 3)]
        assert tried == [(1, PLAIN), (2, replace(PLAIN, url="ws://two")), (1, PLAIN)]


async def test_it_is_known_whether_the_csms_may_be_another_one(tmp_path: Path) -> None:
    """B10.FR.10; M05.FR.14 and M05.FR.15 make a difference of it too."""
    await three_slots(tmp_path, last_good=1)
    async with booted(tmp_path) as harness:
        attempts = harness.network.attempt_slots()
        assert next(attempts) == 3
        assert harness.network.migrating
        assert await harness.network.note_connected(3)
        assert not await harness.network.note_connected(3)
        assert not harness.network.migrating


# What success changes (A05.FR.06)


async def test_a_higher_profile_that_works_takes_the_lower_ones_away(tmp_path: Path) -> None:
    """A05.FR.06: SecurityProfile rises, lower profiles go, also from the order dialled in this run."""
    async with booted(tmp_path) as harness:
        await harness.network.store(2, SECURED)
        await harness.network.store(3, replace(PLAIN, url="ws://three"))
        await harness.network.set_priority("2,3,1")
        assert harness.network.security_profile == 1
    async with booted(tmp_path) as harness:
        await harness.network.note_connected(2)
        assert (harness.network.security_profile, harness.network.priority) == (2, (2,))
        assert dict(harness.network.slots) == {2: SECURED}
        assert set(first_attempts(harness.network.attempt_slots(2), 20)) == {2}
        logged = [event.info for event in await harness.events.entries()]
        assert logged[-1] == "security profile changed to 2 (was 1)"
    async with booted(tmp_path) as harness:
        assert (harness.network.security_profile, harness.network.active) == (2, 2)
        for less in (PLAIN, NetworkProfile("wss://csms", 1, 30.0)):  # the URL does not matter any more
            refusal = await harness.network.check_profile(1, less)
            assert refusal is not None
            assert refusal.reason_code == "NoSecurityDowngrade"


async def test_a_higher_profile_that_does_not_work_changes_nothing(tmp_path: Path) -> None:
    async with booted(tmp_path) as harness:
        await harness.network.store(2, SECURED)
        await harness.network.set_priority("2,1")
    async with booted(tmp_path) as harness:
        await harness.network.note_connected(1)
        assert (harness.network.security_profile, harness.network.priority) == (1, (2, 1))


async def test_an_installer_may_change_the_csms_and_allow_less_security(tmp_path: Path) -> None:
    """A00.FR.005: the installation file is the other method by which security may be lowered."""
    async with booted(tmp_path, SECURED) as harness:
        await harness.network.store(2, replace(SECURED, url="wss://two"))
        await harness.network.set_priority("2,1")
    async with booted(tmp_path, PLAIN, allows_downgrade=True) as harness:
        assert (harness.network.security_profile, harness.network.priority) == (1, (1,))
        assert dict(harness.network.slots) == {1: PLAIN}


async def test_another_timeout_in_the_installation_file_changes_its_own_profile_only(tmp_path: Path) -> None:
    async with booted(tmp_path) as harness:
        await harness.network.store(2, SECURED)
        await harness.network.set_priority("2,1")
    async with booted(tmp_path, replace(PLAIN, message_timeout_s=60.0)) as harness:
        assert dict(harness.network.slots) == {1: replace(PLAIN, message_timeout_s=60.0), 2: SECURED}
        assert harness.network.priority == (2, 1)


async def test_a_record_that_cannot_be_read_is_the_installation_file_again(tmp_path: Path) -> None:
    async with open_database(tmp_path / "db", fakes.clock()) as database:
        await database.write("INSERT INTO facts (name, value) VALUES ('network', '{\"slots\": 3}')")
    async with booted(tmp_path) as harness:
        assert harness.network.profile == PLAIN


async def test_a_station_without_a_csms_has_no_profile(tmp_path: Path) -> None:
    async with booted(tmp_path, None) as harness:
        assert (harness.network.profile, harness.network.active, harness.network.security_profile) == (None, None, 0)
        assert harness.network.message_timeout_s == 30.0


# What must not shut the station out


@pytest.mark.parametrize("host", ["csms..example", ".csms", f"{'x' * 64}.example"])
async def test_a_host_that_cannot_exist_is_refused(tmp_path: Path, host: str) -> None:
    """To ask for its address is an error of another kind than that nobody is there."""
    async with booted(tmp_path) as harness:
        refusal = await harness.network.check_profile(2, replace(PLAIN, url=f"ws://{host}/ocpp"))
        assert refusal is not None
        assert refusal.reason_code == "InvalidNetworkConf"


async def test_what_worked_last_is_tried_also_where_the_order_does_not_name_it(tmp_path: Path) -> None:
    """B10.FR.07."""
    async with booted(tmp_path) as harness:
        await harness.network.note_connected(1)
        await harness.network.store(2, replace(PLAIN, url="ws://mistyped"))
        await harness.network.set_priority("2")
    async with booted(tmp_path) as harness:
        harness.settings.override(SecuritySettings.network_profile_connection_attempts, 1)
        assert first_attempts(harness.network.attempt_slots(), 4) == [2, 1, 2, 1]


async def test_what_worked_last_is_tried_also_when_its_slot_was_given_another_profile(tmp_path: Path) -> None:
    """B10.FR.07: that profile, not what a mistake has put in its place."""
    mistyped = replace(PLAIN, url="ws://mistyped")
    async with booted(tmp_path) as harness:
        await harness.network.note_connected(1)
        await harness.network.store(1, mistyped)
    async with booted(tmp_path) as harness:
        network = harness.network
        harness.settings.override(SecuritySettings.network_profile_connection_attempts, 1)
        tried: list[tuple[NetworkProfile | None, bool]] = []
        attempts = network.attempt_slots()
        for slot in islice(attempts, 3):
            tried.append((network.profile, network.migrating))
            if network.profile == PLAIN:
                assert not await network.note_connected(slot)
        assert tried == [(mistyped, True), (PLAIN, False), (mistyped, True)]
        assert dict(network.slots) == {1: mistyped}
    async with booted(tmp_path) as harness:
        assert harness.network.profile == mistyped
        await harness.network.note_connected(1)
    async with booted(tmp_path) as harness:
        harness.settings.override(SecuritySettings.network_profile_connection_attempts, 1)
        assert first_attempts(harness.network.attempt_slots(), 3) == [1, 1, 1]
        assert harness.network.profile == mistyped


async def test_a_higher_profile_outside_the_order_that_works_becomes_the_order(tmp_path: Path) -> None:
    """Else no slot would be left to dial after A05.FR.06."""
    async with booted(tmp_path) as harness:
        await harness.network.note_connected(1)
        await harness.network.store(2, replace(PLAIN, url="ws://two"))
        await harness.network.set_priority("2")
        await harness.network.store(1, SECURED)
    async with booted(tmp_path) as harness:
        harness.settings.override(SecuritySettings.network_profile_connection_attempts, 1)
        assert first_attempts(harness.network.attempt_slots(), 3) == [2, 0, 2]
        await harness.network.note_connected(1)
        assert (harness.network.security_profile, harness.network.priority) == (2, (1,))
    async with booted(tmp_path) as harness:
        assert first_attempts(harness.network.attempt_slots(), 2) == [1, 1]


async def test_an_order_without_any_slot_does_not_stop_the_program(tmp_path: Path) -> None:
    async with booted(tmp_path, None) as harness:
        assert first_attempts(harness.network.attempt_slots(), 1) == []


# Changes of [csms] in the installation file


async def raised_by_csms(folder: Path) -> None:
    """The CSMS has raised the security profile of a station that was installed with profile 1 to profile 3."""
    async with booted(folder) as harness:
        await harness.network.store(2, MUTUAL)
        await harness.network.set_priority("2")
    async with booted(folder) as harness:
        await harness.network.note_connected(2)
        assert harness.network.security_profile == 3


@pytest.mark.parametrize("installed", [replace(PLAIN, url="ws://moved"), SECURED, NetworkProfile("ws://one", 0, 30.0)])
async def test_a_file_with_a_lower_security_profile_is_not_applied_and_each_start_says_so(
    tmp_path: Path, installed: NetworkProfile, caplog: pytest.LogCaptureFixture
) -> None:
    """A00.FR.005: not without an express permission."""
    await raised_by_csms(tmp_path)
    for _ in range(2):
        caplog.clear()
        async with booted(tmp_path, installed) as harness:
            assert (harness.network.profile, harness.network.security_profile) == (MUTUAL, 3)
            (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
            assert installed.url in warning
            assert "csms.allow_security_downgrade = true" in warning
            reported = (await harness.events.entries())[-1]
            assert reported.type == "ReconfigurationOfSecurityParameters"
            assert "is not used" in reported.info


async def test_a_file_that_allows_it_lowers_the_security_profile_with_a_security_event(tmp_path: Path) -> None:
    await raised_by_csms(tmp_path)
    async with booted(tmp_path, SECURED, allows_downgrade=True) as harness:
        assert (harness.network.profile, harness.network.security_profile) == (SECURED, 2)
        reported = (await harness.events.entries())[-1]
        assert reported.type == "ReconfigurationOfSecurityParameters"
        assert "wss://two, security profile 2, which replaces" in reported.info


async def test_a_file_with_another_csms_of_the_same_security_profile_replaces_the_others_and_this_is_reported_once(
    tmp_path: Path,
) -> None:
    await raised_by_csms(tmp_path)
    moved = replace(MUTUAL, url="wss://moved")
    async with booted(tmp_path, moved) as harness:
        assert dict(harness.network.slots) == {1: moved}
        assert "which replaces" in (await harness.events.entries())[-1].info
        await harness.network.note_connected(1)
        count = len(await harness.events.entries())
    async with booted(tmp_path, moved) as harness:
        assert harness.network.profile == moved
        assert len(await harness.events.entries()) == count


async def test_an_unchanged_file_reports_nothing_after_the_csms_has_raised_the_security_profile(tmp_path: Path) -> None:
    await raised_by_csms(tmp_path)
    async with booted(tmp_path, replace(PLAIN, message_timeout_s=9.0)) as harness:
        assert harness.network.profile == MUTUAL
        assert not any("installation file" in event.info for event in await harness.events.entries())
