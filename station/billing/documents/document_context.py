"""Data common to all documents: issuer, date, language, and the signatures that prove the registers."""

from __future__ import annotations

from datetime import datetime, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.billing.documents.table import CardLabels, label, short_token
from station.billing.documents.words import Words, words
from station.core.languages import LanguageCode
from station.core.model import PAGE_TOKEN, IdToken

if TYPE_CHECKING:
    from station.billing.logged_transaction import LoggedTransaction


class Issuer(Frozen):
    """The station that issues a document, as printed at its top."""

    identity: str
    name: str
    """manufacturer and model"""
    serial_number: str | None
    program: str
    """the software that made the document, with its version"""


class SignerKey(Frozen):
    """The public key that verifies the signed records of a receipt."""

    public_key: bytes
    """SubjectPublicKeyInfo, DER"""
    fingerprint: str
    meter: bool
    """True: key of the meter; False: key of the station"""


class SignatureProof(Frozen):
    """The signed records of a transaction, which prove its registers on a receipt."""

    records: tuple[str, ...]
    """the signed records (OCMF), in order"""
    container: bytes
    """the same as an XML file for transparency software"""
    signed_by: SignerKey | None
    """None: the key is lost or damaged in storage; the records are shown without it"""
    registers_wh: frozenset[Decimal]
    """the registers in the signed records"""


class DocumentContext(Frozen):
    """What every document needs to be drawn: language, time zone, date of creation, and the labels of cards."""

    language: LanguageCode
    zone: tzinfo
    """time zone of the station"""
    created: datetime
    labels: CardLabels

    @property
    def words(self) -> Words:
        """The printed texts of documents in this language."""
        return words(self.language)

    def card(self, transaction: LoggedTransaction) -> str:
        """Text for the card of a transaction: the owner's label, else the shortened token, or that it is a test."""
        if transaction.test_session:
            return self.words.test_session
        if transaction.token is not None and IdToken(transaction.token, transaction.token_type or "") == PAGE_TOKEN:
            return self.words.at_page
        return label(transaction, self.labels) or short_token(transaction) or "–"


class Month(Frozen):
    """The month of a report, in local time of the station."""

    year: int
    month: int

    @classmethod
    def named(cls, text: str) -> Month:
        """Parse a month such as 2026-01.

        Raises:
            ValueError: the text is not a month.
        """
        year, _, month = text.partition("-")
        return cls(int(year), int(month))

    def begin(self, zone: tzinfo) -> datetime:
        """The first moment of the month in this time zone."""
        return datetime(self.year, self.month, 1, tzinfo=zone)

    def end(self, zone: tzinfo) -> datetime:
        """The first moment after the month in this time zone."""
        year, month = (self.year + 1, 1) if self.month == 12 else (self.year, self.month + 1)
        return datetime(year, month, 1, tzinfo=zone)
