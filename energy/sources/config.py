"""What tells how much the house draws: one file and one member of a union for each kind of source."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from energy.sources.ct import CtConfig
from energy.sources.linky import LinkyConfig
from energy.sources.modbus import GridModbusConfig
from energy.sources.p1 import P1Config

GridSourceConfig: TypeAlias = Annotated[
    CtConfig | LinkyConfig | GridModbusConfig | P1Config,
    Field(discriminator="type"),
]
"""the configuration of a grid source, told apart by its `type`; `open(clock, house)` makes the source"""
