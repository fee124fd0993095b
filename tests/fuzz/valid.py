"""A valid example of each request of the CSMS and of each answer to the station, with all optional fields.

`RUNNING` stands for the id of the transaction that runs, `CERTIFICATE` for the root certificate of an authority, and
`NOW` for the time of the CSMS.
"""

from __future__ import annotations

from typing import Any

from tests.walk import OTHER_CARD
from tests.walks.steps import GROUP, token

RUNNING = "{transaction}"
CERTIFICATE = "{certificate}"
NOW = "{now}"
EVSE_1: dict[str, Any] = {"id": 1, "connectorId": 1}
FREE_EVSE = 2
"""the one at which no vehicle charges"""
STATUS_INFO = {"reasonCode": "NoError", "additionalInfo": "as asked"}
_LATER = "2099-01-01T00:00:00Z"
_EARLIER = "2020-01-01T00:00:00Z"
_ADDITIONAL = [{"additionalIdToken": "4711", "type": "contract"}]
_GROUP: dict[str, Any] = {**GROUP, "additionalInfo": _ADDITIONAL}
_TOKEN: dict[str, Any] = {**token(OTHER_CARD), "additionalInfo": _ADDITIONAL}
_MESSAGE = {"format": "UTF8", "language": "en", "content": "Good morning"}
_TOKEN_INFO: dict[str, Any] = {
    "status": "Accepted",
    "cacheExpiryDateTime": _LATER,
    "chargingPriority": 1,
    "language1": "en",
    "language2": "fr",
    "evseId": [1, 2],
    "groupIdToken": _GROUP,
    "personalMessage": _MESSAGE,
}
_HASH = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "a1" * 32,
    "issuerKeyHash": "b2" * 32,
    "serialNumber": "01ab",
}
_FIRMWARE = {
    "location": "http://127.0.0.1:9/firmware",
    "retrieveDateTime": _EARLIER,
    "installDateTime": _EARLIER,
}
_SALES_TARIFF: dict[str, Any] = {
    "id": 1,
    "salesTariffDescription": "day",
    "numEPriceLevels": 2,
    "salesTariffEntry": [
        {
            "relativeTimeInterval": {"start": 0, "duration": 3_600},
            "ePriceLevel": 1,
            "consumptionCost": [
                {
                    "startValue": 0.0,
                    "cost": [{"costKind": "RelativePricePercentage", "amount": 20, "amountMultiplier": 0}],
                }
            ],
        }
    ],
}


_NETWORKS: dict[str, Any] = {
    "apn": {
        "apn": "internet",
        "apnUserName": "user",
        "apnPassword": "password",
        "simPin": 1234,
        "preferredNetwork": "20801",
        "useOnlyPreferredNetwork": False,
        "apnAuthentication": "PAP",
    },
    "vpn": {
        "server": "vpn.example.com",
        "user": "user",
        "group": "group",
        "password": "password",
        "key": "key",
        "type": "IPSec",
    },
}


def _place(name: str, variable: str, evse: dict[str, Any] | None = None) -> dict[str, Any]:
    component = {"name": name} | ({"evse": evse} if evse is not None else {})
    return {"component": component, "variable": {"name": variable}}


_ALL_PHASES = {"numberPhases": 3}
"""does not interrupt the charge, as a change of phases does"""
_SINGLE_PHASE = {"numberPhases": 1, "phaseToUse": 1}


def _charging_profile(number: int, purpose: str, phases: dict[str, int], **more: Any) -> dict[str, Any]:
    """A charging profile of 10 A, at all times."""
    schedule = {
        "id": 1,
        "startSchedule": _EARLIER,
        "duration": 86_400,
        "chargingRateUnit": "A",
        "minChargingRate": 6.0,
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0, **phases}],
        "salesTariff": _SALES_TARIFF,
    }
    return {
        "id": number,
        "stackLevel": 1,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Recurring",
        "recurrencyKind": "Daily",
        "validFrom": _EARLIER,
        "validTo": _LATER,
        "chargingSchedule": [schedule],
        **more,
    }


