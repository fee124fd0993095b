"""A CSMS asks what a whole station knows of a customer, and has it forget (N09, N10)."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from station.billing.transaction_log import TransactionQuery
from station.core.model import TransactionEvent
from tests.csms import NO_ANSWER, Csms
from tests.walk import CARD, OTHER_CARD, Walk, walking
from tests.walks.steps import charge, event, listed, request_start, token, variables

CERTIFICATE = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "1"}
SIGNED = "Signed records: 2, kept as proof of the billed energy"
"""what is left of a customer whose transaction was signed when it began and when it ended"""


def sampled_values(event: TransactionEvent) -> list[float]:
    """Return the sampled values of an event."""
    return [sample.value for value in event.meter_values for sample in value.samples]


async def customer_information(walk: Walk, *, report: bool = False, clear: bool = False, **customer: Any) -> str:
    """Send CustomerInformation, which must be accepted; returns the whole text of the report."""
    before = len(walk.csms.received("NotifyCustomerInformation"))
    request = {"requestId": 0, "report": report, "clear": clear, **customer}
    answer = await walk.csms.call("CustomerInformation", request)
    assert answer["status"] == "Accepted", answer
    await walk.until(
        lambda: (sent := walk.csms.received("NotifyCustomerInformation")[before:]) and not sent[-1].get("tbc", False)
    )
    parts = walk.csms.received("NotifyCustomerInformation")[before:]
    assert [part["seqNo"] for part in parts] == list(range(len(parts)))
    assert {part["requestId"] for part in parts} == {0}
    assert all(len(part["data"]) <= 512 for part in parts)
    return "".join(part["data"] for part in parts)


async def stop(walk: Walk) -> None:
    """Stop the charge, and unplug."""
    await walk.present()
    await event(walk, "Ended", "StopAuthorized")
    await walk.until(lambda: not walk.board.locked)
    await walk.unplug()


async def test_everything_that_is_stored_is_reported(tmp_path: Path) -> None:
    """N09.FR.05."""
    async with walking(tmp_path) as walk:
        transaction = await charge(walk)
        await walk.advance(600.0)
        await stop(walk)
        report = await customer_information(walk, report=True, idToken=token())
        assert f"Authorization cache: ISO14443 {CARD.value.casefold()}, Accepted" in report
        line = next(line for line in report.splitlines() if transaction in line)
        assert f"ISO14443 {CARD.value}" in line
        assert "ongoing" not in line
        assert int(line.rsplit(", ", 1)[1].removesuffix(" Wh")) > 500
        assert await customer_information(walk, report=True, idToken=token(OTHER_CARD)) == ""  # N09.FR.06
        token_of_other_type = token() | {"type": "ISO15693"}
        assert await customer_information(walk, report=True, idToken=token_of_other_type) == ""


async def test_what_flash_memory_has_spoilt_hides_nothing_else(tmp_path: Path) -> None:
    """N09.FR.05, N10.FR.03: neither by a token nor by an identifier."""
    async with walking(tmp_path) as walk:
        transaction = await charge(walk)
        await stop(walk)
        with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database, database:
            database.execute("UPDATE events SET payload = '{' || payload WHERE event_type = 'Updated'")
        assert transaction in await customer_information(walk, report=True, idToken=token())
        assert transaction in await customer_information(walk, report=True, customerIdentifier=CARD.value)
        await customer_information(walk, clear=True, idToken=token())
        assert transaction not in await customer_information(walk, report=True, customerIdentifier=CARD.value)


async def test_an_identifier_finds_what_only_the_log_of_transactions_still_knows(tmp_path: Path) -> None:
    """N09.FR.05, N10.FR.03: the events are pruned, and the authorization cache has forgotten the card."""
    async with walking(tmp_path) as walk:
        transaction = await charge(walk)
        await stop(walk)
        await walk.advance(5)
        await walk.parts.outbox.flush()
        await walk.parts.outbox.prune(0)
        assert (await walk.csms.call("ClearCache", {}))["status"] == "Accepted"
        assert transaction in await customer_information(walk, report=True, customerIdentifier=CARD.value.lower())
        await customer_information(walk, clear=True, customerIdentifier=CARD.value)
        logged = await walk.parts.transactions.get(transaction)
        assert logged is not None
        assert logged.token is None
        assert transaction not in await customer_information(walk, report=True, customerIdentifier=CARD.value)


async def test_a_long_report_is_sent_in_parts(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        await walk.accepted()
        for _ in range(6):
            await walk.present()
            await walk.plug()
            await walk.charging()
            await walk.present()
            await walk.until(lambda: not walk.board.locked)
            await walk.unplug()
        report = await customer_information(walk, report=True, idToken=token())
        assert report.count("Transaction ") == 6
        assert len(walk.csms.received("NotifyCustomerInformation")) > 1


async def test_what_is_cleared_is_gone_and_the_transaction_stays(tmp_path: Path) -> None:
    """N10.FR.03, N10.FR.06; the record of what was charged remains, without whose it was."""
    async with walking(tmp_path) as walk:
        transaction = await charge(walk)
        await stop(walk)
        await walk.advance(60.0)
        report = await customer_information(walk, report=True, clear=True, idToken=token())
        assert transaction in report
        assert await customer_information(walk, report=True, idToken=token()) == SIGNED
        assert walk.parts.tokens.entries() == []
        events = await walk.parts.outbox.events(transaction)
        assert events[-1].event_type == "Ended"
        assert {recorded.id_token for recorded in events} == {None}
        assert await customer_information(walk, clear=True, idToken=token()) == (
            "The data of this customer has been cleared. 2 signed records are kept: they prove what was billed."
        )
        assert (
            await customer_information(walk, clear=True, idToken=token(OTHER_CARD))
            == "The data of this customer has been cleared."
        )


async def test_only_signed_records_still_name_a_customer_who_was_cleared(tmp_path: Path) -> None:
    """N10.FR.06: with signed samples the token was in every event and in what was kept for the last one."""
    async with walking(tmp_path, variable=variables(SampledDataCtrlr__SignReadings=True)) as walk:
        transaction = await charge(walk)
        await walk.advance(600.0)
        await stop(walk)
        await walk.advance(60.0)
        before = await walk.parts.outbox.events(transaction)
        await customer_information(walk, clear=True, idToken=token())
        with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database:
            tables = [str(name) for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = [(table, str(row)) for table in tables for row in database.execute(f"SELECT * FROM {table}")]
        naming = {table for table, row in rows if CARD.value.casefold() in row.casefold()}
        assert naming == {"signed_records"}
        after = await walk.parts.outbox.events(transaction)
        assert [sampled_values(event) for event in after] == [sampled_values(event) for event in before]
        assert await customer_information(walk, report=True, idToken=token() | {"type": "ISO15693"}) == ""


async def test_the_owners_own_card_is_reported_and_cleared(tmp_path: Path) -> None:
    """N09.FR.05, N10.FR.03."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await walk.parts.cards.add(CARD, "Anna")
        anna = f"Owner's card: ISO14443 {CARD.value.casefold()}, Anna"
        assert await customer_information(walk, report=True, idToken=token()) == anna
        assert await customer_information(walk, report=True, customerIdentifier=CARD.value) == anna
        await customer_information(walk, clear=True, idToken=token())
        assert walk.parts.cards.all() == {}
        assert await customer_information(walk, report=True, idToken=token()) == ""


