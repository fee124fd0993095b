"""Block D: the local authorization list, sent wholly or as differences, and its version."""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.bench import OTHER_TOKEN, VALID_TOKEN, Bench
from tests.conformance.cases import case
from tests.conformance.frames import Payload

_PROFILE = "Local Authorization List Management"
_VERSION = 5
"""<Configured versionNumber>"""


def listed(id_token: Payload) -> Payload:
    """An accepted token, as an item of the list."""
    return {"idToken": id_token, "idTokenInfo": {"status": "Accepted"}}


async def send(bench: Bench, update_type: str, version: int, items: list[Payload]) -> str:
    """SendLocalListRequest; the status of the response. An empty list is left out, as its schema wants it."""
    request: Payload = {"updateType": update_type, "versionNumber": version}
    if items:
        request["localAuthorizationList"] = items
    return (await bench.call("SendLocalList", request))["status"]


async def version_of(bench: Bench) -> int:
    """GetLocalListVersionRequest; the version in the response."""
    return (await bench.call("GetLocalListVersion", {}))["versionNumber"]


async def tokens_of(bench: Bench) -> list[str]:
    """The tokens of the station's list, shortened by the local API."""
    stored_list = await bench.station.get("/api/auth/list")
    assert int(await bench.get_variable("LocalAuthListCtrlr", "Entries")) == stored_list["entries"]
    return [entry["token"] for entry in stored_list["tokens"]]


def shortened(*id_tokens: Payload) -> list[str]:
    """These tokens, shortened as by the local API."""
    return sorted(f"{id_token['idToken'][:4]}…{id_token['idToken'][-2:]}" for id_token in id_tokens)


@case(_PROFILE, "M")
async def test_tc_d_01_cs(bench: Bench) -> None:
    """Send Local Authorization List - Full"""
    await bench.configure("LocalAuthListCtrlr", "Enabled", "true")
    assert await send(bench, "Full", _VERSION, [listed(VALID_TOKEN)]) == "Accepted"
    assert await version_of(bench) == _VERSION
    assert await tokens_of(bench) == shortened(VALID_TOKEN)


@pytest.mark.smoke
@case(_PROFILE, "M")
async def test_tc_d_02_cs(bench: Bench) -> None:
    """Send Local Authorization List - Differential Update"""
    await states.id_token_local_auth_list(bench, version=_VERSION)
    assert await send(bench, "Differential", _VERSION + 1, [listed(OTHER_TOKEN)]) == "Accepted"
    assert await version_of(bench) == _VERSION + 1
    assert await tokens_of(bench) == shortened(VALID_TOKEN, OTHER_TOKEN)


@case(_PROFILE, "M")
async def test_tc_d_03_cs(bench: Bench) -> None:
    """Send Local Authorization List - Differential Remove"""
    await states.id_token_local_auth_list(bench, version=_VERSION)
    assert await send(bench, "Differential", _VERSION + 1, [{"idToken": VALID_TOKEN}]) == "Accepted"
    assert await version_of(bench) == _VERSION + 1
    assert await tokens_of(bench) == []


@case(_PROFILE, "M")
async def test_tc_d_04_cs(bench: Bench) -> None:
    """Send Local Authorization List - Full with empy list"""
    await states.id_token_local_auth_list(bench, version=_VERSION - 1)
    assert await send(bench, "Full", _VERSION, []) == "Accepted"
    assert await version_of(bench) == _VERSION
    assert await tokens_of(bench) == []


@case(_PROFILE, "M")
async def test_tc_d_05_cs(bench: Bench) -> None:
    """Send Local Authorization List - Differential with empty list"""
    await states.id_token_local_auth_list(bench, version=_VERSION)
    assert await send(bench, "Differential", _VERSION + 1, []) == "Accepted"
    assert await version_of(bench) == _VERSION + 1
    assert await tokens_of(bench) == shortened(VALID_TOKEN)


@pytest.mark.parametrize("version", [_VERSION - 1, _VERSION])
@case(_PROFILE, "M")
async def test_tc_d_06_cs(bench: Bench, version: int) -> None:
    """Send Local Authorization List - VersionMismatch"""
    await states.id_token_local_auth_list(bench, version=_VERSION)
    assert await send(bench, "Differential", version, [listed(OTHER_TOKEN)]) == "VersionMismatch"
    assert await version_of(bench) == _VERSION
    assert await tokens_of(bench) == shortened(VALID_TOKEN)


@pytest.mark.parametrize("reset", ["Immediate", None], ids=["reset", "power-cycle"])
@case(_PROFILE, "M")
async def test_tc_d_07_cs(bench: Bench, reset: str | None) -> None:
    """Send Local Authorization List - Persistent over reboot"""
    await states.id_token_local_auth_list(bench, version=_VERSION)
    await states.booted(bench, reset=reset)
    assert await version_of(bench) == _VERSION
    assert await tokens_of(bench) == shortened(VALID_TOKEN)


@case(_PROFILE, "M", "LA-2")
async def test_tc_d_08_cs(bench: Bench) -> None:
    """Get Local List Version - Success"""
    await states.id_token_local_auth_list(bench, version=_VERSION)
    assert await version_of(bench) == _VERSION


@pytest.mark.parametrize("sent", [False, True], ids=["no-list", "list"])
@case(_PROFILE, "M")
async def test_tc_d_10_cs(bench: Bench, sent: bool) -> None:
    """Get Local List Version - Function disabled"""
    if sent:
        await states.id_token_local_auth_list(bench, version=_VERSION)
    await bench.configure("LocalAuthListCtrlr", "Enabled", "false")
    assert await version_of(bench) == 0
