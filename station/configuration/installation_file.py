"""The installation file: what the installer decides before the first start, in TOML, checked and frozen.

Units stand in the names of the keys. Relative paths count from the working directory.
"""

# pydantic-settings is left out on purpose: importing it costs 27 ms of every cold start, and it tells neither
# the line of a mistake nor a mistyped variable.

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, cast
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from energy.sources import GridSourceConfig
from energy.sources.ct import CtConfig
from energy.sources.dry_contact import DryContactConfig
from energy.sources.modbus import ModbusConfig
from metering.drivers import MeterConfig, SimulatedMeterConfig
from metering.drivers.models import ModelName
from station.access.passwords import check_code
from station.configuration import document as config_file
from station.configuration import environment as config_environment
from station.configuration.document import ConfigurationError, RuleError
from station.configuration.price_table import PricesConfig
from station.hardware import BoardConfig, FirmwareConfig, ReaderConfig, SimulatedBoardConfig, SimulatedUpdaterConfig
from station.hardware.leds import LightConfig, PageLightConfig, SysfsLightConfig
from station.hardware.pilot import UnratedCable
from station.identifiers import check_identifier, check_password, check_url
from station.protection.protection import ProtectionConfig
from station.version import package_version

__all__ = ["SIMULATED_DEVICE", "Configuration", "ConfigurationError", "load"]

SIMULATED_DEVICE: Final = "simulated"
"""stands for the device of a grid source whose meter is simulated: its wire exists only once that runs"""


def load(path: Path, environ: Mapping[str, str]) -> Configuration:
    """Read the installation file and put the BORNE_ variables of `environ` over it.

    Raises:
        ConfigurationError: in one sentence, where (file and line, or variable), which key, and what is wrong.
    """
    document = config_environment.overlay(config_file.read(path), environ, Configuration)
    try:
        return Configuration.model_validate(document.tree)
    except ValidationError as error:
        from station.configuration import errors as config_errors  # a good start does not wait for it

        # Without its cause: pydantic's own text shows what was given, and that may be a password.
        raise config_errors.explain(error, document, Configuration) from None


def _named(path: object) -> object:
    if path == "":
        raise ValueError("must not be empty")  # pathlib would take it for the working directory
    return path


FilePath = Annotated[Path, BeforeValidator(_named)]


def _check_code(code: SecretStr) -> SecretStr:
    check_code(code.get_secret_value())
    return code


Count = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=50)]
PhaseCount = Literal[1, 3]
SecurityProfile = Literal[0, 1, 2, 3]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class StationConfig(_Table):
    """[station]: who the station is, and where it keeps its records."""

    identity: Annotated[str, Field(min_length=1, max_length=48), AfterValidator(check_identifier)]
    """the charging station's identity at the CSMS (SecurityCtrlr.Identity)"""
    vendor: Name = "borne"
    model: Annotated[str, Field(min_length=1, max_length=20)] = "flex"
    serial_number: Annotated[str, Field(min_length=1, max_length=25)] | None = None
    firmware_version: Name = Field(default_factory=package_version)
    iccid: Annotated[str, Field(min_length=1, max_length=20), AfterValidator(check_identifier)] | None = None
    """of the SIM card of a mobile link"""
    imsi: Annotated[str, Field(min_length=1, max_length=20), AfterValidator(check_identifier)] | None = None
    storage: FilePath = Path("./borne-data")
    """the directory of the records; made when absent"""
    on_storage_failure: Literal["stop", "continue"] = "stop"
    """whether a station that cannot record its transactions goes on charging"""
    commissioning: Literal["done", "required"] = "done"
    """required: nobody charges until an installer has commissioned the station and its owner has activated it"""
    master_pass_selection: bool = False
    """whether the holder of a master pass is asked, on a display, which transactions to stop; else all are (C16)"""


