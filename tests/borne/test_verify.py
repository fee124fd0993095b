"""`borne verify` against real records of meters, read where they lie, and made ones that are wrong in every way."""

from __future__ import annotations

import base64
import contextlib
import json
import warnings
from pathlib import Path

import pyocmf
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from borne.verify import RecordsUnreadableError, check_records
from metering.record_files import EnclosedRecord, write_container
from tests.command_line import Outcome, invoke
from tests.examples import examples
from tests.shared import SHARED

SAMPLES = SHARED / "meters" / "samples" / "ocmf"
_EXPECTED_FILE = SAMPLES / "expected.json"
EXPECTED: dict[str, dict[str, object]] = (
    {name: verdict for name, verdict in json.loads(_EXPECTED_FILE.read_text()).items() if not name.startswith("_")}
    if _EXPECTED_FILE.is_file()
    else {}
)
PROSE = {"notes", "invalid_reason"}
"""what a person wrote about a sample"""

PAYLOAD = (
    '{"FV":"1.0","GS":"1","PG":"T1","MS":"7","IS":false,"IT":"NONE","RD":['
    '{"TM":"2024-05-01T10:00:00,000+0200 S","TX":"B","RV":1.00,"RI":"1-0:1.8.0","RU":"kWh","RT":"AC","EF":"","ST":"G"},'
    '{"TM":"2024-05-01T11:00:00,000+0200 S","TX":"E","RV":8.50,"ST":"G"}]}'
)
KEY = ec.derive_private_key(0x1234567, ec.SECP256R1())

# Made with OpenSSL 3 (`ecparam -name secp192k1 -genkey`, `dgst -sha256 -sign`), since no Python package has the curve.
PAYLOAD_192K1 = (
    '{"FV":"1.0","PG":"T1","IS":false,"IT":"NONE","RD":[{"TM":"2024-05-01T10:00:00,000+0200 S","TX":"B","RV":1.00,'
    '"RI":"1-0:1.8.0","RU":"kWh","RT":"AC","ST":"G"},'
    '{"TM":"2024-05-01T11:00:00,000+0200 S","TX":"E","RV":8.50,"ST":"G"}]}'
)
SIGNATURE_192K1 = (
    "3035021900cd3e0f41af9f75352f2fdf15672e42f52d31fd40956702a602181a9fc1e8bfaeca17ab7aaf393a488045777ed51a03d8a989"
)
POINT_192K1 = "04a6fbe17ee91949b76bae0bf9d7ed580506a8720330cac6b423e3cd9c3c472c75735d10ab1512cf1c06fdc8343c82dbf0"
SPKI_192K1 = "3046301006072a8648ce3d020106052b8104001f033200" + POINT_192K1
COMPRESSED_192K1 = "302e301006072a8648ce3d020106052b8104001f031a0002a6fbe17ee91949b76bae0bf9d7ed580506a8720330cac6b4"


def run_verify(*arguments: str | Path) -> Outcome:
    return invoke(["verify", *map(str, arguments)])


def signed_record(
    payload: str = PAYLOAD, key: ec.EllipticCurvePrivateKey = KEY, algorithm: str = "ECDSA-secp256r1-SHA256"
) -> str:
    signature = key.sign(payload.encode(), ec.ECDSA(hashes.SHA256()))
    return f'OCMF|{payload}|{{"SA":"{algorithm}","SD":"{signature.hex()}"}}'


