"""What the CSMS says of an id token in its answer to a transaction event (E05), and what holds offline (C13, C15)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from station.charging.tokens.admission import TokenOutcome
from tests.csms import NO_ANSWER, Csms
from tests.walk import CARD, OTHER_CARD, Walk, walking
from tests.walks.steps import (
    GROUP,
    INVALID,
    Event,
    answering,
    charge,
    csms_of_one_group,
    event,
    token,
    transaction_id,
    tx_points,
    variables,
)


def csms_refusing_in_transaction() -> Csms:
    """Return a CSMS that authorizes every card, and rejects it in the answer to a transaction event."""
    csms = Csms()
    csms.answers["TransactionEvent"] = lambda request: INVALID if "idToken" in request else {}
    return csms


async def charge_with_other_card_cached(walk: Walk) -> None:
    """Put the other card into the authorization cache, then charge with the first card."""
    await walk.accepted()
    assert await walk.present(OTHER_CARD) is TokenOutcome.AUTHORIZED
    assert await walk.present(OTHER_CARD) is TokenOutcome.STOPPED
    await walk.until(lambda: walk.types_and_triggers()[-1] == ("Ended", "StopAuthorized"))
    await walk.present()
    await walk.plug()
    await walk.charging()


async def present_refused_card(walk: Walk) -> None:
    """Present a card and plug in; the answer to the first event with the card rejects it."""
    await walk.accepted()
    await walk.present()
    await walk.plug()


def cut_network(walk: Walk) -> None:
    """Cut the network, and wait until the CSMS has lost the connection."""
    walk.stack.cut_network()


async def restore_network(walk: Walk) -> None:
    """Restore the network, and wait until the queue is empty."""
    walk.stack.restore_network()
    await walk.until(lambda: walk.csms.connected and walk.stack.connected)


@pytest.mark.parametrize("stop", ["Authorized", "PowerPathClosed", "EnergyTransfer"])
async def test_a_refused_card_ends_the_transaction(tmp_path: Path, stop: str) -> None:
    """E05.FR.10, errata 6.2.118: Ended, Deauthorized, DeAuthorized, EVConnected or SuspendedEVSE."""
    rows = tx_points("EVConnected", stop)
    async with walking(tmp_path, csms_refusing_in_transaction(), variable=rows) as walk:
        await present_refused_card(walk)
        ended = await event(walk, "Ended", "Deauthorized")
        assert ended["transactionInfo"]["stoppedReason"] == "DeAuthorized"
        assert ended["transactionInfo"]["chargingState"] in {"EVConnected", "SuspendedEVSE"}
        await walk.advance(20)
        assert sum(walk.board.currents_a) == 0
        assert walk.events()[-1] == ended


async def test_a_refused_card_without_such_a_stop_point_only_stops_the_energy(tmp_path: Path) -> None:
    """E05.FR.09: Updated with Deauthorized; the transaction ends with the cable, as DeAuthorized."""
    async with walking(
        tmp_path, csms_refusing_in_transaction(), variable=tx_points("EVConnected", "EVConnected")
    ) as walk:
        await present_refused_card(walk)
        updated = await event(walk, "Updated", "Deauthorized")
        assert updated["transactionInfo"]["chargingState"] in {"EVConnected", "SuspendedEVSE"}
        assert "stoppedReason" not in updated["transactionInfo"]
        await walk.advance(20)
        assert sum(walk.board.currents_a) == 0
        assert "Ended" not in [kind for kind, _ in walk.types_and_triggers()]
        assert await walk.present() is TokenOutcome.UNLOCKED  # E05.FR.11
        await walk.unplug()
        ended = await event(walk, "Ended", "EVCommunicationLost")
        assert ended["transactionInfo"]["stoppedReason"] == "DeAuthorized"


async def test_the_cable_of_a_refused_card_stays_locked_until_its_holder_comes(tmp_path: Path) -> None:
    """E05.FR.11."""
    async with walking(
        tmp_path, csms_refusing_in_transaction(), variable=tx_points("EVConnected", "Authorized")
    ) as walk:
        await present_refused_card(walk)
        await event(walk, "Ended", "Deauthorized")
        await walk.advance(30)
        walk.csms.answers["Authorize"] = answering("Accepted")
        assert await walk.present(OTHER_CARD) is TokenOutcome.REJECTED
        assert walk.board.locked
        assert await walk.present() is TokenOutcome.UNLOCKED
        await walk.until(lambda: not walk.board.locked)
        await walk.unplug()


async def test_without_stop_on_invalid_id_the_energy_stops_and_the_transaction_goes_on(tmp_path: Path) -> None:
    """E05.FR.02: Updated with ChargingStateChanged and SuspendedEVSE; the same card still ends it."""
    csms = Csms()
    rows = tx_points("EVConnected,Authorized", "EVConnected,Authorized", TxCtrlr__StopTxOnInvalidId=False)
    async with walking(tmp_path, csms, variable=rows) as walk:
        await walk.accepted()
        await walk.plug()
        await event(walk, "Started", "CablePluggedIn")
        csms.answers["TransactionEvent"] = lambda request: INVALID if "idToken" in request else {}
        await walk.present()
        await event(walk, "Updated", "ChargingStateChanged", chargingState="SuspendedEVSE")
        await walk.advance(30)
        assert sum(walk.board.currents_a) == 0
        assert "Ended" not in [kind for kind, _ in walk.types_and_triggers()]
        await walk.present()
        await event(walk, "Ended", "StopAuthorized")


async def test_a_card_that_is_accepted_after_all_gets_energy_in_the_same_transaction(tmp_path: Path) -> None:
    """E05.FR.02: what the CSMS has refused once is not refused when it accepts the card that is presented again."""
    rows = tx_points("EVConnected", "EVConnected", TxCtrlr__StopTxOnInvalidId=False)
    async with walking(tmp_path, csms_refusing_in_transaction(), variable=rows) as walk:
        await walk.accepted()
        await walk.plug()
        await walk.present()
        await event(walk, "Updated", "ChargingStateChanged", chargingState="SuspendedEVSE")
        assert await walk.present() is TokenOutcome.STOPPED
        walk.csms.answers["TransactionEvent"] = answering("Accepted")
        await walk.advance(10)
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.charging()
        transaction_id(walk)


async def test_a_refused_card_gets_the_energy_that_max_energy_on_invalid_id_allows(tmp_path: Path) -> None:
    """E05.FR.03, E05.FR.02: energy flows until MaxEnergyOnInvalidId is reached, then SuspendedEVSE."""
    rows = tx_points(
        "EVConnected,Authorized",
        "EVConnected,Authorized",
        TxCtrlr__StopTxOnInvalidId=False,
        TxCtrlr__MaxEnergyOnInvalidId=500,
    )
    async with walking(tmp_path, csms_refusing_in_transaction(), variable=rows) as walk:
        await present_refused_card(walk)
        await walk.charging()
        begin = walk.events()[0]["meterValue"][0]["sampledValue"][0]["value"]
        suspended = "SuspendedEVSE"
        await walk.until(lambda: walk.events()[-1]["transactionInfo"].get("chargingState") == suspended, within_s=200)
        assert walk.events()[-1]["eventType"] == "Updated"
        assert walk.events()[-1]["triggerReason"] == "ChargingStateChanged"
        used_wh = (walk.board.read_meter().energy_import_wh or 0.0) - begin
        assert 500 <= used_wh < 540
        await walk.advance(120)
        assert sum(walk.board.currents_a) == 0


async def test_a_refusal_is_remembered_and_asked_again(tmp_path: Path) -> None:
    """C10.FR.01, C10.FR.03: the answer to an event updates the cache; a refused card is asked for again."""
    csms = csms_refusing_in_transaction()
    rows = tx_points("EVConnected", "Authorized", AuthCtrlr__LocalPreAuthorize=True)
    async with walking(tmp_path, csms, variable=rows) as walk:
        await present_refused_card(walk)
        await event(walk, "Ended", "Deauthorized")
        await walk.present()
        requests_before = len(walk.csms.received("Authorize"))
        del csms.answers["TransactionEvent"]
        assert await walk.present() is TokenOutcome.AUTHORIZED
        assert len(walk.csms.received("Authorize")) == requests_before + 1


async def test_an_unknown_card_that_charged_offline_is_deauthorized_when_the_csms_refuses_it(tmp_path: Path) -> None:
    """TC_E_16_CS, C15.FR.08: offline events first, then Ended with Deauthorized and DeAuthorized."""
    csms = csms_refusing_in_transaction()
    rows = tx_points("EVConnected,Authorized", "Authorized", AuthCtrlr__OfflineTxForUnknownIdEnabled=True)
    async with walking(tmp_path, csms, variable=rows) as walk:
        await walk.accepted()
        cut_network(walk)
        await walk.until(lambda: not csms.connected)
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.plug()
        await walk.charging()
        await restore_network(walk)
        ended = await event(walk, "Ended", "Deauthorized")
        assert ended["transactionInfo"]["stoppedReason"] == "DeAuthorized"
        with_card: list[Event] = [sent_event for sent_event in walk.events() if "idToken" in sent_event]
        assert with_card[0]["offline"] is True
        assert with_card[0]["idToken"] == token()
        await walk.until(lambda: sum(walk.board.currents_a) == 0)


async def test_offline_an_unknown_card_cannot_be_checked_unless_it_may_charge_unknown(tmp_path: Path) -> None:
    """C15.FR.02: OfflineTxForUnknownIdEnabled is false."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        cut_network(walk)
        await walk.until(lambda: not walk.csms.connected)
        assert await walk.present() is TokenOutcome.NOT_CHECKED
        await walk.plug()
        await walk.advance(15)
        assert sum(walk.board.currents_a) == 0