class CsmsConfig(_Table):
    """[csms]: the management system; without it the station runs stand-alone."""

    url: Annotated[str, AfterValidator(check_url)]
    """without the identity, which is appended"""
    password: SecretStr | None = None
    """for HTTP basic authentication (A00.FR.205)"""
    ca_file: FilePath | None = None
    """PEM roots that the CSMS is checked against, in place of the system's, and revocation lists that count for it"""
    certificate_file: FilePath | None = None
    """PEM chain of the station; taken over once, since a certificate that the CSMS renews outlives it"""
    key_file: FilePath | None = None
    message_timeout_s: Annotated[Number, Field(gt=0)] = 30.0
    security_profile: SecurityProfile = Field(default_factory=lambda given: _best(_profiles(given)))
    """1 to 3 as OCPP numbers them (A00), 0 without any security; the best that the other keys allow"""

    @field_validator("password")
    @classmethod
    def _is_a_password(cls, password: SecretStr | None) -> SecretStr | None:
        if password is not None:
            check_password(password.get_secret_value())
        return password

    @model_validator(mode="after")
    def _fits_its_security_profile(self) -> CsmsConfig:
        if self.key_file is None and self.certificate_file is not None:
            raise RuleError(("key_file",), "is missing, while certificate_file is given")
        if self.certificate_file is None and self.key_file is not None:
            raise RuleError(("certificate_file",), "is missing, while key_file is given")
        possible = _profiles(dict(self))
        if not possible:
            raise RuleError(
                ("url",),
                "wss:// needs a password (security profile 2) or certificate_file and key_file (security profile 3)",
            )
        if self.security_profile not in possible:
            fitting = " or ".join(str(profile) for profile in possible)
            raise RuleError(("security_profile",), f"must be {fitting} with these keys (is {self.security_profile})")
        return self


def _profiles(given: Mapping[str, object]) -> list[SecurityProfile]:
    """The security profiles that the other keys of [csms] allow (A00)."""
    has_password = given.get("password") is not None
    if urlsplit(str(given.get("url"))).scheme != "wss":  # which may be written WSS
        return [1] if has_password else [0]
    profiles: list[SecurityProfile] = []
    if has_password:
        profiles.append(2)
    if given.get("certificate_file") is not None:
        profiles.append(3)
    return profiles


def _best(profiles: list[SecurityProfile]) -> SecurityProfile:
    return profiles[-1] if profiles else 0  # a CSMS that allows none is refused


class HttpConfig(_Table):
    """[http]: the local page and API."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[Count, Field(ge=0, le=65535)] = 8080
    """0 takes any free port"""
    names: tuple[Name, ...] = ()
    """names with a dot by which browsers find the station, besides addresses and .local (against DNS rebinding)"""
    installer_code: Annotated[SecretStr, AfterValidator(_check_code)] | None = None
    """of the label: the installer sets a first password with it, once"""
    service_code: Annotated[SecretStr, AfterValidator(_check_code)] | None = None
    tls: bool = False
    """https with the station's own certificate, or with the files below"""
    certificate_file: FilePath | None = None
    key_file: FilePath | None = None

    @model_validator(mode="after")
    def _has_both_files(self) -> HttpConfig:
        if (self.certificate_file is None) is not (self.key_file is None):
            missing = "key_file" if self.key_file is None else "certificate_file"
            raise RuleError((missing,), "is missing: certificate_file and key_file belong together")
        if self.certificate_file is not None and not self.tls:
            raise RuleError(("tls",), "must be true with a certificate_file")
        return self