def public_key_der(key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def point(key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def compressed(key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)


def write_record(folder: Path, record: str | bytes, key: str | bytes | None = None) -> Path:
    file = folder / "record.ocmf"
    file.write_bytes(record.encode() if isinstance(record, str) else record)
    if key is not None:
        file.with_suffix(".pub").write_bytes(key.encode() if isinstance(key, str) else key)
    return file


def verify_json(folder: Path, record: str | bytes, key: str | bytes | None = None) -> dict[str, object]:
    return json.loads(run_verify(write_record(folder, record, key), "--json").stdout)


@pytest.mark.skipif(not EXPECTED, reason="the sample records are not there (BORNE_SHARED)")
@pytest.mark.parametrize("name", EXPECTED or ["none"])
def test_each_sample_gets_its_verdict_and_its_figures(name: str) -> None:
    result = run_verify(SAMPLES / name, "--json")
    answer, expected = json.loads(result.stdout), EXPECTED[name]
    assert result.exit_code == (0 if expected["signature_valid"] else 1)
    reasons = {reading["reason"] for reading in answer["readings"]}
    # A record with both does not say its context: those of one form have Begin, End or none (the next test).
    apart = PROSE if len(reasons) == 1 else PROSE | {"context"}
    assert {key: value for key, value in answer.items() if key not in apart} == {
        key: value for key, value in expected.items() if key not in apart
    }
    assert ("invalid_reason" in answer) is not expected["signature_valid"]


@pytest.mark.skipif(not EXPECTED, reason="the sample records are not there (BORNE_SHARED)")
@pytest.mark.parametrize("name", EXPECTED or ["none"])
def test_each_sample_has_the_context_of_the_container_that_it_was_cut_out_of(tmp_path: Path, name: str) -> None:
    expected = EXPECTED[name]
    context = expected["context"]
    record = EnclosedRecord((SAMPLES / name).read_bytes(), context=context if isinstance(context, str) else None)
    result = run_verify(
        write_record(tmp_path, write_container([record])), "--key", (SAMPLES / name).with_suffix(".pub"), "--json"
    )
    answer = json.loads(result.stdout)
    apart = PROSE | {"record_has_outer_whitespace"}  # which is the container's
    assert {key: value for key, value in answer.items() if key not in apart} == {
        key: value for key, value in expected.items() if key not in apart
    }


@pytest.mark.parametrize("spelling", ["ECDSA-{}-SHA256", "ecdsa-{}-sha256"])
@pytest.mark.parametrize(
    ("curve", "name"),
    [
        (ec.SECP192R1(), "secp192r1"),
        (ec.SECP256K1(), "secp256k1"),
        (ec.SECP256R1(), "secp256r1"),
        (ec.SECP384R1(), "secp384r1"),
        (ec.BrainpoolP256R1(), "brainpool256r1"),
        (ec.BrainpoolP384R1(), "brainpoolP384r1"),
        (ec.BrainpoolP512R1(), "brainpool512r1"),
        (ec.SECP521R1(), "secp521r1"),
    ],
)
def test_every_curve_of_the_format_is_verified(
    tmp_path: Path, curve: ec.EllipticCurve, name: str, spelling: str
) -> None:
    key = ec.derive_private_key(0x55AA55AA, curve)
    record = signed_record(key=key, algorithm=spelling.format(name))
    assert run_verify(write_record(tmp_path, record, public_key_der(key).hex())).exit_code == 0
    assert run_verify(write_record(tmp_path, record.replace("8.50", "8.51"))).exit_code == 1
    other_key = ec.derive_private_key(0x55AA55AB, curve)
    assert run_verify(write_record(tmp_path, record), "--key", public_key_der(other_key).hex()).exit_code == 1


@pytest.mark.parametrize("key", [SPKI_192K1, POINT_192K1, POINT_192K1[2:], COMPRESSED_192K1])
def test_the_curve_that_the_library_lacks_is_verified_too(tmp_path: Path, key: str) -> None:
    record = f'OCMF|{PAYLOAD_192K1}|{{"SA":"ECDSA-secp192k1-SHA256","SD":"{SIGNATURE_192K1}"}}'
    found = verify_json(tmp_path, record, key)
    assert (found["signature_valid"], found["curve"], found["key_curve"]) == (True, "secp192k1", "secp192k1")
    assert verify_json(tmp_path, record.replace("8.50", "8.51"), key)["signature_valid"] is False
    assert verify_json(tmp_path, record, key[:-2] + "f1")["signature_valid"] is False


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (public_key_der().hex(), "spki"),
        (public_key_der().hex().upper(), "spki"),
        (public_key_der().hex(" ", 2), "spki"),
        (public_key_der().hex(":"), "spki"),
        ("0x" + public_key_der().hex(), "spki"),
        ("\n".join((public_key_der().hex()[:60], public_key_der().hex()[60:], "")), "spki"),
        (base64.b64encode(public_key_der()).decode(), "spki"),
        (base64.urlsafe_b64encode(public_key_der()).decode().rstrip("="), "spki"),
        (base64.b32encode(public_key_der()).decode(), "spki"),
        (public_key_der().hex() + "0000", "spki"),
        (
            KEY.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode(),
            "spki",
        ),
        ("oca:base16:asn1:" + public_key_der().hex(), "spki"),
        (base64.b64encode(b"oca:base16:asn1:" + public_key_der().hex().encode()).decode(), "spki"),
        (base64.b64encode(public_key_der().hex().encode()).decode(), "spki"),
        ("\ufeff" + public_key_der().hex() + "\r\n", "spki"),
        (public_key_der(), "spki"),
        (point().hex(), "point"),
        (base64.b64encode(point()).decode(), "point"),
        (point()[1:].hex(), "raw"),
    ],
)
def test_a_key_is_read_however_it_is_printed(tmp_path: Path, text: str | bytes, form: str) -> None:
    found = verify_json(tmp_path, signed_record(), text)
    assert (found["signature_valid"], found["key_form"], found["key_curve"]) == (True, form, "secp256r1")
    assert found["public_key_file"] == "record.pub"