@pytest.mark.parametrize("allowed", [True, False])
async def test_offline_a_cached_card_charges_where_local_authorize_offline_says_so(
    tmp_path: Path, allowed: bool
) -> None:
    """C13.FR.01, C10: the cache decides offline, if LocalAuthorizeOffline is true."""
    async with walking(tmp_path, variable=variables(AuthCtrlr__LocalAuthorizeOffline=allowed)) as walk:
        await charge(walk)
        await walk.present()
        await event(walk, "Ended", "StopAuthorized")
        cut_network(walk)
        await walk.until(lambda: not walk.csms.connected)
        requests_before = len(walk.csms.received("Authorize"))
        outcome = await walk.present()
        assert outcome is (TokenOutcome.AUTHORIZED if allowed else TokenOutcome.NOT_CHECKED)
        assert len(walk.csms.received("Authorize")) == requests_before


async def test_offline_a_card_that_the_cache_knows_as_blocked_is_refused(tmp_path: Path) -> None:
    """C10, C15.FR.03: OfflineTxForUnknownIdEnabled is for cards that are unknown, not for those that are refused."""
    csms = Csms()
    csms.answers["Authorize"] = answering("Blocked")
    async with walking(tmp_path, csms, variable=variables(AuthCtrlr__OfflineTxForUnknownIdEnabled=True)) as walk:
        await walk.accepted()
        assert await walk.present() is TokenOutcome.REJECTED
        cut_network(walk)
        await walk.until(lambda: not csms.connected)
        assert await walk.present() is TokenOutcome.REJECTED
        assert await walk.present(OTHER_CARD) is TokenOutcome.AUTHORIZED


