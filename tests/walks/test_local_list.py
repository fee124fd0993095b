"""The local authorization list of a whole station: what it decides, its bounds, and power cuts in the middle of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from station.charging.authorization.local_list import MAX_ENTRIES, LocalAuthorizationList, LocalListEntry
from station.charging.tokens.admission import TokenOutcome
from station.core.identifiers import shorten_token
from station.core.model import AuthorizationStatus, IdToken, IdTokenInfo
from tests.csms import NO_ANSWER, Csms, Payload, running_csms
from tests.hostile import charging
from tests.patience import until
from tests.programs import ProgramHost
from tests.walk import CARD, OTHER_CARD, Walk, walking
from tests.walks.station_process import StationProcess
from tests.walks.steps import INVALID, answering, event, listed, request_start, token, variables
from tests.walks.visit import visiting

ONLINE = variables(AuthCtrlr__LocalPreAuthorize=True, AuthCtrlr__AuthorizeRemoteStart=True)
GROUP = {"idToken": "FAMILY", "type": "Central"}
MASTERS = {"idToken": "MASTERS", "type": "Central"}


async def send(csms: Csms, version: int, *items: Payload, full: bool = True) -> Payload:
    """Send SendLocalList; returns the response."""
    request: Payload = {"updateType": "Full" if full else "Differential", "versionNumber": version}
    return await csms.call("SendLocalList", request | {"localAuthorizationList": list(items)})


async def accepted(csms: Csms, version: int, *items: Payload, full: bool = True) -> None:
    """SendLocalList, which is accepted; the version is then that of the update."""
    assert await send(csms, version, *items, full=full) == {"status": "Accepted"}
    assert await csms.call("GetLocalListVersion", {}) == {"versionNumber": version}


async def read_variable(csms: Csms, name: str) -> str:
    """Return the value of a variable of LocalAuthListCtrlr."""
    item = {"component": {"name": "LocalAuthListCtrlr"}, "variable": {"name": name}}
    answer = await csms.call("GetVariables", {"getVariableData": [item]})
    return answer["getVariableResult"][0]["attributeValue"]


def alter_database(storage: Path, statement: str) -> None:
    """Execute a statement on the database of a running station, from outside."""
    with contextlib.closing(sqlite3.connect(storage / "borne.sqlite")) as database:
        database.execute(statement)


def csms_rejecting_all() -> Csms:
    """Return a CSMS that accepts no token."""
    csms = Csms()
    csms.answers["Authorize"] = lambda _: INVALID
    return csms


# What it decides


async def test_a_listed_token_charges_without_being_asked_for_and_one_of_its_group_ends_the_charge(
    tmp_path: Path,
) -> None:
    """C14.FR.02, C09.FR.07: neither is known to the CSMS when it asks."""
    csms = csms_rejecting_all()
    csms.answers["TransactionEvent"] = answering("Accepted", GROUP)
    async with walking(tmp_path, csms, variable=ONLINE) as walk:
        await walk.accepted()
        await accepted(csms, 1, *(listed(token(card), groupIdToken=GROUP) for card in (CARD, OTHER_CARD)))
        await walk.plug()
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()
        assert await walk.present(OTHER_CARD) is TokenOutcome.STOPPED
        stopped = await event(walk, "Ended", "StopAuthorized")
        assert stopped["idToken"] == token(OTHER_CARD)
        assert csms.received("Authorize") == []


async def test_a_master_pass_of_the_list_stops_charges_and_starts_none(tmp_path: Path) -> None:
    """C16.FR.03, C16.FR.05"""
    settings = variables(AuthCtrlr__LocalPreAuthorize=True, AuthCtrlr__MasterPassGroupId=MASTERS["idToken"])
    async with walking(tmp_path, variable=settings) as walk:
        await walk.accepted()
        await accepted(walk.csms, 1, listed(token(OTHER_CARD), groupIdToken=MASTERS))
        await walk.plug()
        assert await walk.present(OTHER_CARD) is TokenOutcome.REJECTED
        await walk.present()
        await walk.charging()
        assert await walk.present(OTHER_CARD) is TokenOutcome.STOPPED
        ended = await event(walk, "Ended", "StopAuthorized")
        assert ended["transactionInfo"]["stoppedReason"] == "MasterPass"
        assert [request["idToken"] for request in walk.csms.received("Authorize")] == [token()]


@pytest.mark.parametrize("authorizes_remote_starts", [True, False])
async def test_a_master_pass_of_the_list_starts_nothing_remotely_either(
    tmp_path: Path, authorizes_remote_starts: bool
) -> None:
    """C16.FR.03; the request itself names no group."""
    settings = variables(
        AuthCtrlr__LocalPreAuthorize=True,
        AuthCtrlr__AuthorizeRemoteStart=authorizes_remote_starts,
        AuthCtrlr__MasterPassGroupId=MASTERS["idToken"],
    )
    async with walking(tmp_path, variable=settings) as walk:
        await walk.accepted()
        await accepted(walk.csms, 1, listed(token(), groupIdToken=MASTERS))
        await walk.plug()
        await request_start(walk)
        await walk.advance(10.0)
        assert walk.evse.state.authorization is None


async def test_key_codes_that_are_tried_are_soon_not_looked_up_in_the_list(tmp_path: Path) -> None:
    """C04.FR.06: nor does one of the group of a charge end it."""
    code = IdToken("482913", "KeyCode")
    async with walking(tmp_path, csms_rejecting_all(), variable=ONLINE) as walk:
        walk.csms.answers["TransactionEvent"] = answering("Accepted", GROUP)
        await walk.accepted()
        await accepted(walk.csms, 1, *(listed(token(id_token), groupIdToken=GROUP) for id_token in (CARD, code)))
        await walk.plug()
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()
        for number in range(4):
            assert await walk.present(IdToken(f"{number:06}", "KeyCode")) is TokenOutcome.REJECTED
        assert await walk.present(code) is TokenOutcome.REJECTED
        await walk.advance(11.0)
        assert await walk.present(code) is TokenOutcome.STOPPED


@pytest.mark.parametrize(("status", "starts"), [("Accepted", True), ("Blocked", False)])
async def test_a_remote_start_is_authorized_by_the_list(tmp_path: Path, status: str, starts: bool) -> None:
    """F01.FR.01, F02.FR.09: with AuthorizeRemoteStart."""
    async with walking(tmp_path, csms_rejecting_all(), variable=ONLINE) as walk:
        await walk.accepted()
        await accepted(walk.csms, 1, listed(token(), status))
        await walk.plug()
        assert (await request_start(walk))["status"] == "Accepted"
        await walk.advance(10.0)
        assert (walk.evse.state.authorization is not None) is starts
        assert len(walk.csms.received("Authorize")) == (0 if starts else 1)


async def test_an_entry_that_allows_one_evse_does_not_start_at_another(tmp_path: Path) -> None:
    """C01.FR.19"""
    async with walking(tmp_path, variable=ONLINE, evse=[{"id": 1}, {"id": 2}]) as walk:
        await walk.accepted()
        await accepted(walk.csms, 1, listed(token(), evseId=[2]))
        assert await walk.present() is TokenOutcome.REJECTED  # the reader of EVSE 1
        outcome = walk.parts.station.present_token(CARD)
        await walk.until(outcome.done)
        assert outcome.result() is TokenOutcome.AUTHORIZED
        assert walk.parts.station.evses[2].state.authorization is not None


async def test_an_entry_for_evses_that_cannot_exist_starts_at_none(tmp_path: Path) -> None:
    """C01.FR.21: numbers beyond 32 bits are not stored, and do not turn into "any EVSE"."""
    async with walking(tmp_path, variable=ONLINE) as walk:
        await walk.accepted()
        await accepted(walk.csms, 1, listed(token(), evseId=[2**31]))
        assert await walk.present() is TokenOutcome.REJECTED


@pytest.mark.parametrize("supported", [True, False])
async def test_what_the_installation_file_says_of_the_expiry_counts(tmp_path: Path, supported: bool) -> None:
    """LocalAuthListCtrlr.SupportsExpiryDateTime; C13.FR.02, C13.FR.05"""
    settings = variables(LocalAuthListCtrlr__SupportsExpiryDateTime=supported)
    async with walking(tmp_path, variable=settings) as walk:
        await walk.accepted()
        assert await read_variable(walk.csms, "SupportsExpiryDateTime") == str(supported).lower()
        await accepted(walk.csms, 1, listed(token(), cacheExpiryDateTime="2020-01-01T00:00:00Z"))
        walk.stack.cut_network()
        await walk.until(lambda: not walk.stack.link.online)
        outcome = await walk.present()
        assert outcome is (TokenOutcome.REJECTED if supported else TokenOutcome.AUTHORIZED)


async def test_the_list_decides_while_the_csms_does_not_answer(tmp_path: Path) -> None:
    """C13; without LocalPreAuthorize the CSMS is asked first."""
    csms = Csms()
    csms.answers["Authorize"] = lambda _: NO_ANSWER
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        await accepted(csms, 1, listed(token()), listed(token(OTHER_CARD), "Blocked"))
        assert await walk.present(OTHER_CARD) is TokenOutcome.REJECTED
        assert await walk.present() is TokenOutcome.AUTHORIZED
        assert len(csms.received("Authorize")) == 2


# What it answers


async def test_an_empty_list_is_a_list_in_both_forms(tmp_path: Path) -> None:
    """D01.FR.04, D01.FR.05"""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await accepted(walk.csms, 1, listed(token()))
        await accepted(walk.csms, 2, full=False)
        assert await read_variable(walk.csms, "Entries") == "1"
        await accepted(walk.csms, 3)
        assert await read_variable(walk.csms, "Entries") == "0"
        for version, kind in ((4, "Differential"), (5, "Full")):
            request = {"updateType": kind, "versionNumber": version}
            assert await walk.csms.call("SendLocalList", request) == {"status": "Accepted"}
        assert await read_variable(walk.csms, "Storage") == "0"


async def test_a_monitor_of_the_number_of_tokens_hears_of_each_update(tmp_path: Path) -> None:
    """Entries and Storage are observed, not read again and again."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        changes: list[tuple[str, str, str]] = []
        walk.device_model.changed.subscribe(
            lambda change: changes.append((change.variable.name, change.before, change.value))
        )
        for list_variable in walk.device_model:
            if list_variable.component.name == "LocalAuthListCtrlr":
                walk.device_model.observe(list_variable)
        await accepted(walk.csms, 1, listed(token()), listed(token(OTHER_CARD)))
        size = await read_variable(walk.csms, "Storage")
        assert changes == [("Entries", "0", "2"), ("Storage", "0", size)]
        await accepted(walk.csms, 2)
        assert changes[2:] == [("Entries", "2", "0"), ("Storage", size, "0")]


