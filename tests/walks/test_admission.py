"""Who may charge besides a card that the CSMS knows: nobody in particular, a key code, a master pass, a group."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from station.charging.tokens.admission import KeyCodeGuard, TokenOutcome
from station.core.csms import AuthorizationRequest
from station.core.identifiers import shorten_token
from station.core.model import IdToken
from tests import fakes
from tests.csms import Answer, Csms
from tests.walk import CARD, OTHER_CARD, Walk, walking
from tests.walks.steps import (
    GROUP,
    answering,
    charge,
    event,
    present_at,
    request_start,
    transaction_id,
    tx_points,
    variables,
)
from tests.walks.visit import visiting

OPEN_TO_ALL = variables(AuthCtrlr__Enabled=False)
NO_AUTHORIZATION = {"idToken": "", "type": "NoAuthorization"}
MASTERS = {"idToken": "MASTERS", "type": "Central"}
MASTER = IdToken("04AAAAAAAAAA80", "ISO14443")
CODE, WRONG_CODE = IdToken("482913", "KeyCode"), IdToken("111111", "KeyCode")
TWO_EVSES = [{"id": 1}, {"id": 2}]


def csms_with_master_pass() -> Csms:
    """Return a CSMS that knows one master pass, and no other group."""
    csms = Csms()

    def answer(payload: dict[str, Any]) -> Answer:
        if "idToken" not in payload:
            return {}
        is_master = payload["idToken"]["idToken"] == MASTER.value
        return answering("Accepted", MASTERS if is_master else None)(payload)

    csms.answers["Authorize"] = csms.answers["TransactionEvent"] = answer
    return csms


def csms_accepting(*codes: IdToken) -> Csms:
    """Return a CSMS that accepts these tokens only."""
    csms = Csms()
    accepted_values = {code.value for code in codes}

    def answer(payload: dict[str, Any]) -> dict[str, Any]:
        status = "Accepted" if payload["idToken"]["idToken"] in accepted_values else "Invalid"
        return {"idTokenInfo": {"status": status}}

    csms.answers["Authorize"] = answer
    return csms


# Nobody in particular (C02)


async def test_where_no_authorization_is_wanted_plugging_in_is_enough(tmp_path: Path) -> None:
    """C02.FR.01, C02.FR.03, remark; AuthCtrlr.Enabled"""
    async with walking(tmp_path, variable=OPEN_TO_ALL, evse=[{"attached_cable": True}]) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.charging()
        authorized = await event(walk, "Updated", "Authorized")
        assert authorized["idToken"] == NO_AUTHORIZATION
        assert walk.csms.received("Authorize") == []
        assert walk.parts.tokens.entries() == []
        await walk.unplug()
        await event(walk, "Ended", "EVCommunicationLost")
        await walk.plug()
        await walk.charging()


async def test_whoever_comes_may_end_a_charge_of_nobody(tmp_path: Path) -> None:
    """F01, remark; and the vehicle that stays does not start again."""
    async with walking(tmp_path, variable=OPEN_TO_ALL) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.charging()
        assert await walk.present() is TokenOutcome.STOPPED
        await event(walk, "Ended", "StopAuthorized")
        await walk.advance(60)
        assert walk.evse.state.transaction is None
        assert await walk.present() is TokenOutcome.AUTHORIZED, "with a card it may go on"
        assert (await event(walk, "Started", "Authorized"))["idToken"]["idToken"] == CARD.value


async def test_a_card_that_is_shown_before_the_cable_names_the_charge(tmp_path: Path) -> None:
    """AuthCtrlr.Enabled: an idToken that was provided is reported."""
    async with walking(tmp_path, variable=OPEN_TO_ALL) as walk:
        await walk.accepted()
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.plug()
        await walk.charging()
        assert (await event(walk, "Started", "Authorized"))["idToken"]["idToken"] == CARD.value
        assert walk.csms.received("Authorize") == []
        assert await walk.present(OTHER_CARD) is TokenOutcome.REJECTED
        assert await walk.present() is TokenOutcome.STOPPED


async def test_with_a_start_button_the_charge_begins_when_it_is_pressed(tmp_path: Path) -> None:
    """C02.FR.01"""
    async with (
        walking(tmp_path, variable=OPEN_TO_ALL, evse=[{"start_button": True}]) as walk,
        visiting(walk) as api,
    ):
        await walk.accepted()
        await walk.plug()
        await walk.advance(30)
        assert walk.evse.authorized_token is None
        assert (await api.post("/api/evses/1/start-button"))["outcome"] == "authorized"
        await walk.charging()
        assert (await event(walk, "Updated", "Authorized"))["idToken"] == NO_AUTHORIZATION
        assert (await api.post("/api/evses/1/start-button"))["outcome"] == "rejected", "it only starts"
        assert walk.csms.received("Authorize") == []


async def test_where_authorization_is_wanted_a_button_gives_nothing(tmp_path: Path) -> None:
    """C01.FR.01"""
    async with walking(tmp_path, evse=[{"start_button": True}]) as walk, visiting(walk) as api:
        await walk.accepted()
        await walk.plug()
        refused = await api.post("/api/evses/1/start-button", status=409)
        assert refused["detail"] == "charging needs a token"
        assert await _press(walk) is TokenOutcome.REJECTED
        assert walk.evse.authorized_token is None


async def test_a_station_that_is_about_to_restart_refuses_the_button_and_says_why(tmp_path: Path) -> None:
    async with (
        walking(tmp_path, variable=OPEN_TO_ALL, evse=[{"start_button": True}]) as walk,
        visiting(walk) as api,
    ):
        await walk.accepted()
        await charge(walk)
        walk.parts.station.restart.schedule_restart()
        refused = await api.post("/api/evses/1/start-button", status=409)
        assert refused["detail"] == "the station is about to restart"


async def _press(walk: Walk) -> TokenOutcome:
    outcome = walk.parts.station.admission.press_start(1)
    await walk.until(outcome.done)
    return outcome.result()


@pytest.mark.parametrize("kind", ["Central", "NoAuthorization"])
async def test_no_reader_reads_what_only_a_csms_makes(tmp_path: Path, kind: str) -> None:
    """C03, C05"""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert await walk.present(IdToken("made-up", kind)) is TokenOutcome.REJECTED
        assert walk.csms.received("Authorize") == []


@pytest.mark.parametrize("kind", ["ISO15693", "MacAddress", "Local", "KeyCode"])
async def test_other_kinds_of_tokens_are_asked_for_too(tmp_path: Path, kind: str) -> None:
    """C04, C06.FR.01, C06.FR.02"""
    visitor = IdToken("A1B2C3", kind)
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert await walk.present(visitor) is TokenOutcome.AUTHORIZED
        assert walk.csms.received("Authorize") == [{"idToken": {"idToken": "A1B2C3", "type": kind}}]


async def test_what_is_to_be_validated_besides_goes_along(tmp_path: Path) -> None:
    """AdditionalInfoType"""
    infos = [{"token": "1234", "type": "PIN"}]
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        await api.post("/api/evses/1/token", {"id_token": CARD.value, "additional_info": infos})
        wire = [{"additionalIdToken": "1234", "type": "PIN"}]
        assert (await walk.csms.expect("Authorize"))["idToken"]["additionalInfo"] == wire
        assert (await event(walk, "Started", "Authorized"))["idToken"]["additionalInfo"] == wire
        await api.post("/api/evses/1/token", {"id_token": CARD.value, "additional_info": infos * 5}, status=422)


@pytest.mark.parametrize(
    "garbage",
    [
        {"id_token": ""},
        {"id_token": "A" * 37},
        {"id_token": "04 A3"},
        {"id_token": "04A3\n"},
        {"id_token": "é"},
        {"id_token": "04A3", "type": "Central"},
        {"id_token": "04A3", "type": "RFID"},
    ],
)
async def test_what_is_no_token_is_refused_with_the_field(tmp_path: Path, garbage: dict[str, str]) -> None:
    """identifierString[0..36]"""
    async with walking(tmp_path) as walk, visiting(walk) as api:
        refusal = await api.post("/api/evses/1/token", garbage, status=422)
        assert refusal["detail"][0]["loc"][-1] == ("type" if "type" in garbage else "id_token")


# Key codes (C04)


async def test_key_codes_that_are_tried_are_soon_not_looked_at(tmp_path: Path) -> None:
    """C04.FR.06"""
    async with walking(tmp_path, csms_accepting(CODE, CARD)) as walk:
        await walk.accepted()
        for _ in range(4):
            assert await walk.present(WRONG_CODE) is TokenOutcome.REJECTED
        request_count = len(walk.csms.received("Authorize"))
        assert request_count == 4
        assert await walk.present(CODE) is TokenOutcome.REJECTED, "not even the right one"
        assert len(walk.csms.received("Authorize")) == request_count
        assert await walk.present(CARD) is TokenOutcome.AUTHORIZED, "cards are another matter"
        assert await walk.present(CARD) is TokenOutcome.STOPPED
        await walk.advance(11)
        assert await walk.present(CODE) is TokenOutcome.AUTHORIZED
        assert await walk.present(CODE) is TokenOutcome.STOPPED


async def test_the_wait_for_the_next_key_code_doubles_and_has_an_end() -> None:
    """C04.FR.06"""
    clock = fakes.clock()
    guard = KeyCodeGuard(clock)
    waits_s: list[int] = []
    for _ in range(14):
        guard.count_attempt(wrong=True)
        waited_s = 0
        while guard.blocked:
            await clock.advance(1)
            waited_s += 1
        waits_s.append(waited_s)
    assert waits_s == [0, 0, 0, 10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600]
    guard.count_attempt(wrong=False)
    guard.count_attempt(wrong=True)
    assert not guard.blocked


async def test_a_key_code_stands_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """C04.FR.04"""
    for logger in ("station", "ocpp_handlers", "ocpp.frames"):
        caplog.set_level("DEBUG", logger)
    async with walking(tmp_path) as walk, visiting(walk) as api:
        frames: list[str] = []
        reading = asyncio.create_task(_collect_frames(walk, frames))
        await walk.accepted()
        await walk.present(CODE)
        await event(walk, "Started", "Authorized")
        assert walk.csms.received("Authorize")[0]["idToken"]["idToken"] == CODE.value, "the CSMS has to know it"
        paths = ("/api/status", "/api/auth/cache", f"/api/transactions/{transaction_id(walk)}")
        assert [path for path in paths if CODE.value in str(await api.get(path))] == []
        reading.cancel()
    assert [line for line in frames if "Authorize" in line] != []
    assert [line for line in frames if CODE.value in line] == []
    assert [record for record in caplog.records if CODE.value in record.getMessage()] == []


async def _collect_frames(walk: Walk, frames: list[str]) -> None:
    """Append the data of each event of the station's feed to `frames`."""
    with walk.application.feed.subscribe(lambda _: True) as queue:
        while True:
            frames.append(str((await queue.get()).data))


