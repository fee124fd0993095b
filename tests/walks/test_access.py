"""Who gets in at the local API, over real HTTP: roles, sessions, codes, foreign pages and names, the security log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from fastapi.routing import APIRoute

from station.interfaces.access.permissions import DEFAULT_PERMISSION, Permissions
from station.interfaces.access.roles import StaticFilesWithRole, least_role_of, permissions_of
from station.interfaces.application import build_application
from station.interfaces.http import tls
from station.security.access.accounts import Role
from tests.conformance.pki import Pki
from tests.patience import PATIENCE_S, until
from tests.walk import Walk, walking
from tests.walks.visit import visiting

LABEL = "ABCD-EFGH-JKLM"
PASSWORD = "correct horse battery"
AWAY = {"X-Forwarded-For": "192.0.2.7"}
"""makes a request one from elsewhere"""


@contextlib.asynccontextmanager
async def away(walk: Walk, **more: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """A browser or script that is not on the station's machine."""
    address = f"http://127.0.0.1:{walk.web.port}"
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S, trust_env=False, headers=AWAY, **more) as client:
        yield client


async def enter(client: httpx.AsyncClient, role: str, password: str = PASSWORD) -> httpx.Response:
    """Sign in, and show the CSRF token from then on."""
    answer = await client.post("/api/session", json={"role": role, "password": password})
    if answer.is_success:
        client.headers["x-borne-csrf"] = answer.json()["csrf"]
    return answer


async def give_password(walk: Walk, *roles: Role) -> None:
    """Set passwords of roles, as on the machine itself."""
    for role in roles:
        await walk.parts.access.accounts.set_password(role, PASSWORD)


async def security_log(walk: Walk) -> list[tuple[str, str]]:
    """Types and texts of the security log, without the event of the start."""
    return [(event.type, event.info) for event in await walk.parts.security_events.entries()][1:]


async def test_before_anybody_has_a_password_other_machines_only_look(tmp_path: Path) -> None:
    """Whether it is free, and nothing of the house or of its cards."""
    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        status = (await client.get("/api/status")).json()
        assert status["evses"][0]["connector_status"] == "Available"
        assert not {"csms", "grid", "queue", "boot_status"} & status.keys()
        assert not {"id_token", "transaction_id"} & status["evses"][0].keys()
        for path in (
            "/api/auth/cache",
            "/api/auth/list",
            "/api/variables",
            "/api/security-events",
            "/api/transactions",
        ):
            assert (await client.get(path)).status_code == 403, path
        refused = await client.post("/api/evses/1/stop")
        assert refused.status_code == 403
        assert "the station's own machine" in refused.json()["detail"]
        assert (await client.post("/api/session", json={"role": "owner", "password": PASSWORD})).status_code == 403


OF_CHARGE = {"offered_a", "limit", "limits", "meter", "cost", "contactor_operations", "contactor_opened_under_load"}
"""fields of an EVSE that say what flows there, why, and what it costs"""


async def next_evse_event(client: httpx.AsyncClient, walk: Walk) -> dict[str, Any]:
    """The next event of an EVSE in the event stream, after the charge is ended with its card."""
    async with client.stream("GET", "/api/events") as stream:
        lines = stream.aiter_lines()
        assert await anext(lines) == ": listening"
        await walk.present()
        async for line in lines:
            if line == "event: evse":
                return json.loads((await anext(lines)).removeprefix("data: "))
    raise AssertionError("the stream has ended")


