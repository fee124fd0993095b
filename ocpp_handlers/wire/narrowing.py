"""Says in OCPP 2.0.1 what a message of the station says in OCPP 2.1. Pure; the given message stays as it is.

What 2.0.1 has no words for is left out: a field, or the least part around a value that 2.0.1 does not have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from foundation.json_values import is_list, is_object
from ocpp_handlers.wire.new_fields import NEW_FIELDS, FieldTree

Rule: TypeAlias = Callable[[object], object]
"""returns the value in the words of 2.0.1, or NOTHING"""

NOTHING: Final = object()
"""2.0.1 has no words for this value, so what contains it is left out"""

_LONGEST_TOKEN: Final = 36
_LONGEST_WORD: Final = 20
"""characters of a value of an enumeration that 2.1 has opened"""
_LONGEST_TEXT: Final = 512
"""characters of a text for a driver, of additionalInfo and of a URL"""


def to_201(message: str, payload: object) -> object:
    """Return a message, such as TransactionEventRequest, in the words of 2.0.1; NOTHING if it has none for it."""
    if (tree := NEW_FIELDS.get(message)) is not None:
        payload = _without(payload, tree)
    rule = _MESSAGES.get(message)
    if rule is None and message.endswith("Response"):
        rule = _RESPONSE
    return rule(payload) if rule is not None else payload


def _without(value: object, tree: FieldTree) -> object:
    """Leave out the new fields of an object, or of the objects of a list."""
    if is_list(value):
        return [_without(item, tree) for item in value]
    if not is_object(value):
        return value
    narrowed = dict[str, object]()
    for name, field in value.items():
        if name not in tree:
            narrowed[name] = field
        elif (inner := tree[name]) is not None:
            narrowed[name] = _without(field, inner)
    return narrowed


def _words(words: Mapping[str, str]) -> Rule:
    """Replace values; all others stay."""
    return lambda value: words.get(value, value) if isinstance(value, str) else value


def _none_of(values: frozenset[str]) -> Rule:
    return lambda value: NOTHING if isinstance(value, str) and value in values else value


def _shorter(limit: int) -> Rule:
    """Leave out a text that is longer."""
    return lambda value: NOTHING if isinstance(value, str) and len(value) > limit else value


def _cut(limit: int) -> Rule:
    return lambda value: value[:limit] if isinstance(value, str) else value


def _rounded(value: object) -> object:
    return math.floor(value + 0.5) if isinstance(value, float) and math.isfinite(value) else value


def _each(rule: Rule) -> Rule:
    """Narrow each item of a list; a list of which nothing is left is left out."""

    def narrow(value: object) -> object:
        if not is_list(value) or not value:
            return value
        return [narrowed for item in value if (narrowed := rule(item)) is not NOTHING] or NOTHING

    return narrow


def _fields(required: Mapping[str, Rule], optional: Mapping[str, Rule] | None = None) -> Rule:
    """Narrow fields of an object; without a required one there is nothing left of it."""
    rules = {**required, **(optional or {})}

    def narrow(value: object) -> object:
        if not is_object(value):
            return value
        narrowed = dict[str, object]()
        for name, field in value.items():
            inner = rules[name](field) if name in rules else field
            if inner is not NOTHING:
                narrowed[name] = inner
            elif name in required:
                return NOTHING
        return narrowed

    return narrow


_STATUS_INFO: Final = _fields({}, {"additionalInfo": _cut(_LONGEST_TEXT)})
_TOKEN_TYPES: Final = frozenset(
    {"Central", "eMAID", "ISO14443", "ISO15693", "KeyCode", "Local", "MacAddress", "NoAuthorization"}
)


def _token_type(value: object) -> object:
    """Central for a type that 2.0.1 does not have: a token that the CSMS or a payment service has issued."""
    is_of_21 = isinstance(value, str) and len(value) <= _LONGEST_WORD and value not in _TOKEN_TYPES
    return "Central" if is_of_21 else value


_ID_TOKEN: Final = _fields(
    {"idToken": _shorter(_LONGEST_TOKEN), "type": _token_type},
    {"additionalInfo": _each(_fields({"additionalIdToken": _shorter(_LONGEST_TOKEN)}))},
)
_NEW_MEASURANDS: Final = frozenset(
    {
        "Current.Export.Offered",
        "Current.Export.Minimum",
        "Current.Import.Offered",
        "Current.Import.Minimum",
        "Display.PresentSOC",
        "Display.MinimumSOC",
        "Display.TargetSOC",
        "Display.MaximumSOC",
        "Display.RemainingTimeToMinimumSOC",
        "Display.RemainingTimeToTargetSOC",
        "Display.RemainingTimeToMaximumSOC",
        "Display.ChargingComplete",
        "Display.BatteryEnergyCapacity",
        "Display.InletHot",
        "Energy.Active.Import.CableLoss",
        "Energy.Active.Import.LocalGeneration.Register",
        "Energy.Active.Setpoint.Interval",
        "EnergyRequest.Target",
        "EnergyRequest.Minimum",
        "EnergyRequest.Maximum",
        "EnergyRequest.Minimum.V2X",
        "EnergyRequest.Maximum.V2X",
        "EnergyRequest.Bulk",
        "Power.Active.Setpoint",
        "Power.Active.Residual",
        "Power.Export.Minimum",
        "Power.Export.Offered",
        "Power.Import.Offered",
        "Power.Import.Minimum",
        "Voltage.Minimum",
        "Voltage.Maximum",
    }
)
_LONGEST_SIGNED_DATA: Final = 2_500


def _signed_value(value: object) -> object:
    """A signed value that is short enough; 2.0.1 requires two texts that 2.1 does not."""
    narrowed = _fields({"signedMeterData": _shorter(_LONGEST_SIGNED_DATA)})(value)
    return {"signingMethod": "", "publicKey": "", **narrowed} if is_object(narrowed) else narrowed


_METER_VALUES: Final = _each(
    _fields(
        {
            "sampledValue": _each(
                _fields(
                    {"measurand": _none_of(_NEW_MEASURANDS), "location": _none_of(frozenset({"Upstream"}))},
                    {"signedMeterValue": _signed_value},
                )
            )
        }
    )
)
_TRIGGER_REASONS: Final = {
    "CostLimitReached": "ChargingStateChanged",
    "SoCLimitReached": "ChargingStateChanged",
    "LimitSet": "Trigger",
    "OperationModeChanged": "ChargingRateChanged",
    "RunningCost": "MeterValuePeriodic",
    "TariffChanged": "Trigger",
    "TariffNotAccepted": "Deauthorized",
    "TxResumed": "ChargingStateChanged",
}
"""the nearest reasons of 2.0.1 for those that it does not have"""
_LIMIT_SOURCES: Final = frozenset({"EMS", "Other", "SO", "CSO"})


def _limit_source(value: object) -> object:
    is_of_21 = isinstance(value, str) and len(value) <= _LONGEST_WORD and value not in _LIMIT_SOURCES
    return "Other" if is_of_21 else value


_TEXT: Final = _fields({"format": _words({"QRCODE": "URI"}), "content": _cut(_LONGEST_TEXT)})
_AC_PARAMETERS: Final = _fields(
    dict.fromkeys(("energyAmount", "evMinCurrent", "evMaxCurrent", "evMaxVoltage"), _rounded)
)
_DC_PARAMETERS: Final = _fields(
    dict.fromkeys(("evMaxCurrent", "evMaxVoltage", "energyAmount", "evMaxPower", "evEnergyCapacity"), _rounded)
)
_TRANSFER_MODES: Final = {
    "AC_BPT": "AC_three_phase",
    "AC_BPT_DER": "AC_three_phase",
    "AC_DER": "AC_three_phase",
    "DC_ACDP": "DC",
    "DC_ACDP_BPT": "DC",
    "DC_BPT": "DC",
}
_NEW_MONITORS: Final = frozenset({"TargetDelta", "TargetDeltaRelative"})
_RESPONSE: Final = _fields({}, {"statusInfo": _STATUS_INFO})
_MESSAGES: Final[Mapping[str, Rule]] = {
    "AuthorizeRequest": _fields(
        {"idToken": _ID_TOKEN},
        {
            "certificate": _shorter(5_500),
            "iso15118CertificateHashData": _each(_fields({"responderURL": _shorter(_LONGEST_TEXT)})),
        },
    ),
    "ClearDisplayMessageResponse": _fields({}, {"status": _words({"Rejected": "Unknown"}), "statusInfo": _STATUS_INFO}),
    "ClearVariableMonitoringResponse": _fields({}, {"clearMonitoringResult": _each(_RESPONSE)}),
    "ClearedChargingLimitRequest": _fields({"chargingLimitSource": _limit_source}),
    "Get15118EVCertificateRequest": _fields({"exiRequest": _shorter(5_600)}),
    "GetCertificateStatusRequest": _fields({"ocspRequestData": _fields({"responderURL": _shorter(_LONGEST_TEXT)})}),
    "GetInstalledCertificateIdsResponse": _fields(
        {},
        {
            "certificateHashDataChain": _each(
                _fields({"certificateType": _none_of(frozenset({"OEMRootCertificate"}))})
            ),
            "statusInfo": _STATUS_INFO,
        },
    ),
    "GetVariablesResponse": _fields(
        {}, {"getVariableResult": _each(_fields({}, {"attributeStatusInfo": _STATUS_INFO}))}
    ),
    "MeterValuesRequest": _fields({"meterValue": _METER_VALUES}),
    "NotifyChargingLimitRequest": _fields({"chargingLimit": _fields({"chargingLimitSource": _limit_source})}),
    "NotifyDisplayMessagesRequest": _fields(
        {},
        {"messageInfo": _each(_fields({"state": _none_of(frozenset({"Suspended", "Discharging"})), "message": _TEXT}))},
    ),
    "NotifyEVChargingNeedsRequest": _fields(
        {
            "chargingNeeds": _fields(
                {"requestedEnergyTransfer": lambda value: _words(_TRANSFER_MODES)(_none_of(frozenset({"WPT"}))(value))},
                {"acChargingParameters": _AC_PARAMETERS, "dcChargingParameters": _DC_PARAMETERS},
            )
        }
    ),
    "NotifyMonitoringReportRequest": _fields(
        {},
        {"monitor": _each(_fields({"variableMonitoring": _each(_fields({"type": _none_of(_NEW_MONITORS)}))}))},
    ),
    "PublishFirmwareStatusNotificationRequest": _fields({}, {"location": _each(_shorter(_LONGEST_TEXT))}),
    "ReportChargingProfilesRequest": _fields(
        {
            "chargingLimitSource": _limit_source,
            "chargingProfile": _each(
                _fields(
                    {
                        "chargingProfilePurpose": _none_of(frozenset({"PriorityCharging", "LocalGeneration"})),
                        "chargingProfileKind": _none_of(frozenset({"Dynamic"})),
                    }
                )
            ),
        }
    ),
    "ReservationStatusUpdateRequest": _fields({"reservationUpdateStatus": _none_of(frozenset({"NoTransaction"}))}),
    "SetDisplayMessageResponse": _fields(
        {}, {"status": _words({"LanguageNotSupported": "Rejected"}), "statusInfo": _STATUS_INFO}
    ),
    "SetVariableMonitoringResponse": _fields(
        {"setMonitoringResult": _each(_fields({"type": _none_of(_NEW_MONITORS)}, {"statusInfo": _STATUS_INFO}))}
    ),
    "SetVariablesResponse": _fields(
        {}, {"setVariableResult": _each(_fields({}, {"attributeStatusInfo": _STATUS_INFO}))}
    ),
    "SignCertificateRequest": _fields({}, {"certificateType": _words({"V2G20Certificate": "V2GCertificate"})}),
    "TransactionEventRequest": _fields(
        {"triggerReason": _words(_TRIGGER_REASONS)},
        {
            "transactionInfo": _fields({}, {"stoppedReason": _words({"ReqEnergyTransferRejected": "Other"})}),
            "idToken": _ID_TOKEN,
            "meterValue": _METER_VALUES,
        },
    ),
}
"""the rules of messages of the station whose values differ too"""
