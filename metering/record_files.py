"""Reads and writes files of signed records as customers get them: plain OCMF, or the XML of transparency tools."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from foundation.frozen import Frozen
from metering.ocmf import HEADER, OcmfFormatError
from metering.ocmf_keys import decodings

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_XML_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_MAX_BYTES: Final = 4 * 2**20
"""largest accepted file; no bill is larger"""


class EnclosedRecord(Frozen):
    """One signed record of a file, not parsed, with the information that its XML container gives about it."""

    data: bytes
    """the OCMF record"""
    key: str | None = None
    """the public key given with it, as written"""
    context: str | None = None
    """OCPP's reading context"""
    transaction: str | None = None
    """id of the transaction"""


def read_records(data: bytes) -> list[EnclosedRecord]:
    """Split the content of a file (plain OCMF, base64, hex, XML) into its records, in order; nothing is verified.

    Raises:
        OcmfFormatError: the file has no readable record.
    """
    if len(data) > _MAX_BYTES:
        raise OcmfFormatError("is too large for a file of signed records")
    data = data.removeprefix(codecs.BOM_UTF8)
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        # The declaration of UTF-16 is wrong after conversion.
        data = _XML_DECLARATION.sub("", data.decode("utf-16", errors="replace")).encode()
    if data.lstrip().startswith(b"<"):
        return list(_from_xml(data))
    found = _plain_records(data)
    if found is None:
        raise OcmfFormatError("contains neither an OCMF record nor an XML container of OCMF records")
    return [EnclosedRecord(record) for record in found]


def write_container(records: Iterable[EnclosedRecord]) -> str:
    """Make the XML text that transparency tools read: the records of one transaction, each with its public key."""
    values = "".join(
        f"  <value transactionId={quoteattr(record.transaction or '')} context={quoteattr(record.context or '')}>\n"
        f'    <signedData format="OCMF" encoding="plain">{escape(record.data.decode())}</signedData>\n'
        f'    <publicKey encoding="plain">{escape(record.key or "")}</publicKey>\n'
        "  </value>\n"
        for record in records
    )
    return f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<values>\n{values}</values>\n'


def _plain_records(data: bytes) -> list[bytes] | None:
    """Split concatenated records, or decode one in base64 or hex; None if it is neither."""
    if data.lstrip().startswith(HEADER):
        first, *other_parts = data.split(HEADER)
        records = [HEADER + part for part in other_parts]
        return [first + records[0], *records[1:]]
    text = data.decode("ascii", errors="replace")
    return next(([plain] for plain in decodings(text) if plain.lstrip().startswith(HEADER)), None)


def _from_xml(data: bytes) -> Iterator[EnclosedRecord]:
    values = [value for value in _parse_document(data).iter() if _local_name(value) == "value"]
    if not values:
        raise OcmfFormatError("its XML has no value element")
    keys: dict[str | None, str] = {}
    for value in values:
        signed = _only_child(value, "signedData", "encodedData")
        if signed is None:
            raise OcmfFormatError("a value element of its XML has no signedData")
        kind = signed.get("format") or "OCMF"
        if kind.upper() != "OCMF":
            raise OcmfFormatError(f"a value element of its XML has the format {kind}, not OCMF")
        plain = _plain_records(_record_bytes(signed.text or ""))
        if plain is None:
            raise OcmfFormatError("a value element of its XML does not contain an OCMF record")
        key = _only_child(value, "publicKey")
        written = (key.text or "").strip() if key is not None else ""
        transaction = value.get("transactionId") or signed.get("transactionId")
        # The key may be given with the first value of a transaction only (OncePerTransaction).
        keys[transaction] = written or keys.get(transaction, "")
        for record in plain:
            yield EnclosedRecord(record, keys[transaction] or None, value.get("context"), transaction)


def _record_bytes(text: str) -> bytes:
    """The bytes of an XML text; surrounding white space is not part of the record."""
    return text.strip().encode()


def _parse_document(data: bytes) -> Element:
    """Parse the document. Bytes after its last tag, which some files have, are ignored."""

    class Plain(ElementTree.TreeBuilder):
        """Rejects a document type in any encoding: without one, no entities can be expanded."""

        def doctype(self, *_: object) -> None:
            raise OcmfFormatError("its XML has a document type declaration, which is not allowed")

    parser = ElementTree.XMLParser(target=Plain())
    try:
        parser.feed(data[: data.rfind(b">") + 1].lstrip())
        return parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, OcmfFormatError):
            raise
        raise OcmfFormatError(f"its XML is invalid: {error}") from error


def _only_child(parent: Element, *names: str) -> Element | None:
    return next((child for child in parent.iter() if _local_name(child) in names), None)


def _local_name(element: Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]