async def test_a_card_of_the_group_that_only_the_csms_knows_ends_the_charge(tmp_path: Path) -> None:
    """C01.FR.23, E07.FR.01: the CSMS names the same group for both cards."""
    csms = Csms()
    csms.answers["Authorize"] = answering("Accepted", GROUP)
    async with walking(tmp_path, csms) as walk:
        await charge(walk)
        assert await walk.present(OTHER_CARD) is TokenOutcome.STOPPED
        assert csms.received("Authorize")[-1] == {"idToken": token(OTHER_CARD)}
        ended = await event(walk, "Ended", "StopAuthorized")
        assert ended["idToken"] == token(OTHER_CARD)
        assert ended["transactionInfo"]["stoppedReason"] == "Local"


async def test_a_cached_card_of_the_group_ends_the_charge_without_asking(tmp_path: Path) -> None:
    """C01.FR.03, C09, E07.FR.01: the group is in the cache."""
    async with walking(tmp_path, csms_of_one_group()) as walk:
        csms = walk.csms
        await charge_with_other_card_cached(walk)
        requests_before = len(csms.received("Authorize"))
        assert await walk.present(OTHER_CARD) is TokenOutcome.STOPPED
        assert len(csms.received("Authorize")) == requests_before


async def test_offline_a_cached_card_of_the_group_ends_the_charge(tmp_path: Path) -> None:
    """TC_E_45_CS: all that follows is offline; one of it is Ended."""
    async with walking(tmp_path, csms_of_one_group()) as walk:
        csms = walk.csms
        await charge_with_other_card_cached(walk)
        await walk.advance(5)
        before = len(walk.events())
        cut_network(walk)
        await walk.until(lambda: not csms.connected)
        assert await walk.present(OTHER_CARD) is TokenOutcome.STOPPED
        await walk.until(lambda: sum(walk.board.currents_a) == 0)
        await walk.advance(5)
        await restore_network(walk)
        await walk.until(lambda: len(walk.events()) > before)
        assert walk.types_and_triggers()[-1] == ("Ended", "StopAuthorized")
        assert walk.events()[-1]["idToken"] in (token(OTHER_CARD), token())
        assert all(sent_event.get("offline") for sent_event in walk.events()[before:])


