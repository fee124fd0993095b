"""The hardware configuration of an EVSE, from the installation file."""

from __future__ import annotations

from energy.phase_map import RST_MAP, PhaseMap
from foundation.frozen import Frozen
from station.core.hardware.board import Sensor


class EvseLayout(Frozen):
    """The hardware of one EVSE, as configured in the installation file."""

    id: int
    connector_id: int = 1
    phases: int = 3
    """number of supply phases"""
    max_current_a: float = 32.0
    """rating, amperes per phase"""
    connector_type: str = "sType2"
    """ConnectorEnumType"""
    attached_cable: bool = False
    """it has an attached cable, else a socket"""
    ventilation: bool = False
    """the location is ventilated, so vehicles that require ventilation (state D) may charge"""
    rotation: PhaseMap | None = RST_MAP
    """which phases of the grid connection feed L1, L2, L3 of the EVSE; None: determined by observation"""
    priority: int = 0
    """a higher priority is served first when the available current does not suffice for all EVSEs"""
    sensors: frozenset[Sensor] = frozenset()
    """the optional sensors of its board"""
    signs: bool = False
    """its readings are signed, and the begin of a transaction before energy flows"""
    start_button: bool = False
    """without authorization, charging starts with this button instead of on plug-in (C02)"""
