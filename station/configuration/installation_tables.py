"""The tables of the installation file, as the rules between them read them."""

from __future__ import annotations

from energy.sources.dry_contact import DryContactConfig
from station.configuration.network_tables import CsmsConfig, HttpConfig, MdnsConfig, MqttConfig
from station.configuration.price_table import PricesConfig
from station.configuration.simulation_tables import SimulationConfig
from station.configuration.station_tables import LogConfig, StationConfig, VariableConfig
from station.core.installation_file.charging_tables import EvseConfig, GridConfig
from station.core.installation_file.table import Table
from station.devices.config import BoardConfig, FirmwareConfig, ReaderConfig
from station.devices.leds import LightConfig, PageLightConfig
from station.devices.simulated_config import SimulatedBoardConfig, SimulatedUpdaterConfig
from station.load.protection_config import ProtectionConfig


class InstallationTables(Table):
    """Each table of the installation file, valid by itself; `Configuration` also keeps the rules between them."""

    station: StationConfig
    csms: CsmsConfig | None = None
    http: HttpConfig = HttpConfig()
    log: LogConfig = LogConfig()
    evse: tuple[EvseConfig, ...] = (EvseConfig(),)
    """the EVSEs; one with its defaults when left out"""
    board: BoardConfig = SimulatedBoardConfig()
    """the hardware that switches; `type` says which"""
    light: LightConfig = PageLightConfig()
    """what shows the status light besides the page"""
    reader: tuple[ReaderConfig, ...] = ()
    """the token readers"""
    protection: ProtectionConfig = ProtectionConfig()
    firmware: FirmwareConfig = SimulatedUpdaterConfig()
    """how new firmware gets into the station"""
    grid: GridConfig | None = None
    grid_order: DryContactConfig | None = None
    """the contacts through which the grid operator dims (EnWG §14a)"""
    mqtt: MqttConfig | None = None
    mdns: MdnsConfig = MdnsConfig()
    prices: PricesConfig | None = None
    """what the owner asks, until the owner says otherwise through the API"""
    simulation: SimulationConfig = SimulationConfig()
    variable: tuple[VariableConfig, ...] = ()
    """values and variables of OCPP's device model that this station has besides its own"""