async def test_the_group_of_the_answer_to_an_event_counts_too(tmp_path: Path) -> None:
    """E07.FR.01 b: the group comes with the TransactionEventResponse."""
    csms = Csms()
    csms.answers["TransactionEvent"] = answering("Accepted", GROUP)
    async with walking(tmp_path, csms) as walk:
        await charge(walk)
        csms.answers["Authorize"] = answering("Accepted", GROUP)
        assert await walk.present(OTHER_CARD) is TokenOutcome.STOPPED


async def test_a_card_of_the_group_counts_while_the_first_is_being_reported_to_the_csms(tmp_path: Path) -> None:
    """C09.FR.03: the answer to an event says whose group it is once more, while the second card is looked at."""
    csms = Csms()
    csms.answers["Authorize"] = answering("Accepted", GROUP)
    async with walking(tmp_path, csms, variable=tx_points("Authorized", "Authorized")) as walk:
        await walk.accepted()
        csms.answers["TransactionEvent"] = lambda _: NO_ANSWER
        await walk.present()
        await walk.until(walk.events)
        second = walk.parts.station.present_token(OTHER_CARD, 1)
        await walk.settle()
        csms.answers["TransactionEvent"] = answering("Accepted", GROUP)
        answer = {"idTokenInfo": {"status": "Accepted", "groupIdToken": GROUP}}
        await csms.send_raw(json.dumps([3, csms.calls[-1].id, answer]))
        await walk.until(second.done)
        assert second.result() is TokenOutcome.STOPPED
        assert (await event(walk, "Ended", "StopAuthorized"))["idToken"] == token(OTHER_CARD)


async def test_a_card_that_is_held_again_while_the_csms_thinks_does_not_stop_what_it_starts(tmp_path: Path) -> None:
    """C01.FR.03, E07.FR.01: only one that is presented during an authorized transaction ends it."""
    csms = Csms()
    csms.answers["Authorize"] = lambda _: NO_ANSWER
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        await walk.plug()
        first = walk.parts.station.present_token(CARD, 1)
        await walk.until(lambda: csms.received("Authorize"))
        await walk.advance(2)
        second_outcome = walk.parts.station.present_token(CARD, 1)
        await walk.advance(2)
        authorize = next(call for call in csms.calls if call.action == "Authorize")
        await csms.send_raw(json.dumps([3, authorize.id, {"idTokenInfo": {"status": "Accepted"}}]))
        await walk.until(second_outcome.done)
        assert first.result() is second_outcome.result() is TokenOutcome.AUTHORIZED
        await walk.charging()
        assert await walk.present() is TokenOutcome.STOPPED


