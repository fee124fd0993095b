"""What the bundled CSMS knows of its stations from their requests, for its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from foundation.json_values import is_object, object_of, objects_of
from simulator.csms.samples import IMPORT_REGISTER, totals, whole_number

_MAX_STATIONS: Final = 10_000
"""the stations whose first request is longest ago are forgotten first"""
_MAX_CONNECTORS: Final = 64
_MAX_TRANSACTIONS: Final = 64
_POWER: Final = "Power.Active.Import"


@dataclass(slots=True)
class RunningTransaction:
    """A transaction that has not ended."""

    id: str
    evse: int | None = None
    charging_state: str | None = None
    register_wh: float | None = None
    """register of the meter, Wh, as it was sent last"""
    power_w: float | None = None


@dataclass(slots=True)
class StationOverview:
    """A station as its requests describe it."""

    vendor: str = ""
    model: str = ""
    firmware: str = ""
    """firmwareVersion of its BootNotification"""
    connectors: dict[tuple[int, int], str] = field(default_factory=dict[tuple[int, int], str])
    """connectorStatus by ids of EVSE and connector"""
    transactions: dict[str, RunningTransaction] = field(default_factory=dict[str, RunningTransaction])
    """the running transactions, by transactionId"""

    def note(self, action: str, payload: Mapping[str, object]) -> None:
        """Update it from a request of the station that the schema allows.

        Raises:
            ValueError: a number is out of range.
        """
        match action:
            case "BootNotification":
                about = object_of(payload["chargingStation"])
                self.vendor, self.model = str(about["vendorName"]), str(about["model"])
                self.firmware = str(about.get("firmwareVersion", ""))
            case "StatusNotification":
                key = whole_number(payload["evseId"]), whole_number(payload["connectorId"])
                if key in self.connectors or len(self.connectors) < _MAX_CONNECTORS:
                    self.connectors[key] = str(payload["connectorStatus"])
            case "TransactionEvent":
                self._note_transaction(payload)
            case _:
                pass

    def _note_transaction(self, payload: Mapping[str, object]) -> None:
        info = object_of(payload["transactionInfo"])
        transaction_id = str(info["transactionId"])
        if payload["eventType"] == "Ended":
            self.transactions.pop(transaction_id, None)
            return
        running = self.transactions.setdefault(transaction_id, RunningTransaction(transaction_id))
        while len(self.transactions) > _MAX_TRANSACTIONS:
            del self.transactions[next(iter(self.transactions))]
        if is_object(evse := payload.get("evse")):
            running.evse = whole_number(evse["id"])
        if "chargingState" in info:
            running.charging_state = str(info["chargingState"])
        for sample in totals(objects_of(payload.get("meterValue", []))):
            if sample.measurand == IMPORT_REGISTER:
                running.register_wh = sample.value
            elif sample.measurand == _POWER:
                running.power_w = sample.value


class StationOverviews:
    """Keeps what is known of each station."""

    def __init__(self) -> None:
        self._stations: dict[str, StationOverview] = {}

    def note(self, identity: str, action: str, payload: Mapping[str, object]) -> None:
        """Update the overview of a station from a request that the schema allows.

        Raises:
            ValueError: a number is out of range.
        """
        if action in ("BootNotification", "StatusNotification", "TransactionEvent"):
            overview = self._stations.get(identity)
            if overview is None:
                overview = self._stations[identity] = StationOverview()
                if len(self._stations) > _MAX_STATIONS:
                    del self._stations[next(iter(self._stations))]
            overview.note(action, payload)

    def of(self, identity: str) -> StationOverview:
        """What is known of a station; an empty one if nothing is."""
        return self._stations.get(identity, StationOverview())