class LogConfig(_Table):
    """[log]: what the daemon tells about itself."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "human", "json"] = "auto"
    """auto: for people on a terminal, JSON lines elsewhere"""
    file: FilePath | None = None
    """a file that gets every line as well"""
    frames: bool = False
    """whether OCPP messages are logged above level debug too; they name cards and customers"""


class EvseConfig(_Table):
    """[[evse]]: one EVSE and its only connector."""

    id: Annotated[Count, Field(ge=1)] = 1
    phases: PhaseCount = 3
    max_current_a: Annotated[Number, Field(ge=6, le=80)] = 32.0
    """rating per phase; IEC 61851-1 A.2 signals 6 to 80 A"""
    attached_cable: bool = False
    start_button: bool = False
    """with AuthCtrlr.Enabled = false a charge begins with this button, without one with the plug (C02)"""
    phase_rotation: Literal["RST", "RTS", "SRT", "STR", "TRS", "TSR", "learn"] = "RST"
    """the connection's phases at L1, L2, L3; learn: found out by watching which phase the vehicle loads"""
    phase_switching: bool = False
    """the simulated board can take L2 and L3 away: where three phases have no 6 A each, it charges on one

    A real board can where its wiring says so.
    """
    phase_choice: bool = False
    """the simulated board can also choose which of the three is left"""
    priority: Annotated[Count, Field(ge=0, le=9)] = 0
    """the higher is served first where the connection does not carry all"""
    connector_type: Literal["cType1", "cType2", "sType2", "sType3"] = Field(
        default_factory=lambda given: "cType2" if given.get("attached_cable") else "sType2"
    )
    """ConnectorEnumType, those with a control pilot for AC: c with an attached cable, s with a socket"""
    meter: MeterConfig = SimulatedMeterConfig()
    """the billing meter"""
    meter_serial: Annotated[str, Field(min_length=1, max_length=50)] | None = None
    """as it is printed on a meter that does not tell it itself"""
    signing: Literal["station", "none"] = "station"
    """who signs the readings of a meter that does not sign them itself"""
    on_meter_failure: Literal["pause", "stop"] = "pause"
    """a transaction whose meter is silent or not to be believed waits for it without energy, or ends"""
    cable_without_rating: UnratedCable = "refuse"
    """what a cable in the socket may carry whose resistor tells no rating, amperes per phase"""

    @model_validator(mode="after")
    def _connector_fits_its_cable(self) -> EvseConfig:
        if self.phase_switching and self.phases != 3:
            raise RuleError(("phase_switching",), "must be false with phases = 1")
        if self.phase_choice and not self.phase_switching:
            raise RuleError(("phase_choice",), "must be false with phase_switching = false")
        if self.connector_type.startswith("c") is not self.attached_cable:
            wanted = "cType1 or cType2" if self.attached_cable else "sType2 or sType3"
            raise RuleError(
                ("connector_type",), f"must be {wanted} with attached_cable = {str(self.attached_cable).lower()}"
            )
        return self


class GridConfig(_Table):
    """[grid]: the connection of the house, which its loads share with the station."""

    phases: PhaseCount
    max_current_a: Annotated[Number, Field(gt=0)] | None = None
    """amperes per phase that may be drawn, besides what the meter tells of the contract"""
    safe_current_a: Annotated[Number, Field(ge=0, le=80)] = 6.0
    """amperes per phase for the station while the source is silent; below 6 it does not charge"""
    breaker: Literal["B", "C"] = "C"
    """curve of the breaker of max_current_a, where no meter tells its own cut-off"""
    unbalance_a: Annotated[Number, Field(gt=0)] | None = None
    """by so much may one-phase vehicles load one phase more than another (VDE-AR-N 4100: 20)"""
    silent_least_after_s: Annotated[Number, Field(ge=10)] = 600.0
    """from then on a silent source leaves 6 A at the most"""
    silent_pause_after_s: Annotated[Number, Field(ge=10)] | Literal[False] = 3600.0
    """from then on a silent source leaves nothing; false: it goes on"""
    restart_delay_max_s: Annotated[Number, Field(ge=0, le=1800)] = 0.0
    """after a blackout vehicles wait for a random part of this (Great Britain 600, Austria 300)"""
    sharing: Literal["fair", "first-come"] = "fair"
    """who gets what is left when every vehicle that fits has 6 A"""
    source: GridSourceConfig
    """what tells how much the house draws"""

    @model_validator(mode="after")
    def _every_phase_has_a_clamp(self) -> GridConfig:
        if isinstance(self.source, CtConfig) and len(self.source.clamps) != self.phases:
            given = len(self.source.clamps)
            raise RuleError(("source", "clamps"), f"must be {self.phases}, one for each phase (is {given})")
        return self

    @model_validator(mode="after")
    def _the_meter_shows_every_phase(self) -> GridConfig:
        if isinstance(self.source, ModbusConfig) and self.phases == 3:
            table = self.source.meter.table
            if table.registers and table.phases < self.phases:  # one that tells where its registers are has none yet
                reason = f"{table.name} does not show each of three phases, so none can be limited by it"
                raise RuleError(("source", "meter", "model"), reason)
        return self