def test_the_signature_may_be_in_base64_and_raw(tmp_path: Path) -> None:
    der = KEY.sign(PAYLOAD.encode(), ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(der)
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    in_base64 = f'OCMF|{PAYLOAD}|{{"SE":"base64","SD":"{base64.b64encode(der).decode()}"}}'
    assert verify_json(tmp_path, in_base64, public_key_der().hex())["signature_encoding"] == "base64"
    for record in (f'OCMF|{PAYLOAD}|{{"SD":"{raw.hex()}"}}', in_base64):
        assert verify_json(tmp_path, record)["signature_valid"] is True
    assert verify_json(tmp_path, f'OCMF|{PAYLOAD}|{{"SD":"{raw.hex()}"}}')["signature_form"] == "raw"


def _fixed_length(sign: object) -> tuple[str, str]:
    """DER as careless meters make it: r and s with 32 bytes each, whatever their top bits are."""
    for number in range(200):
        payload = PAYLOAD.replace('"T1"', f'"T{number}"')
        r, s = decode_dss_signature(KEY.sign(payload.encode(), ec.ECDSA(hashes.SHA256())))
        if r >> 255:
            body = b"\x02\x20" + r.to_bytes(32, "big") + b"\x02\x20" + s.to_bytes(32, "big")
            return payload, (b"\x30" + bytes([len(body)]) + body).hex()
    raise AssertionError("no r with its top bit set in 200 signatures")


def test_a_der_integer_without_its_zero_is_invalid_and_named(tmp_path: Path) -> None:
    payload, signature = _fixed_length(None)
    found = verify_json(tmp_path, f'OCMF|{payload}|{{"SD":"{signature}"}}', public_key_der().hex())
    assert (found["signature_valid"], found["signature_form"]) == (False, "der")
    assert "r in SD is negative" in str(found["invalid_reason"])


@pytest.mark.parametrize(
    ("record", "valid", "why"),
    [
        (signed_record().replace("8.50", "8.51"), False, "does not match"),
        (signed_record().replace('"kWh"', '"Wh"'), False, "does not match"),
        (signed_record().replace('","GS"', '", "GS"'), False, "does not match"),
        (signed_record(algorithm="ECDSA-secp256k1-SHA256"), False, "curve secp256r1"),
        (signed_record(algorithm="ECDSA-secp384r1-SHA256"), False, "curve secp256r1"),
        (signed_record(algorithm="RSA-2048-SHA256"), None, "not defined by OCMF"),
        (f"OCMF|{PAYLOAD}|{{}}", False, "not signed"),
        (f'OCMF|{PAYLOAD}|{{"SD":"xyz"}}', False, "not valid hex"),
        (f'OCMF|{PAYLOAD}|{{"SD":"00","SE":"octal"}}', False, "octal"),
        (f'OCMF|{PAYLOAD}|{{"SD":"00","SM":"text/plain"}}', False, "text/plain"),
        (signed_record()[:-2] + '00"}', False, "SD states a sequence of"),
        (f'OCMF|{PAYLOAD}|{{"SD":"3006020100020100"}}', False, "does not match"),
    ],
)
def test_what_is_wrong_with_a_signature_is_said(tmp_path: Path, record: str, valid: bool | None, why: str) -> None:
    file = write_record(tmp_path, record, public_key_der().hex())
    result = run_verify(file, "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["signature_valid"]) == (1, valid)
    assert why in found["invalid_reason"]
    assert why in run_verify(file).stdout


def test_without_a_usable_key_nothing_is_verified(tmp_path: Path) -> None:
    assert verify_json(tmp_path, signed_record())["signature_valid"] is None
    found = verify_json(tmp_path, signed_record(), "not a key")
    assert (found["signature_valid"], found["key_curve"], found["key_form"]) == (None, None, None)
    assert run_verify(write_record(tmp_path, signed_record())).exit_code == 1
    assert run_verify(write_record(tmp_path, signed_record()), "--key", "nonsense").exit_code == 2


def test_a_key_off_its_curve_verifies_nothing(tmp_path: Path) -> None:
    off = public_key_der().hex()[:-2] + ("00" if not public_key_der().hex().endswith("00") else "01")
    found = verify_json(tmp_path, signed_record(), off)
    assert found["signature_valid"] is False
    assert "not a valid point" in str(found["invalid_reason"])


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"nothing of the kind",
        b"OCMF|{}|{}",
        b'OCMF|{"RD":[]}',
        f"{signed_record()}|{{}}".encode(),
        b'OCMF|{"RD":[1]}|{}',
        b'OCMF|{"RD":[{"RV":1e999}]}|{}',
        b'OCMF|{"RD":[{"RV":NaN}]}|{}',
        b"OCMF|\xff|{}",
        b"OCMF|" + b"[" * 100_000 + b"|{}",
        b"<values/>",
        b"<values><value/></values>",
        b"<values><value><signedData format='EDL'>OCMF|{}|{}</signedData></value></values>",
        b"<values><value><signedData>nothing</signedData></value></values>",
        b"<!DOCTYPE v [<!ENTITY a 'b'>]><values><value><signedData>&a;</signedData></value></values>",
        "<!DOCTYPE v [<!ENTITY a 'b'>]><values><value><signedData>&a;</signedData></value></values>".encode(
            "utf-16-le"
        ),
        b"<values><value>",
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(tmp_path: Path, record: bytes) -> None:
    result = run_verify(write_record(tmp_path, record), "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert run_verify(tmp_path / "not-there").exit_code == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_a_document_type_is_refused_in_every_encoding_before_anything_can_expand(tmp_path: Path, encoding: str) -> None:
    xml = "<!DOCTYPE v [<!ENTITY a 'b'>]><values><value><signedData>&a;</signedData></value></values>"
    result = run_verify(write_record(tmp_path, xml.encode(encoding)))
    assert (result.exit_code, "document type" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("around", "whitespace"),
    [("{}", False), ("\ufeff{}", False), ("{}\r\n", True), ("\n\n{}\n", True), ("  {}", True)],
)
def test_blanks_round_a_record_are_no_part_of_it(tmp_path: Path, around: str, whitespace: bool) -> None:
    found = verify_json(tmp_path, around.format(signed_record()), public_key_der().hex())
    assert (found["signature_valid"], found["record_has_outer_whitespace"]) == (True, whitespace)


def test_blanks_within_a_record_are_signed(tmp_path: Path) -> None:
    spaced = PAYLOAD.replace(":", " : ").replace("10 : 00 : 00", "10:00:00").replace("11 : 00 : 00", "11:00:00")
    assert verify_json(tmp_path, signed_record(spaced), public_key_der().hex())["signature_valid"] is True
    assert verify_json(tmp_path, signed_record(spaced).replace(" : ", ":", 1))["signature_valid"] is False


BEGIN = PAYLOAD.replace(PAYLOAD[PAYLOAD.index(',{"TM":"2024-05-01T11') :], "]}")
END = (
    '{"FV":"1.0","GS":"1","PG":"T2","MS":"7","IS":false,"IT":"NONE","RD":[{"TM":"2024-05-01T11:00:00,000+0200 S",'
    '"TX":"E","RV":8.50,"RI":"1-0:1.8.0","RU":"kWh","RT":"AC","EF":"","ST":"G"}]}'
)


@pytest.mark.parametrize("between", ["", "\n", "\r\n\r\n"])
def test_a_begin_and_an_end_in_one_file_make_a_bill(tmp_path: Path, between: str) -> None:
    file = write_record(tmp_path, signed_record(BEGIN) + between + signed_record(END), public_key_der().hex())
    found = json.loads(run_verify(file, "--json").stdout)
    assert [record["signature_valid"] for record in found] == [True, True]
    assert [record["context"] for record in found] == ["Transaction.Begin", "Transaction.End"]
    text = run_verify(file).stdout
    assert "1 kWh to 8.5 kWh: 7.5 kWh in 3600 s" in text
    assert "billable by energy" in text
    assert "not by time" not in text


def test_each_record_of_a_file_may_have_a_key_of_its_own(tmp_path: Path) -> None:
    other_key = ec.derive_private_key(0x99, ec.SECP256R1())
    file = write_record(
        tmp_path,
        f"{signed_record(BEGIN)}\n{signed_record(END, other_key)}\n",
        f"{public_key_der().hex()}\n{public_key_der(other_key).hex()}\n",
    )
    assert run_verify(file).exit_code == 0
    file.with_suffix(".pub").write_text(public_key_der().hex())
    assert run_verify(file).exit_code == 1


def container_xml(*values: str, attributes: str = ' format="OCMF" encoding="plain"', key: str | None = None) -> str:
    inside = "".join(
        f'<value transactionId="5" context="Transaction.{context}"><signedData{attributes}>{value}</signedData>'
        f'<publicKey encoding="plain">{key or public_key_der().hex()}</publicKey></value>'
        for value, context in zip(values, ("Begin", "End"), strict=False)
    )
    return f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<values>{inside}</values>\n'


@pytest.mark.parametrize(
    "container",
    [
        container_xml(signed_record(BEGIN), signed_record(END)),
        container_xml(signed_record(BEGIN), signed_record(END), attributes=""),
        container_xml(f"<![CDATA[{signed_record(BEGIN)}]]>", f"\n  {signed_record(END)}\n"),
        container_xml(signed_record(BEGIN), signed_record(END), key=base64.b64encode(public_key_der()).decode()),
        container_xml(
            base64.b64encode(signed_record(BEGIN).encode()).decode(),
            signed_record(END).encode().hex(),
            attributes=' format="OCMF" encoding="base64"',
        ),
        container_xml(signed_record(BEGIN), signed_record(END))
        .replace("<values>", '<values xmlns="urn:any">')
        .replace("\n", "\r\n"),
        container_xml(signed_record(BEGIN), signed_record(END)) + "\n72641\n66074\n",
        "\ufeff" + container_xml(signed_record(BEGIN), signed_record(END)),
        container_xml(signed_record(BEGIN), signed_record(END)).replace("UTF-8", "UTF-16").encode("utf-16"),
        container_xml(signed_record(BEGIN), "END")
        .replace(">END<", f">{signed_record(END)}<")
        .rsplit("<publicKey", 1)[0]
        + "</value></values>",
    ],
)
def test_the_container_of_transparency_tools_is_read(tmp_path: Path, container: str | bytes) -> None:
    file = write_record(tmp_path, container)
    result = run_verify(file, "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert [record["context"] for record in found] == ["Transaction.Begin", "Transaction.End"]
    assert all("public_key_file" not in record for record in found)
    assert "7.5 kWh" in run_verify(file).stdout


@pytest.mark.parametrize(("name", "kind"), [("SHA384", hashes.SHA384()), ("SHA512", hashes.SHA512())])
def test_the_hash_is_the_one_that_the_algorithm_names(tmp_path: Path, name: str, kind: hashes.HashAlgorithm) -> None:
    signature = KEY.sign(PAYLOAD.encode(), ec.ECDSA(kind)).hex()
    record = f'OCMF|{PAYLOAD}|{{"SA":"ECDSA-secp256r1-{name}","SD":"{signature}"}}'
    assert run_verify(write_record(tmp_path, record, public_key_der().hex())).exit_code == 0
    assert run_verify(write_record(tmp_path, record.replace(name, "SHA256"))).exit_code == 1


@given(
    st.sampled_from([ec.SECP192R1, ec.SECP256K1, ec.SECP256R1, ec.SECP384R1]),
    st.integers(1, 2**100),
    st.integers(0, len(PAYLOAD) - 1),
    st.sampled_from(["whole", "tampered", "other key"]),
)
@examples(60)
def test_another_verifier_comes_to_the_same_verdict(
    tmp_path_factory: pytest.TempPathFactory, curve: type[ec.EllipticCurve], secret: int, place: int, case: str
) -> None:
    key = ec.derive_private_key(secret, curve())
    algorithm = f"ECDSA-{curve().name}-SHA256"
    record = signed_record(key=key, algorithm=algorithm)
    if case == "tampered" and record[5 + place].isdigit():
        record = record[: 5 + place] + str((int(record[5 + place]) + 1) % 10) + record[6 + place :]
    checked_key = public_key_der(ec.derive_private_key(secret + 1, curve()) if case == "other key" else key).hex()
    is_valid = check_records(write_record(tmp_path_factory.mktemp("oracle"), record), checked_key)[
        0
    ].signature_check.valid
    with warnings.catch_warnings(), contextlib.suppress(pyocmf.OcmfPayloadError, pyocmf.OcmfFormatError):
        warnings.simplefilter("ignore")
        assert is_valid == pyocmf.OCMF.from_string(record).verify_signature(checked_key)


def test_one_wrong_value_of_a_container_is_enough(tmp_path: Path) -> None:
    container = container_xml(signed_record(BEGIN), signed_record(END).replace("8.50", "8.40"))
    result = run_verify(write_record(tmp_path, container), "--json")
    assert result.exit_code == 1
    assert [record["signature_valid"] for record in json.loads(result.stdout)] == [True, False]


@pytest.mark.parametrize(
    ("change", "to", "objection"),
    [
        ("8.50", "0.50", "lower at the end"),
        ("T11:00", "T09:00", "before the begin time"),
        ('"ST":"G"}]', '"ST":"M"}]', "manipulated"),
        ('"EF":""', '"EF":"E"', "marked as not usable"),
        ('"IS":false', '"IS":false,"IL":"MISMATCH"', "MISMATCH"),
        ('"TX":"E"', '"TX":"C"', "no end reading"),
        ('"TX":"B"', '"TX":"E"', "no begin reading"),
        ("1-0:1.8.0", "1-0:2.8.0", "no reading of an energy register that can be billed"),
        ('"PG":"T1"', '"PG":"T1","PG":"T3"', "twice"),
        ('"RU":"kWh"', '"RU":"sec"', "no reading of an energy register that can be billed"),
        ('"PG":"T1",', "", "a record has no pagination (PG)"),
        ('"T1"', '"X1"', "X1 is not a valid pagination of a record (PG)"),
        ('"T1"', '"T01"', "T01 is not a valid pagination of a record (PG)"),
        ('"TM":"2024-05-01T10:00:00,000+0200 S",', "", "the time is missing in the reading B (TM)"),
        ("T11:00:00,000+0200 S", "T11:00:00,000 S", "the time is missing in the reading E (TM)"),
    ],
)
def test_a_valid_signature_is_not_all_that_a_bill_needs(tmp_path: Path, change: str, to: str, objection: str) -> None:
    result = run_verify(write_record(tmp_path, signed_record(PAYLOAD.replace(change, to)), public_key_der().hex()))
    assert result.exit_code == 0  # it is signed; whether it can be billed is another matter
    assert "NOT BILLABLE" in result.stdout
    assert objection in result.stdout


@pytest.mark.parametrize(
    ("omitted", "remark"),
    [
        ('"MS":"7",', "T1 does not state the serial number of the meter (MS)"),
        ('"IS":false,', "T1 does not state whether the user was identified (IS)"),
        ('"IT":"NONE",', "T1 does not state how the user was identified (IT)"),
    ],
)
def test_what_well_known_stations_leave_out_is_said_and_stands_against_no_bill(
    tmp_path: Path, omitted: str, remark: str
) -> None:
    result = run_verify(write_record(tmp_path, signed_record(PAYLOAD.replace(omitted, "")), public_key_der().hex()))
    assert f"\nbillable by energy\nnote: the record {remark}\n" in result.stdout


def test_the_begin_and_end_of_different_meters_are_not_one_bill(tmp_path: Path) -> None:
    file = write_record(
        tmp_path,
        signed_record(BEGIN) + "\n" + signed_record(END.replace('"MS":"7"', '"MS":"8"')),
        public_key_der().hex(),
    )
    assert "MS differs" in run_verify(file).stdout
    for page in ("T2", "T9", "F1"):
        back = write_record(
            tmp_path,
            signed_record(BEGIN.replace('"T1"', f'"{page}"')) + "\n" + signed_record(END),
            public_key_der().hex(),
        )
        assert f"the pagination is not ascending: {page}, then T2" in run_verify(back).stdout


def test_the_numbers_give_the_order_of_a_begin_and_an_end_whatever_lies_between(tmp_path: Path) -> None:
    later = signed_record(END.replace('"T2"', '"T9"'))
    assert (
        "\nbillable by energy"
        in run_verify(write_record(tmp_path, later + "\n" + signed_record(BEGIN), public_key_der().hex())).stdout
    )


def test_what_nobody_vouches_for_is_not_billable(tmp_path: Path) -> None:
    forged = run_verify(write_record(tmp_path, signed_record().replace("8.50", "8.51"), public_key_der().hex()))
    assert "NOT BILLABLE:\n  the signature of the record T1 is not valid" in forged.stdout
    (tmp_path / "record.pub").unlink()
    without_key = run_verify(write_record(tmp_path, signed_record()))
    assert "NOT BILLABLE:\n  the signature of the record T1 cannot be verified" in without_key.stdout


def test_a_begin_and_an_end_that_different_keys_signed_are_not_one_bill(tmp_path: Path) -> None:
    other_key = ec.derive_private_key(0x99, ec.SECP256R1())
    file = write_record(
        tmp_path,
        f"{signed_record(BEGIN)}\n{signed_record(END, other_key)}\n",
        f"{public_key_der().hex()}\n{public_key_der(other_key).hex()}\n",
    )
    assert "NOT BILLABLE:\n  the records are signed with different keys" in run_verify(file).stdout
    same = write_record(
        tmp_path, f"{signed_record(BEGIN)}\n{signed_record(END)}\n", f"{public_key_der().hex()}\n{compressed().hex()}\n"
    )
    assert "\nbillable by energy" in run_verify(same).stdout


def test_a_time_that_nobody_vouches_for_is_not_billed(tmp_path: Path) -> None:
    result = run_verify(
        write_record(tmp_path, signed_record(PAYLOAD.replace("0200 S", "0200 I")), public_key_der().hex())
    )
    assert "billable by energy, not by time" in result.stdout


def test_a_terminal_gets_no_control_characters_of_a_record(tmp_path: Path) -> None:
    payload = PAYLOAD.replace('"MS":"7"', '"MS":"\\u001b[2J"')
    assert "\x1b" not in run_verify(write_record(tmp_path, signed_record(payload), public_key_der().hex())).stdout


@given(st.binary(max_size=300), st.integers(0, 600), st.integers(0, 4))
@examples(300)
def test_any_bytes_are_judged_or_refused(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int, removed_count: int
) -> None:
    record = signed_record().encode()
    file = write_record(
        tmp_path_factory.mktemp("noise"),
        record[:place] + noise + record[place + removed_count :],
        public_key_der().hex(),
    )
    try:
        found = check_records(file, None)
    except RecordsUnreadableError:
        return
    if any(record.signature_check.valid for record in found):
        assert all(record.record.payload == PAYLOAD.encode() for record in found if record.signature_check.valid)
