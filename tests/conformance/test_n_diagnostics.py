"""Block N, diagnostics: log files and customer information."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.conformance import states, states_15118
from tests.conformance.bench import DEVIATION_S, VALID_TOKEN, Bench
from tests.conformance.cases import case
from tests.conformance.frames import Payload
from tests.conformance.v2g import V2g
from tests.file_server import serving

_RETRY_INTERVAL_S = 20
_CUSTOMER = "CUSTOMER-0815"
_LOCAL_AUTHORIZATION = "(C-30 or C-31 or C-34) and (Local Authorization List Management or C-49)"


def _get_log(url: str, *, kind: str = "DiagnosticsLog", request_id: int = 1, **more: int) -> Payload:
    return {"logType": kind, "requestId": request_id, "log": {"remoteLocation": url}, **more}


async def _log_status(bench: Bench, status: str, request_id: int, *, within_s: float = 60.0) -> None:
    notification = await bench.expect("LogStatusNotification", within_s=within_s)
    assert notification == {"status": status, "requestId": request_id}, notification


@case("Core", "M")
async def test_tc_n_25_cs(bench: Bench) -> None:
    """Retrieve Log Information - Diagnostics Log - Success"""
    assert "HTTP" in (await bench.get_variable("OCPPCommCtrlr", "FileTransferProtocols")).split(",")
    async with serving() as server:
        answer = await bench.call("GetLog", _get_log(f"{server.url}/logs/"))
        assert answer["status"] == "Accepted", answer
        assert answer.get("filename"), answer
        await _log_status(bench, "Uploading", 1)
        await _log_status(bench, "Uploaded", 1)
        assert [len(content) > 0 for content in server.files.values()] == [True]


@case("Core", "M")
async def test_tc_n_26_cs(bench: Bench) -> None:
    """Retrieve Log Information - Diagnostics Log - Upload failed"""
    async with serving() as server:
        server.refusals["PUT"] = server.refusals["POST"] = 404  # a path that does not exist
        request = _get_log(f"{server.url}/nowhere/", retries=3, retryInterval=_RETRY_INTERVAL_S)
        answer = await bench.call("GetLog", request)
        assert answer["status"] == "Accepted", answer
        await bench.advance(3 * _RETRY_INTERVAL_S + 5)
        await bench.settle()
        assert len(server.requests) >= 4
    frames = bench.take("LogStatusNotification")
    uploading = [frame for frame in frames if frame.payload["status"] == "Uploading"]
    failed = [frame for frame in frames if frame not in uploading]
    assert len(uploading) in {1, 4}, frames
    assert len(failed) in {1, 4}, frames
    assert frames[0] is uploading[0]
    for frame in failed:
        assert frame.payload["status"] in {
            "UploadFailure",
            "BadMessage",
            "PermissionDenied",
            "NotSupportedOperation",
        }, frame
    assert {frame.payload["requestId"] for frame in frames} == {1}
    took = failed[-1].at - uploading[0].at
    assert abs(took - timedelta(seconds=3 * _RETRY_INTERVAL_S)) <= timedelta(seconds=DEVIATION_S), took


@case("Core", "M")
async def test_tc_n_35_cs(bench: Bench) -> None:
    """Retrieve Log Information - Security Log - Success"""
    async with serving() as server:
        answer = await bench.call("GetLog", _get_log(f"{server.url}/logs/", kind="SecurityLog", request_id=35))
        assert answer["status"] == "Accepted", answer
        await _log_status(bench, "Uploading", 35)
        await _log_status(bench, "Uploaded", 35)
        assert [len(content) > 0 for content in server.files.values()] == [True]


@case("Core", "C", "C-57")
async def test_tc_n_36_cs(bench: Bench) -> None:
    """Retrieve Log Information - Second Request"""
    async with serving() as server:
        server.stalled = 1
        answer = await bench.call("GetLog", _get_log(f"{server.url}/logs/", request_id=1))
        assert answer["status"] == "Accepted", answer
        await _log_status(bench, "Uploading", 1)
        await bench.until(lambda: server.requests, why="the upload did not begin")
        answer = await bench.call("GetLog", _get_log(f"{server.url}/logs/", request_id=2))
        assert answer["status"] == "AcceptedCanceled", answer
        await _log_status(bench, "AcceptedCanceled", 1)
        await _log_status(bench, "Uploading", 2)
        await _log_status(bench, "Uploaded", 2)
        assert [len(content) > 0 for content in server.files.values()] == [True]


@case("", "")
@pytest.mark.parametrize("kind", ["DiagnosticsLog", "SecurityLog"])
async def test_tc_n_34_cs(bench: Bench, kind: str) -> None:
    """Retrieve Log Information - Rejected"""
    async with serving() as server:
        request = _get_log(f"{server.url}/logs/", kind=kind, request_id=34)
        # No log information: of the year before the station began.
        request["log"] |= {"oldestTimestamp": "2001-01-01T00:00:00Z", "latestTimestamp": "2001-12-31T00:00:00Z"}
        answer = await bench.call("GetLog", request)
        assert answer["status"] == "Rejected", answer
        await bench.silence("LogStatusNotification", for_s=5.0)
        assert server.requests == []


# Customer information


async def _request_customer_information(
    bench: Bench, *, report: bool, clear: bool, request_id: int = 7, **customer: object
) -> list[str]:
    """Send CustomerInformation, which must be accepted; the data of all reported parts."""
    request: Payload = {"requestId": request_id, "report": report, "clear": clear, **customer}
    answer = await bench.call("CustomerInformation", request)
    assert answer["status"] == "Accepted", answer
    parts: list[str] = []
    while True:
        part = await bench.expect("NotifyCustomerInformation")
        assert part["requestId"] == request_id, part
        assert part["seqNo"] == len(parts), part
        parts.append(part["data"])
        if not part.get("tbc", False):
            return parts


async def _report_of_unknown_customer(bench: Bench, *, clear: bool) -> list[str]:
    """The report about an unknown customer: no data found."""
    stranger = {"idToken": "04FFFFFFFFFF80", "type": "ISO14443"}
    parts = await _request_customer_information(bench, report=True, clear=clear, request_id=9, idToken=stranger)
    assert len(parts) == 1
    return parts


async def _known_customer(bench: Bench) -> None:
    """The Before of the cases that find something: the id token is cached and listed, and was used once more."""
    await bench.configure("AuthCtrlr", "LocalPreAuthorize", "true")
    await bench.configure("AuthCacheCtrlr", "Enabled", "true")
    await states.id_token_cached(bench)
    await states.id_token_local_auth_list(bench)
    bench.new_session()
    await states.authorized(bench, local=True, cached=True)
    await states.parking_bay_unoccupied(bench)


@case("Core", "C", _LOCAL_AUTHORIZATION)
async def test_tc_n_27_cs(bench: Bench) -> None:
    """Get Customer Information - Accepted + data"""
    await _known_customer(bench)
    parts = await _request_customer_information(bench, report=True, clear=False, idToken=VALID_TOKEN)
    assert all(parts)
    assert parts != await _report_of_unknown_customer(bench, clear=False)


@case("Core", "C", _LOCAL_AUTHORIZATION)
async def test_tc_n_28_cs(bench: Bench) -> None:
    """Get Customer Information - Accepted + no data"""
    await _request_customer_information(bench, report=False, clear=True, request_id=1, idToken=VALID_TOKEN)
    parts = await _request_customer_information(bench, report=True, clear=False, request_id=2, idToken=VALID_TOKEN)
    assert parts == await _report_of_unknown_customer(bench, clear=False)
    await bench.silence("NotifyCustomerInformation", for_s=5.0)


@case("Core", "C", _LOCAL_AUTHORIZATION)
async def test_tc_n_30_cs(bench: Bench) -> None:
    """Clear Customer Information - Clear and report + data"""
    await _known_customer(bench)
    parts = await _request_customer_information(bench, report=True, clear=True, request_id=1, idToken=VALID_TOKEN)
    assert all(parts)
    assert parts != await _report_of_unknown_customer(bench, clear=False)
    # Only the local list knows the customer still (N10.FR.03), besides what the signed records are kept for.
    again = await _request_customer_information(bench, report=True, clear=False, request_id=2, idToken=VALID_TOKEN)
    assert len(again) == 1
    assert "Local authorization list" in again[0]
    assert await bench.station.get("/api/auth/cache") == []


@case("Core", "C", _LOCAL_AUTHORIZATION)
async def test_tc_n_31_cs(bench: Bench) -> None:
    """Clear Customer Information - Clear and report + no data"""
    parts = await _request_customer_information(bench, report=True, clear=True, idToken=VALID_TOKEN)
    assert parts == await _report_of_unknown_customer(bench, clear=True)
    await bench.silence("NotifyCustomerInformation", for_s=5.0)


async def _invalid(bench: Bench, *, clear: bool) -> None:
    """CustomerInformation that names no customer, or two: Invalid, and nothing is reported (N09.FR.09, N10.FR.01)."""
    for customer in ({}, {"idToken": VALID_TOKEN, "customerIdentifier": _CUSTOMER}):
        request: Payload = {"requestId": 29, "report": True, "clear": clear, **customer}
        answer = await bench.call("CustomerInformation", request)
        assert answer["status"] == "Invalid", answer
    await bench.silence("NotifyCustomerInformation", for_s=5.0)


@case("", "")
async def test_tc_n_29_cs(bench: Bench) -> None:
    """Get Customer Information - Not Accepted"""
    await _invalid(bench, clear=False)


@case("", "")
async def test_tc_n_33_cs(bench: Bench) -> None:
    """Clear Customer Information - Invalid"""
    await _invalid(bench, clear=True)


@case("Core", "M")
async def test_tc_n_32_cs(bench: Bench) -> None:
    """Clear Customer Information - Clear and no report"""
    (text,) = await _request_customer_information(bench, report=False, clear=True, idToken=VALID_TOKEN)
    assert text
    await bench.silence("NotifyCustomerInformation", for_s=5.0)


@case("Core", "C", "C-14")
async def test_tc_n_62_cs(bench: Bench) -> None:
    """Clear Customer Information - Clear and report - customerIdentifier"""
    # The identifier comes to the station with the id token of a transaction.
    bench.local = False
    named = VALID_TOKEN | {"additionalInfo": [{"additionalIdToken": _CUSTOMER, "type": "customer"}]}
    await states.authorized(bench, local=False, id_token=named)
    await states.parking_bay_unoccupied(bench)
    parts = await _request_customer_information(
        bench, report=True, clear=True, request_id=1, customerIdentifier=_CUSTOMER
    )
    assert all(parts)
    assert await _request_customer_information(
        bench, report=True, clear=False, request_id=2, customerIdentifier=_CUSTOMER
    ) == [""]


@case("ISO 15118 Support", "C", "ISO-4")
@states_15118.communicating
async def test_tc_n_63_cs(bench: Bench) -> None:
    """Clear Customer Information - Clear and report - customerCertificate"""
    v2g = V2g()
    await states.authorization_on(bench)
    await states_15118.iso15118_configured(
        bench,
        CentralContractValidationAllowed=False,
        V2GCertificateInstallationEnabled=True,
        ContractCertificateInstallationEnabled=True,
        PnCEnabled=True,
    )
    await states_15118.certificates_prepared(bench, v2g)
    contract = v2g.contract()
    await states_15118.ev_connected_pre_session(bench, contract=contract)
    await states_15118.authorized15118(bench, contract=True)
    await states_15118.needs_notified(bench)
    await states.energy_transfer_started(bench)
    bench.take("NotifyEVChargingSchedule")
    await states_15118.session_terminated(bench)
    while not bench.session().ended:
        await bench.expect_event()
    certificate = states_15118.contract_hash_data(v2g, contract)
    parts = await _request_customer_information(
        bench, report=True, clear=True, request_id=1, customerCertificate=certificate
    )
    assert all(parts), "a customer certificate is known"
    assert certificate["serialNumber"] in "".join(parts)
    assert await _request_customer_information(
        bench, report=True, clear=False, request_id=2, customerCertificate=certificate
    ) == [""]