# One transaction, one holder


async def test_a_transaction_that_goes_on_without_its_holder_takes_no_other(tmp_path: Path) -> None:
    """C01.FR.23"""
    async with walking(tmp_path, variable=tx_points("Authorized", "EVConnected")) as walk:
        await charge(walk)
        assert await walk.present() is TokenOutcome.STOPPED
        await event(walk, "Updated", "StopAuthorized")
        assert walk.evse.state.transaction is not None
        assert await walk.present(OTHER_CARD) is TokenOutcome.REJECTED
        assert await walk.present() is TokenOutcome.AUTHORIZED
        assert {reported["idToken"]["idToken"] for reported in walk.events() if "idToken" in reported} == {CARD.value}


async def test_of_two_evses_the_one_that_the_token_itself_started_is_stopped(tmp_path: Path) -> None:
    """C09.FR.07 a before b"""
    csms = Csms()
    csms.answers["Authorize"] = csms.answers["TransactionEvent"] = answering("Accepted", GROUP)
    async with walking(tmp_path, csms, evse=TWO_EVSES) as walk:
        await walk.accepted()
        await present_at(walk, OTHER_CARD, 1)
        await present_at(walk, CARD, 2)
        assert await present_at(walk, CARD, None) is TokenOutcome.STOPPED
        assert walk.parts.station.evses[1].authorized_token == OTHER_CARD
        assert walk.parts.station.evses[2].authorized_token is None


