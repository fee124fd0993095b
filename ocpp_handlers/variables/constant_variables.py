"""Variables of controllers that are the same for each station: limits of the program, and what it can do."""

from __future__ import annotations

from collections.abc import Iterator

from energy.profile_store import HIGHEST_STACK_LEVEL, MAX_PERIODS
from ocpp_handlers.variables.variable import Component, DataType, Variable, read_only_variable
from station.security.file_transfer.file_transfer import PROTOCOLS

_LIMITS = frozenset({"ConfigurationValueSize", "ReportingValueSize"})
"""variables that also report their value as their maxLimit"""
_VALUE_SIZE = 1_000
"""characters of a value in SetVariables (schema)"""
_REPORT_SIZE = 2_500
"""characters of a value in reports (schema)"""


def constant_variables() -> Iterator[Variable]:
    """Yield these variables, all read-only: sizes of values, limits of profiles, Available, FileTransferProtocols."""
    for component, name, value in (
        ("DeviceDataCtrlr", "ConfigurationValueSize", _VALUE_SIZE),
        ("DeviceDataCtrlr", "ReportingValueSize", _REPORT_SIZE),
        ("SmartChargingCtrlr", "ProfileStackLevel", HIGHEST_STACK_LEVEL),
        ("SmartChargingCtrlr", "PeriodsPerSchedule", MAX_PERIODS),
    ):
        limit = value if name in _LIMITS else None
        yield read_only_variable(
            Component(component),
            name,
            DataType.INTEGER,
            lambda value=value: str(value),
            maximum=limit,
            constant=True,
            fixed=True,
        )
    for component, name, instance, fact in (
        ("AuthCacheCtrlr", "Available", None, "true"),
        ("LocalAuthListCtrlr", "Available", None, "true"),
        ("SampledDataCtrlr", "Available", None, "true"),
        ("AlignedDataCtrlr", "Available", None, "true"),
        ("SmartChargingCtrlr", "Available", None, "true"),
        ("ReservationCtrlr", "Available", None, "true"),
        ("TariffCostCtrlr", "Available", "Tariff", "true"),
        ("TariffCostCtrlr", "Available", "Cost", "true"),
        ("SmartChargingCtrlr", "ExternalControlSignalsEnabled", None, "true"),
        ("DisplayMessageCtrlr", "Available", None, "true"),
    ):
        yield read_only_variable(
            Component(component), name, DataType.BOOLEAN, lambda fact=fact: fact, instance, constant=True
        )
    yield read_only_variable(
        Component("OCPPCommCtrlr"),
        "FileTransferProtocols",
        DataType.MEMBER_LIST,
        lambda: ",".join(PROTOCOLS),
        values=PROTOCOLS,
        constant=True,
    )