@pytest.mark.parametrize("visitors", ["state", "all"])
async def test_a_visitor_sees_what_flows_why_and_what_it_costs_only_where_the_installation_file_allows_it(
    tmp_path: Path, visitors: str
) -> None:
    """Everywhere: status, charges, displays, events. The price is for everybody; a driver sees all."""
    prices = {"currency": "CHF", "energy_per_kwh": "0.30"}
    page = {} if visitors == "state" else {"visitors": visitors}
    async with walking(tmp_path, prices=prices, page=page) as walk, away(walk) as client, away(walk) as driver:
        await walk.accepted()
        await give_password(walk, Role.DRIVER)
        await enter(driver, "driver")
        await walk.plug(phases=3)
        await walk.present()
        await walk.charging()
        await walk.advance(600)
        allowed = visitors == "all"
        evse = (await client.get("/api/status")).json()["evses"][0]
        assert {name for name in OF_CHARGE if evse.get(name) is not None} == (OF_CHARGE if allowed else set())
        assert (evse["connector_status"], evse["light"]["reason"]) == ("Occupied", "charging")
        assert evse["own_tariff"]["energy_per_kwh"] == "0.30"
        assert "grid_explanation" not in evse  # what the house uses
        assert allowed or "cost" not in {line["topic"] for line in evse["display"]}
        (charge,) = (await client.get("/api/charges")).json()
        assert ((charge["charge"] is not None), charge["authorized"]) == (allowed, True)
        (display,) = (await client.get("/api/display")).json()
        reasons = {line["reason"] for line in display["screen"]["lines"]}
        assert ({"energy", "cost"} <= reasons, "tariff" in reasons) == (allowed, True)
        assert ("kW" in display["screen"]["lines"][0]["text"]) is allowed
        assert display["screen"]["lines"][0]["text"].startswith("Charging")
        responses = [(await driver.get(path)).json() for path in ("/api/status", "/api/charges", "/api/display")]
        assert {name for name in OF_CHARGE if responses[0]["evses"][0].get(name) is not None} == OF_CHARGE
        assert responses[1][0]["charge"]["energy_wh"] > 0
        assert "energy" in {line["reason"] for line in responses[2][0]["screen"]["lines"]}
        assert ("offered_a" in await next_evse_event(client, walk)) is allowed
        for path in ("/metrics", "/api/history", "/api/transactions", "/api/load-management"):
            assert (await client.get(path)).status_code == 401, path


async def test_while_the_station_starts_nobody_is_refused_for_good(tmp_path: Path) -> None:
    """A script is asked to retry, a person sees a page that goes on by itself; at the machine nothing changes."""
    page = {"Accept": "text/html"}
    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        await give_password(walk, Role.OWNER)
        await walk.application.cut_power()
        for answer in (await client.get("/api/variables"), await client.post("/api/evses/1/stop")):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert answer.json()["starting"] is True
        for path in ("/owner", "/sign-in"):
            led = await client.get(path, headers=page)
            assert (led.status_code, led.headers["location"]) == (303, f"/starting?to={path}")
        waiting = await client.get("/starting?to=/owner", headers=page)
        assert (waiting.status_code, waiting.headers["refresh"]) == (503, "2")
        assert "The station is starting" in waiting.text
        await walk.application.restore_power()
        assert (await client.get("/starting?to=/owner", headers=page)).headers["location"] == "/owner"
        assert (await client.get("/api/variables")).status_code == 401


async def test_the_installer_comes_in_with_the_labels_code_once(tmp_path: Path) -> None:
    """Then with the password; the owner's code is handed on, and the log tells all of it."""
    async with (
        walking(tmp_path, http={"installer_code": LABEL}) as walk,
        away(walk) as phone,
        away(walk) as other_phone,
    ):
        await walk.accepted()
        body = {"code": "abcdefghjklm", "password": PASSWORD}
        answer = await phone.post("/api/accounts/installer/first-password", json=body)
        assert answer.status_code == 201
        assert answer.json()["role"] == "installer"
        phone.headers["x-borne-csrf"] = answer.json()["csrf"]
        again = await other_phone.post("/api/accounts/installer/first-password", json=body)
        assert again.status_code == 403
        assert (await phone.get("/api/variables")).status_code == 200
        code = (await phone.post("/api/accounts/owner/code")).json()["code"]
        assert (await phone.post("/api/accounts/service/code")).status_code == 403
        owner = await other_phone.post("/api/accounts/owner/first-password", json={"code": code, "password": PASSWORD})
        assert owner.json()["role"] == "owner"
        assert (await other_phone.get("/api/variables")).status_code == 403
        entries = await security_log(walk)
        assert ("MaintenanceLoginAccepted", "installer, from 127.0.0.1") in entries
        assert ("MaintenanceLoginFailed", "installer, from 127.0.0.1") in entries
        assert ("LocalChange", "installer: POST /api/accounts/{role}/code, from 127.0.0.1") in entries
        assert PASSWORD not in str(entries)
        assert LABEL not in str(entries)


