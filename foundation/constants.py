"""Limits from standards and nominal values that several packages use, each defined once, with its source."""

from __future__ import annotations

from typing import Final

NOMINAL_VOLTAGE_V: Final = 230.0
"""Nominal voltage between a phase and neutral of European low-voltage networks (EN 50160, IEC 60038: 230/400 V).

It converts between amperes and watts where no voltage is measured, or where the rule asks for the voltage that is set
and not the measured one (OCPP 2.0.1 K01.FR.50). It is never reported as a measurement.
"""
MINIMUM_CURRENT_A: Final = 6.0
"""Lowest current per phase that a control pilot can offer, so the lowest that a vehicle charges with (IEC 61851-1,
table A.7)."""
MAXIMUM_CURRENT_A: Final = 80.0
"""Highest current per phase that a control pilot can offer (IEC 61851-1, table A.7)."""
VEHICLE_RESPONSE_S: Final = 5.0
"""Time that a vehicle has to adapt its current when the pilot changes (IEC 61851-1, table A.6)."""
