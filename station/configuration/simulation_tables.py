"""Tables about the simulated environment of the station."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from foundation.table import Table
from foundation.table_definition import Count, Number
from metering.drivers.models import ModelName
from station.core.installation_file.table import PhaseCount


class SimulatedLinkyConfig(Table):
    """[simulation.linky]: the simulated Linky at the grid connection, which the station reads on a pseudo-terminal."""

    mode: Annotated[Literal["historique", "standard"], Meta(examples=["standard"])]
    """the protocol of the customer interface (TIC)"""
    phases: Annotated[PhaseCount, Meta(examples=[3])]
    """the phases of the connection"""
    subscribed_va: Annotated[Count, Meta(ge=1000, le=36_000, examples=[36_000])]
    """the subscribed power of the contract; a Linky supports up to 36 kVA"""


class SimulatedP1Config(Table):
    """[simulation.p1]: the simulated P1 meter at the grid connection, used if the source's `device` is "simulated"."""

    version: Literal["2.2", "4.2", "5.0", "BE"] = "5.0"
    """the version of the telegrams: DSMR, or BE for Belgium"""
    fuse_a: Annotated[Count, Meta(ge=1, le=999)] = 999
    """the current threshold that a Belgian meter reports; 999: none"""


class SimulationConfig(Table):
    """[simulation]: clock, billing meters and grid connection that are simulated, for a simulated board."""

    rate: Annotated[Number, Meta(ge=0, le=1_000_000)] = 1.0
    """virtual seconds per real second; 0: the clock is advanced by command only"""
    follow_csms_time: bool = False
    """whether the CSMS sets the clock also at a rate other than 1, or after it was advanced"""
    durable_registers: bool = False
    """whether each change of a billing meter's register waits for the disk: a power cut of the machine loses none"""
    meter_transport: Literal["modbus-tcp", "modbus-rtu", "direct"] = "direct"
    """the transport between the simulated circuit and the driver of its meter"""
    meter_model: ModelName = "eastron-sdm630"
    """the meter whose registers the simulated meter serves"""
    linky: SimulatedLinkyConfig | None = None
    p1: SimulatedP1Config = SimulatedP1Config()
    seed: Annotated[Count, Meta(ge=-(2**63), le=2**63 - 1, examples=[1])] | None = None
    """seed for repeatable noise of the simulated house"""