async def test_a_token_that_may_use_one_evse_only_gets_that_one(tmp_path: Path) -> None:
    """C01.FR.21"""
    csms = Csms()
    csms.answers["Authorize"] = lambda _: {"idTokenInfo": {"status": "Accepted", "evseId": [2]}}
    async with walking(tmp_path, csms, evse=TWO_EVSES) as walk:
        await walk.accepted()
        assert await present_at(walk, CARD, 1) is TokenOutcome.REJECTED
        assert await present_at(walk, CARD, None) is TokenOutcome.AUTHORIZED
        assert walk.parts.station.evses[2].authorized_token == CARD


# The master pass (C16)


def masters(**more: object) -> list[dict[str, str]]:
    """Return [[variable]] rows with the id of the master pass group."""
    return variables(AuthCtrlr__MasterPassGroupId="masters", **more)


async def both_charge(walk: Walk) -> None:
    """Charge at both EVSEs, with a card each."""
    await walk.accepted()
    for evse_id, card in ((1, CARD), (2, OTHER_CARD)):
        assert await present_at(walk, card, evse_id) is TokenOutcome.AUTHORIZED
    assert [evse.authorized_token for evse in walk.parts.station.evses.values()] == [CARD, OTHER_CARD]


async def test_without_a_display_a_master_pass_stops_everything(tmp_path: Path) -> None:
    """C16.FR.02, C16.FR.07, C16.FR.08"""
    async with walking(tmp_path, csms_with_master_pass(), evse=TWO_EVSES, variable=masters()) as walk:
        await both_charge(walk)
        assert await present_at(walk, MASTER, 1) is TokenOutcome.STOPPED
        await walk.until(lambda: walk.types_and_triggers().count(("Ended", "StopAuthorized")) == 2)
        for ended in (reported for reported in walk.events() if reported["eventType"] == "Ended"):
            assert ended["transactionInfo"]["stoppedReason"] == "MasterPass"
            assert ended["idToken"]["idToken"] == MASTER.value


