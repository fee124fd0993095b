"""The tables of what speaks ISO 15118 with the vehicles of an EVSE: `secc` of [[evse]], and [autocharge]."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from foundation.device_table import DeviceTable, TableKey
from foundation.table import Table


class SimulatedSeccConfig(DeviceTable, tag_field="type", tag="simulated"):
    """evse.secc of type "simulated": simulated vehicles may communicate, by events and orders and not by EXI."""

    type: ClassVar[Literal["simulated"]] = "simulated"

    @property
    def simulated_key(self) -> TableKey:
        """The type: this SECC is always simulated."""
        return ("type",)


SeccConfig: TypeAlias = SimulatedSeccConfig
"""what speaks ISO 15118 with the vehicles of an EVSE; `type` selects it"""


class AutochargeConfig(Table):
    """[autocharge]: vehicles that are recognized by the address of their communication controller (EVCCID)."""

    enabled: bool = False
    """whether the EVCCID is an id token of type MacAddress, which owner, lists or CSMS may accept

    It is sent unencrypted and can be imitated by anybody: whoever knows that of a vehicle can charge at its expense.
    """
