"""All tables of the installation file, without the rules between them."""

from __future__ import annotations

from msgspec import UNSET, UnsetType, field

from energy.sources.dry_contact import DryContactConfig
from foundation.device_table import DeviceTable, TableKey
from foundation.table import Table
from station.configuration.display_tables import DisplayConfig
from station.configuration.network_tables import CsmsConfig, HttpConfig, MdnsConfig, MqttConfig, PageConfig
from station.configuration.price_table import PricesConfig
from station.configuration.simulation_tables import SimulationConfig
from station.configuration.station_tables import LogConfig, StationConfig, VariableConfig
from station.core.installation_file.charging_tables import EvseConfig, GridConfig
from station.core.installation_file.secc_tables import AutochargeConfig
from station.devices.device_config import BoardConfig, FirmwareConfig, ReaderConfig
from station.devices.leds import LightConfig, PageLightConfig
from station.devices.simulated_config import SimulatedBoardConfig, SimulatedUpdaterConfig
from station.load.protection_config import ProtectionConfig


class InstallationTables(Table):
    """The tables of the installation file, each valid by itself; `Configuration` adds the rules between them."""

    station: StationConfig
    csms: CsmsConfig | None = None
    http: HttpConfig = HttpConfig()
    page: PageConfig = PageConfig()
    log: LogConfig = LogConfig()
    evse: tuple[EvseConfig, ...] = (EvseConfig(),)
    """the EVSEs; one with its defaults when left out"""
    board: BoardConfig = SimulatedBoardConfig()
    """the hardware of the EVSEs; `type` selects the driver"""
    light: LightConfig = PageLightConfig()
    """output for the status light besides the page"""
    reader: tuple[ReaderConfig, ...] = ()
    """the token readers; without one, tokens come from the page and the API only"""
    display: DisplayConfig = DisplayConfig()
    """the displays, and what they can show"""
    autocharge: AutochargeConfig = AutochargeConfig()
    protection: ProtectionConfig = ProtectionConfig()
    firmware: FirmwareConfig = SimulatedUpdaterConfig()
    """how new firmware is installed"""
    grid: GridConfig | None = None
    grid_order: DryContactConfig | None = None
    """the contacts by which the grid operator limits the power (EnWG §14a)"""
    mqtt: MqttConfig | None = None
    mdns: MdnsConfig = MdnsConfig()
    prices: PricesConfig | None = None
    """the owner's prices, until they are changed through the API"""
    given_simulation: SimulationConfig | UnsetType = field(name="simulation", default=UNSET)
    variable: tuple[VariableConfig, ...] = ()
    """values and variables of the OCPP device model, in addition to the station's own"""

    @property
    def simulation(self) -> SimulationConfig:
        """The table [simulation]; that with its defaults if it is left out."""
        return self.given_simulation if self.given_simulation is not UNSET else SimulationConfig()

    @property
    def devices(self) -> tuple[tuple[TableKey, DeviceTable], ...]:
        """The tables of board, meters, readers, displays and contacts, each with its key."""
        found: list[tuple[TableKey, DeviceTable]] = [
            (("evse", position, "meter"), evse.meter) for position, evse in enumerate(self.evse)
        ]
        found += [
            (("evse", position, "secc"), evse.secc) for position, evse in enumerate(self.evse) if evse.secc is not None
        ]
        if self.grid is not None:
            found.append((("grid", "source"), self.grid.source))
        found.append((("board",), self.board))
        found += [(("reader", position), reader) for position, reader in enumerate(self.reader)]
        found += [(("display", "output", position), output) for position, output in enumerate(self.display.output)]
        if self.grid_order is not None:
            found.append((("grid_order",), self.grid_order))
        return tuple(found)
