"""The station's data classes ↔ the data types of OCPP 2.0.1. Pure."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING, Final, cast

from foundation.bounds import INTEGER
from ocpp_handlers.wire import timestamps
from ocpp_handlers.wire.session import PayloadError
from station.core.model import (
    MAX_ADDITIONAL_INFO,
    AuthorizationStatus,
    IdToken,
    IdTokenInfo,
    MessageContent,
    TransactionEvent,
)
from station.core.sampling import Measurand, MeterValue, SampledValue, SignedValue

if TYPE_CHECKING:
    from datetime import datetime

    from ocpp_handlers.wire import messages as m
    from station.core.csms import OcspRequest


_log = logging.getLogger(__name__)

_LONGEST_SIGNED_VALUE: Final = 2_500
"""characters of signedMeterData and of publicKey (their schema)"""


def parse_date_time(text: str, field: str) -> datetime:
    """Parse a date and time of a request to a datetime in UTC; `field` is its name, for the error.

    Raises:
        PayloadError: it is malformed; the schema check does not cover formats.
    """
    try:
        return timestamps.decode(text)
    except ValueError as error:
        raise PayloadError("PropertyConstraintViolation", f"{field}: {error}") from error


_LOWEST_INTEGER, _HIGHEST_INTEGER = int(INTEGER.lowest), int(INTEGER.highest)
_MAX_EVSES = 100
"""limit of the evseId list of an id token; more than any station has"""


def parse_integer(value: float, field: str) -> int:
    """Convert a number of a request to an int of at most 32 bits; `field` is its name, for the error.

    Raises:
        PayloadError: it is beyond 32 bits; the schema accepts 1e300 as an integer.
    """
    if not _LOWEST_INTEGER <= value <= _HIGHEST_INTEGER:
        raise PayloadError("PropertyConstraintViolation", f"{field} is outside the range of 32-bit integers")
    return int(value)


def id_token_to_wire(id_token: IdToken) -> m.IdTokenType:
    """Translate an id token to IdTokenType, with its additional information."""
    wire: m.IdTokenType = {"idToken": id_token.value, "type": id_token.type}
    if id_token.additional_info:
        wire["additionalInfo"] = [
            {"additionalIdToken": value, "type": kind} for value, kind in id_token.additional_info
        ]
    return wire


def id_token_from_wire(wire: m.IdTokenType) -> IdToken:
    """Translate an IdTokenType; additional information beyond AdditionalInfoItemsPerMessage is ignored."""
    infos = wire.get("additionalInfo", [])[:MAX_ADDITIONAL_INFO]
    return IdToken(wire["idToken"], wire["type"], tuple((info["additionalIdToken"], info["type"]) for info in infos))


def ocsp_request_to_wire(request: OcspRequest) -> m.OCSPRequestDataType:
    """Translate what identifies a certificate in a request for its status."""
    return {
        "hashAlgorithm": request.algorithm,
        "issuerNameHash": request.issuer_name_hash,
        "issuerKeyHash": request.issuer_key_hash,
        "serialNumber": request.serial_number,
        "responderURL": request.responder_url,
    }


def id_token_info_from_wire(wire: m.IdTokenInfoType) -> IdTokenInfo:
    """Translate an IdTokenInfoType; a malformed cacheExpiryDateTime is ignored."""
    group = wire.get("groupIdToken")
    expiry = wire.get("cacheExpiryDateTime")
    expires_at: datetime | None = None
    if expiry is not None:
        try:
            expires_at = timestamps.decode(expiry)
        except ValueError:
            expires_at = None
    return IdTokenInfo(
        AuthorizationStatus(wire["status"]),
        id_token_from_wire(group) if group is not None else None,
        expires_at,
        # 0 is no EVSE; an empty list would allow all of them.
        tuple(int(evse_id) if INTEGER.includes(evse_id) else 0 for evse_id in wire.get("evseId", ())[:_MAX_EVSES]),
        message_content_from_wire(wire["personalMessage"]) if "personalMessage" in wire else None,
        charging_priority_from_wire(wire.get("chargingPriority", 0)),
        tuple(language for key in ("language1", "language2") if (language := wire.get(key))),
    )


def charging_priority_from_wire(priority: int) -> int:
    """Clamp a chargingPriority of the CSMS to the range −9…9 of the specification."""
    return max(-9, min(9, priority))


def message_content_from_wire(wire: m.MessageContentType) -> MessageContent:
    """Translate a MessageContentType: text, format, and language if given."""
    return MessageContent(wire["content"], wire["format"], wire.get("language"))


def event_to_wire(event: TransactionEvent) -> m.TransactionEventRequest:
    """Translate a recorded event to TransactionEventRequest.

    Raises:
        ValueError: the event has no seqNo, so it was not recorded.
    """
    if event.seq_no is None:
        raise ValueError("an event is sent only after it was recorded")
    wire: m.TransactionEventRequest = {
        "eventType": event.event_type.value,
        "timestamp": timestamps.encode(event.occurred_at),
        "triggerReason": event.trigger.value,
        "seqNo": event.seq_no,
        "transactionInfo": _transaction_to_wire(event),
    }
    if event.offline:
        wire["offline"] = True  # E08.FR.07
    if event.phases_used is not None:
        wire["numberOfPhasesUsed"] = event.phases_used
    if event.cable_max_a is not None:
        wire["cableMaxCurrent"] = int(event.cable_max_a)
    if event.reservation_id is not None:
        wire["reservationId"] = event.reservation_id
    if event.id_token is not None:
        wire["idToken"] = id_token_to_wire(event.id_token)
    if event.evse is not None:
        wire["evse"] = {"id": event.evse.evse_id}
        if event.evse.connector_id is not None:
            wire["evse"]["connectorId"] = event.evse.connector_id
    if event.meter_values:
        wire["meterValue"] = [meter_value_to_wire(value) for value in event.meter_values]
    return wire


def _transaction_to_wire(event: TransactionEvent) -> m.TransactionType:
    info: m.TransactionType = {"transactionId": event.transaction_id}
    if event.charging_state is not None:
        info["chargingState"] = event.charging_state.value
    if event.time_spent_charging_s is not None:
        info["timeSpentCharging"] = event.time_spent_charging_s
    if event.stopped_reason is not None:
        info["stoppedReason"] = event.stopped_reason.value
    if event.remote_start_id is not None:
        info["remoteStartId"] = event.remote_start_id
    return info


def meter_value_to_wire(value: MeterValue) -> m.MeterValueType:
    """Translate the samples of one moment to MeterValueType; a signed record that is too long is left out."""
    return {
        "timestamp": timestamps.encode(value.taken_at),
        "sampledValue": [_sample_to_wire(sample) for sample in value.samples],
    }


def _sample_to_wire(sample: SampledValue) -> m.SampledValueType:
    wire: m.SampledValueType = {
        "value": sample.value,
        "context": sample.context.value,
        "measurand": sample.measurand.value,
        "location": "EV" if sample.measurand is Measurand.SOC else "Outlet",
    }
    if sample.unit:
        wire["unitOfMeasure"] = {"unit": sample.unit}
    if sample.phase is not None:
        wire["phase"] = cast("m.PhaseEnumType", sample.phase)
    if sample.signed is not None and (signed := _signed_to_wire(sample.signed)) is not None:
        wire["signedMeterValue"] = signed
    return wire


def _signed_to_wire(signed: SignedValue) -> m.SignedMeterValueType | None:
    """Translate a signed value to SignedMeterValueType; None if the record is longer than the schema allows."""
    data = base64.b64encode(signed.record.encode()).decode()
    if len(data) > _LONGEST_SIGNED_VALUE:
        _log.error(
            "a signed record of %d bytes is too long for a message to the CSMS and is not sent", len(signed.record)
        )
        return None
    return {
        "signedMeterData": data,
        "signingMethod": signed.method,
        "encodingMethod": signed.encoding,
        "publicKey": signed.public_key,
    }