class MqttConfig(_Table):
    """[mqtt]: a broker that is told why which current is offered, and through which limits may come."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[Count, Field(ge=1, le=65535)] = 1883
    user: Name | None = None
    password: SecretStr | None = None
    tls: bool = False
    topic: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^#+\s]+$")] = "borne"
    """what the topics begin with; the identity follows"""
    discovery: bool = True
    """whether Home Assistant is told what there is; false takes back what it was told"""
    discovery_prefix: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^#+\s]+$")] = "homeassistant"
    """where Home Assistant listens for that"""


class MdnsConfig(_Table):
    """[mdns]: whether the station is found in the local network, by _http._tcp and _ocpp._tcp."""

    enabled: bool | None = None
    """left out: where http.host lets others reach the page"""
    name: Name | None = None
    """what it is called there; the identity when left out"""


class SimulatedLinkyConfig(_Table):
    """[simulation.linky]: the meter of the simulated house, on a pseudo-terminal."""

    mode: Literal["historique", "standard"]
    phases: PhaseCount
    subscribed_va: Annotated[Count, Field(ge=1000, le=36_000)]
    """the contract's power; a Linky serves up to 36 kVA"""


class SimulatedP1Config(_Table):
    """[simulation.p1]: the meter of the simulated house, where the source's `device` is "simulated"."""

    version: Literal["2.2", "4.2", "5.0", "BE"] = "5.0"
    fuse_a: Annotated[Count, Field(ge=1, le=999)] = 999
    """the threshold that a Belgian meter tells; 999: none"""


class SimulationConfig(_Table):
    """[simulation]: the world around the simulated board."""

    rate: Annotated[Number, Field(ge=0)] = 1.0
    """virtual seconds per real second; 0 stands still until told to move"""
    meter_transport: Literal["modbus-tcp", "modbus-rtu", "direct"] = "direct"
    """the wire between the simulated circuit and its meter's driver"""
    meter_model: ModelName = "eastron-sdm630"
    linky: SimulatedLinkyConfig | None = None
    p1: SimulatedP1Config = SimulatedP1Config()
    seed: Count | None = None
    """makes the noise of the simulated house repeatable"""


class VariableConfig(_Table):
    """[[variable]]: a value in place of the device model's default, another mutability, or a variable of one's own."""

    component: Name
    component_instance: Name | None = None
    variable: Name
    instance: Name | None = None
    """of the variable"""
    evse: Annotated[Count, Field(ge=1)] | None = None
    connector: Annotated[Count, Field(ge=1)] | None = None
    attribute: Literal["Actual", "Target", "MinSet", "MaxSet"] = "Actual"
    mutability: Literal["ReadOnly", "WriteOnly", "ReadWrite"] | None = None
    """a variable that the station does not know is added when this is given"""
    value: Annotated[str, Field(max_length=1000)] | None = None
    """as SetVariables carries it"""

    @model_validator(mode="after")
    def _says_something(self) -> VariableConfig:
        if self.value is None and self.mutability is None:
            raise RuleError(("value",), "is missing, and so is mutability")
        return self

    @model_validator(mode="after")
    def _is_no_secret(self) -> VariableConfig:
        if self.variable.casefold() == "basicauthpassword":
            raise RuleError(("variable",), "the password belongs into csms.password, where it is kept secret")
        return self