REQUESTS: dict[str, list[dict[str, Any]]] = {
    "CancelReservation": [{"reservationId": 7}],
    "CertificateSigned": [{"certificateChain": CERTIFICATE, "certificateType": "ChargingStationCertificate"}],
    "ChangeAvailability": [
        {"operationalStatus": "Inoperative", "evse": EVSE_1},
        {"operationalStatus": "Inoperative", "evse": {"id": FREE_EVSE, "connectorId": 1}},
    ],
    "ClearCache": [{}],
    "ClearChargingProfile": [
        {
            "chargingProfileId": 4,
            "chargingProfileCriteria": {
                "evseId": 0,
                "chargingProfilePurpose": "TxDefaultProfile",
                "stackLevel": 1,
            },
        }
    ],
    "ClearDisplayMessage": [{"id": 3}],
    "ClearVariableMonitoring": [{"id": [10_000]}],
    "CostUpdated": [{"totalCost": 1.25, "transactionId": RUNNING}],
    "CustomerInformation": [
        {"requestId": 1, "report": True, "clear": True, **customer}
        for customer in ({"idToken": _TOKEN}, {"customerIdentifier": "customer 1"}, {"customerCertificate": _HASH})
    ],
    "DataTransfer": [{"vendorId": "com.example", "messageId": "hello", "data": {"a": [1.5]}}],
    "DeleteCertificate": [{"certificateHashData": _HASH}],
    "GetBaseReport": [{"requestId": 1, "reportBase": "SummaryInventory"}],
    "GetChargingProfiles": [
        {
            "requestId": 1,
            "evseId": 0,
            "chargingProfile": {
                "chargingProfilePurpose": "TxDefaultProfile",
                "stackLevel": 1,
                "chargingProfileId": [4],
                "chargingLimitSource": ["CSO"],
            },
        }
    ],
    "GetCompositeSchedule": [{"duration": 7_200, "chargingRateUnit": "W", "evseId": 1}],
    "GetDisplayMessages": [{"requestId": 1, "id": [3], "priority": "NormalCycle", "state": "Charging"}],
    "GetInstalledCertificateIds": [{"certificateType": ["CSMSRootCertificate"]}],
    "GetLocalListVersion": [{}],
    "GetLog": [
        {
            "requestId": 1,
            "logType": "SecurityLog",
            "retries": 1,
            "retryInterval": 1,
            "log": {
                "remoteLocation": "http://127.0.0.1:9/logs",
                "oldestTimestamp": _EARLIER,
                "latestTimestamp": _LATER,
            },
        }
    ],
    "GetMonitoringReport": [
        {
            "requestId": 1,
            "componentVariable": [_place("EVSE", "Power", {"id": 1})],
            "monitoringCriteria": ["ThresholdMonitoring"],
        }
    ],
    "GetReport": [
        {
            "requestId": 1,
            "componentVariable": [_place("EVSE", "Power", {"id": 1})],
            "componentCriteria": ["Available"],
        }
    ],
    "GetTransactionStatus": [{"transactionId": RUNNING}],
    "GetVariables": [{"getVariableData": [{"attributeType": "Actual", **_place("EVSE", "Power", {"id": 1})}]}],
    "InstallCertificate": [{"certificateType": "CSMSRootCertificate", "certificate": CERTIFICATE}],
    "PublishFirmware": [
        {
            "location": "http://127.0.0.1:9/firmware",
            "retries": 1,
            "retryInterval": 1,
            "checksum": "0" * 32,
            "requestId": 1,
        }
    ],
    "RequestStartTransaction": [
        {
            "evseId": FREE_EVSE,
            "remoteStartId": 7,
            "idToken": _TOKEN,
            "groupIdToken": _GROUP,
            "chargingProfile": _charging_profile(5, "TxProfile", _SINGLE_PHASE),
        }
    ],
    "RequestStopTransaction": [{"transactionId": RUNNING}],
    "ReserveNow": [
        {
            "id": 7,
            "expiryDateTime": _LATER,
            "connectorType": "sType2",
            "idToken": _TOKEN,
            "groupIdToken": _GROUP,
            "evseId": FREE_EVSE,
        }
    ],
    "Reset": [{"type": "OnIdle", "evseId": 1}, {"type": "Immediate", "evseId": FREE_EVSE}],
    "SendLocalList": [
        {
            "versionNumber": 5,
            "updateType": "Full",
            "localAuthorizationList": [{"idToken": _TOKEN, "idTokenInfo": _TOKEN_INFO}],
        }
    ],
    "SetChargingProfile": [
        {"evseId": 0, "chargingProfile": _charging_profile(4, "TxDefaultProfile", _ALL_PHASES)},
        {"evseId": 0, "chargingProfile": _charging_profile(6, "ChargingStationMaxProfile", _SINGLE_PHASE)},
        {"evseId": 1, "chargingProfile": _charging_profile(8, "TxProfile", _SINGLE_PHASE, transactionId=RUNNING)},
    ],
    "SetDisplayMessage": [
        {
            "message": {
                "id": 3,
                "priority": "NormalCycle",
                "state": "Charging",
                "startDateTime": _EARLIER,
                "endDateTime": _LATER,
                "transactionId": RUNNING,
                "message": _MESSAGE,
                **display,
            }
        }
        for display in ({}, {"display": {"name": "Display", "instance": "Main", "evse": EVSE_1}})
    ],
    "SetMonitoringBase": [{"monitoringBase": "All"}],
    "SetMonitoringLevel": [{"severity": 9}],
    "SetNetworkProfile": [
        {
            "configurationSlot": 2,
            "connectionData": {
                "ocppVersion": "OCPP20",
                "ocppTransport": "JSON",
                "ocppCsmsUrl": "ws://127.0.0.1:9/ocpp",
                "messageTimeout": 30,
                "securityProfile": 1,
                "ocppInterface": "Wired0",
                **networks,
            },
        }
        for networks in ({}, _NETWORKS)
    ],
    "SetVariableMonitoring": [
        {
            "setMonitoringData": [
                {
                    "transaction": False,
                    "value": 10.0,
                    "type": kind,
                    "severity": 5,
                    **_place("EVSE", "Power", {"id": 1}),
                }
            ]
        }
        for kind in ("UpperThreshold", "Delta", "Periodic", "PeriodicClockAligned")
    ],
    "SetVariables": [
        {
            "setVariableData": [
                {
                    "attributeType": "Actual",
                    "attributeValue": "120",
                    **place,
                }
            ]
        }
        for place in (_place("OCPPCommCtrlr", "HeartbeatInterval"), _place("EVSE", "Power", EVSE_1))
    ],
    "TriggerMessage": [
        {"requestedMessage": "MeterValues", "evse": EVSE_1},
        {"requestedMessage": "TransactionEvent", "evse": EVSE_1},
    ],
    "UnlockConnector": [{"evseId": FREE_EVSE, "connectorId": 1}],
    "UnpublishFirmware": [{"checksum": "0" * 32}],
    "UpdateFirmware": [
        {"requestId": 1, "retries": 1, "retryInterval": 1, "firmware": {**_FIRMWARE, **signed}}
        for signed in ({}, {"signingCertificate": CERTIFICATE, "signature": "c2lnbmVk"})
    ],
}
"""by action; several where they take different ways through the station"""

