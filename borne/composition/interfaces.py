"""The parts of the running station that the routes of its API use."""

from __future__ import annotations

from borne.life import Life
from station.billing.transaction_log import TransactionLog
from station.charging.charging_station import ChargingStation
from station.interfaces.status_light import StatusLight
from station.load.load_history import LoadHistory
from station.load.load_management import LoadManagement


def add_parts(life: Life) -> None:
    """Add the parts of a station that has been put together; the API sees them once the station runs."""
    parts = life.parts
    parts.add(ChargingStation, life.station)
    parts.add(LoadManagement, life.load)
    parts.add(LoadHistory, life.history)
    parts.add(TransactionLog, life.transactions)
    parts.add(StatusLight, life.light)
