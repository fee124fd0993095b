"""What this station signs, byte for byte: golden records, made here, that other verifiers accept too."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from decimal import Decimal

import pyocmf
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from metering import ocmf
from metering.ocmf_keys import fingerprint, read_key, stored_public_key
from metering.ocmf_payload import (
    MeterState,
    ReadingReason,
    Signatory,
    SignedReading,
    SignedTransaction,
    UserAssignment,
    kwh,
    reading_payload,
)
from metering.ocmf_signature import check_signature
from metering.ocmf_signer import KeyUnusableError, OcmfSigner, create_key
from metering.time_quality import TimeStatus

SIGNATORY = Signatory("borne flex", "0001-1", "0.1.0", "Eastron SDM630", "4711", "1.2.3", "BORNE-0001 1")
SUBJECT = SignedTransaction(
    "tx", UserAssignment("ISO14443", "04A3B2C1D5E680", "HEARSAY", ("RFID_PLAIN",)), "0.30 EUR/kWh"
)
AT = datetime(2026, 1, 15, 12, 0, 0, 250_000, tzinfo=UTC)
BEGIN = SignedReading(Decimal("1234567.000"), AT, TimeStatus.SYNCHRONIZED, ReadingReason.BEGIN)

GOLDEN = (
    '{"FV":"1.3","GI":"borne flex","GS":"0001-1","GV":"0.1.0","PG":"T7","MM":"Eastron SDM630","MS":"4711","IS":true,'
    '"IL":"HEARSAY","IF":["RFID_PLAIN"],"IT":"ISO14443","ID":"04A3B2C1D5E680","TT":"0.30 EUR/kWh","CF":"1.2.3",'
    '"CT":"CBIDC","CI":"BORNE-0001 1","RD":[{"TM":"2026-01-15T12:00:00,250+0000 S","TX":"B","RV":1234.567,'
    '"RI":"1-0:1.8.0","RU":"kWh","RT":"AC","EF":"","ST":"G"}]}'
)
GOLDEN_SIGNATURE = (
    '{"SA":"ECDSA-secp256r1-SHA256","SD":"3045022036c1d8017371185af56bb7fc984e449539fda2630b3d99a2655bb728dda632c3022100'
    '92d9a0a1561d368972e16f0a51c0595aefe837b6bde3a2a4e55c3b745d05cb3d"}'
)
GOLDEN_KEY = (
    "3059301306072a8648ce3d020106082a8648ce3d0301070342000409ffd42d21094484bb59a65c95ab7765910d7fe68781e3f0b9eeeebd589f"
    "05a8b6df867452c396a1868cd3ddd4d37c14c202434159270fc090a90ab470bb655a"
)
GOLDEN_ALONE = (
    '{"FV":"1.3","GI":"borne flex","GS":"0001-1","GV":"0.1.0","PG":"F1","MM":"Eastron SDM630","MS":"4711","CF":"1.2.3",'
    '"CT":"CBIDC","CI":"BORNE-0001 1","RD":[{"TM":"2026-01-15T12:00:00,250+0000 U","RV":1234.567125,"RI":"1-0:1.8.0",'
    '"RU":"kWh","RT":"AC","EF":"t","ST":"G"}]}'
)


def test_a_begin_is_signed_as_these_bytes() -> None:
    assert reading_payload(SIGNATORY, "T7", SUBJECT, BEGIN).decode() == GOLDEN


def test_a_reading_of_the_meter_alone_is_nobodys() -> None:
    reading = SignedReading(Decimal("1234567.125"), AT, TimeStatus.UNKNOWN, None)
    assert reading_payload(SIGNATORY, "F1", None, reading).decode() == GOLDEN_ALONE


def test_the_golden_record_is_valid_for_us_and_for_others() -> None:
    record = f"OCMF|{GOLDEN}|{GOLDEN_SIGNATURE}"
    assert check_signature(ocmf.parse_record(record.encode()), read_key(GOLDEN_KEY)).valid
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # another reader finds nothing to say about the form either
        assert pyocmf.OCMF.from_string(record, strict=True).verify_signature(GOLDEN_KEY)


def test_the_end_of_a_meter_that_is_silent_says_that_it_is_nothing_to_bill_by() -> None:
    silent = replace(BEGIN, reason=ReadingReason.END, state=MeterState.TIMEOUT)
    reading = ocmf.parse_record(b"OCMF|" + reading_payload(SIGNATORY, "T8", SUBJECT, silent) + b"|{}").readings[0]
    assert (reading.status, reading.error_flags, reading.reason) == ("T", "E", "E")


@pytest.mark.parametrize(
    ("wh", "kwh_text"),
    [("0", "0.000"), ("1", "0.001"), ("1000.000", "1.000"), ("1234.500", "1.2345"), ("0.125", "0.000125")],
)
def test_a_register_keeps_the_digits_that_it_has(wh: str, kwh_text: str) -> None:
    assert format(kwh(Decimal(wh)), "f") == kwh_text


@example(SignedTransaction("tx", UserAssignment("NONE", "|" * 21)), Decimal(0))  # each takes two bytes in the record
@given(
    st.builds(
        SignedTransaction,
        st.just("tx"),
        st.builds(UserAssignment, st.sampled_from(["NONE", "ISO14443", "CENTRAL"]), st.text(max_size=60)),
        st.text(max_size=300),
    ),
    st.decimals(0, 10**9, places=3),
)
def test_whatever_is_signed_can_be_taken_apart_again(subject: SignedTransaction, wh: Decimal) -> None:
    """No text can end a payload early, and no register loses a digit."""
    signed = reading_payload(SIGNATORY, "T1", subject, replace(BEGIN, energy_wh=wh))
    record = ocmf.parse_record(b"OCMF|" + signed + b"|{}")
    assert record.payload == signed
    assert record.readings[0].energy_wh == wh
    assert len((record.text("ID") or "").encode()) <= 40
    assert len(record.text("TT") or "") <= 250


@pytest.mark.parametrize("text", ["", "nothing", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_signs_nothing(text: str) -> None:
    with pytest.raises(KeyUnusableError):
        OcmfSigner(text)


def test_the_public_key_is_read_beside_the_private_one() -> None:
    pem = create_key()
    assert stored_public_key(pem) == OcmfSigner(pem).public_key
    assert stored_public_key("") is None
    assert stored_public_key(pem.replace("M", "*")) is None
    assert stored_public_key("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n") is None


def test_each_key_is_one_of_its_kind() -> None:
    first, second = OcmfSigner(create_key()), OcmfSigner(create_key())
    assert fingerprint(first.public_key) != fingerprint(second.public_key)
    record = ocmf.parse_record(first.sign_record(GOLDEN.encode()))
    assert check_signature(record, read_key(first.public_key.hex())).valid
    assert not check_signature(record, read_key(second.public_key.hex())).valid
