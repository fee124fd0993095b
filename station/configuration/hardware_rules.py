"""Rules about hardware in the installation file: no simulated part with a real board, complete wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from energy.sources.linky import LinkyConfig
from energy.sources.modbus import GridModbusConfig
from energy.sources.p1 import P1Config
from metering.drivers.modbus import ModbusRtuMeterConfig, ModbusRtuOverTcpMeterConfig, ModbusTcpMeterConfig
from metering.drivers.simulated import SimulatedMeterConfig
from station.core.installation_file.document import RuleError
from station.devices.linux.config import LinuxBoardConfig
from station.devices.simulated_config import SimulatedBoardConfig, SimulatedReaderConfig, SimulatedUpdaterConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from energy.sources.config import GridSourceConfig
    from station.configuration.installation_tables import InstallationTables

SIMULATED = "simulated"


def simulated_part_errors(configuration: InstallationTables) -> Iterator[RuleError]:
    """Yield an error for each simulated part configured beside a real board; none with a simulated board."""
    board = configuration.board
    if isinstance(board, SimulatedBoardConfig):
        return
    around = f'board.type is "{board.type}"'
    if configuration.given_simulation is not UNSET:
        yield RuleError(("simulation",), f"must be left out: {around}, and nothing is simulated")
    if isinstance(configuration.firmware, SimulatedUpdaterConfig):
        yield RuleError(("firmware", "type"), f'must be "command": {around}')
    for position, evse in enumerate(configuration.evse):
        if isinstance(evse.meter, SimulatedMeterConfig):
            yield RuleError(("evse", position, "meter"), f"must be a real meter: {around}")
    for position, reader in enumerate(configuration.reader):
        if isinstance(reader, SimulatedReaderConfig):
            yield RuleError(("reader", position, "type"), f"must not be simulated: {around}")
    if configuration.grid is not None and (key := _simulated_wire(configuration.grid.source)) is not None:
        yield RuleError(("grid", "source", *key), f"must not be simulated: {around}")
    if configuration.grid_order is not None and configuration.grid_order.chip == SIMULATED:
        yield RuleError(("grid_order", "chip"), f"must not be simulated: {around}")


def board_errors(configuration: InstallationTables) -> Iterator[RuleError]:
    """Yield an error if a real board does not match the EVSEs, or the shunt trip is not wired."""
    board = configuration.board
    if isinstance(board, SimulatedBoardConfig):
        return
    if len(board.evse) != len(configuration.evse):
        wanted, given = len(configuration.evse), len(board.evse)
        yield RuleError(("board", "evse"), f"must have {wanted} entries, one for each [[evse]] (has {given})")
    wired = isinstance(board, LinuxBoardConfig) and board.shunt_trip is not None
    if configuration.protection.shunt_trip != "none" and not wired:
        yield RuleError(("protection", "shunt_trip"), "needs board.shunt_trip, which is missing")


def socket_errors(configuration: InstallationTables) -> Iterator[RuleError]:
    """Yield an error for a socket without proximity contact or lock, or an attached cable with one."""
    board = configuration.board
    if not isinstance(board, LinuxBoardConfig):
        return
    for position, (evse, wiring) in enumerate(zip(configuration.evse, board.evse, strict=False)):
        for key in ("proximity", "lock"):
            fitted = getattr(wiring, key) is not None
            if fitted is evse.attached_cable:
                must = "must be left out with attached_cable = true" if fitted else "is missing: a socket needs it"
                yield RuleError(("board", "evse", position, key), must)


def _simulated_wire(source: GridSourceConfig) -> tuple[str, ...] | None:
    """The key by which a grid source refers to a simulated device; None if it is real."""
    match source:
        case LinkyConfig() | P1Config():
            return ("device",) if source.device == SIMULATED else None
        case GridModbusConfig(meter=ModbusRtuMeterConfig() as meter):
            return ("meter", "device") if meter.device == SIMULATED else None
        case GridModbusConfig(meter=ModbusTcpMeterConfig() | ModbusRtuOverTcpMeterConfig() as meter):
            return ("meter", "host") if meter.host == SIMULATED else None
        case _:
            return None
