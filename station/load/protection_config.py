"""[protection] of the installation file: protection settings for local rules and the site."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from foundation.table import Table
from foundation.table_definition import FINITE
from station.load.derating import TemperatureRange

_Celsius = Annotated[float, Meta(ge=-60, le=100, extra=FINITE)]


class ProtectionConfig(Table):
    """[protection]: shunt trip, tests of the residual-current monitor, and temperatures that pause charging."""

    shunt_trip: Literal["none", "pulse", "hold"] = "none"
    """whether a DC residual current trips the breaker upstream: with a pulse, or held until service clears the fault"""
    shunt_trip_pulse_s: Annotated[float, Meta(gt=0, le=60, extra=FINITE)] = 1.0
    """duration of the shunt-trip pulse"""
    monitor_test_every_h: Annotated[float, Meta(gt=0, le=8760, extra=FINITE)] = 24.0
    """test interval of the residual-current monitor; it is also tested at each start"""
    pause_below_c: _Celsius = -40.0
    """degrees inside the station below which it does not charge"""
    full_current_until_c: _Celsius = 45.0
    """temperature inside the station up to which full current is available; above, it falls to 6 A at pause_above_c"""
    pause_above_c: _Celsius = 50.0
    """degrees inside the station above which it does not charge"""

    def check_rules(self) -> None:
        """Check that the temperatures rise.

        Raises:
            ValueError: they do not.
        """
        if not self.pause_below_c < self.full_current_until_c < self.pause_above_c:
            raise ValueError("must fulfil pause_below_c < full_current_until_c < pause_above_c")

    @property
    def temperatures(self) -> TemperatureRange:
        """The permitted temperatures of the station, in the form that load management uses."""
        return TemperatureRange(self.pause_below_c, self.full_current_until_c, self.pause_above_c)
