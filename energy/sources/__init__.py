"""What tells how much the house draws: one file and one member of a union for each kind of source."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from energy.sources.linky import LinkyConfig

GridSourceConfig: TypeAlias = Annotated[
    LinkyConfig,  # another kind joins here: | P1Config
    Field(discriminator="type"),
]
"""the configuration of a grid source, told apart by its `type`; `open(clock)` makes the source"""
