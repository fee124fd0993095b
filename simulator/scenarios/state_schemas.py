"""The JSON schemas of what a scenario can check of its station, from the models of the API."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from station.interfaces.api.diagnosis import EvseLines
from station.interfaces.api.display import DisplayShown
from station.interfaces.api.transaction import TransactionSummary
from station.interfaces.status_report import EvseStatus, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from simulator.scenarios.steps import CheckedThing


class BillAtCsms(TypedDict):
    """What the CSMS has recorded of a transaction (`of = "bill"`)."""

    id: str
    """the transactionId"""
    ended: bool
    """whether it has ended"""
    energy_wh: float | None
    """the energy to be billed, Wh; null: a register is not known"""
    begin_wh: float | None
    """register at the begin, Wh"""
    end_wh: float | None
    """register at the end, Wh"""
    missing: int
    """events whose sequence number has not been received"""
    offline: int
    """events with the offline flag"""
    repeated: int
    """events that were received more than once"""


class UploadedFile(TypedDict):
    """The last file that the station has uploaded to the file server of the scenarios (`of = "upload"`)."""

    name: str
    """the last part of its URL"""
    size: int
    """bytes of the request"""


_MODELS: Final[Mapping[CheckedThing, type]] = {
    "station": Status,
    "evse": EvseStatus,
    "inputs": EvseLines,
    "display": DisplayShown,
    "transaction": TransactionSummary,
    "bill": BillAtCsms,
    "upload": UploadedFile,
}


@cache
def state_schema(of: CheckedThing) -> Mapping[str, object]:
    """The JSON schema of the values that a step `check` compares."""
    return TypeAdapter(_MODELS[of]).json_schema()
