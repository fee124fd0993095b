"""The tables [[evse]] and [grid]: each EVSE, and the grid connection shared with the house."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, UnsetType, field

from energy.sources.grid_source_config import GridSourceConfig
from foundation.bounds import CONNECTION_A
from foundation.constants import MAXIMUM_CURRENT_A, MINIMUM_CURRENT_A
from foundation.table import Table
from foundation.table_definition import Check, Count, Number, ValidatedAs
from metering.drivers.meter_config import MeterConfig
from metering.drivers.simulated import SimulatedMeterConfig
from station.core.hardware.pilot import UnratedCable
from station.core.installation_file.document import RuleError
from station.core.installation_file.secc_tables import SeccConfig
from station.core.installation_file.table import EvseNumber, PhaseCount

ConnectorType = Literal["cType1", "cType2", "sType2", "sType3"]
_DAY_S: Final = 86_400.0
_SilentPause = Annotated[
    Annotated[float, Meta(ge=10, le=_DAY_S)] | bool,
    ValidatedAs(Annotated[Number, Meta(ge=10, le=_DAY_S)] | Literal[False]),
]
"""msgspec has no literal of a truth value"""


class EvseConfig(Table):
    """[[evse]]: one EVSE and its only connector."""

    id: EvseNumber = 1
    """the number of the EVSE: 1, 2, 3 in the order of the file, which also is the default"""
    phases: PhaseCount = 3
    """the number of supply phases"""
    max_current_a: Annotated[Number, Meta(ge=MINIMUM_CURRENT_A, le=MAXIMUM_CURRENT_A)] = 32.0
    """rating per phase; IEC 61851-1 A.2 signals 6 to 80 A"""
    attached_cable: bool = False
    """whether the EVSE has an attached cable; otherwise it has a socket"""
    ventilation: bool = False
    """whether the location is ventilated; if not, a vehicle that requires ventilation (state D) gets no energy"""
    start_button: bool = False
    """with AuthCtrlr.Enabled = false, charging starts with this button instead of on plug-in (C02)"""
    phase_rotation: Literal["RST", "RTS", "SRT", "STR", "TRS", "TSR", "learn"] = "RST"
    """the grid phases at L1, L2, L3; learn: determined by observing which phase the vehicle loads"""
    phase_switching: bool = False
    """the simulated board can disconnect L2 and L3, to charge on one phase if three cannot have 6 A each

    For a real board, its wiring determines this.
    """
    phase_choice: bool = False
    """the simulated board can also choose the phase for single-phase charging"""
    priority: Annotated[Count, Meta(ge=0, le=9)] = 0
    """a higher priority is served first if the connection cannot supply all EVSEs"""
    given_connector_type: Annotated[ConnectorType | UnsetType, Meta(examples=["sType2"])] = field(
        name="connector_type", default=UNSET
    )
    """ConnectorEnumType, limited to AC types with a control pilot: c… attached cable, s… socket"""
    meter: MeterConfig = SimulatedMeterConfig()
    """the billing meter"""
    meter_serial: Annotated[str, Meta(min_length=1, max_length=50, examples=["1234567"])] | None = None
    """the printed serial number, for a meter that does not report it"""
    signing: Literal["station", "none"] = "station"
    """who signs the readings of a meter that does not sign itself"""
    on_meter_failure: Literal["pause", "stop"] = "pause"
    """if the meter fails or is implausible during a transaction: pause charging until it recovers, or stop"""
    secc: Annotated[SeccConfig, Meta(examples=[{"type": "simulated"}])] | None = None
    """what speaks ISO 15118 with its vehicles; absent: they charge by IEC 61851-1"""
    cable_without_rating: UnratedCable = "refuse"
    """the limit for a cable in the socket without a valid rating, amperes per phase; refuse: no charging"""

    @property
    def connector_type(self) -> ConnectorType:
        """The type of the connector: the given one, or type 2 with attached cable or socket."""
        if self.given_connector_type is not UNSET:
            return self.given_connector_type
        return "cType2" if self.attached_cable else "sType2"

    def check_rules(self) -> None:
        """Check that phases, phase switching, cable and connector fit each other.

        Raises:
            RuleError: they do not.
        """
        if self.phase_switching and self.phases != 3:
            raise RuleError(("phase_switching",), "must be false with phases = 1")
        if self.phase_choice and not self.phase_switching:
            raise RuleError(("phase_choice",), "must be false with phase_switching = false")
        if self.connector_type.startswith("c") is not self.attached_cable:
            allowed = "cType1 or cType2" if self.attached_cable else "sType2 or sType3"
            raise RuleError(
                ("connector_type",), f"must be {allowed} with attached_cable = {str(self.attached_cable).lower()}"
            )


class GridConfig(Table, kw_only=True):
    """[grid]: the grid connection that the station shares with the loads of the house."""

    phases: Annotated[PhaseCount, Meta(examples=[3])]
    """the number of phases of the connection"""
    max_current_a: Annotated[Number, Meta(gt=0, le=CONNECTION_A.highest, examples=[40])] | None = None
    """limit of the connection in amperes per phase, in addition to the contract limit reported by the meter"""
    safe_current_a: Annotated[Number, Meta(ge=0, le=MAXIMUM_CURRENT_A)] = MINIMUM_CURRENT_A
    """limit of the station in amperes per phase while the source gives no readings; below 6: no charging"""
    breaker: Literal["B", "C"] = "C"
    """trip curve of the breaker of max_current_a, unless the meter reports its own cut-off"""
    unbalance_a: Annotated[Number, Meta(gt=0, le=CONNECTION_A.highest, examples=[20])] | None = None
    """amperes by which single-phase vehicles may unbalance the phases (VDE-AR-N 4100: 20)"""
    silent_least_after_s: Annotated[Number, Meta(ge=10, le=_DAY_S)] = 600.0
    """after this time without readings from the source the station is limited to 6 A"""
    silent_pause_after_s: _SilentPause = 3600.0
    """after this time without readings from the source charging is paused; false: it continues"""
    restart_delay_max_s: Annotated[Number, Meta(ge=0, le=1800)] = 0.0
    """after a power failure charging restarts after a random delay of up to this (Great Britain 600, Austria 300)"""
    sharing: Literal["fair", "first-come"] = "fair"
    """how the current above the 6 A minimum of each vehicle is shared"""
    source: Annotated[GridSourceConfig, Meta(examples=[{"type": "linky"}])]
    """the source of the house's consumption"""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """The pause cannot be true."""
        return {"silent_pause_after_s": _check_pause}

    def check_rules(self) -> None:
        """Check that the source measures every phase.

        Raises:
            RuleError: it does not.
        """
        if (phase_error := self.source.phase_error(self.phases)) is not None:
            key, reason = phase_error
            raise RuleError(("source", *key), reason)


def _check_pause(silent_pause: float | bool) -> None:
    if silent_pause is True:
        raise ValueError("must be a number or false (is true)")