async def test_another_card_is_refused_and_does_not_disturb_the_charge(tmp_path: Path) -> None:
    """C01.FR.22, E07: accepted or not, a card of no group ends nothing."""
    async with walking(tmp_path) as walk:
        await charge(walk)
        events_before = len(walk.events())
        assert await walk.present(OTHER_CARD) is TokenOutcome.REJECTED
        assert sum(walk.board.currents_a) > 0
        assert len(walk.events()) == events_before


@pytest.mark.parametrize("status", ["Blocked", "Expired", "Invalid", "Unknown", "NoCredit", "ConcurrentTx"])
async def test_a_card_that_the_csms_does_not_accept_charges_nothing(tmp_path: Path, status: str) -> None:
    """C01.FR.07 and following: whatever the refusal is called, there is no energy."""
    csms = Csms()
    csms.answers["Authorize"] = answering(status)
    async with walking(tmp_path, csms) as walk:
        await walk.accepted()
        await walk.plug()
        assert await walk.present() is TokenOutcome.REJECTED
        await walk.advance(10)
        assert walk.board.contactor_operations == 0
        assert all("idToken" not in sent_event for sent_event in walk.events())


async def test_a_card_that_may_not_use_this_evse_is_refused(tmp_path: Path) -> None:
    """C01.FR.21: idTokenInfo.evseId names others only."""
    csms = Csms()
    csms.answers["Authorize"] = lambda _: {"idTokenInfo": {"status": "Accepted", "evseId": [2]}}
    async with walking(tmp_path, csms, evse=[{"id": 1}, {"id": 2}]) as walk:
        await walk.accepted()
        assert await walk.present() is TokenOutcome.REJECTED
        second = walk.parts.station.present_token(CARD, 2)
        await walk.until(second.done)
        assert second.result() is TokenOutcome.AUTHORIZED


async def test_a_cached_card_charges_at_once_and_clear_cache_forgets_it(tmp_path: Path) -> None:
    """C10, C12.FR.02, C11.FR.01: LocalPreAuthorize asks nobody; after ClearCache the CSMS is asked again."""
    async with walking(tmp_path, variable=variables(AuthCtrlr__LocalPreAuthorize=True)) as walk:
        await charge(walk)
        await walk.present()
        await event(walk, "Ended", "StopAuthorized")
        assert len(walk.csms.received("Authorize")) == 1
        assert await walk.present() is TokenOutcome.AUTHORIZED
        assert len(walk.csms.received("Authorize")) == 1
        await walk.present()
        assert await walk.csms.call("ClearCache", {}) == {"status": "Accepted"}
        assert await walk.present() is TokenOutcome.AUTHORIZED
        assert len(walk.csms.received("Authorize")) == 2


async def test_a_cache_entry_lives_as_long_as_the_csms_or_life_time_says(tmp_path: Path) -> None:
    """C10.FR.08, C10.FR.10: an entry that is too old is asked for again."""
    rows = variables(AuthCtrlr__LocalPreAuthorize=True, AuthCacheCtrlr__LifeTime=600)
    async with walking(tmp_path, variable=rows) as walk:
        await walk.accepted()
        await walk.present()
        await walk.present()
        await walk.advance(500)
        assert await walk.present() is TokenOutcome.AUTHORIZED
        await walk.present()
        requests_before = len(walk.csms.received("Authorize"))
        await walk.advance(1200)
        assert await walk.present() is TokenOutcome.AUTHORIZED
        assert len(walk.csms.received("Authorize")) == requests_before + 1


async def test_a_transaction_is_one_whatever_card_is_shown_meanwhile(tmp_path: Path) -> None:
    """E07: the refused second card leaves no trace in the transaction."""
    async with walking(tmp_path) as walk:
        identity = await charge(walk)
        await walk.present(OTHER_CARD)
        await walk.present()
        await event(walk, "Ended", "StopAuthorized")
        assert transaction_id(walk) == identity
        assert {sent_event["idToken"]["idToken"] for sent_event in walk.events() if "idToken" in sent_event} == {
            CARD.value
        }