async def test_a_role_may_do_what_is_its_own_and_not_more(tmp_path: Path) -> None:
    """A driver stops, an owner prices, an installer looks at frames, service at everything."""
    least = {"/api/load-management": Role.DRIVER, "/api/transactions": Role.OWNER, "/api/variables": Role.INSTALLER}
    async with walking(tmp_path) as walk:
        await walk.accepted()
        await give_password(walk, Role.DRIVER, Role.OWNER, Role.INSTALLER, Role.SERVICE)
        for role in (Role.DRIVER, Role.OWNER, Role.INSTALLER, Role.SERVICE):
            async with away(walk) as client:
                assert (await client.get("/api/variables")).status_code == 401
                assert (await enter(client, role.label)).status_code == 201
                for path, least_role in least.items():
                    expected = 200 if role >= least_role else 403
                    assert (await client.get(path)).status_code == expected, (role, path)
                simulated = await client.post("/api/sim/faults", json={"code": "ground-fault"})
                assert simulated.status_code == (202 if role is Role.SERVICE else 403)


async def test_guessing_a_password_becomes_slow_and_is_logged(tmp_path: Path) -> None:
    """From the fourth on nothing is looked at for a while, not even the right one."""
    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        await give_password(walk, Role.OWNER)
        for _ in range(4):
            assert (await enter(client, "owner", "wrong wrong wrong")).status_code == 403
        slow = await enter(client, "owner")
        assert slow.status_code == 429
        assert int(slow.headers["retry-after"]) == 2
        await walk.advance(2.0)
        assert (await enter(client, "owner")).status_code == 201
        failed = [info for kind, info in await security_log(walk) if kind == "MaintenanceLoginFailed"]
        assert len(failed) == 4


