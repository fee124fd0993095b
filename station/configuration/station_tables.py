"""The tables about the station itself: who it is, its log, its variables of OCPP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from station.core.identifiers import check_identifier, check_time_zone
from station.core.installation_file.document import RuleError
from station.core.installation_file.table import Count, FilePath, Name, Table
from station.core.version import package_version


class StationConfig(Table):
    """[station]: who the station is, and where it keeps its records."""

    identity: Annotated[str, Field(min_length=1, max_length=48), AfterValidator(check_identifier)]
    """the charging station's identity at the CSMS (SecurityCtrlr.Identity)"""
    vendor: Name = "borne"
    """the maker, as BootNotification and ChargingStation.VendorName say"""
    model: Annotated[str, Field(min_length=1, max_length=20)] = "flex"
    """the model, as BootNotification and ChargingStation.Model say"""
    serial_number: Annotated[str, Field(min_length=1, max_length=25)] | None = None
    """the serial number on the label"""
    firmware_version: Name = Field(default_factory=package_version)
    """the version that the CSMS sees; the version of this program when left out"""
    iccid: Annotated[str, Field(min_length=1, max_length=20), AfterValidator(check_identifier)] | None = None
    """of the SIM card of a mobile link"""
    imsi: Annotated[str, Field(min_length=1, max_length=20), AfterValidator(check_identifier)] | None = None
    """the subscriber identity of the SIM card"""
    time_zone: Annotated[str, AfterValidator(check_time_zone)] | None = None
    """where the station stands, such as Europe/Paris (IANA); UTC when left out, until somebody sets it on the page"""
    storage: FilePath = Path("./borne-data")
    """the directory of the records; made when absent"""
    on_storage_failure: Literal["stop", "continue"] = "stop"
    """whether a station that cannot record its transactions goes on charging"""
    commissioning: Literal["done", "required"] = "done"
    """required: nobody charges until an installer has commissioned the station and its owner has activated it"""
    master_pass_selection: bool = False
    """whether the holder of a master pass is asked, on a display, which transactions to stop; else all are (C16)"""


class LogConfig(Table):
    """[log]: what the daemon tells about itself."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """the least important lines that are logged"""
    format: Literal["auto", "human", "json"] = "auto"
    """auto: for people on a terminal, JSON lines elsewhere"""
    file: FilePath | None = None
    """a file that gets every line as well"""
    frames: bool = False
    """whether OCPP messages are logged above level debug too; they name cards and customers"""


class VariableConfig(Table):
    """[[variable]]: a value in place of the device model's default, another mutability, or a variable of one's own."""

    component: Name
    """the component of the device model"""
    component_instance: Name | None = None
    """the instance of the component, if it has one"""
    variable: Name
    """the name of the variable"""
    instance: Name | None = None
    """of the variable"""
    evse: Annotated[Count, Field(ge=1)] | None = None
    """the EVSE that the component belongs to; absent for the station itself"""
    connector: Annotated[Count, Field(ge=1)] | None = None
    """the connector that the component belongs to"""
    attribute: Literal["Actual", "Target", "MinSet", "MaxSet"] = "Actual"
    """which attribute of the variable"""
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