REFUSED = {
    ("CertificateSigned", 0),
    ("DeleteCertificate", 0),
    ("PublishFirmware", 0),
    ("SetDisplayMessage", 1),
    ("SetNetworkProfile", 1),
    ("SetVariables", 1),
    ("UnpublishFirmware", 0),
    ("UpdateFirmware", 1),
}
"""examples that the station refuses, by action and number: it has no use for some of their fields"""

BEFORE: dict[str, str] = {
    "CancelReservation": "ReserveNow",
    "ClearChargingProfile": "SetChargingProfile",
    "ClearDisplayMessage": "SetDisplayMessage",
    "ClearVariableMonitoring": "SetVariableMonitoring",
    "CustomerInformation": "SendLocalList",
    "GetChargingProfiles": "SetChargingProfile",
    "GetDisplayMessages": "SetDisplayMessage",
    "GetInstalledCertificateIds": "InstallCertificate",
    "GetMonitoringReport": "SetVariableMonitoring",
}
"""by action: the one whose example is sent before, so that there is something to find"""

MAY_STOP_CHARGING = {
    "ChangeAvailability",
    "RequestStopTransaction",
    "Reset",
    "SetChargingProfile",
    "SetVariables",
    "UpdateFirmware",
}
"""actions that may mean an end or a pause of the charge that runs"""