@pytest.mark.parametrize("online", [True, False])
async def test_a_master_pass_starts_nothing(tmp_path: Path, online: bool) -> None:
    """C12.FR.09, C16.FR.03, C16.FR.04; the CSMS or the cache may say what it is."""
    async with walking(tmp_path, csms_with_master_pass(), variable=masters(AuthCtrlr__LocalPreAuthorize=True)) as walk:
        await walk.accepted()
        assert await walk.present(MASTER) is TokenOutcome.REJECTED
        if not online:
            walk.stack.cut_network()
            await walk.until(lambda: not walk.stack.connected)
        assert await walk.present(MASTER) is TokenOutcome.REJECTED
        await walk.plug()
        await walk.advance(30)
        assert walk.evse.authorized_token is None
        assert len(walk.csms.received("Authorize")) == 1


async def test_a_remote_start_with_a_master_pass_starts_nothing(tmp_path: Path) -> None:
    """C16.FR.03"""
    async with walking(tmp_path, csms_with_master_pass(), variable=masters()) as walk:
        await walk.accepted()
        await request_start(walk, groupIdToken=MASTERS)
        await walk.present(MASTER)
        await request_start(walk, card=MASTER)
        assert walk.evse.authorized_token is None
        assert walk.events() == []


async def test_a_token_that_turns_out_to_be_a_master_pass_is_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """C16.FR.03: offline nobody knew."""
    rules = masters(AuthCtrlr__OfflineTxForUnknownIdEnabled=True)
    async with walking(tmp_path, csms_with_master_pass(), variable=rules) as walk:
        await walk.accepted()
        walk.stack.cut_network()
        await walk.until(lambda: not walk.stack.connected)
        assert await walk.present(MASTER) is TokenOutcome.AUTHORIZED
        await walk.plug()
        await walk.charging()
        walk.stack.restore_network()
        ended = await event(walk, "Ended", "Deauthorized")
        assert ended["transactionInfo"]["stoppedReason"] == "DeAuthorized"
        assert (
            "EVSE 1: token 04AA…80 may not charge: it is a master pass, which cannot start a transaction" in caplog.text
        )


async def test_with_a_display_the_holder_of_a_master_pass_chooses(tmp_path: Path) -> None:
    """C16.FR.01, C16.FR.07"""
    more: dict[str, Any] = {"station": {"master_pass_selection": True}, "evse": TWO_EVSES, "variable": masters()}
    async with walking(tmp_path, csms_with_master_pass(), **more) as walk, visiting(walk) as api:
        await both_charge(walk)
        await api.post("/api/master-pass", {"evses": [1]}, status=409)
        assert await present_at(walk, MASTER, 1) is TokenOutcome.SELECT
        assert (await api.get("/api/status"))["master_pass_selects"] is True
        await api.post("/api/master-pass", {"evses": [3]}, status=404)
        await api.post("/api/master-pass", {"evses": [2]})
        assert (await api.get("/api/status"))["master_pass_selects"] is False
        ended = await event(walk, "Ended", "StopAuthorized")
        assert ended["transactionInfo"]["stoppedReason"] == "MasterPass"
        assert [evse.authorized_token for evse in walk.parts.station.evses.values()] == [CARD, None]
        await api.post("/api/master-pass", {"evses": [1]}, status=409)


