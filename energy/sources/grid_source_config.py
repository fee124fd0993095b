"""The configuration of grid sources: one module and one member of the union for each kind."""

from __future__ import annotations

from typing import TypeAlias

from energy.sources.ct import CtConfig
from energy.sources.linky import LinkyConfig
from energy.sources.modbus import GridModbusConfig
from energy.sources.p1 import P1Config

GridSourceConfig: TypeAlias = CtConfig | LinkyConfig | GridModbusConfig | P1Config
"""configuration of a grid source, selected by `type`; `open(clock, context)` makes the source"""
