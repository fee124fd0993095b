"""Checks orders of firmware updates, before any download (L01, L02)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.security.file_transfer.file_transfer import FileLocation, TransferError
from station.security.security_events import SecurityEventType

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.x509 import Certificate

    from foundation.supervision import FollowUp
    from station.maintenance.firmware.state import UpdateOrder
    from station.security.security_events import SecurityEvents


class UpdateOrderStatus(StrEnum):
    """The response to an update order (UpdateFirmwareStatusEnumType).

    Without RevokedCertificate: the station gets no revocations of manufacturers.
    """

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    ACCEPTED_CANCELED = "AcceptedCanceled"
    INVALID_CERTIFICATE = "InvalidCertificate"


class UpdateOrderResult(Frozen):
    """The response to an update order, and what to run after it was sent."""

    status: UpdateOrderStatus
    reason_code: str | None = None
    """why it is rejected: a reasonCode of the standard's appendix"""
    info: str = ""
    follow_up: FollowUp | None = None
    """to be run after the response was sent: lets an accepted update begin, or reports a security event"""


class OrderRules(Frozen):
    """What an update order is checked against."""

    allow_unsigned: bool
    """whether non-secure updates (L02) are accepted"""
    roots: Sequence[Certificate]
    """the manufacturer's root certificates"""
    now: datetime


def decode_signature(text: str) -> bytes:
    """Decode the signature of an image from base64, which may contain line breaks; verifies nothing.

    Raises:
        ValueError: not base64.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("the signature is not valid base64") from error


def rejected(reason_code: str, info: str) -> UpdateOrderResult:
    """Create a result with status Rejected, this reasonCode and this sentence."""
    return UpdateOrderResult(UpdateOrderStatus.REJECTED, reason_code, info)


def check_order(order: UpdateOrder, rules: OrderRules, security_events: SecurityEvents) -> UpdateOrderResult | None:
    """Check signing certificate, form of the signature, and URL; return the refusal, or None if valid.

    A refused certificate or signature has a follow-up that reports a security event. Calculates: call it in a thread.
    """
    if order.unsigned and not rules.allow_unsigned:
        return rejected("MissingParam", "firmware must be signed")
    if not order.unsigned and (refusal := _certificate_refusal(order, rules, security_events)) is not None:
        return refusal
    try:
        if order.signature is not None:
            decode_signature(order.signature)
    except ValueError as error:
        report = _report_later(security_events, SecurityEventType.INVALID_FIRMWARE_SIGNATURE, str(error))
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
    """Check the signing certificate (L01.FR.02, L01.FR.21, L01.FR.22)."""
    from station.maintenance.firmware.signature import check_signing_certificate  # late: cryptography

    problem: str | None = "is missing"
    if order.signing_certificate is not None:
        problem = check_signing_certificate(order.signing_certificate, rules.roots, rules.now)
    if problem is None:
        return None
    info = f"the signing certificate {problem}"
    report = _report_later(security_events, SecurityEventType.INVALID_FIRMWARE_SIGNING_CERTIFICATE, info)
    return UpdateOrderResult(UpdateOrderStatus.INVALID_CERTIFICATE, "InvalidCertificate", info, report)


def _report_later(security_events: SecurityEvents, kind: SecurityEventType, info: str) -> FollowUp:
    async def report() -> None:
        await security_events.report(kind, info)

    return report
