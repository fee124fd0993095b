"""Reads what a scenario checks of its station, its display, its log of transactions and the bills of its CSMS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from foundation.json_values import is_list, is_object, object_of, objects_of
from simulator.scenarios.under_test import CsmsError, StationError

if TYPE_CHECKING:
    from simulator.scenarios.bench_files import BenchFiles
    from simulator.scenarios.steps import CheckedThing
    from simulator.scenarios.under_test import ControlledCsms, StationUnderTest

State = Mapping[str, object]


class StateSources(Frozen):
    """Where states are read."""

    station: StationUnderTest
    csms: ControlledCsms | None
    """None: its bills cannot be read"""
    files: BenchFiles
    """where the station uploads files"""
    identity: str
    """identity of the station"""


async def state_of(of: CheckedThing, evse: int, sources: StateSources) -> State | None:
    """Read a state; None if there is none, such as no transaction.

    Raises:
        StationError: the station does not answer.
        CsmsError: the CSMS does not say what it has billed.
    """
    station = sources.station
    match of:
        case "station":
            return object_of(await _read(station, "/api/status"))
        case "evse":
            return _row(object_of(await _read(station, "/api/status")).get("evses"), "id", evse)
        case "inputs":
            return _row(object_of(await _read(station, "/api/io")).get("evses"), "evse", evse)
        case "display":
            return _row(await _read(station, "/api/display"), "evse", evse)
        case "transaction":
            return await _newest_transaction(station, evse)
        case "bill":
            return await _bill(sources, evse)
        case "upload":
            return sources.files.last_upload(sources.identity)


async def _bill(sources: StateSources, evse: int) -> State | None:
    """What the CSMS has of the newest transaction of an EVSE."""
    if sources.csms is None:
        raise CsmsError("the bills of this CSMS cannot be read (see --csms-api)")
    transaction = await _newest_transaction(sources.station, evse)
    if transaction is None:
        return None
    return await sources.csms.bill(sources.identity, str(transaction["transaction_id"]))


async def _newest_transaction(station: StationUnderTest, evse: int) -> State | None:
    found = object_of(await _read(station, f"/api/transactions?evse={evse}"))
    return next(iter(objects_of(found["transactions"])), None)


async def _read(station: StationUnderTest, path: str) -> object:
    response = await station.request("GET", path)
    if response.status >= 400:
        raise StationError(f"GET {path}: {response.reason}")
    return response.body


def _row(rows: object, key: str, number: int) -> State | None:
    if not is_list(rows):
        return None
    return next((row for row in rows if is_object(row) and row.get(key) == number), None)
