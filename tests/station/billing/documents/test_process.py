"""Documents are drawn in a process of their own: bounded, without secrets, and gone when nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from station.billing.documents.document_context import DocumentContext, Issuer, Month, SignatureProof, SignerKey
from station.billing.documents.orders import DocumentOrder, MonthlyReportOrder, ReceiptOrder
from station.billing.documents.process import DocumentError, draw
from station.core.clock_settings import ClockSettings
from station.core.local_time import zone
from tests import fakes
from tests.patience import until
from tests.station.billing.documents.document_orders import (
    EndlessOrder,
    FailingOrder,
    OversizedOrder,
    ProcessReportOrder,
)
from tests.station.billing.documents.documents_data import transaction
from tests.station.billing.documents.test_documents import text

ISSUER = Issuer("BORNE-TEST", "borne reference", "0001", "borne 1.0")
PARIS = DocumentContext("fr", ZoneInfo("Europe/Paris"), fakes.NOON, {})
PROOF = SignatureProof(("OCMF|{}|{}",), b"<values/>", SignerKey(b"\0" * 91, "ab" * 32, meter=False), frozenset())


@pytest.mark.parametrize(
    "order",
    [
        ReceiptOrder(transaction(), ISSUER, None, PARIS),
        ReceiptOrder(transaction(), ISSUER, PROOF, PARIS),
        MonthlyReportOrder(Month(2026, 3), [transaction(), transaction(number=43)], None, ISSUER, PARIS),
    ],
)
async def test_its_process_draws_what_this_one_would(order: DocumentOrder) -> None:
    assert text(await draw(order)) == text(order.draw())


@pytest.mark.parametrize(
    ("time_zone", "offset", "due", "following"),
    [
        ("", "", "", ""),
        ("Europe/Paris", "", "", ""),
        ("", "-02:30", "", ""),
        ("", "+01:00", "2026-03-29T01:00:00Z", "+02:00"),
    ],
)
async def test_every_zone_that_the_station_may_be_in_can_be_handed_over(
    time_zone: str, offset: str, due: str, following: str
) -> None:
    settings = ClockSettings()
    await settings.change(ClockSettings.time_zone, time_zone)
    await settings.change(ClockSettings.time_offset, offset)
    await settings.change(ClockSettings.next_time_offset_transition, due)
    await settings.change(ClockSettings.time_offset_next_transition, following)
    here = zone(settings)
    context = pickle.loads(pickle.dumps(replace(PARIS, zone=here)))
    for day in range(0, 365, 7):
        moment = fakes.NOON + timedelta(days=day)
        assert moment.astimezone(context.zone).isoformat() == moment.astimezone(here).isoformat()


async def test_no_secret_goes_through_arguments_or_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nor does it get the address of the service manager, nor does it load what lies in the working directory."""
    monkeypatch.setenv("BORNE_CSMS_PASSWORD", "very-secret")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "station.py").write_text("raise SystemExit(9)")
    report: dict[str, Any] = json.loads(await draw(ProcessReportOrder()))
    assert report["arguments"][1:] == ["-P", "-m", "station.billing.documents", ""]
    assert not [name for name in report["environment"] if name.startswith("BORNE_") or name == "NOTIFY_SOCKET"]
    assert str(tmp_path) not in report["path"]


async def test_it_is_bounded_and_what_a_library_prints_is_no_part_of_the_document() -> None:
    report: dict[str, Any] = json.loads(await draw(ProcessReportOrder()))
    assert report["limits"] == {"RLIMIT_AS": 2**29, "RLIMIT_CPU": 60, "RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0}


async def test_a_failure_is_an_error_and_the_log_says_where_but_nothing_of_the_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(DocumentError, match="the process ended with exit status 1"):
        await draw(FailingOrder("04A3B2C1D5E680"))
    assert "ValueError at document_orders.py:" in caplog.text
    assert "04A3B2C1D5E680" not in caplog.text


async def test_one_that_takes_too_much_memory_ends_without_harm(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DocumentError, match="the process ended with exit status 1"):
        await draw(OversizedOrder())
    assert "MemoryError at" in caplog.text


def runs(pid: int) -> bool:
    """Whether there is such a process, not even as a zombie."""
    return Path(f"/proc/{pid}").exists()


async def test_one_that_is_never_finished_is_killed_in_time(tmp_path: Path) -> None:
    before = set(_children())
    with pytest.raises(DocumentError, match="not finished after 0 s"):
        await draw(EndlessOrder(tmp_path), within_s=0.0)
    assert set(_children()) <= before


def _children() -> list[str]:
    return Path("/proc/thread-self/children").read_text().split()


def folders(place: Path) -> list[int]:
    """Named by a process id each."""
    return [int(folder.name) for folder in place.iterdir()]


async def test_whoever_is_cancelled_leaves_no_process_behind(tmp_path: Path) -> None:
    drawing = asyncio.create_task(draw(EndlessOrder(tmp_path)))
    await until(lambda: folders(tmp_path), within_s=60)
    (pid,) = folders(tmp_path)
    assert runs(pid)
    drawing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await drawing
    assert drawing.cancelled()
    assert not runs(pid)


async def test_a_process_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "x" * 2**20)  # Linux passes on at most 128 KiB of a variable
    with pytest.raises(DocumentError, match="the process cannot be started: Argument list too long"):
        await draw(ProcessReportOrder())
