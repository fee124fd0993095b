"""What the bundled CSMS knows of its stations from their requests, for its page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from foundation.json_values import is_object, number_of, object_of, objects_of

_MAX_STATIONS: Final = 10_000
"""the stations whose first request is longest ago are forgotten first"""
_MAX_CONNECTORS: Final = 64
_MAX_TRANSACTIONS: Final = 64
_REGISTER: Final = "Energy.Active.Import.Register"
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
        """Update it from a valid request of the station."""
        match action:
            case "BootNotification":
                about = object_of(payload["chargingStation"])
                self.vendor, self.model = str(about["vendorName"]), str(about["model"])
                self.firmware = str(about.get("firmwareVersion", ""))
            case "StatusNotification":
                key = _whole(payload["evseId"]), _whole(payload["connectorId"])
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
            running.evse = _whole(evse["id"])
        if "chargingState" in info:
            running.charging_state = str(info["chargingState"])
        for meter_value in objects_of(payload.get("meterValue", [])):
            for sample in objects_of(meter_value["sampledValue"]):
                self._note_sample(running, sample)

    def _note_sample(self, running: RunningTransaction, sample: Mapping[str, object]) -> None:
        if "phase" in sample:
            return
        unit = sample.get("unitOfMeasure")
        exponent = _whole(unit.get("multiplier", 0)) if is_object(unit) else 0
        scale = 1000.0 if is_object(unit) and str(unit.get("unit", "")).startswith("k") else 1.0
        value = number_of(sample["value"]) * scale * 10.0 ** max(-9, min(exponent, 9))
        measurand = sample.get("measurand", _REGISTER)
        if measurand == _REGISTER:
            running.register_wh = value
        elif measurand == _POWER:
            running.power_w = value


class StationOverviews:
    """Keeps what is known of each station."""

    def __init__(self) -> None:
        self._stations: dict[str, StationOverview] = {}

    def note(self, identity: str, action: str, payload: Mapping[str, object]) -> None:
        """Update the overview of a station from a valid request."""
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


def _whole(value: object) -> int:
    """A number that the schema demands to be whole; it may be written as 1.0."""
    return int(number_of(value))
