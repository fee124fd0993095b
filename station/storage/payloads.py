"""Transaction events and meter values as they are stored: JSON (docs/adr/0001-plain-json-payloads.md)."""

from __future__ import annotations

from typing import Final

from metering.reading import RegisterReading
from metering.time_quality import TimeStatus
from station.core.model import (
    ChargingState,
    EventType,
    EvseRef,
    IdToken,
    StoppedReason,
    TransactionEvent,
    TriggerReason,
)
from station.core.sampling import Measurand, MeterValue, ReadingContext, SampledValue, SignedValue
from station.storage.stored_format import StoredFormat, StoredNames, names

READABLE: Final = "CASE WHEN json_valid(payload) THEN payload ELSE '{}' END"
"""SQL for the payload in a statement over many rows, so that a corrupted payload does not fail the statement"""

ID_TOKEN_NAMES: Final[StoredNames] = {IdToken: names("value", "type", "additional_info")}

_METER_VALUE_NAMES: Final[StoredNames] = {
    MeterValue: names("taken_at", "samples"),
    SampledValue: names("value", "measurand", "context", "unit", "phase", "signed"),
    SignedValue: names("record", "encoding", "method", "public_key"),
    Measurand: names(
        ENERGY_IMPORT_REGISTER="Energy.Active.Import.Register",
        ENERGY_EXPORT_REGISTER="Energy.Active.Export.Register",
        POWER_IMPORT="Power.Active.Import",
        POWER_EXPORT="Power.Active.Export",
        POWER_OFFERED="Power.Offered",
        CURRENT_IMPORT="Current.Import",
        CURRENT_OFFERED="Current.Offered",
        VOLTAGE="Voltage",
        FREQUENCY="Frequency",
        ENERGY_IMPORT_INTERVAL="Energy.Active.Import.Interval",
        ENERGY_EXPORT_INTERVAL="Energy.Active.Export.Interval",
        REACTIVE_IMPORT_REGISTER="Energy.Reactive.Import.Register",
        REACTIVE_EXPORT_REGISTER="Energy.Reactive.Export.Register",
        REACTIVE_IMPORT_INTERVAL="Energy.Reactive.Import.Interval",
        REACTIVE_EXPORT_INTERVAL="Energy.Reactive.Export.Interval",
        APPARENT_REGISTER="Energy.Apparent.Net",
        REACTIVE_POWER_IMPORT="Power.Reactive.Import",
        REACTIVE_POWER_EXPORT="Power.Reactive.Export",
        POWER_FACTOR="Power.Factor",
        SOC="SoC",
    ),
    ReadingContext: names(
        TRANSACTION_BEGIN="Transaction.Begin",
        TRANSACTION_END="Transaction.End",
        SAMPLE_PERIODIC="Sample.Periodic",
        SAMPLE_CLOCK="Sample.Clock",
        TRIGGER="Trigger",
        OTHER="Other",
    ),
}

_EVENT_NAMES: Final[StoredNames] = {
    **_METER_VALUE_NAMES,
    **ID_TOKEN_NAMES,
    TransactionEvent: names(
        "transaction_id",
        "evse_id",
        "event_type",
        "trigger",
        "occurred_at",
        "seq_no",
        "offline",
        "charging_state",
        "stopped_reason",
        "id_token",
        "evse",
        "remote_start_id",
        "reservation_id",
        "phases_used",
        "cable_max_a",
        "time_spent_charging_s",
        "lasted_s",
        "meter_values",
        "register",
        "test_session",
    ),
    EvseRef: names("evse_id", "connector_id"),
    RegisterReading: names("energy_import_wh", "taken_at", "time", "substitute"),
    EventType: names(
        STARTED="Started",
        UPDATED="Updated",
        ENDED="Ended",
    ),
    TriggerReason: names(
        AUTHORIZED="Authorized",
        CABLE_PLUGGED_IN="CablePluggedIn",
        CHARGING_RATE_CHANGED="ChargingRateChanged",
        CHARGING_STATE_CHANGED="ChargingStateChanged",
        DEAUTHORIZED="Deauthorized",
        ENERGY_LIMIT_REACHED="EnergyLimitReached",
        EV_COMMUNICATION_LOST="EVCommunicationLost",
        EV_CONNECT_TIMEOUT="EVConnectTimeout",
        METER_VALUE_CLOCK="MeterValueClock",
        METER_VALUE_PERIODIC="MeterValuePeriodic",
        TIME_LIMIT_REACHED="TimeLimitReached",
        TRIGGER="Trigger",
        UNLOCK_COMMAND="UnlockCommand",
        STOP_AUTHORIZED="StopAuthorized",
        EV_DEPARTED="EVDeparted",
        EV_DETECTED="EVDetected",
        REMOTE_STOP="RemoteStop",
        REMOTE_START="RemoteStart",
        ABNORMAL_CONDITION="AbnormalCondition",
        SIGNED_DATA_RECEIVED="SignedDataReceived",
        RESET_COMMAND="ResetCommand",
    ),
    ChargingState: names(
        CHARGING="Charging",
        EV_CONNECTED="EVConnected",
        SUSPENDED_EV="SuspendedEV",
        SUSPENDED_EVSE="SuspendedEVSE",
        IDLE="Idle",
    ),
    StoppedReason: names(
        DE_AUTHORIZED="DeAuthorized",
        EMERGENCY_STOP="EmergencyStop",
        ENERGY_LIMIT_REACHED="EnergyLimitReached",
        EV_DISCONNECTED="EVDisconnected",
        GROUND_FAULT="GroundFault",
        IMMEDIATE_RESET="ImmediateReset",
        LOCAL="Local",
        MASTER_PASS="MasterPass",
        OTHER="Other",
        OVERCURRENT_FAULT="OvercurrentFault",
        POWER_LOSS="PowerLoss",
        REBOOT="Reboot",
        REMOTE="Remote",
        STOPPED_BY_EV="StoppedByEV",
        TIMEOUT="Timeout",
    ),
    TimeStatus: names(
        UNKNOWN="U",
        INFORMATIVE="I",
        SYNCHRONIZED="S",
        RELATIVE="R",
    ),
}
"""database triggers also read some of these names (migrations 6, 7, 10 and 17)"""

EVENTS: Final = StoredFormat(TransactionEvent, _EVENT_NAMES)
METER_VALUES: Final = StoredFormat(MeterValue, _METER_VALUE_NAMES)


def event_to_text(event: TransactionEvent) -> str:
    """Serialize a transaction event as the JSON text stored in column `payload`."""
    return EVENTS.to_text(event)


def event_from_text(stored: object) -> TransactionEvent:
    """Parse a transaction event from the JSON text stored in column `payload`.

    Raises:
        ValueError: it is not a valid event.
    """
    return EVENTS.from_text(stored)


def value_to_text(value: MeterValue) -> str:
    """Serialize a meter value as the JSON text stored for the Ended event."""
    return METER_VALUES.to_text(value)


def value_from_text(stored: object) -> MeterValue:
    """Parse a meter value from the JSON text stored for the Ended event.

    Raises:
        ValueError: it is not a valid meter value.
    """
    return METER_VALUES.from_text(stored)
