"""What the cases of block C share: what the CSMS knows of a token, how the token is shown, and what is heard of it."""

from __future__ import annotations

import pytest

from tests.conformance.bench import PERIODIC, Bench
from tests.conformance.frames import Payload

INVALID_TOKEN: Payload = {"idToken": "04C1C2C3C4C580", "type": "ISO14443"}
BLOCKED_TOKEN: Payload = {"idToken": "04D1D2D3D4D580", "type": "ISO14443"}
EXPIRED_TOKEN: Payload = {"idToken": "04E1E2E3E4E580", "type": "ISO14443"}
MASTER_TOKEN: Payload = {"idToken": "04F1F2F3F4F580", "type": "ISO14443"}
MASTER_GROUP: Payload = {"idToken": "MASTERS-1", "type": "Central"}

MESSAGE_TIMEOUT_S = 30.0
"""<Configured message timeout>"""
TRANSACTION_DURATION_S = 60.0
"""<Configured Transaction Duration>"""

LOCAL_AND_REMOTE = pytest.mark.parametrize("local", [True, False], ids=["local", "remote"])
"""cases that the errata (6.2.22) let be done with a remote start too"""
LOCAL_START = "C-30 or C-31 or C-32"


def set_id_token_status(bench: Bench, id_token: Payload, status: str, group: Payload | None = None) -> None:
    """Set the idTokenInfo status that the CSMS answers for an id token."""
    info: Payload = {"status": status}
    bench.csms.id_token_infos[id_token["idToken"]] = info | ({"groupIdToken": group} if group is not None else {})


async def enable_cache(bench: Bench, *, local: bool = True) -> None:
    """Configuration state: the cache is used before the CSMS is asked; remote starts are authorized like local ones."""
    bench.local = local
    await bench.configure("AuthCacheCtrlr", "Enabled", "true")
    await bench.configure("AuthCtrlr", "LocalPreAuthorize", "true")
    await bench.configure("AuthCacheCtrlr", "DisablePostAuthorize", "false")
    await bench.configure("AuthCtrlr", "AuthorizeRemoteStart", "true")


async def present_or_start_remotely(bench: Bench, id_token: Payload, evse_id: int = 1) -> None:
    """Present an id token (manual action), or request a remote start with it where the case runs remotely."""
    if bench.local:
        await bench.present(id_token, evse_id=evse_id)
        return
    request: Payload = {"idToken": id_token, "remoteStartId": 4711, "evseId": evse_id}
    answer = await bench.call("RequestStartTransaction", request)
    assert answer["status"] == "Accepted", answer


async def expect_authorize_request(bench: Bench, id_token: Payload) -> None:
    """AuthorizeRequest for this id token."""
    request = await bench.expect("Authorize")
    assert request["idToken"]["idToken"] == id_token["idToken"], request
    assert request["idToken"]["type"] == id_token["type"], request


async def is_cached(bench: Bench, id_token: Payload, status: str) -> None:
    """Memory state: the cache holds this id token, with this status; id tokens are shown shortened."""
    entries = await bench.station.get("/api/auth/cache")
    known = {(entry["token"].lower(), entry["type"]): entry["info"]["status"] for entry in entries}
    full_token = id_token["idToken"].lower()
    assert known.get((f"{full_token[:4]}…{full_token[-2:]}", id_token["type"])) == status, known


async def no_event(bench: Bench) -> None:
    """No TransactionEvent within the message timeout, besides meter values that come by the clock."""
    await bench.silence(
        "TransactionEvent", for_s=MESSAGE_TIMEOUT_S, where=lambda event: event["triggerReason"] not in PERIODIC
    )


async def charges(bench: Bench, evse_id: int = 1) -> bool:
    """Whether energy flows to the vehicle of an EVSE."""
    evses = (await bench.station.get("/api/status"))["evses"]
    return next(evse for evse in evses if evse["id"] == evse_id)["charging_state"] == "Charging"


async def energy_wh(bench: Bench, evse_id: int = 1) -> float:
    """The import register of an EVSE's billing meter."""
    evses = (await bench.station.get("/api/status"))["evses"]
    return float(next(evse for evse in evses if evse["id"] == evse_id)["meter"]["energy_import_wh"])


async def no_energy_flows(bench: Bench, evse_id: int = 1) -> None:
    """Energy has stopped: by the EVSE's status, and the register of its billing meter does not change."""
    assert not await charges(bench, evse_id)
    register_wh = await energy_wh(bench, evse_id)
    await bench.advance(10.0)
    assert await energy_wh(bench, evse_id) == register_wh
