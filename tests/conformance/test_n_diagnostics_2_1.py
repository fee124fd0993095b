"""Block N, log files under OCPP 2.1: no redirects, and logins in the location."""

from __future__ import annotations

from typing import Final

from tests.conformance.bench import Bench
from tests.conformance.cases import case_2_1, setup
from tests.conformance.frames import Payload
from tests.file_server import FileServer, serving

_REQUEST_ID: Final = 101
_FILE: Final = "diagnostics-101.gz"
"""<Configured log filename>"""
_USER: Final = "charger"
_PASSWORD: Final = "ch4rge-m3"


async def _get_log(bench: Bench, url: str) -> Payload:
    request: Payload = {"logType": "DiagnosticsLog", "requestId": _REQUEST_ID, "log": {"remoteLocation": url}}
    answer = await bench.call("GetLog", request)
    assert answer["status"] == "Accepted", answer
    return answer


async def _log_status(bench: Bench, status: str) -> None:
    notification = await bench.expect("LogStatusNotification", within_s=600.0)  # the station has retries of its own
    assert notification == {"status": status, "requestId": _REQUEST_ID}, notification


@case_2_1("Core", "C", "Supported file transfer protocols contains HTTP or HTTPS")
async def test_tc_n_101_cs(bench: Bench) -> None:
    """Retrieve Log Information - Validations"""
    async with serving() as server, serving() as elsewhere:
        server.redirects[f"/{_FILE}"] = f"{elsewhere.url}/{_FILE}"
        answer = await _get_log(bench, f"{server.url}/{_FILE}")
        assert answer["filename"] == _FILE, answer
        # Part 6 names only UploadFailure, which N01.FR.20 precedes with Uploading
        await _log_status(bench, "Uploading")
        await _log_status(bench, "UploadFailure")
        assert {request.path for request in server.requests} == {f"/{_FILE}"}
        assert server.files == {}
        assert elsewhere.requests == []


async def _upload_with_login(bench: Bench, server: FileServer) -> None:
    """Steps 1 to 6 of TC_N_102 and TC_N_103, and their post scenario validations."""
    server.users[_USER] = _PASSWORD
    scheme, _, rest = server.url.partition("://")
    answer = await _get_log(bench, f"{scheme}://{_USER}:{_PASSWORD}@{rest}/logs/")
    assert answer["filename"], answer
    await _log_status(bench, "Uploading")
    await _log_status(bench, "Uploaded")
    assert list(server.files) == [f"/logs/{answer['filename']}"]
    assert len(server.files[f"/logs/{answer['filename']}"]) > 0


@case_2_1("Core", "C", "Supported file transfer protocols contains HTTP")
async def test_tc_n_102_cs(bench: Bench) -> None:
    """Retrieve Log Information - Authentication - HTTP"""
    assert "HTTP" in (await bench.get_variable("OCPPCommCtrlr", "FileTransferProtocols")).split(",")
    async with serving() as server:
        await _upload_with_login(bench, server)


@case_2_1("Core", "C", "Supported file transfer protocols contains HTTPS")
@setup(security_profile=2)
async def test_tc_n_103_cs(bench: Bench) -> None:
    """Retrieve Log Information - Authentication - HTTPS"""
    assert "HTTPS" in (await bench.get_variable("OCPPCommCtrlr", "FileTransferProtocols")).split(",")
    async with serving(bench.pki.server_context()) as server:
        await _upload_with_login(bench, server)
