"""The tables about charging: each EVSE, and the connection that it shares with the house."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from energy.sources.config import GridSourceConfig
from energy.sources.ct import CtConfig
from energy.sources.modbus import GridModbusConfig
from foundation.constants import MAXIMUM_CURRENT_A, MINIMUM_CURRENT_A
from metering.drivers.config import MeterConfig
from metering.drivers.simulated import SimulatedMeterConfig
from station.core.hardware.pilot import UnratedCable
from station.core.installation_file.document import RuleError
from station.core.installation_file.table import Count, Number, PhaseCount, Table


class EvseConfig(Table):
    """[[evse]]: one EVSE and its only connector."""

    id: Annotated[Count, Field(ge=1)] = 1
    """the number of the EVSE: 1, 2, 3 in the order of the file"""
    phases: PhaseCount = 3
    """the phases of the supply"""
    max_current_a: Annotated[Number, Field(ge=MINIMUM_CURRENT_A, le=MAXIMUM_CURRENT_A)] = 32.0
    """rating per phase; IEC 61851-1 A.2 signals 6 to 80 A"""
    attached_cable: bool = False
    """whether the cable is fixed to the station; otherwise it has a socket"""
    ventilation: bool = False
    """the place is ventilated; where it is not, a vehicle that asks for it gets no energy (state D)"""
    start_button: bool = False
    """with AuthCtrlr.Enabled = false a charge begins with this button, without one with the plug (C02)"""
    phase_rotation: Literal["RST", "RTS", "SRT", "STR", "TRS", "TSR", "learn"] = "RST"
    """the connection's phases at L1, L2, L3; learn: found out by watching which phase the vehicle loads"""
    phase_switching: bool = False
    """the simulated board can take L2 and L3 away: where three phases have no 6 A each, it charges on one

    A real board can where its wiring says so.
    """
    phase_choice: bool = False
    """the simulated board can also choose which of the three is left"""
    priority: Annotated[Count, Field(ge=0, le=9)] = 0
    """the higher is served first where the connection does not carry all"""
    connector_type: Literal["cType1", "cType2", "sType2", "sType3"] = Field(
        default_factory=lambda given: "cType2" if given.get("attached_cable") else "sType2"
    )
    """ConnectorEnumType, those with a control pilot for AC: c with an attached cable, s with a socket"""
    meter: MeterConfig = SimulatedMeterConfig()
    """the billing meter"""
    meter_serial: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    """as it is printed on a meter that does not tell it itself"""
    signing: Literal["station", "none"] = "station"
    """who signs the readings of a meter that does not sign them itself"""
    on_meter_failure: Literal["pause", "stop"] = "pause"
    """a transaction whose meter is silent or not to be believed waits for it without energy, or ends"""
    cable_without_rating: UnratedCable = "refuse"
    """what a cable in the socket may carry whose resistor tells no rating, amperes per phase"""

    @model_validator(mode="after")
    def _connector_fits_its_cable(self) -> EvseConfig:
        if self.phase_switching and self.phases != 3:
            raise RuleError(("phase_switching",), "must be false with phases = 1")
        if self.phase_choice and not self.phase_switching:
            raise RuleError(("phase_choice",), "must be false with phase_switching = false")
        if self.connector_type.startswith("c") is not self.attached_cable:
            wanted = "cType1 or cType2" if self.attached_cable else "sType2 or sType3"
            raise RuleError(
                ("connector_type",), f"must be {wanted} with attached_cable = {str(self.attached_cable).lower()}"
            )
        return self


class GridConfig(Table):
    """[grid]: the connection of the house, which its loads share with the station."""

    phases: PhaseCount
    """the phases of the connection"""
    max_current_a: Annotated[Number, Field(gt=0)] | None = None
    """amperes per phase that may be drawn, besides what the meter tells of the contract"""
    safe_current_a: Annotated[Number, Field(ge=0, le=MAXIMUM_CURRENT_A)] = MINIMUM_CURRENT_A
    """amperes per phase for the station while the source is silent; below 6 it does not charge"""
    breaker: Literal["B", "C"] = "C"
    """curve of the breaker of max_current_a, where no meter tells its own cut-off"""
    unbalance_a: Annotated[Number, Field(gt=0)] | None = None
    """by so much may one-phase vehicles load one phase more than another (VDE-AR-N 4100: 20)"""
    silent_least_after_s: Annotated[Number, Field(ge=10)] = 600.0
    """from then on a silent source leaves 6 A at the most"""
    silent_pause_after_s: Annotated[Number, Field(ge=10)] | Literal[False] = 3600.0
    """from then on a silent source leaves nothing; false: it goes on"""
    restart_delay_max_s: Annotated[Number, Field(ge=0, le=1800)] = 0.0
    """after a blackout vehicles wait for a random part of this (Great Britain 600, Austria 300)"""
    sharing: Literal["fair", "first-come"] = "fair"
    """who gets what is left when every vehicle that fits has 6 A"""
    source: GridSourceConfig
    """what tells how much the house draws"""

    @model_validator(mode="after")
    def _every_phase_has_a_clamp(self) -> GridConfig:
        if isinstance(self.source, CtConfig) and len(self.source.clamps) != self.phases:
            given = len(self.source.clamps)
            raise RuleError(("source", "clamps"), f"must be {self.phases}, one for each phase (is {given})")
        return self

    @model_validator(mode="after")
    def _the_meter_shows_every_phase(self) -> GridConfig:
        if isinstance(self.source, GridModbusConfig) and self.phases == 3:
            table = self.source.meter.table
            if table.registers and table.phases < self.phases:  # one that tells where its registers are has none yet
                reason = f"{table.name} does not show each of three phases, so none can be limited by it"
                raise RuleError(("source", "meter", "model"), reason)
        return self
