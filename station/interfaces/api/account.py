"""Signing in and out, passwords, first codes and access tokens, through the local API."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, SecretStr

from station.interfaces.access.visitor import Visitor, is_https, root_path, session_cookie, visitor_of
from station.interfaces.api.route_services import Command
from station.interfaces.json_object import Json
from station.security.access.access import SignedIn, TooSoon
from station.security.access.accounts import ACCOUNTS, CODE_LASTS, Role
from station.security.access.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD
from station.security.access.sessions import LONGEST_ACCESS

if TYPE_CHECKING:
    from station.interfaces.api.route_services import Living
    from station.security.access.access import Access, Answer

RoleWord = Literal["driver", "owner", "installer", "service"]
_Secret = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_PASSWORD)]


class SignIn(Command):
    """A role and its password."""

    role: RoleWord
    password: _Secret
    bearer: bool = False
    """a token in the answer in place of a cookie, for scripts"""


class FirstPassword(Command):
    """A code and the password that it lets one set."""

    code: _Secret
    password: _Secret


class NewPassword(Command):
    """A password in place of another."""

    password: _Secret
    own: _Secret | None = None
    """one's own present password; without need at the machine itself"""


class NewToken(Command):
    """An access token for a script."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}$")]
    role: RoleWord = "driver"
    days: Annotated[int, Field(ge=1, le=LONGEST_ACCESS.days)] = 365
    """fewer if an access token that expires sooner makes this request"""


def account_routes(api: FastAPI, living: Living) -> None:
    """Everything about who is who."""
    _session_routes(api, living)
    _password_routes(api, living)
    _token_routes(api, living)


def _session_routes(api: FastAPI, living: Living) -> None:
    @api.get("/api/session")
    async def session(request: Request) -> Json:
        return _told(visitor_of(request), (await _access(living)))

    @api.post("/api/session", status_code=201)
    async def sign_in(request: Request, body: SignIn) -> Response:
        access, visitor = await _access(living), visitor_of(request)
        answer = await access.sign_in(_role(body.role), body.password.get_secret_value(), visitor.address)
        return _entered(request, access, answer, bearer=body.bearer, wrong="the password is wrong")

    @api.delete("/api/session")
    async def sign_out(request: Request) -> Response:
        visitor = visitor_of(request)
        if visitor.session is not None:
            (await _access(living)).sessions.end(visitor.session)
        answer = JSONResponse({"accepted": True})
        secure = is_https(request)
        path = root_path(request) or "/"
        answer.delete_cookie(session_cookie(request), path=path, secure=secure, httponly=True, samesite="strict")
        return answer


def _password_routes(api: FastAPI, living: Living) -> None:
    @api.get("/api/accounts")
    async def accounts() -> Json:
        kept = (await _access(living)).accounts
        return {
            role.word: {"has_password": kept.has_password(role), "awaits_code": kept.awaits_code(role)}
            for role in ACCOUNTS
        }

    @api.post("/api/accounts/{role}/first-password", status_code=201)
    async def first_password(request: Request, role: RoleWord, body: FirstPassword) -> Response:
        access, visitor = await _access(living), visitor_of(request)
        code, password = body.code.get_secret_value(), body.password.get_secret_value()
        try:
            answer = await access.first_password(_role(role), code, password, visitor.address)
        except ValueError as error:
            raise HTTPException(422, f"password: {error}") from error
        return _entered(request, access, answer, bearer=False, wrong="the code is wrong, or was used already")

    @api.put("/api/accounts/{role}/password", status_code=202)
    async def change_password(request: Request, role: RoleWord, body: NewPassword) -> Json:
        access, visitor = await _access(living), visitor_of(request)
        await _prove(access, visitor, body)
        meant = _lesser(visitor, role, or_own=True)
        try:
            await access.change_password(
                meant, body.password.get_secret_value(), visitor.role, visitor.address, keep=visitor.session
            )
        except ValueError as error:
            raise HTTPException(422, f"password: {error}") from error
        return {"accepted": True}

    @api.post("/api/accounts/{role}/code", status_code=201)
    async def hand_on_code(request: Request, role: RoleWord) -> Json:
        meant = _lesser(visitor_of(request), role, or_own=False)
        code = await (await _access(living)).accounts.hand_on_code(meant)
        return {"code": code, "days": CODE_LASTS.days}


def _token_routes(api: FastAPI, living: Living) -> None:
    @api.get("/api/access-tokens")
    async def tokens() -> list[Json]:
        return [
            {"name": name, "role": token.role.word, "expires_at": token.expires_at.isoformat()}
            for name, token in (await _access(living)).tokens.all().items()
        ]

    @api.post("/api/access-tokens", status_code=201)
    async def new_token(request: Request, body: NewToken) -> Json:
        access, visitor = await _access(living), visitor_of(request)
        meant = _lesser(visitor, body.role, or_own=True)
        if (replaced := access.tokens.all().get(body.name)) is not None:
            _lesser(visitor, replaced.role.word, or_own=True)
        try:
            secret = await access.new_token(body.name, meant, timedelta(days=body.days), maker=visitor.token)
        except ValueError as error:
            raise HTTPException(409, str(error)) from error
        made = access.tokens.find(secret)
        return {"name": body.name, "token": secret, "expires_at": made.expires_at.isoformat() if made else None}

    @api.delete("/api/access-tokens/{name}", status_code=202)
    async def revoke(request: Request, name: str) -> Json:
        tokens = (await _access(living)).tokens
        found = tokens.all().get(name)
        if found is None:
            raise HTTPException(404, "there is no such token")
        _lesser(visitor_of(request), found.role.word, or_own=True)
        await tokens.revoke(name)
        return {"accepted": True}


async def _access(living: Living) -> Access:
    """Who gets in, as it is on disk; a disk that refuses is answered with 503."""
    access = living.life.access
    await access.ready()
    return access


def _told(visitor: Visitor, access: Access) -> Json:
    accounts = access.accounts
    return {
        "role": visitor.role.word,
        "signed_in": visitor.session is not None,
        "local": visitor.local,
        "csrf": visitor.session.csrf if visitor.session is not None else None,
        "commissioned": accounts.commissioned,
        "can_sign_in": [role.word for role in ACCOUNTS if accounts.has_password(role)],
        "shortest_password": SHORTEST_PASSWORD,
    }


def _entered(request: Request, access: Access, answer: Answer, *, bearer: bool, wrong: str) -> Response:
    if isinstance(answer, TooSoon):
        wait_s = math.ceil(answer.wait_s)
        detail = f"too many wrong ones; try again in {wait_s} s"
        return JSONResponse({"detail": detail, "wait_s": wait_s}, 429, {"Retry-After": str(wait_s)})
    if not isinstance(answer, SignedIn):
        raise HTTPException(403, wrong)
    visitor = Visitor(answer.session.role, "", session=answer.session)
    body = _told(visitor, access) | ({"token": answer.secret} if bearer else {})
    entered = JSONResponse(body, 201)
    if not bearer:
        secure = is_https(request)
        name, path = session_cookie(request), root_path(request) or "/"
        entered.set_cookie(name, answer.secret, path=path, secure=secure, httponly=True, samesite="strict")
    return entered


async def _prove(access: Access, visitor: Visitor, body: NewPassword) -> None:
    """Whoever changes a password knows their own: a phone that lies about is not enough."""
    if visitor.local:
        return
    own = body.own.get_secret_value() if body.own is not None else ""
    answer = await access.confirm(visitor.role, own, visitor.address)
    if isinstance(answer, TooSoon):
        wait_s = math.ceil(answer.wait_s)
        raise HTTPException(429, f"too many wrong ones; try again in {wait_s} s", {"Retry-After": str(wait_s)})
    if not answer:
        raise HTTPException(403, "own: the password is wrong")


def _lesser(visitor: Visitor, word: str, *, or_own: bool) -> Role:
    """A role that the visitor may decide about."""
    role = _role(word)
    if role > visitor.role or (role is visitor.role and not or_own and not visitor.local):
        raise HTTPException(403, f"that is not for the {visitor.role.word} to decide")
    return role


def _role(word: str) -> Role:
    return Role[word.upper()]
