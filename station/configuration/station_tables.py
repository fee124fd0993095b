"""Tables about the station: identity, log, OCPP variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, field

from foundation.table import Table
from foundation.table_definition import Check, FilePath
from station.core.identifiers import check_identifier, check_time_zone
from station.core.installation_file.document import RuleError
from station.core.installation_file.table import ConnectorNumber, EvseNumber, Name
from station.core.version import package_version


class StationConfig(Table):
    """[station]: who the station is, where it stores its data, and what it requires before charging."""

    identity: Annotated[str, Meta(min_length=1, max_length=48, examples=["BORNE-0001"])]
    """the charging station's identity at the CSMS (SecurityCtrlr.Identity)"""
    vendor: Name = "borne"
    """the manufacturer, for BootNotification and ChargingStation.VendorName"""
    model: Annotated[str, Meta(min_length=1, max_length=20)] = "flex"
    """the model, for BootNotification and ChargingStation.Model"""
    serial_number: Annotated[str, Meta(min_length=1, max_length=25, examples=["0001"])] | None = None
    """the serial number on the label"""
    firmware_version: Annotated[Name, Meta(examples=["1.0.0"])] = field(default_factory=package_version)
    """the version that the CSMS sees; the version of this program when left out, and where RAUC updates it"""
    iccid: Annotated[str, Meta(min_length=1, max_length=20, examples=["8933000000000000000"])] | None = None
    """the identifier of the SIM card of a mobile link"""
    imsi: Annotated[str, Meta(min_length=1, max_length=20, examples=["208010000000000"])] | None = None
    """the subscriber identity of the SIM card"""
    time_zone: Annotated[str | None, Meta(examples=["Europe/Paris"])] = None
    """the time zone of the station, such as Europe/Paris (IANA); when left out: UTC, until it is set on the page"""
    storage: FilePath = Path("./borne-data")
    """the directory of the records; created if absent"""
    on_storage_failure: Literal["stop", "continue"] = "stop"
    """whether a station that cannot record its transactions continues charging"""
    commissioning: Literal["done", "required"] = "done"
    """required: no charging until an installer has commissioned the station and its owner has activated it"""
    master_pass_selection: bool = False
    """whether the holder of a master pass selects the transactions to stop on a display; else all are stopped (C16)"""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """Characters of the identifiers, and existence of the time zone."""
        return {
            "identity": check_identifier,
            "iccid": check_identifier,
            "imsi": check_identifier,
            "time_zone": check_time_zone,
        }


class LogConfig(Table):
    """[log]: level, format and destinations of the log lines of the program."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """the lowest level that is logged"""
    format: Literal["auto", "human", "json"] = "auto"
    """auto: human-readable on a terminal, else JSON lines"""
    file: Annotated[FilePath | None, Meta(examples=["borne.log"])] = None
    """a file that also receives every line"""
    frames: bool = False
    """whether OCPP messages are logged also above level debug; they contain cards and customer data"""


class VariableConfig(Table, kw_only=True):
    """[[variable]]: a value or mutability that replaces the default of the device model, or a new variable."""

    component: Annotated[Name, Meta(examples=["OCPPCommCtrlr"])]
    """the component of the device model"""
    component_instance: Annotated[Name | None, Meta(examples=["B"])] = None
    """the instance of the component, if it has one"""
    variable: Annotated[Name, Meta(examples=["HeartbeatInterval"])]
    """the name of the variable"""
    instance: Annotated[Name | None, Meta(examples=["A"])] = None
    """the instance of the variable, if it has one"""
    evse: EvseNumber | None = None
    """the EVSE that the component belongs to; absent for the station itself"""
    connector: ConnectorNumber | None = None
    """the connector that the component belongs to; absent for none"""
    attribute: Literal["Actual", "Target", "MinSet", "MaxSet"] = "Actual"
    """the attribute of the variable"""
    mutability: Annotated[Literal["ReadOnly", "WriteOnly", "ReadWrite"] | None, Meta(examples=["ReadWrite"])] = None
    """the mutability; given for an unknown variable, it adds the variable"""
    value: Annotated[str, Meta(max_length=1000, examples=["300"])] | None = None
    """the value as text, in quotes, as in SetVariables"""

    def check_rules(self) -> None:
        """Check that the row changes something, and is no password.

        Raises:
            RuleError: it is not so.
        """
        if self.value is None and self.mutability is None:
            raise RuleError(("value",), "is missing: a variable needs value or mutability")
        if self.variable.casefold() == "basicauthpassword":
            raise RuleError(("variable",), "must not be BasicAuthPassword: set csms.password, which is kept secret")