@pytest.mark.parametrize(
    ("request_", "status", "reason_code"),
    [
        ({"updateType": "Full", "versionNumber": 0}, "Failed", "ValuePositiveOnly"),  # D01.FR.18
        ({"updateType": "Differential", "versionNumber": 0}, "VersionMismatch", "ValueTooLow"),  # D01.FR.19
        ({"updateType": "Differential", "versionNumber": 1}, "VersionMismatch", "ValueTooLow"),
        (
            {"updateType": "Full", "versionNumber": 2, "localAuthorizationList": [listed(token(), None)]},
            "Failed",
            "MissingParam",
        ),
        (
            {"updateType": "Full", "versionNumber": 2, "localAuthorizationList": [listed(token())] * 2},
            "Failed",
            "InvalidValue",
        ),  # D01.FR.06
        (
            {"updateType": "Full", "versionNumber": 2, "localAuthorizationList": [listed(token())] * 4},
            "Failed",
            "TooManyElements",
        ),  # D01.FR.11
        (
            {
                "updateType": "Full",
                "versionNumber": 2,
                "localAuthorizationList": [
                    listed(token(), personalMessage={"format": "UTF8", "content": "é" * 300}),
                ],
            },
            "Failed",
            "TooLargeElement",
        ),  # D01.FR.11
    ],
)
async def test_what_is_wrong_is_refused_with_its_reason_and_the_old_list_stays(
    tmp_path: Path, request_: Payload, status: str, reason_code: str
) -> None:
    limits = variables(LocalAuthListCtrlr__ItemsPerMessage=3, LocalAuthListCtrlr__BytesPerMessage=600)
    async with walking(tmp_path, variable=limits) as walk:
        await walk.accepted()
        assert await read_variable(walk.csms, "ItemsPerMessage") == "3"
        assert await read_variable(walk.csms, "BytesPerMessage") == "600"
        await accepted(walk.csms, 1, listed(token(OTHER_CARD)))
        answer = await walk.csms.call("SendLocalList", request_)
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == (status, reason_code)
        assert await walk.csms.call("GetLocalListVersion", {}) == {"versionNumber": 1}
        assert await read_variable(walk.csms, "Entries") == "1"


