"""[board] of EVSE controllers on Modbus, and the factory of its driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta

from station.core.hardware.back_plate import ConfiguredBackPlate
from station.core.hardware.board_table import BoardTable
from station.core.installation_file.document import RuleError, RuleErrors
from station.devices.modbus.wiring import ModbusEvse

if TYPE_CHECKING:
    from foundation.clock import Clock
    from foundation.device_table import Resource
    from metering.drivers.bus_registry import BusRegistry
    from station.core.hardware.back_plate import BackPlate
    from station.core.installation_file.charging_tables import EvseConfig
    from station.devices.modbus.board import ModbusBoard


class ModbusBoardConfig(BoardTable, tag_field="type", tag="modbus"):
    """[board] of type "modbus": each EVSE has a controller on Modbus, which operates pilot and contactor.

    It needs real meters, and a [firmware] of type "command" or "rauc"; a [simulation] is not possible. The controllers
    do not report contactor and lock; the station infers both.
    """

    type: ClassVar[Literal["modbus"]] = "modbus"
    selector_a: Annotated[Literal[32, 25, 20, 16, 12, 8], Meta(examples=[16])]
    """the position of the current selector, or the rating of the breaker, which the station cannot read"""
    evse: Annotated[tuple[ModbusEvse, ...], Meta(min_length=1, examples=[[{"device": "/dev/ttyUSB2"}]])]
    i_accept_no_timeout: bool = False
    """accept controllers that have no known communication time-out, or do not keep the one that the station sets: they
    may go on offering current when this program stops"""

    def check_rules(self) -> None:
        """Check that each controller stops by itself when the program does, or that this is accepted.

        Raises:
            RuleErrors: a model has no known communication time-out.
        """
        models = dict.fromkeys(evse.model for evse in self.evse if evse.controller.timeout is None)
        if models and not self.i_accept_no_timeout:
            listed = ", ".join(f'"{model}"' for model in models)
            reason = "no communication time-out is known, so it may go on offering current when this program stops"
            raise RuleErrors([RuleError(("i_accept_no_timeout",), f"must be true with model {listed}: {reason}")])

    @property
    def wired_evses(self) -> int:
        """The number of [[board.evse]] tables."""
        return len(self.evse)

    @property
    def digital_pilot(self) -> bool:
        """False: the known controllers signal currents only."""
        return False

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The Modbus addresses of the controllers, and their serial devices."""
        return tuple(
            resource for position, evse in enumerate(self.evse) for resource in evse.resources(("evse", position))
        )

    def open(self, evse: EvseConfig, clock: Clock, buses: BusRegistry) -> ModbusBoard:
        """Create the board of an EVSE: joins its bus; nothing is sent yet."""
        from station.devices.modbus import board  # late: only stations with such a controller

        return board.ModbusBoard(
            self.evse[evse.id - 1],
            clock,
            buses,
            attached_cable=evse.attached_cable,
            accepts_no_timeout=self.i_accept_no_timeout,
        )

    def open_back_plate(self, _: Clock) -> BackPlate:
        """Create a back plate that reports the configured selector position and has no other inputs or outputs."""
        return ConfiguredBackPlate(str(self.selector_a))