async def test_a_lesser_password_makes_guessing_a_greater_one_no_faster(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        await give_password(walk, Role.DRIVER, Role.INSTALLER)
        answers: list[int] = []
        for number in range(5):
            assert (await enter(client, "driver")).status_code == 201
            answers.append((await enter(client, "installer", f"guess number {number}")).status_code)
        assert answers == [403, 403, 403, 403, 429]


async def test_the_cookie_is_kept_from_scripts_and_other_pages_and_ends_with_the_session(tmp_path: Path) -> None:
    """HttpOnly, SameSite=Strict; without the CSRF token it changes nothing."""
    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        await give_password(walk, Role.OWNER)
        cookie = (await enter(client, "owner")).headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        body = {"operative": True}
        assert (await client.post("/api/evses/1/availability", json=body)).status_code == 202
        forged = client.headers.pop("x-borne-csrf")
        assert (await client.post("/api/evses/1/availability", json=body)).status_code == 403
        client.headers["x-borne-csrf"] = forged
        for header in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = await client.post("/api/evses/1/availability", json=body, headers=header)
            assert answer.status_code == 403, header
        kept = client.cookies["borne_session"]
        assert (await client.delete("/api/session")).status_code == 200
        client.cookies.set("borne_session", kept)
        assert (await client.get("/api/transactions")).status_code == 401


async def test_a_foreign_page_on_the_same_machine_changes_nothing_either(tmp_path: Path) -> None:
    """Where nobody has to sign in, the browser itself tells where a request comes from."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        address = f"http://127.0.0.1:{walk.web.port}"
        async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
            foreign = await client.post("/api/unlock", headers={"Origin": "https://evil.example"})
            assert foreign.status_code == 403
            own = await client.post("/api/unlock", headers={"Origin": address})
            assert own.status_code == 202


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
        ("station.example", 200),
        ("borne-0001.local", 200),
        ("station", 200),
        ("[::1]:8080", 200),
        ("192.0.2.1:8080", 200),
    ],
)
async def test_a_name_that_might_be_anybodys_is_not_answered(tmp_path: Path, name: str, status: int) -> None:
    """Against DNS rebinding: a page that points its own name here gets nothing."""
    async with walking(tmp_path, http={"names": ["station.example"]}) as walk, away(walk) as client:
        await walk.accepted()
        assert (await client.get("/api/status", headers={"Host": name})).status_code == status


async def test_every_answer_carries_the_security_headers(tmp_path: Path) -> None:
    """Refusals too."""
    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        for path in ("/api/status", "/api/variables", "/nowhere", "/healthz"):
            headers = (await client.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cache-control"] == "no-store"
            assert "server" not in headers


async def test_a_failure_that_nobody_foresaw_carries_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with walking(tmp_path) as walk, visiting(walk) as api:
        await walk.accepted()

        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("nobody foresaw this")

        monkeypatch.setattr(walk.parts.security_events, "entries", broken)
        answer = await api.client.get("/api/security-events")
        assert (answer.status_code, answer.json()) == (
            500,
            {"detail": "internal error: the station could not handle this request; its log has details"},
        )
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


async def test_a_body_that_is_too_large_or_declares_no_length_is_not_read(tmp_path: Path) -> None:
    """Nobody fills the memory of the station."""

    async def endless() -> AsyncGenerator[bytes]:
        yield b"{"

    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        for size in (300_000, 8_193):
            assert (await client.post("/api/session", content=b" " * size)).status_code == 413
        assert (await client.post("/api/session", content=endless())).status_code == 411


async def test_a_script_comes_in_with_a_bearer_token(tmp_path: Path) -> None:
    """Of a session, or one that is kept; a wrong one is nobody's, also on the machine itself."""
    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        await give_password(walk, Role.OWNER)
        body = {"role": "owner", "password": PASSWORD, "bearer": True}
        answer = await client.post("/api/session", json=body)
        assert "set-cookie" not in answer.headers
        bearer = {"Authorization": f"Bearer {answer.json()['token']}"}
        created = await client.post("/api/access-tokens", json={"name": "script", "role": "driver"}, headers=bearer)
        script = {"Authorization": f"Bearer {created.json()['token']}"}
        assert (await client.get("/metrics", headers=script)).status_code == 200
        assert (await client.get("/api/transactions", headers=script)).status_code == 403
        assert (await client.get("/metrics")).status_code == 401
        above = {"name": "more", "role": "installer"}
        assert (await client.post("/api/access-tokens", json=above, headers=bearer)).status_code == 403
        assert (await client.delete("/api/access-tokens/script", headers=bearer)).status_code == 202
        assert (await client.get("/metrics", headers=script)).status_code == 401
        port = walk.web.port
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as here:
            assert (await here.get("/metrics")).status_code == 200
            assert (await here.get("/metrics", headers=script)).status_code == 401


async def test_the_tokens_that_a_script_makes_end_with_its_own(tmp_path: Path) -> None:
    """A token of one day makes none of two years, nor one that outlives its revocation."""
    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        await give_password(walk, Role.OWNER)
        secret = await walk.parts.access.create_token("script", Role.OWNER, timedelta(days=1))
        body = {"name": "backdoor", "role": "owner", "days": 730}
        script = {"Authorization": f"Bearer {secret}"}
        created = (await client.post("/api/access-tokens", json=body, headers=script)).json()
        assert datetime.fromisoformat(created["expires_at"]) <= walk.application.clock.now() + timedelta(days=1)
        child = {"Authorization": f"Bearer {created['token']}"}
        assert (await client.get("/api/transactions", headers=child)).status_code == 200
        await enter(client, "owner")
        assert (await client.delete("/api/access-tokens/script")).status_code == 202
        client.cookies.clear()
        assert (await client.get("/api/transactions", headers=child)).status_code == 401


async def test_nobody_replaces_the_access_token_of_a_greater_role_by_its_name(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        await give_password(walk, Role.OWNER)
        secret = await walk.parts.access.create_token("fleet", Role.SERVICE, timedelta(days=1))
        await enter(client, "owner")
        answer = await client.post("/api/access-tokens", json={"name": "fleet", "role": "driver"})
        assert answer.status_code == 403
        assert walk.parts.access.tokens.find(secret) is not None


async def test_a_limit_that_an_automation_repeats_does_not_wash_out_the_security_log(tmp_path: Path) -> None:
    """One of each setter is reported in an hour, and every other change."""
    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        await give_password(walk, Role.OWNER)
        await enter(client, "owner")
        limits = "/api/load-management/limits"
        for _ in range(21):
            for setter in ("user", "operator"):
                assert (await client.put(f"{limits}/{setter}", json={"current_a": 10})).status_code == 202
            assert (await client.put("/api/load-management/priorities/1", json={"priority": 1})).status_code == 202
            await walk.advance(200)
        changes = [info.split(",")[0] for kind, info in await security_log(walk) if kind == "LocalChange"]
        assert changes.count("owner: PUT /api/load-management/limits/{setter}") == 4
        assert changes.count("owner: PUT /api/load-management/priorities/{evse_id}") == 21


async def test_a_driver_tries_card_numbers_no_faster_than_at_the_reader(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        await give_password(walk, Role.DRIVER)
        await enter(client, "driver")
        cards = [{"id_token": f"04A3B2C1D5E6{number:02}"} for number in range(10)]
        answers = [(await client.post("/api/evses/1/token", json=card)).status_code for card in cards]
        assert answers == [202] * 5 + [429] * 5
        await walk.advance(3)
        assert (await client.post("/api/token", json=cards[0])).status_code == 202
        refused = await client.post("/api/token", json=cards[1])
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "3")


async def test_listeners_who_are_not_signed_in_leave_room_for_the_others(tmp_path: Path) -> None:
    async with (
        walking(tmp_path) as walk,
        away(walk) as stranger,
        away(walk) as driver,
        contextlib.AsyncExitStack() as streams,
    ):
        await walk.accepted()
        await give_password(walk, Role.DRIVER)
        await enter(driver, "driver")

        begun: list[AsyncIterator[bytes]] = []

        async def listen(client: httpx.AsyncClient) -> int:
            stream = await streams.enter_async_context(client.stream("GET", "/api/events"))
            begun.append(stream.aiter_raw())
            await anext(begun[-1])
            return stream.status_code

        assert [await listen(stranger) for _ in range(9)] == [200] * 8 + [503]
        assert await listen(driver) == 200


async def test_one_machine_does_not_take_the_places_of_all_listeners_who_are_not_signed_in(tmp_path: Path) -> None:
    async with walking(tmp_path) as walk, contextlib.AsyncExitStack() as streams:
        await walk.accepted()

        async def listen(source: str) -> int:
            transport = httpx.AsyncHTTPTransport(local_address=source)
            address = f"http://127.0.0.1:{walk.web.port}"
            client = httpx.AsyncClient(base_url=address, transport=transport, timeout=PATIENCE_S)
            await streams.enter_async_context(client)
            return (await streams.enter_async_context(client.stream("GET", "/api/events"))).status_code

        assert [await listen("127.0.0.2") for _ in range(6)] == [200] * 4 + [503] * 2
        assert [await listen("127.0.0.3") for _ in range(2)] == [200] * 2
        await streams.aclose()

        async def admitted() -> bool:
            return await listen("127.0.0.2") != 503

        await until(admitted)


async def test_of_listeners_who_come_at_the_same_moment_no_more_are_admitted(tmp_path: Path) -> None:
    """Each has its place before anything is waited for."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        peers = [await asyncio.open_connection("127.0.0.1", walk.web.port) for _ in range(24)]
        for _, writer in peers:
            writer.write(b"GET /api/events HTTP/1.1\r\nHost: station\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n")
        answers = [(await reader.readline()).split()[1] for reader, _ in peers]
        assert (answers.count(b"200"), answers.count(b"503")) == (8, 16)
        for _, writer in peers:
            writer.transport.abort()
        async with away(walk) as client:
            statuses: list[int] = []

            async def admitted() -> bool:
                statuses.append(await _listens(client))
                return statuses[-1] != 503

            await until(admitted)
            assert statuses[-1] == 200, "the places are given back"


async def _listens(client: httpx.AsyncClient) -> int:
    async with client.stream("GET", "/api/events") as stream:
        return stream.status_code


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6")
@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
async def test_a_page_that_listens_by_both_protocols_knows_this_machine_by_each(tmp_path: Path, address: str) -> None:
    """IPv4 comes through an IPv6 socket as ::ffff:127.0.0.1."""
    async with walking(tmp_path, http={"port": 0, "host": "::"}) as walk:
        await walk.accepted()
        await give_password(walk, Role.SERVICE)
        here = f"http://{address}:{walk.web.port}"
        async with httpx.AsyncClient(base_url=here, timeout=PATIENCE_S, trust_env=False) as client:
            assert (await client.get("/metrics")).status_code == 200
            assert (await client.get("/metrics", headers=AWAY)).status_code == 401


async def test_where_the_machine_itself_is_not_trusted_it_signs_in_like_anybody(tmp_path: Path) -> None:
    """Behind a proxy on it that does not say that it forwards."""
    async with walking(tmp_path, http={"port": 0, "trust_loopback": False}) as walk:
        await walk.accepted()
        await give_password(walk, Role.SERVICE)
        here = f"http://127.0.0.1:{walk.web.port}"
        async with httpx.AsyncClient(base_url=here, timeout=PATIENCE_S, trust_env=False) as client:
            assert (await client.get("/metrics")).status_code == 401
            assert (await enter(client, "service")).status_code == 201
            assert (await client.get("/metrics")).status_code == 200


async def test_another_password_ends_the_sessions_of_the_old_one(tmp_path: Path) -> None:
    """But not the one that changed it; and one's own password is asked for."""
    async with walking(tmp_path) as walk, away(walk) as client, away(walk) as elsewhere:
        await walk.accepted()
        await give_password(walk, Role.OWNER)
        await enter(client, "owner")
        await enter(elsewhere, "owner")
        body = {"password": "another good one", "own": "not my password"}
        assert (await client.put("/api/accounts/owner/password", json=body)).status_code == 403
        while (answer := await client.put("/api/accounts/owner/password", json=body)).status_code == 403:
            pass
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2"), "the page says how long it takes"
        await walk.advance(2)
        body["own"] = PASSWORD
        assert (await client.put("/api/accounts/owner/password", json=body)).status_code == 202
        assert (await client.get("/api/transactions")).status_code == 200
        assert (await elsewhere.get("/api/transactions")).status_code == 401
        assert (await client.put("/api/accounts/installer/password", json=body)).status_code == 403
        assert (await enter(elsewhere, "owner", "another good one")).status_code == 201


async def test_frames_are_published_to_installers_only(tmp_path: Path) -> None:
    """They name cards; a visitor sees that the station is in use."""
    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        async with client.stream("GET", "/api/events") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == ": listening"
            walk.application.feed.publish("frame", direction="out", text="[2]")
            walk.application.feed.publish("evse", id=1, transaction_id="secret", connector_status="Occupied")
            frames = [line async for line in _first_lines(lines, 3)]
        assert frames == ["", "event: evse", 'data: {"id": 1, "connector_status": "Occupied"}']


async def test_a_script_listens_no_longer_than_its_token_is_good(tmp_path: Path) -> None:
    """Frames name cards: whoever lost the right to see them sees no further one."""
    async with walking(tmp_path) as walk, away(walk) as client:
        await walk.accepted()
        await give_password(walk, Role.OWNER)
        secret = await walk.parts.access.create_token("script", Role.INSTALLER, timedelta(days=1))
        script = {"Authorization": f"Bearer {secret}"}
        async with client.stream("GET", "/api/events", headers=script) as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == ": listening"
            walk.application.feed.publish("frame", direction="out", text="[2]")
            assert [line async for line in _first_lines(lines, 2)] == ["", "event: frame"]
            await walk.parts.access.tokens.revoke("script")
            walk.application.feed.publish("frame", direction="out", text="[3]")
            assert "[3]" not in "".join([line async for line in lines])


async def _first_lines(lines: Any, count: int) -> AsyncGenerator[str]:
    for _ in range(count):
        yield await anext(lines)


async def test_a_page_that_does_not_exist_is_a_404_page_and_asks_nobody_to_sign_in(tmp_path: Path) -> None:
    """A stranger learns no more than that; a script is refused as before; pages that exist still ask."""
    page, german = {"Accept": "text/html"}, {"Accept": "text/html", "Accept-Language": "de"}
    async with walking(tmp_path) as walk, away(walk) as client, visiting(walk) as api:
        await walk.accepted()
        await give_password(walk, Role.DRIVER, Role.SERVICE)
        for visitor in ("a stranger", "a driver"):
            if visitor == "a driver":
                assert (await enter(client, "driver")).is_success
            for path in ("/nowhere", "/owner/nowhere", "/.git/config", "/docs/"):
                answer = await client.get(path, headers=page)
                assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8"), path
                assert "Page not found" in answer.text
                assert "sign-in" not in answer.text
                assert (await client.get(path)).status_code in {401, 403}, path
            assert (await client.get("/nowhere", headers=german)).text.count("Seite nicht gefunden") == 2
            unknown = await client.get("/api/nowhere", headers=page)
            assert (unknown.status_code, unknown.json()) == (404, {"detail": "Not Found"})
            assert (await client.post("/nowhere", headers=page)).status_code in {401, 403}
            assert (await client.get("/installer", headers=page)).status_code == 303
        at_the_machine = await api.client.get("/nowhere", headers=page)
        assert (at_the_machine.status_code, "Page not found" in at_the_machine.text) == (404, True)
        assert (await api.client.get("/nowhere")).json() == {"detail": "Not Found"}
        missing = await api.client.get("/api/transactions/none", headers=page)
        assert (missing.status_code, missing.json()) == (404, {"detail": "no transaction has this id"})


async def test_every_route_declares_its_role(tmp_path: Path) -> None:
    """Somebody has thought about who may do it; what nobody thought of is for service."""
    async with walking(tmp_path) as walk:
        await walk.accepted()
        routes = build_application(walk.application.further_routes).routes
        permissions = Permissions(permissions_of(routes))
        assert len(routes) > 100
        assert [route for route in routes if not isinstance(route, APIRoute | StaticFilesWithRole)] == []
        forgotten = [
            (method, route.path)
            for route in routes
            if isinstance(route, APIRoute)
            for method in route.methods or set()
            if least_role_of(route) is None or permissions.of(method, route.path) is DEFAULT_PERMISSION
        ]
        assert forgotten == []
    assert permissions.of("GET", "/api/what-nobody-thought-of").required_role is Role.SERVICE


async def test_the_page_may_be_served_over_tls(tmp_path: Path) -> None:
    """With a certificate that the station makes when it has none; the cookie is then for https only."""
    async with walking(tmp_path, http={"tls": True}) as walk:
        await walk.accepted()
        await give_password(walk, Role.OWNER)
        address = f"https://127.0.0.1:{walk.web.port}"
        async with httpx.AsyncClient(base_url=address, trust_env=False, verify=False, headers=AWAY) as client:
            cookie = (await enter(client, "owner")).headers["set-cookie"]
            assert cookie.startswith("__Host-borne_session=")
            assert "Secure" in cookie
            assert (await client.get("/api/transactions")).status_code == 200
        assert (tmp_path / "page.pem").stat().st_mode & 0o777 == 0o600


async def certificate_names(port: int) -> list[str]:
    """The names and addresses in the certificate that the page shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    secured: ssl.SSLObject = writer.get_extra_info("ssl_object")
    der = secured.getpeercert(binary_form=True)
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()
    assert der is not None
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name) for kind in (x509.DNSName, x509.IPAddress) for name in names.get_values_for_type(kind)]


async def test_the_certificate_of_the_page_has_its_names_and_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is renewed for an address that it does not have, while the page is served, and kept otherwise."""
    addresses = ["192.0.2.7", "2001:db8::7"]

    def addresses_of(host: str) -> list[str]:
        assert host == "127.0.0.1"  # where it listens
        return list(addresses)

    monkeypatch.setattr(tls, "addresses_of", addresses_of)
    names = ["borne-test.local", "localhost", "station.example"]
    async with walking(tmp_path, http={"tls": True, "names": ["station.example"]}) as walk:
        await walk.accepted()
        port = walk.web.port
        assert await certificate_names(port) == [*names, "127.0.0.1", "192.0.2.7", "2001:db8::7", "::1"]
        certificate = (tmp_path / "page.pem").read_text(encoding="utf-8")
        addresses.remove("2001:db8::7")
        await walk.advance(300)
        assert (tmp_path / "page.pem").read_text(encoding="utf-8") == certificate  # it has more than is needed
        addresses[:] = ["192.0.2.8"]
        async with asyncio.timeout(PATIENCE_S):
            while "192.0.2.8" not in await certificate_names(port):
                await walk.advance(10)
        assert await certificate_names(port) == [*names, "127.0.0.1", "192.0.2.8", "::1"]
        renewed = (tmp_path / "page.pem").read_text(encoding="utf-8")
        assert renewed != certificate
    addresses.clear()  # the network is not there yet when it starts again
    async with walking(tmp_path, http={"tls": True, "names": ["station.example"]}) as walk:
        await walk.accepted()
        assert "192.0.2.8" in await certificate_names(walk.web.port)
    assert (tmp_path / "page.pem").read_text(encoding="utf-8") == renewed


async def test_the_certificate_of_the_page_is_not_renewed_for_addresses_that_do_not_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A privacy address lasts a day (RFC 8981); no URL can name an address of a link."""
    addresses = ["2001:db8::7", "2001:db8::dead:1", "fe80::1%3", "fe80::2"]
    table = tmp_path / "if_inet6"

    def privacy_address(number: int) -> None:
        addresses[1] = f"2001:db8::dead:{number}"
        rows = [("20010db8000000000000000000000007", "00"), (f"20010db80000000000000000dead{number:04}", "01")]
        table.write_text("".join(f"{address} 02 40 00 {flags} eth0\n" for address, flags in rows), encoding="ascii")

    def addresses_of(_: str) -> list[str]:
        return list(addresses)

    monkeypatch.setattr(tls, "addresses_of", addresses_of)
    monkeypatch.setattr(tls, "_IPV6_TABLE", table)
    privacy_address(1)
    async with walking(tmp_path, http={"tls": True}) as walk:
        await walk.accepted()
        port = walk.web.port
        assert await certificate_names(port) == ["borne-test.local", "localhost", "127.0.0.1", "2001:db8::7", "::1"]
        certificate = (tmp_path / "page.pem").read_text(encoding="utf-8")
        privacy_address(2)
        await walk.advance(300)
        await certificate_names(port)
        assert (tmp_path / "page.pem").read_text(encoding="utf-8") == certificate


async def test_a_certificate_of_the_installation_that_is_renewed_is_shown_without_a_restart(tmp_path: Path) -> None:
    """Not before its key is there too."""
    pki = Pki(tmp_path)
    old, new = pki.server(host="old.example"), pki.server(host="new.example")
    certificate, key = pki.write_pem("page-cert.pem", old.pem), pki.write_pem("page-key.pem", old.key_pem)
    http = {"tls": True, "certificate_file": str(certificate), "key_file": str(key)}
    async with walking(tmp_path / "storage", http=http) as walk:
        await walk.accepted()
        port = walk.web.port
        assert await certificate_names(port) == ["old.example"]
        certificate.write_text(new.pem, encoding="utf-8")
        await walk.advance(100)
        await asyncio.to_thread(lambda: None)  # whoever compares the files has done so
        assert await certificate_names(port) == ["old.example"]
        key.write_text(new.key_pem, encoding="utf-8")
        async with asyncio.timeout(PATIENCE_S):
            while await certificate_names(port) != ["new.example"]:
                await walk.advance(10)


async def test_the_page_is_served_over_tls_although_flash_memory_has_spoilt_its_key(tmp_path: Path) -> None:
    (tmp_path / "page.pem").write_text("-----BEGIN PRIVATE KEY-----\nx", encoding="utf-8")
    async with walking(tmp_path, http={"tls": True}) as walk:
        await walk.accepted()
        address = f"https://127.0.0.1:{walk.web.port}"
        async with httpx.AsyncClient(base_url=address, trust_env=False, verify=False, timeout=PATIENCE_S) as client:
            assert (await client.get("/healthz")).status_code == 200
    assert (tmp_path / "page.pem").stat().st_mode & 0o777 == 0o600
