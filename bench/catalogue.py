"""The rows of `make bench`: which module measures them, beside which floors, and with which aims."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bench import composite, export, many, records
from bench.days import run_days
from bench.events import measure_events
from bench.first_response import measure_first_response
from bench.idle import SETTLING_S, IdleComparison, measure_idle
from bench.pilot import samples_to_pilots
from bench.requests import measure_requests
from bench.rows import Aim, Floor, Row
from bench.start import measure_starts
from foundation.frozen import Frozen

BARE: Final = "bare `websockets` client"
CLIENT: Final = "`ocpp` client"
CHECKED: Final = "checked floor"
COMMITS: Final = "bare commits"
_REQUESTS: Final = ("get-variables", "get-variables-10", "set-variables", "set-charging-profile")
_EVENTS: Final = ("events-one-producer", "events-five-waiting", "events-draining")
_LONG_QUERIES: Final = ("commit-alone", "commit-export", "commit-search", "export-log")
_MANY_STATIONS: Final = ("many-memory", "many-boot", "many-threads", "many-descriptors", "many-idle-cpu")


class Measurement(Frozen):
    """Rows that are measured together."""

    rows: tuple[str, ...]
    """the names of the rows that `measure` returns"""
    measure: Callable[[bool], Awaitable[Sequence[Row]]]
    """its argument: whether to measure briefly; the rows then say so"""


async def _start_rows(quick: bool) -> list[Row]:
    figures = await measure_starts(3 if quick else 15)
    floors = (Floor(CLIENT, figures.client_ms), Floor(BARE, figures.bare_ms))
    note = "3 starts" if quick else ""
    aim = Aim(1.05, floor=CLIENT)
    return [
        Row("cold-start", "start, exec to BootNotification", figures.usual_ms, "ms", floors, aim, note),
        Row("first-start", "the first start, with an empty storage folder", figures.first_ms, "ms", floors, None, note),
    ]


async def _idle_rows(quick: bool) -> list[Row]:
    found = await measure_idle(20.0 if quick else SETTLING_S)
    note = f"after {found.after_s:.0f} s instead of {SETTLING_S:.0f}" if quick else ""
    return [*_memory_rows(found, note), *_idle_cpu_rows(found, note)]


def _memory_rows(found: IdleComparison, note: str) -> list[Row]:
    floors = (Floor(BARE, found.bare.resident_mib), Floor(CLIENT, found.client.resident_mib))
    title, equipped = "resident memory, idle after two minutes", "the same with a Modbus meter and a Linky"
    return [
        Row("memory", title, found.station.resident_mib, "MiB", floors, Aim(45.0), note),
        Row("memory-equipped", equipped, found.equipped.resident_mib, "MiB", floors, None, note),
    ]


def _idle_cpu_rows(found: IdleComparison, note: str) -> list[Row]:
    floors = (Floor(BARE, found.bare.cpu_percent), Floor(CLIENT, found.client.cpu_percent))
    title, equipped = "idle CPU with a meter read each second", "the same with a Modbus meter and a Linky"
    return [
        Row("idle-cpu", title, found.station.cpu_percent, "%", floors, Aim(0.04), note),
        Row("idle-cpu-equipped", equipped, found.equipped.cpu_percent, "%", floors, None, note),
    ]


async def _request_rows(quick: bool) -> list[Row]:
    count, note = (500, "500 requests") if quick else (5000, "")
    return [
        Row(
            name,
            f"{figure.what}, p50",
            figure.p50_us,
            "µs",
            (
                Floor(CHECKED, figure.floor_p50_us),
                *(() if figure.client_p50_us is None else (Floor(CLIENT, figure.client_p50_us),)),
            ),
            Aim(figure.aim_us),
            note,
        )
        for name, figure in zip(_REQUESTS, await measure_requests(count), strict=True)
    ]


async def _event_rows(quick: bool) -> list[Row]:
    count, note = (500, "500 events, once") if quick else (3000, "")
    return [
        Row(
            name,
            f"durable TransactionEvents, {figure.what}",
            figure.per_s,
            "/s",
            (Floor(COMMITS, figure.floor_per_s),),
            None if figure.aim_per_s is None else Aim(figure.aim_per_s, at_least=True),
            note,
        )
        for name, figure in zip(_EVENTS, await measure_events(count, 1 if quick else 3), strict=True)
    ]


async def _many_rows(quick: bool) -> list[Row]:
    count, idle_s, note = (200, 10.0, "200 stations instead of 1,000") if quick else (1000, 30.0, "")
    floors = {
        BARE: await many.compare(many.BARE, count, idle_s),
        CLIENT: await many.compare(many.OCPP, count, idle_s),
    }
    ours = await many.compare(many.STATION, count, idle_s)

    def row(name: str, title: str, unit: str, at_most: float, figure: Callable[[many.ManyComparison], float]) -> Row:
        beside = tuple(Floor(floor, figure(found)) for floor, found in floors.items())
        return Row(name, title, figure(ours), unit, beside, Aim(at_most), note)

    memory, boot, threads, descriptors, idle = _MANY_STATIONS
    return [
        row(memory, "1,000 stations in a process: memory of one more", "KiB", 500.0, lambda result: result.kib_each),
        row(boot, "… CPU until all are accepted", "s", 15.0, lambda result: result.many.booted_cpu_s),
        row(threads, "… threads of one more", "", 0.0, lambda result: result.threads_each),
        row(descriptors, "… descriptors of one more", "", 5.0, lambda result: result.descriptors_each),
        row(idle, "… idle CPU of all", "%", 15.0, lambda result: result.many.idle_cpu * 100.0),
    ]


async def _day_rows(quick: bool) -> list[Row]:
    days, note = (1, "from one day") if quick else (2, "")
    found: list[Row] = []
    for name, title, linky, at_most in (
        ("days", "1,000 days of a station that charges once a day, from two days", False, 4.0),
        ("days-linky", "the same with a Linky as grid meter", True, 8.0),
    ):
        day_s = await asyncio.to_thread(run_days, days, linky=linky)
        found.append(Row(name, title, day_s * 1000 / 3600, "h", aim=Aim(at_most), note=note))
    return found


async def _composite_rows(quick: bool) -> list[Row]:
    median_ms, _ = composite.milliseconds(runs=50 if quick else 200, evses=2)
    title = "GetCompositeSchedule, 20 profiles, 24 h, 2 EVSEs, computation only"
    return [Row("composite-schedule", title, median_ms, "ms", aim=Aim(composite.AIM_MS))]


async def _first_response_rows(quick: bool) -> list[Row]:
    found = [await measure_first_response() for _ in range(3 if quick else 15)]
    light_ms, answer_ms = (
        statistics.median(times)
        for times in zip(*((result.light_ms, result.answer_ms) for result in found), strict=True)
    )
    note = "3 starts" if quick else ""
    return [
        Row("first-light", "start, exec to the status light", light_ms, "ms", aim=Aim(500.0), note=note),
        Row("first-answer", "start, exec to the first answer of the API", answer_ms, "ms", aim=Aim(3000.0), note=note),
    ]


async def _pilot_rows(quick: bool) -> list[Row]:
    count, note = (30, "30 samples") if quick else (200, "")
    rows: list[Row] = []
    for evses, title in ((1, "grid sample to changed pilot, 1 EVSE, p99"), (4, "the same with 4 EVSEs")):
        took_ms = await samples_to_pilots(count, evses)
        rows.append(Row(f"pilot-{evses}", title, took_ms[count * 99 // 100], "ms", aim=Aim(5.0), note=note))
    return rows


async def _log_rows(quick: bool) -> list[Row]:
    note = "5,000 transactions instead of 50,000" if quick else ""
    return [
        Row(
            figure.name,
            figure.what,
            figure.value,
            figure.unit,
            aim=None if figure.at_most is None else Aim(figure.at_most),
            note=note,
        )
        for figure in await records.measure(5_000 if quick else 50_000)
    ]


async def _long_query_rows(quick: bool) -> list[Row]:
    count, note = (50_000, "50,000 charges instead of a million") if quick else (export.CHARGES, "")
    alone, exported, searched = await export.measure(count)
    floors = (Floor("nothing read", alone.p99_ms),)
    name, beside, search, size = _LONG_QUERIES
    return [
        Row(name, "one event committed each 20 ms, nothing read meanwhile, p99", alone.p99_ms, "ms", note=note),
        Row(beside, "… while a million charges are exported as CSV", exported.p99_ms, "ms", floors, None, note),
        Row(
            search, "… while a million charges are searched, no index helps", searched.p99_ms, "ms", floors, None, note
        ),
        Row(size, "write-ahead log during that export, at most", exported.wal_mib, "MiB", aim=Aim(6.0), note=note),
    ]


MEASUREMENTS: Final[Sequence[Measurement]] = (
    Measurement(("cold-start", "first-start"), _start_rows),
    Measurement(("memory", "memory-equipped", "idle-cpu", "idle-cpu-equipped"), _idle_rows),
    Measurement(_REQUESTS, _request_rows),
    Measurement(("composite-schedule",), _composite_rows),
    Measurement(_EVENTS, _event_rows),
    Measurement(_MANY_STATIONS, _many_rows),
    Measurement(("days", "days-linky"), _day_rows),
    Measurement(("first-light", "first-answer"), _first_response_rows),
    Measurement(("pilot-1", "pilot-4"), _pilot_rows),
    Measurement(
        ("log-size", "log-month", "log-card", "log-newest", "log-table", "commits-1", "commits-10"),
        _log_rows,
    ),
    Measurement(_LONG_QUERIES, _long_query_rows),
)
"""all measurements, in the order of the table"""