async def test_an_entry_of_the_local_list_is_reported_and_only_the_csms_removes_it(tmp_path: Path) -> None:
    """N09.FR.05, N10.FR.02, N10.FR.03, N10.FR.06."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        update = {"updateType": "Full", "versionNumber": 4, "localAuthorizationList": [listed(token(), "Blocked")]}
        assert (await walk.csms.call("SendLocalList", update))["status"] == "Accepted"
        entry_line = f"Local authorization list: ISO14443 {CARD.value}, Blocked"
        assert await customer_information(walk, report=True, idToken=token()) == entry_line
        assert await customer_information(walk, report=True, customerIdentifier=CARD.value) == entry_line
        assert await customer_information(walk, report=True, idToken=token() | {"type": "ISO15693"}) == ""
        assert "1 entries of the local authorization list are kept" in await customer_information(
            walk, clear=True, idToken=token()
        )
        assert await customer_information(walk, report=True, clear=True, idToken=token()) == entry_line
        assert await customer_information(walk, report=True, idToken=token()) == entry_line
        assert (await walk.csms.call("GetLocalListVersion", {}))["versionNumber"] == 4
        await walk.csms.call("SendLocalList", {"updateType": "Full", "versionNumber": 5})
        assert await customer_information(walk, report=True, idToken=token()) == ""


async def test_what_is_not_delivered_is_cleared_when_it_is(tmp_path: Path) -> None:
    """Billing data stays whole until the CSMS has it; then it is made anonymous."""
    csms = Csms()
    async with walking(tmp_path, csms) as walk:
        transaction = await charge(walk)
        csms.answers["TransactionEvent"] = lambda _: NO_ANSWER
        await walk.present()
        await walk.until(lambda: not walk.board.locked)
        await walk.unplug()
        report = await customer_information(walk, clear=True, idToken=token())
        assert "will be cleared afterwards" in report
        csms.answers.pop("TransactionEvent")
        await walk.advance(300.0)
        ended = await event(walk, "Ended", "StopAuthorized")
        assert ended["idToken"]["idToken"] == CARD.value
        await walk.advance(3600.0)
        assert {recorded.id_token for recorded in await walk.parts.outbox.events(transaction)} == {None}
        assert await customer_information(walk, report=True, idToken=token()) == SIGNED


async def test_a_running_transaction_is_left_alone_and_its_end_is_not_forgotten(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk:
        transaction = await charge(walk)
        await customer_information(walk, clear=True, idToken=token())
        assert sum(walk.board.currents_a) > 0
        assert "ongoing" in await customer_information(walk, report=True, idToken=token())
        await stop(walk)
        await walk.application.cut_power()
        await walk.application.restore_power()
        await walk.advance(3700.0)
        # What was recorded after the request is another matter: the driver stopped with the card.
        events = await walk.parts.outbox.events(transaction)
        assert [recorded.id_token for recorded in events if recorded.event_type == "Started"] == [None]


async def test_an_identifier_finds_the_tokens_that_carried_it(tmp_path: Path) -> None:
    """N10.FR.03 by customerIdentifier (TC_N_62_CS): the cached token that belongs to it goes as well."""
    named = token() | {"additionalInfo": [{"additionalIdToken": "Customer-9", "type": "customer"}]}
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await request_start(walk, idToken=named)
        await walk.plug()
        await walk.charging()
        await stop(walk)
        await walk.advance(60.0)
        report = await customer_information(walk, report=True, clear=True, customerIdentifier="CUSTOMER-9")
        assert "customer Customer-9" in report
        assert "Authorization cache" in report
        assert await customer_information(walk, report=True, customerIdentifier="CUSTOMER-9") == ""
        assert walk.parts.tokens.entries() == []


@pytest.mark.parametrize(
    ("customer", "flags", "status"),
    [
        ({}, (True, False), "Invalid"),
        ({"idToken": token(), "customerIdentifier": "x"}, (True, False), "Invalid"),
        ({"idToken": token(), "customerCertificate": CERTIFICATE}, (False, True), "Invalid"),
        ({"idToken": token()}, (False, False), "Rejected"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused(
    tmp_path: Path, customer: dict[str, Any], flags: tuple[bool, bool], status: str
) -> None:
    """N09.FR.07, N09.FR.09, N10.FR.07."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        request = {"requestId": 1, "report": flags[0], "clear": flags[1], **customer}
        assert (await walk.csms.call("CustomerInformation", request))["status"] == status
        await walk.advance(5.0)
        assert walk.csms.received("NotifyCustomerInformation") == []


async def test_nothing_is_known_of_a_certificate(tmp_path: Path) -> None:
    """N09.FR.06: an AC station without ISO 15118 never sees one."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        assert await customer_information(walk, report=True, customerCertificate=CERTIFICATE) == ""


async def test_an_export_that_began_before_a_customer_is_cleared_has_nothing_of_them_afterwards(tmp_path: Path) -> None:
    """N10.FR.03: each page is read when it is needed."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        for _ in range(2):
            await walk.present()
            await walk.plug()
            await walk.charging()
            await stop(walk)
        await walk.advance(5)
        pages = walk.parts.transactions.pages(TransactionQuery(), size=1)
        (first,) = await anext(pages)
        await customer_information(walk, clear=True, idToken=token())
        (second,) = await anext(pages)
        assert [page async for page in pages] == []
        assert (first.token, second.token) == (CARD.value, None)
