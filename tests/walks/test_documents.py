"""Receipts and monthly reports through the local API, with the signatures that the station made."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import os
import re
import signal
import sqlite3
from pathlib import Path

import pytest

from station.core.model import IdToken
from tests.patience import until
from tests.station.billing.documents.test_documents import streams, text
from tests.walk import CARD, OTHER_CARD, mid_month, walking
from tests.walks.station_process import StationProcess
from tests.walks.steps import variables
from tests.walks.test_records import PRICES, charge
from tests.walks.visit import visiting


async def test_a_receipt_carries_the_record_that_the_api_gives_and_the_key_of_the_station(tmp_path: Path) -> None:
    rows = variables(ClockCtrlr__TimeZone="Europe/Paris")
    async with walking(tmp_path, prices=PRICES, variable=rows) as walk, visiting(walk) as api:
        await walk.accepted()
        identity = await charge(api, seconds=3600)
        transaction = await api.get(f"/api/transactions/{identity}")
        answer = await api.client.get(f"/api/transactions/{identity}/receipt.pdf", params={"lang": "fr"})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.headers["content-disposition"] == 'attachment; filename="receipt-1.pdf"'
        drawn = text(answer.content)
        assert "Reçu de recharge" in drawn
        assert f"{transaction['cost']['amount'].replace('.', ',')} CHF" in drawn
        assert identity in drawn
        record = await api.client.get(f"/api/transactions/{identity}/record")
        assert record.content in streams(answer.content)
        assert record.text.count('"TT":"0.30 CHF/kWh') == 2, "begin and end tell what was asked"
        key = await api.get("/api/evses/1/public-key")
        assert key["fingerprint"] in drawn
        assert CARD.value not in drawn
        assert (await api.client.get("/api/transactions/none/receipt.pdf")).status_code == 404
        unknown_language = await api.client.get(f"/api/transactions/{identity}/receipt.pdf?lang=la")
        assert (unknown_language.status_code, "lang" in unknown_language.text) == (422, True)


@pytest.mark.parametrize(
    ("spoilt", "left"),
    [
        ("UPDATE signed_records SET fingerprint = 'x' || fingerprint", False),
        ("UPDATE signing_keys SET fingerprint = 'x' || fingerprint", True),
        ("UPDATE signing_keys SET spki = x'00'", False),
        ("UPDATE signing_keys SET spki = 'text'", False),
        ("UPDATE signing_keys SET evse_id = 'none'", False),
    ],
)
async def test_a_key_that_flash_memory_has_spoilt_keeps_nobody_from_the_receipt_and_the_records(
    tmp_path: Path, spoilt: str, left: bool
) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()
        identity = await charge(api)
        with contextlib.closing(sqlite3.connect(tmp_path / "borne.sqlite")) as database:
            database.execute(spoilt)
            database.commit()
        receipt = await api.client.get(f"/api/transactions/{identity}/receipt.pdf")
        record = await api.client.get(f"/api/transactions/{identity}/record")
        keys = await api.client.get("/api/metering/public-keys")
        assert (receipt.status_code, record.status_code, keys.status_code) == (200, 200, 200)
        assert record.content in streams(receipt.content)
        assert record.text.count("OCMF|") == 2
        key_hex = (await api.get("/api/evses/1/public-key"))["hex"]
        assert (f">{key_hex}</publicKey>" in record.text) is left


async def test_the_report_of_a_month_is_that_of_one_card_as_table_and_as_document(tmp_path: Path) -> None:
    async with walking(tmp_path, None, mid_month(), prices=PRICES) as walk, visiting(walk) as api:
        await walk.accepted()
        identities = [await charge(api), await charge(api)]
        await charge(api, OTHER_CARD.value)
        month = f"{walk.application.clock.now():%Y-%m}"
        query = {"month": month, "token": CARD.value}
        answer = await api.client.get("/api/monthly-report.csv", params=query)
        assert answer.status_code == 200
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert [row["transaction_id"] for row in rows] == identities
        document = await api.client.get("/api/monthly-report.pdf", params=query | {"lang": "nl"})
        assert document.status_code == 200
        drawn = text(document.content)
        assert "Laadoverzicht" in drawn
        assert "· 04A3…80" in drawn
        assert CARD.value not in drawn
        everybody = await api.client.get("/api/monthly-report.csv", params={"month": month})
        assert len(everybody.text.splitlines()) == 4
        empty = await api.client.get("/api/monthly-report.pdf", params={"month": "2001-01"})
        assert "There were no charges" in text(empty.content)


async def test_a_document_is_in_the_language_asked_for_else_in_that_of_the_page_else_in_that_of_the_browser(
    tmp_path: Path,
) -> None:
    """A script that asks for nothing gets the English table, which stays the same for programs."""
    async with walking(tmp_path, None, mid_month()) as walk, visiting(walk) as api:
        await walk.accepted()
        identity = await charge(api)
        month = {"month": f"{walk.application.clock.now():%Y-%m}"}
        french = {"Accept-Language": "fr-CH, en;q=0.5"}
        chosen = french | {"Cookie": "borne_language=nl"}
        for path in ("/api/transactions.csv", "/api/monthly-report.csv"):
            answers = [
                await api.client.get(path, params=month | {} if "month" in path else {}, headers=headers)
                for headers in ({}, french, chosen)
            ]
            begins = ("transaction_id,evse", "\ufeffTransaction;Point de charge", "\ufeffTransactie;Laadpunt")
            for answer, beginning in zip(answers, begins, strict=True):
                assert answer.content.decode().startswith(beginning), path
            answer_de = await api.client.get(path, params={"lang": "de"} | (month if "month" in path else {}))
            assert "Zählerstand am Beginn (kWh)" in answer_de.content.decode("utf-8-sig")
        receipt = f"/api/transactions/{identity}/receipt.pdf"
        assert "Reçu de recharge" in text((await api.client.get(receipt, headers=french)).content)
        assert "Laadbewijs" in text((await api.client.get(receipt, headers=chosen)).content)
        report = await api.client.get("/api/monthly-report.pdf", params=month, headers=french)
        assert "Relevé de recharge" in text(report.content)


async def test_history_receipt_and_report_name_cards_as_their_owner_does_and_are_found_by_that_name(
    tmp_path: Path,
) -> None:
    """Two cards of one name are one person; a card that was removed keeps its name."""
    async with walking(tmp_path, None, mid_month(), prices=PRICES) as walk, visiting(walk) as api:
        await walk.accepted()
        annas = [await charge(api, CARD.value), await charge(api, "04A3FFFFFFFF80")]
        await charge(api, OTHER_CARD.value)
        cards = walk.parts.cards
        await cards.remove(await cards.add(CARD, "Anna"))
        await cards.add(IdToken("04A3FFFFFFFF80", CARD.type), "Anna")
        assert (await api.get("/api/cards"))["former"] == ["Anna"]
        history = await api.get("/api/transactions")
        assert [entry["card"] for entry in history["transactions"]] == [None, "Anna", "Anna"]
        found = await api.get("/api/transactions?card=anna")
        assert [entry["transaction_id"] for entry in found["transactions"]] == annas[::-1]
        assert (await api.get("/api/transactions?card=Nobody"))["total"] == 0
        query = {"month": f"{walk.application.clock.now():%Y-%m}", "card": "Anna"}
        for path, params in (("/api/transactions.csv", {"card": "Anna"}), ("/api/monthly-report.csv", query)):
            answer = await api.client.get(path, params=params)
            rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
            assert [(row["transaction_id"], row["card_label"]) for row in rows] == [
                (identity, "Anna") for identity in annas
            ]
        report = await api.client.get("/api/monthly-report.pdf", params=query)
        assert text(report.content).count("Anna") == 3, "the heading and two lines"
        receipt = await api.client.get(f"/api/transactions/{annas[0]}/receipt.pdf")
        assert "Anna" in text(receipt.content)
        assert "04A3…80" not in text(report.content) + text(receipt.content)


async def test_a_report_of_a_card_as_it_is_shown_is_refused_where_another_card_is_shown_so_too(tmp_path: Path) -> None:
    """Cards of one maker begin with 04 and often end with 80: one would pay for the other."""
    async with walking(tmp_path, None, mid_month(), prices=PRICES) as walk, visiting(walk) as api:
        await walk.accepted()
        await charge(api)
        await charge(api, "04A3FFFFFFFF80")
        query = {"month": f"{walk.application.clock.now():%Y-%m}", "token": "04A3…80"}
        for kind in ("csv", "pdf"):
            answer = await api.client.get(f"/api/monthly-report.{kind}", params=query)
            assert (answer.status_code, "2 cards" in answer.text) == (409, True)
            report = await api.client.get(f"/api/monthly-report.{kind}", params=query | {"token": CARD.value})
            assert report.status_code == 200


@pytest.mark.parametrize("month", ["2026", "2026-13", "2026-00", "1999-01", "2026-1", "", "2026-01-01"])
async def test_a_month_that_is_none_is_refused(tmp_path: Path, month: str) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        for kind in ("csv", "pdf"):
            answer = await api.client.get(f"/api/monthly-report.{kind}", params={"month": month})
            assert (answer.status_code, "month" in answer.text) == (422, True)


def document_processes() -> list[int]:
    """Return the ids of the processes that draw documents for this one."""
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    children = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return [pid for pid in children if b"station.billing.documents" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_whoever_hangs_up_has_the_process_killed_and_the_next_one_is_served(tmp_path: Path) -> None:
    async with walking(tmp_path, prices=PRICES) as walk, visiting(walk) as api:
        await walk.accepted()
        identity = await charge(api)
        path = f"/api/transactions/{identity}/receipt.pdf"
        asking = asyncio.create_task(api.client.get(path))
        await until(document_processes, within_s=60)
        (pid,) = document_processes()
        os.kill(pid, signal.SIGSTOP)  # it would never be finished
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        await until(lambda: not Path(f"/proc/{pid}").exists(), within_s=60)
        assert (await api.client.get(path, timeout=120)).status_code == 200


async def test_a_document_that_is_not_made_is_answered_with_the_reason(tmp_path: Path) -> None:
    async with walking(tmp_path, prices=PRICES) as walk, visiting(walk) as api:
        await walk.accepted()
        identity = await charge(api)
        asking = asyncio.create_task(api.client.get(f"/api/transactions/{identity}/receipt.pdf", timeout=120))
        await until(document_processes, within_s=60)
        os.kill(document_processes()[0], signal.SIGKILL)
        answer = await asking
        assert (answer.status_code, answer.json()) == (
            503,
            {"detail": "the document could not be created: the process ended with exit status -9"},
        )


async def test_a_document_leaves_nothing_in_the_memory_of_the_station(tmp_path: Path) -> None:
    """The library for it took 40 MiB, and never gave them back."""
    station = StationProcess(tmp_path, None)
    try:
        station.start()
        await station.ready()
        month = {"month": (await station.status())["local_time"][:7]}
        assert (await station.api.get("/api/monthly-report.csv", params=month)).status_code == 200
        before = resident_mib(station.process.pid)
        answer = await station.api.get("/api/monthly-report.pdf", params=month, timeout=120)
        assert answer.status_code == 200
        assert answer.content.startswith(b"%PDF")
        assert resident_mib(station.process.pid) < before + 10
    finally:
        await station.aclose()


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024
