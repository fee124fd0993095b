"""A client that is generated from the OpenAPI document: its types are right, and they find mistakes."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

import pytest
from pyright.cli import run

from tests.api_document import openapi_document
from tests.generated_client import client_module
from tests.patience import PATIENCE_S
from tests.walk import walking
from tests.walks.visit import visiting

SAMPLE: Final = '''"""A charge, as somebody would write it who has the generated client and no other document."""

import sys

import httpx
from station_client import Client, EvseStatus, Token


def phase_currents(evse: EvseStatus) -> list[float]:
    meter = evse["meter"]
    return [current_a for current_a in meter["currents_a"] if current_a is not None] if meter is not None else []


with httpx.Client(base_url=sys.argv[1]) as http:
    station = Client(http)
    assert station.check_health() == b"ok\\n"
    status = station.read_status()
    assert status["powered"], status["identity"]
    assert station.read_session()["role"] == "service"
    (evse,) = status.get("evses", [])
    assert evse["connector_status"] == "Available"
    assert phase_currents(evse) == [0.0, 0.0, 0.0]
    token: Token = {"id_token": "04A3B2C1D5E680", "type": "ISO14443"}
    presented = station.present_token_at_evse(evse["id"], token, wait="settled")
    assert presented.get("outcome") == "authorized"
    station.plug_vehicle(1, {}, wait="settled")
    found = station.find_transactions(most=1, ongoing=True)
    summary = found["transactions"][0]
    details = station.read_transaction(summary["transaction_id"])
    assert details["events"][0]["event_type"] == "Started"
    assert details["cost"] is None
    assert station.export_transactions().startswith(b"transaction_id,")
    assert station.stop_charge(1, wait="settled") == {"accepted": True}
    assert len(station.list_variables()) > 100
    print("charged", summary["number"])
'''
MISTAKES: Final = """import httpx
from station_client import Client

station = Client(httpx.Client())
station.read_status()["identiti"]  # no such field
station.read_status()["evses"]  # not for each role, and not while the station is off
station.present_token({"id_token": "04A3", "type": "RFID"})  # no such type
station.present_token({})  # a field is missing
station.change_availability("1", {"operative": True})  # not a number
station.read_transaction("1")["cost"]["amount"]  # there may be no cost
station.no_such_operation()
"""


def type_errors(folder: Path) -> dict[str, list[int]]:
    """Return the lines at which pyright finds errors in strict mode, by file."""
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", "pythonVersion": "3.11"}))
    checked = run("--project", str(folder), "--pythonpath", sys.executable, "--outputjson", capture_output=True)
    found: dict[str, list[int]] = {}
    for diagnostic in json.loads(checked.stdout)["generalDiagnostics"]:
        if diagnostic["severity"] == "error":
            found.setdefault(Path(diagnostic["file"]).name, []).append(diagnostic["range"]["start"]["line"] + 1)
    return found


async def test_a_program_that_uses_the_generated_client_is_well_typed_and_charges_at_a_station(tmp_path: Path) -> None:
    folder = tmp_path / "client"
    folder.mkdir()
    (folder / "sample.py").write_text(SAMPLE, encoding="utf-8")
    async with walking(tmp_path / "station") as walk, visiting(walk) as api:
        await walk.accepted()
        document = await api.get("/api/openapi.json")
        (folder / "station_client.py").write_text(client_module(document), encoding="utf-8")
        url = str(api.client.base_url)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", str(folder / "sample.py"), url, stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(PATIENCE_S):
            output, _ = await process.communicate()
        assert process.returncode == 0
        assert output.decode() == "charged 1\n"
    (folder / "mistakes.py").write_text(MISTAKES, encoding="utf-8")
    errors = await asyncio.to_thread(type_errors, folder)
    mistakes = [number for number, line in enumerate(MISTAKES.splitlines(), 1) if line.startswith("station.")]
    assert errors.keys() == {"mistakes.py"}
    assert sorted(set(errors["mistakes.py"])) == mistakes


def test_operations_have_names_of_their_own_words_and_the_security_of_their_role() -> None:
    document = openapi_document()
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)
    assert set(document["components"]["securitySchemes"]) == {"session", "token"}
    for operation in operations:
        role = operation["x-least-role"]
        assert operation["security"] == ([] if role == "visitor" else [{"session": []}, {"token": []}])
        assert ("No sign-in is required." if role == "visitor" else f"Required role: {role} or higher.") in operation[
            "description"
        ]
        assert operation["tags"]
        assert operation["summary"][0].isupper()
        assert not operation["summary"].endswith(".")


def test_every_json_response_names_its_fields() -> None:
    document = openapi_document()
    unnamed = [
        (method, path, status)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for status, response in operation["responses"].items()
        if "application/json" in response.get("content", {})
        and "$ref" not in json.dumps(response["content"]["application/json"]["schema"])
    ]
    assert unnamed == []


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/healthz", "text/plain"),
        ("/metrics", "text/plain"),
        ("/api/events", "text/event-stream"),
        ("/api/transactions.csv", "text/csv"),
        ("/api/monthly-report.csv", "text/csv"),
        ("/api/monthly-report.pdf", "application/pdf"),
        ("/api/label.svg", "image/svg+xml"),
        ("/api/evses/{evse_id}/public-key.svg", "image/svg+xml"),
    ],
)
def test_responses_that_are_not_json_have_their_media_type_in_the_document(path: str, kind: str) -> None:
    document = openapi_document()
    assert list(document["paths"][path]["get"]["responses"]["200"]["content"]) == [kind]
