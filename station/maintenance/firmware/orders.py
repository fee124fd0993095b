"""Orders to update the firmware: what is answered, and what is wrong with one before anything is fetched (L01, L02)."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.frozen import frozen
from station.maintenance.firmware.signature import check_signing_certificate, decode_signature
from station.security.file_transfer.file_transfer import FileLocation, TransferError
from station.security.security_events import SecurityEventType

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.x509 import Certificate

    from foundation.supervision import FollowUp
    from station.maintenance.firmware.state import UpdateOrder
    from station.security.security_events import SecurityEvents


class UpdateOrderStatus(StrEnum):
    """UpdateFirmwareStatusEnumType, without RevokedCertificate: nothing tells the station of a maker's revocations."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    ACCEPTED_CANCELED = "AcceptedCanceled"
    INVALID_CERTIFICATE = "InvalidCertificate"


@frozen
class UpdateOrderResult:
    """The answer to an order."""

    status: UpdateOrderStatus
    reason_code: str | None = None
    """why it is refused: a reasonCode of the standard's appendix"""
    info: str = ""
    follow_up: FollowUp | None = None
    """what is to be done once the answer has left"""


@frozen
class OrderRules:
    """By what an order is judged."""

    allow_unsigned: bool
    """whether non-secure updates (L02) are carried out"""
    roots: Sequence[Certificate]
    """the manufacturer's root certificates"""
    now: datetime


def rejected(reason_code: str, info: str) -> UpdateOrderResult:
    """The answer Rejected."""
    return UpdateOrderResult(UpdateOrderStatus.REJECTED, reason_code, info)


def check_order(order: UpdateOrder, rules: OrderRules, security_events: SecurityEvents) -> UpdateOrderResult | None:
    """What is wrong with an order before anything is fetched; None: nothing. It calculates: call it in a thread."""
    if order.unsigned and not rules.allow_unsigned:
        return rejected("MissingParam", "firmware must be signed")
    if not order.unsigned and (refusal := _certificate_refusal(order, rules, security_events)) is not None:
        return refusal
    try:
        if order.signature is not None:
            decode_signature(order.signature)
    except ValueError as error:
        report = _reporting(security_events, SecurityEventType.INVALID_FIRMWARE_SIGNATURE, str(error))
        return UpdateOrderResult(UpdateOrderStatus.REJECTED, "InvalidValue", str(error), report)
    try:
        if order.location is not None:
            FileLocation.parse(order.location)
    except TransferError as error:
        return rejected("InvalidURL", str(error))
    return None


def _certificate_refusal(
    order: UpdateOrder, rules: OrderRules, security_events: SecurityEvents
) -> UpdateOrderResult | None:
    """L01.FR.02, L01.FR.21, L01.FR.22."""
    why: str | None = "is missing"
    if order.signing_certificate is not None:
        why = check_signing_certificate(order.signing_certificate, rules.roots, rules.now)
    if why is None:
        return None
    info = f"the signing certificate {why}"
    report = _reporting(security_events, SecurityEventType.INVALID_FIRMWARE_SIGNING_CERTIFICATE, info)
    return UpdateOrderResult(UpdateOrderStatus.INVALID_CERTIFICATE, "InvalidCertificate", info, report)


def _reporting(security_events: SecurityEvents, kind: SecurityEventType, info: str) -> FollowUp:
    async def report() -> None:
        await security_events.report(kind, info)

    return report