_ONLY_STATUS: dict[str, Any] = {"status": "Accepted", "statusInfo": STATUS_INFO}
ANSWERS: dict[str, dict[str, Any]] = {
    "Authorize": {"idTokenInfo": _TOKEN_INFO, "certificateStatus": "Accepted"},
    "BootNotification": {"currentTime": NOW, "interval": 300, **_ONLY_STATUS},
    "ClearedChargingLimit": {},
    "DataTransfer": {**_ONLY_STATUS, "data": {"a": [1.5]}},
    "FirmwareStatusNotification": {},
    "Heartbeat": {"currentTime": NOW},
    "LogStatusNotification": {},
    "MeterValues": {},
    "NotifyChargingLimit": {},
    "NotifyCustomerInformation": {},
    "NotifyDisplayMessages": {},
    "NotifyEvent": {},
    "NotifyMonitoringReport": {},
    "NotifyReport": {},
    "ReportChargingProfiles": {},
    "ReservationStatusUpdate": {},
    "SecurityEventNotification": {},
    "SignCertificate": _ONLY_STATUS,
    "StatusNotification": {},
    "TransactionEvent": {
        "totalCost": 1.25,
        "chargingPriority": 1,
        "idTokenInfo": _TOKEN_INFO,
        "updatedPersonalMessage": _MESSAGE,
    },
}
"""by action of the station"""

_TRIGGER = "TriggerMessage"
REQUESTED_BY: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "Authorize": [],
    "BootNotification": [],
    "ClearedChargingLimit": [],
    "DataTransfer": [],
    "NotifyChargingLimit": [],
    "NotifyCustomerInformation": [("CustomerInformation", REQUESTS["CustomerInformation"][0])],
    "NotifyDisplayMessages": [
        ("SetDisplayMessage", REQUESTS["SetDisplayMessage"][0]),
        ("GetDisplayMessages", {"requestId": 1}),
    ],
    "NotifyEvent": [("SetVariableMonitoring", example) for example in REQUESTS["SetVariableMonitoring"]],
    "NotifyMonitoringReport": [
        ("SetVariableMonitoring", REQUESTS["SetVariableMonitoring"][0]),
        ("GetMonitoringReport", {"requestId": 1}),
    ],
    "NotifyReport": [("GetBaseReport", REQUESTS["GetBaseReport"][0])],
    "ReportChargingProfiles": [
        ("SetChargingProfile", REQUESTS["SetChargingProfile"][0]),
        ("GetChargingProfiles", {"requestId": 1, "chargingProfile": {}}),
    ],
    "ReservationStatusUpdate": [
        ("ReserveNow", REQUESTS["ReserveNow"][0]),
        ("ChangeAvailability", REQUESTS["ChangeAvailability"][1]),
    ],
    "SecurityEventNotification": [],
    "SignCertificate": [(_TRIGGER, {"requestedMessage": "SignChargingStationCertificate"})],
    "StatusNotification": [(_TRIGGER, {"requestedMessage": "StatusNotification", "evse": EVSE_1})],
    "TransactionEvent": [(_TRIGGER, {"requestedMessage": "TransactionEvent", "evse": EVSE_1})],
}
"""by action of the station: requests of the CSMS upon which it sends it; others are triggered by their names"""
