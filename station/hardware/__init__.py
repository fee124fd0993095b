"""The boards that a station may have. A driver is registered by being a member of `BoardConfig`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class SimulatedBoardConfig(BaseModel):
    """A board in this process: no relay, no pilot, no harm."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    type: Literal["simulated"] = "simulated"
    selector_a: Literal[32, 25, 20, 16, 12, 8] = 32
    """the position of the simulated current selector, amperes per phase"""


BoardConfig = SimulatedBoardConfig
"""The board in the installation file. A second driver makes this a union that `type` decides; then the table
[simulation] wants a rule in `station.config`, as it belongs to the simulated board alone."""