async def test_a_disk_that_fails_leaves_the_old_list(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await accepted(walk.csms, 1, listed(token()))
        alter_database(
            tmp_path, "CREATE TRIGGER full BEFORE INSERT ON local_list BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
        answer = await send(walk.csms, 2, listed(token(OTHER_CARD)))
        assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Failed", "OutOfStorage")
        assert await walk.csms.call("GetLocalListVersion", {}) == {"versionNumber": 1}
        alter_database(tmp_path, "DROP TRIGGER full")
        await accepted(walk.csms, 2, listed(token(OTHER_CARD)))


# The API


async def test_the_list_is_read_over_the_api_and_seeded_by_a_test_bench(tmp_path: Path) -> None:
    """GET /api/auth/list; PUT and DELETE /api/sim/auth/list"""
    async with walking(tmp_path, csms_rejecting_all(), variable=ONLINE) as walk, visiting(walk) as api:
        await walk.accepted()
        assert await api.get("/api/auth/list") == {"version": 0, "entries": 0, "tokens": []}
        await walk.parts.cards.add(CARD, "Anna")
        seed = {"token": CARD.value, "group": "FLEET", "expiry": "2099-01-01T00:00:00Z", "evses": [1], "version": 7}
        await api.put("/api/sim/auth/list", seed)
        await api.put("/api/sim/auth/list", {"token": OTHER_CARD.value, "status": "Blocked"})
        local_list = await api.get("/api/auth/list")
        assert (local_list["version"], local_list["entries"]) == (8, 2)
        first, second = local_list["tokens"]
        assert first["token"] == shorten_token(CARD.value)
        assert (first["name"], first["type"], first["info"]["status"]) == ("Anna", "ISO14443", "Accepted")
        assert first["info"]["group_id"]["value"] == shorten_token("FLEET")
        assert (second["name"], second["info"]["status"]) == (None, "Blocked")
        assert (await api.get("/api/auth/list?most=1&skip=1"))["tokens"] == [second]
        assert await walk.csms.call("GetLocalListVersion", {}) == {"versionNumber": 8}
        assert await walk.present() is TokenOutcome.AUTHORIZED
        removal = {"token": OTHER_CARD.value, "version": 3}
        assert (await api.client.request("DELETE", "/api/sim/auth/list", json=removal)).status_code == 202
        local_list = await api.get("/api/auth/list")
        assert (local_list["version"], local_list["tokens"]) == (3, [first])
        await walk.set_variable("LocalAuthListCtrlr", "Enabled", "false")
        assert (await api.client.put("/api/sim/auth/list", json=seed)).status_code == 409
        assert (await api.get("/api/auth/list"))["version"] == 0


@pytest.mark.parametrize("wrong", [{"status": "Fine"}, {"version": 0}, {"version": 2**31}, {"token": "a b"}, {}])
async def test_a_seed_that_is_wrong_names_its_field(tmp_path: Path, wrong: dict[str, object]) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        seed = {"token": CARD.value} | wrong if wrong else {}
        answer = await api.client.put("/api/sim/auth/list", json=seed)
        assert answer.status_code == 422
        assert next(iter(wrong), "token") in answer.text


# Bounds


async def test_a_hostile_csms_fills_the_list_to_its_bound_and_a_charge_goes_on(tmp_path: Path) -> None:
    """LocalAuthListCtrlr.Entries: maxLimit. Requests at the bounds of a message are answered, one after the other."""
    async with charging(tmp_path) as (walk, csms):
        local_list = walk.application.parts.get(LocalAuthorizationList)
        info = IdTokenInfo(AuthorizationStatus.BLOCKED)
        cards = [IdToken(f"{number:014}", "ISO14443") for number in range(MAX_ENTRIES)]
        assert await local_list.seed(1, [LocalListEntry(card, info) for card in cards]) is None
        assert await read_variable(csms, "Entries") == str(MAX_ENTRIES)
        max_items = int(await read_variable(csms, "ItemsPerMessage"))
        items = [listed(token(card)) for card in cards[:max_items]]
        strange = [listed(token(IdToken(f"{number:036}", "ISO14443"))) for number in range(max_items)]
        too_many = await send(csms, 2, listed(token()), full=False)
        assert (too_many["status"], too_many["statusInfo"]["reasonCode"]) == ("Failed", "OutOfStorage")
        version = 1
        for _ in range(10):
            assert (await send(csms, version + 1, *strange, full=False))["status"] == "Failed"
            assert (await send(csms, version + 1, *items, full=False))["status"] == "Accepted"
            version += 1
        assert await read_variable(csms, "Entries") == str(MAX_ENTRIES)
        found_within_s: list[float] = []
        for card in cards[:: MAX_ENTRIES // 200]:
            began_s = time.perf_counter()
            assert await local_list.find(card) is not None
            found_within_s.append(time.perf_counter() - began_s)
        assert sorted(found_within_s)[100] < 0.05
        assert walk.board.outputs.contactor


def full_update(*items: Any, version: float = 1) -> Payload:
    """Return a full SendLocalListRequest."""
    return {"updateType": "Full", "versionNumber": version, "localAuthorizationList": list(items)}


ENDLESS = [{"additionalIdToken": "x" * 36, "type": "y" * 50}] * 5_000


@pytest.mark.parametrize(
    "payload",
    [
        full_update(listed(token()), version=1e300),
        full_update(listed(token()), version=2**31),
        full_update(listed(token()), listed(token(OTHER_CARD), cacheExpiryDateTime="tomorrow")),
        full_update(*[listed(token())] * 8_000),
        full_update(*[{}] * 100_000),
        full_update(listed(token(), evseId=list(range(1, 50_000)))),
        full_update(listed(token() | {"additionalInfo": ENDLESS})),
    ],
    ids=["float", "33-bit", "expiry", "items", "empty-items", "evses", "additional-info"],
)
async def test_an_update_that_is_out_of_all_bounds_is_refused_and_changes_nothing(
    tmp_path: Path, payload: Payload
) -> None:
    async with charging(tmp_path) as (_, csms):
        await accepted(csms, 1, listed(token(OTHER_CARD)))
        answer = await csms.request("SendLocalList", payload)
        assert answer[0] == 4 or answer[2]["status"] == "Failed"
        assert await csms.call("GetLocalListVersion", {}) == {"versionNumber": 1}
        assert await read_variable(csms, "Entries") == "1"


async def test_a_list_of_the_longest_entries_stays_within_what_is_stored_of_each(tmp_path: Path) -> None:
    """Lists without end are cut before they are stored, as those of Authorize are."""
    infos = ENDLESS[:500]
    entry = listed(
        token() | {"additionalInfo": infos},
        evseId=list(range(1, 5_000)),
        groupIdToken={"idToken": "G", "type": "Central", "additionalInfo": infos},
        personalMessage={"format": "UTF8", "content": "é" * 512},
    )
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await accepted(walk.csms, 1, entry)
        assert int(await read_variable(walk.csms, "Storage")) < 3_000


# Power cuts


class ExpectedList:
    """The list that the station must have: the last accepted one, or that of the update without response."""

    def __init__(self) -> None:
        self.lists: dict[int, dict[str, str]] = {0: {}}
        """by version: the status of each token"""
        self.version = 0
        """the last one that was accepted"""

    def random_update(self, rng: random.Random) -> Payload:
        """Return a random update, and the list after it."""
        now = self.lists[self.version]
        version = self.version + 1
        numbers = rng.sample(range(2_000), 400)
        statuses = {f"{number:014}": rng.choice(("Accepted", "Blocked", None)) for number in numbers}
        full = rng.random() < 0.3
        if full:
            statuses = {number: status or "Expired" for number, status in statuses.items()}
        items = [listed({"idToken": number, "type": "ISO14443"}, status) for number, status in statuses.items()]
        after = {} if full else dict(now)
        for number, status in statuses.items():
            if status is None:
                after.pop(number, None)
            else:
                after[number] = status
        self.lists = {self.version: now, version: after}
        return {
            "updateType": "Full" if full else "Differential",
            "versionNumber": version,
            "localAuthorizationList": items,
        }


def stored_list(storage: Path) -> tuple[int, int, Mapping[str, str]]:
    """Read version, number of entries and content of the list on disk, in another process."""
    with contextlib.closing(sqlite3.connect(storage / "borne.sqlite")) as database:
        state = database.execute("SELECT version, entries FROM local_list_state").fetchall() or [(0, 0)]
        rows = database.execute("SELECT token, json_extract(info, '$.status') FROM local_list").fetchall()
    return state[0][0], state[0][1], dict(rows)


@pytest.mark.parametrize("seed", range(4))
async def test_a_power_cut_in_the_middle_of_an_update_keeps_what_was_accepted(
    tmp_path: Path, seed: int, program_host: ProgramHost
) -> None:
    rng, expected = random.Random(seed), ExpectedList()
    async with running_csms(Csms()) as csms:
        station = StationProcess(tmp_path, csms.url, launch=program_host.launch)
        try:
            for _ in range(6):
                boots = len(csms.received("BootNotification"))
                station.start()
                await until(lambda boots=boots: len(csms.received("BootNotification")) > boots)
                version = (await csms.call("GetLocalListVersion", {}))["versionNumber"]
                assert version in expected.lists
                assert version >= expected.version, "accepted means kept"
                expected.version = version
                assert stored_list(station.storage) == (version, len(expected.lists[version]), expected.lists[version])
                assert int(await read_variable(csms, "Entries")) == len(expected.lists[version])
                await update_until_cut(csms, station, expected, rng)
        finally:
            await station.aclose()
    assert expected.version >= 6


async def update_until_cut(csms: Csms, station: StationProcess, expected: ExpectedList, rng: random.Random) -> None:
    """Send some updates; the power fails at a random moment of the last one."""
    for _ in range(rng.randint(1, 3)):
        assert (await csms.call("SendLocalList", expected.random_update(rng)))["status"] == "Accepted"
        expected.version += 1
    last: asyncio.Task[dict[str, Any]] = asyncio.create_task(csms.call("SendLocalList", expected.random_update(rng)))
    await asyncio.sleep(rng.uniform(0.0, 0.03))
    station.kill()
    await station.ended()
    await asyncio.wait([last], timeout=0.05)  # an answer that is under way still counts
    if last.done():
        assert last.result()["status"] == "Accepted"
        expected.version += 1
    last.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await last


async def test_a_power_cycle_of_the_simulation_keeps_the_list(tmp_path: Path) -> None:
    async with walking(tmp_path, csms_rejecting_all(), variable=ONLINE) as walk, visiting(walk) as api:
        await walk.accepted()
        await accepted(walk.csms, 4, listed(token()))
        await power_cycle(walk, api.client)
        assert await walk.csms.call("GetLocalListVersion", {}) == {"versionNumber": 4}
        assert await walk.present() is TokenOutcome.AUTHORIZED


async def power_cycle(walk: Walk, client: Any) -> None:
    """Cut the power and restore it; returns once the station has booted."""
    assert (await client.post("/api/sim/power", json={"action": "cycle"})).is_success
    await walk.until(lambda: len(walk.csms.received("BootNotification")) == 2)
    await walk.until(lambda: walk.stack.link.online)
