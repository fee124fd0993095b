"""What an EVSE is made of, as the installation file says it."""

from __future__ import annotations

from energy.phase_map import RST_MAP, PhaseMap
from foundation.frozen import frozen


@frozen
class EvseLayout:
    """What an EVSE is made of."""

    id: int
    connector_id: int = 1
    phases: int = 3
    max_current_a: float = 32.0
    connector_type: str = "sType2"
    attached_cable: bool = False
    ventilation: bool = False
    """the place is ventilated for vehicles whose batteries gas"""
    rotation: PhaseMap | None = RST_MAP
    """which phases of the connection feed its terminals; None: to be learned"""
    priority: int = 0
    """the higher is served first where not all can be"""
    start_button: bool = False
    """where no authorization is wanted, a charge begins with this button instead of with the plug (C02)"""