async def test_whoever_does_not_choose_in_time_stops_nothing(tmp_path: Path) -> None:
    """C16, error handling"""
    more: dict[str, Any] = {"station": {"master_pass_selection": True}, "evse": TWO_EVSES, "variable": masters()}
    async with walking(tmp_path, csms_with_master_pass(), **more) as walk, visiting(walk) as api:
        await both_charge(walk)
        assert await present_at(walk, MASTER, 1) is TokenOutcome.SELECT
        await walk.advance(61)
        await api.post("/api/master-pass", {"evses": [1, 2]}, status=409)


# The cache


async def test_a_cache_that_cannot_be_cleared_says_so(tmp_path: Path) -> None:
    """C11.FR.05"""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        tokens = walk.parts.tokens
        answer = await walk.parts.station.csms.authorize(AuthorizationRequest(CARD))
        await tokens.put(CARD, answer.token_info)
        database = tokens._database  # pyright: ignore[reportPrivateUsage]  # nobody else can make its disk fail
        assert database is not None
        await database.rows("PRAGMA query_only=1")
        assert (await walk.csms.call("ClearCache", {}))["status"] == "Rejected"
        await database.rows("PRAGMA query_only=0")
        assert (await walk.csms.call("ClearCache", {}))["status"] == "Accepted"
        assert tokens.entries() == []


async def test_a_test_bench_seeds_the_cache(tmp_path: Path) -> None:
    """PUT and DELETE /api/sim/auth/cache"""
    async with walking(tmp_path, variable=variables(AuthCtrlr__LocalPreAuthorize=True)) as walk, visiting(walk) as api:
        await walk.accepted()
        seed = {"token": CARD.value, "status": "Accepted", "group": "FLEET", "expiry": "2099-01-01T00:00:00Z"}
        assert (await api.client.put("/api/sim/auth/cache", json=seed)).status_code == 202
        (entry,) = await api.get("/api/auth/cache")
        assert entry["token"] == shorten_token(CARD.value.casefold())
        assert entry["info"]["group_id"]["value"] == shorten_token("FLEET")
        assert await walk.present() is TokenOutcome.AUTHORIZED
        assert walk.csms.received("Authorize") == []
        assert (await api.client.put("/api/sim/auth/cache", json=seed | {"status": "Fine"})).status_code == 422
        forgotten = {"token": CARD.value}
        assert (await api.client.request("DELETE", "/api/sim/auth/cache", json=forgotten)).status_code == 202
        assert await api.get("/api/auth/cache") == []


async def test_hostile_answers_do_not_fill_the_cache(tmp_path: Path) -> None:
    """Lists without end are cut before they are kept."""
    infos = [{"additionalIdToken": "x" * 36, "type": "y" * 50}] * 500
    group = {"idToken": "G", "type": "Central", "additionalInfo": infos}
    info = {"status": "Accepted", "groupIdToken": group, "evseId": list(range(1, 5000))}
    csms = Csms()
    csms.answers["Authorize"] = lambda _: {"idTokenInfo": info}
    csms.answers["TransactionEvent"] = lambda _: {}
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        assert await walk.present() is TokenOutcome.AUTHORIZED
        assert walk.parts.tokens.size_bytes < 2_000


async def test_the_remote_start_id_and_the_transaction_are_those_of_one_charge(tmp_path: Path) -> None:
    """C05.FR.03, C05.FR.05"""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await request_start(walk, card=IdToken("APP-1", "Central"), remote_start_id=0)
        started = await event(walk, "Started", "RemoteStart")
        assert started["transactionInfo"]["remoteStartId"] == 0
        assert started["idToken"] == {"idToken": "APP-1", "type": "Central"}
        assert started["transactionInfo"]["transactionId"] == transaction_id(walk)
        assert walk.csms.received("Authorize") == []
        assert walk.parts.tokens.entries() == []
