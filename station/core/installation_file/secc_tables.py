"""The tables of what speaks ISO 15118 with the vehicles of an EVSE: `secc` of [[evse]], and [autocharge]."""

from __future__ import annotations

import os
from typing import Annotated, ClassVar, Literal, TypeAlias

from msgspec import Meta

from foundation.device_table import DeviceTable, Resource, ResourceKind, TableKey
from foundation.table import Table


class SimulatedSeccConfig(DeviceTable, tag_field="type", tag="simulated"):
    """evse.secc of type "simulated": simulated vehicles may communicate, by events and orders and not by EXI."""

    type: ClassVar[Literal["simulated"]] = "simulated"

    @property
    def simulated_key(self) -> TableKey:
        """The type: this SECC is always simulated."""
        return ("type",)


class ExternalSeccConfig(DeviceTable, kw_only=True, tag_field="type", tag="external"):
    """evse.secc of type "external": an SECC in a process of its own, by the protocol of docs/secc.md."""

    type: ClassVar[Literal["external"]] = "external"
    socket: Annotated[str, Meta(min_length=1, max_length=100, examples=["/run/secc/evse1.sock"])]
    """path of the Unix socket on which the SECC listens for the station; one for each EVSE"""

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The socket."""
        return (Resource(ResourceKind.SOCKET, (os.path.realpath(self.socket),), ("socket",)),)


SeccConfig: TypeAlias = SimulatedSeccConfig | ExternalSeccConfig
"""what speaks ISO 15118 with the vehicles of an EVSE; `type` selects it"""


class AutochargeConfig(Table):
    """[autocharge]: vehicles that are recognized by the address of their communication controller (EVCCID)."""

    enabled: bool = False
    """whether the EVCCID is an id token of type MacAddress, which owner, lists or CSMS may accept

    It is sent unencrypted and can be imitated by anybody: whoever knows that of a vehicle can charge at its expense.
    """