class Configuration(_Table):
    """The whole installation file."""

    station: StationConfig
    csms: CsmsConfig | None = None
    http: HttpConfig = HttpConfig()
    log: LogConfig = LogConfig()
    evse: tuple[EvseConfig, ...] = (EvseConfig(),)
    board: BoardConfig = SimulatedBoardConfig()
    light: LightConfig = PageLightConfig()
    reader: tuple[ReaderConfig, ...] = ()
    """the token readers"""
    protection: ProtectionConfig = ProtectionConfig()
    firmware: FirmwareConfig = SimulatedUpdaterConfig()
    grid: GridConfig | None = None
    grid_order: DryContactConfig | None = None
    """the contacts through which the grid operator dims (EnWG §14a)"""
    mqtt: MqttConfig | None = None
    mdns: MdnsConfig = MdnsConfig()
    prices: PricesConfig | None = None
    """what the owner asks, until the owner says otherwise through the API"""
    simulation: SimulationConfig = SimulationConfig()
    variable: tuple[VariableConfig, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, given: object) -> object:
        """Without [station] it is the identity that is missing; a simulated Linky brings its device along.

        A board that does not say its type is simulated.
        """
        if not isinstance(given, dict):
            return given
        tree: dict[str, object] = {"station": dict[str, object](), **cast("dict[str, object]", given)}
        if isinstance(board := tree.get("board"), dict):
            tree["board"] = {"type": "simulated", **cast("dict[str, object]", board)}
        match tree:
            case {"grid": {"source": {"type": "linky"}}, "simulation": {"linky": {}}}:
                grid = cast("dict[str, object]", tree["grid"])
                source = {"device": SIMULATED_DEVICE} | cast("dict[str, object]", grid["source"])
                return tree | {"grid": grid | {"source": source}}
            case _:
                return tree

    @model_validator(mode="after")
    def _identity_can_be_a_user_name(self) -> Configuration:
        if ":" in self.station.identity and self.csms is not None and self.csms.password is not None:
            # A00.FR.204: what precedes the first colon is the user of HTTP basic authentication.
            raise RuleError(("station", "identity"), "must not have a colon when csms.password is given")
        return self

    @model_validator(mode="after")
    def _evses_count_from_one(self) -> Configuration:
        if not self.evse:
            raise RuleError(("evse",), "must have at least one entry")
        for position, evse in enumerate(self.evse):
            if evse.id != position + 1:
                key = ("evse", position, "id")
                raise RuleError(key, f"must be {position + 1}: EVSEs count 1, 2, … in order (is {evse.id})")
        return self

    @model_validator(mode="after")
    def _lamps_fit_the_evses(self) -> Configuration:
        if isinstance(self.light, SysfsLightConfig) and len(self.light.paths) not in {1, len(self.evse)}:
            given = len(self.light.paths)
            raise RuleError(("light", "paths"), f"must be 1, or {len(self.evse)}: one for each EVSE (is {given})")
        return self

    @model_validator(mode="after")
    def _evses_fit_the_grid(self) -> Configuration:
        if self.grid is not None and self.grid.phases == 1:
            for position, evse in enumerate(self.evse):
                if evse.phases != 1:
                    key = ("evse", position, "phases")
                    raise RuleError(key, f"must be 1, as grid.phases is 1 (is {evse.phases})")
        return self

    @model_validator(mode="after")
    def _simulated_linky_is_the_grid_source(self) -> Configuration:
        simulated = self.simulation.linky
        if simulated is None:
            return self
        if self.grid is None or self.grid.source.type != "linky":
            raise RuleError(("simulation", "linky"), 'needs a [grid] with a source of type "linky"')
        if self.grid.source.device != SIMULATED_DEVICE:
            key = ("grid", "source", "device")
            raise RuleError(key, "must be left out, as [simulation.linky] brings its own")
        if simulated.phases != self.grid.phases:
            key = ("simulation", "linky", "phases")
            raise RuleError(key, f"must be {self.grid.phases}, as grid.phases is (is {simulated.phases})")
        return self

    @model_validator(mode="after")
    def _readers_have_an_evse(self) -> Configuration:
        for position, reader in enumerate(self.reader):
            if reader.evse is not None and reader.evse > len(self.evse):
                raise RuleError(("reader", position, "evse"), f"there is no EVSE {reader.evse}")
        return self

    @model_validator(mode="after")
    def _nothing_is_simulated_around_a_real_board(self) -> Configuration:
        from station.configuration.hardware_rules import check_hardware

        check_hardware(self)
        return self

    @model_validator(mode="after")
    def _variables_have_a_place(self) -> Configuration:
        taken: set[tuple[object, ...]] = set()
        for position, row in enumerate(self.variable):
            if row.evse is not None and row.evse > len(self.evse):
                raise RuleError(("variable", position, "evse"), f"there is no EVSE {row.evse}")
            if row.connector is not None and (row.evse is None or row.connector != 1):
                raise RuleError(("variable", position, "connector"), "must be 1, beside an evse")
            # names are case-insensitive (part 2, identifierString)
            names = (row.component.casefold(), row.variable.casefold(), (row.instance or "").casefold())
            instance = (row.component_instance or "").casefold()
            place = (*names, instance, row.evse, row.connector, row.attribute)
            if place in taken:
                raise RuleError(("variable", position), f"{row.component}.{row.variable} is given twice")
            taken.add(place)
        return self
