"""What documents are made for: who issues them, when, in which language, and what proves what they say."""

from __future__ import annotations

from datetime import datetime, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING

from foundation.frozen import frozen
from station.billing.documents.table import CardLabels, label, shown_token
from station.billing.documents.words import Language, Words, words
from station.core.model import PAGE_TOKEN, IdToken

if TYPE_CHECKING:
    from station.billing.logged_transaction import LoggedTransaction


@frozen
class Issuer:
    """Which station it was."""

    identity: str
    name: str
    """its maker and model"""
    serial_number: str | None
    program: str
    """what made the document, with its version"""


@frozen
class SignerKey:
    """Whose key it was."""

    public_key: bytes
    """SubjectPublicKeyInfo, DER"""
    fingerprint: str
    meter: bool
    """the meter signed; else the station"""


@frozen
class SignatureProof:
    """What was signed of a transaction."""

    records: tuple[str, ...]
    """the signed records (OCMF), in order"""
    container: bytes
    """the same as a file that transparency software opens (XML)"""
    signed_by: SignerKey | None
    """None: flash memory has spoilt the key, or which it was; the records stand alone"""
    registers_wh: frozenset[Decimal]
    """the registers that the records tell"""


@frozen
class DocumentContext:
    """For whom and when a document is made."""

    language: Language
    zone: tzinfo
    """what clocks at the station go by"""
    created: datetime
    labels: CardLabels

    @property
    def words(self) -> Words:
        """The words of its language."""
        return words(self.language)

    def card(self, one: LoggedTransaction) -> str:
        """Text for the card of a transaction: the owner's label, else the shortened number."""
        if one.token is not None and IdToken(one.token, one.token_type or "") == PAGE_TOKEN:
            return self.words.at_page
        return label(one, self.labels) or shown_token(one) or "–"


@frozen
class Month:
    """A month of a year, as clocks at the station have it."""

    year: int
    month: int

    @classmethod
    def named(cls, text: str) -> Month:
        """The month of a text such as 2026-01.

        Raises:
            ValueError: it is none.
        """
        year, _, month = text.partition("-")
        return cls(int(year), int(month))

    def begin(self, zone: tzinfo) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=zone)

    def end(self, zone: tzinfo) -> datetime:
        """The first moment after it."""
        year, month = (self.year + 1, 1) if self.month == 12 else (self.year, self.month + 1)
        return datetime(year, month, 1, tzinfo=zone)
