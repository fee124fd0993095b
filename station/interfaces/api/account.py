"""Routes for signing in and out, passwords, first-password codes and access tokens."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Annotated, Literal, NotRequired

from fastapi import HTTPException, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, SecretStr
from typing_extensions import TypedDict

from station.interfaces.access.roles import require_role
from station.interfaces.access.visitor import Visitor, is_https, root_path, session_cookie, visitor_of
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, ReadyAccess, example, part_if_running
from station.interfaces.api.problem import TOO_MANY
from station.interfaces.api.routing import api_router
from station.security.access.accounts import ACCOUNTS, CODE_LASTS, Role, RoleName
from station.security.access.passwords import LONGEST_PASSWORD, SHORTEST_PASSWORD
from station.security.access.sessions import LONGEST_ACCESS
from station.security.access.sign_in_service import SignedIn, SignInResult, SignInService, TooManyAttempts

router = api_router("accounts")

RoleWord = Literal["driver", "owner", "installer", "service"]
_PathRole = Annotated[RoleWord, Path(description="the role whose account it is")]
_TokenName = Annotated[str, Path(description="name of the access token")]
_Secret = Annotated[SecretStr, Field(min_length=1, max_length=LONGEST_PASSWORD)]


class SignIn(Command):
    """Body of POST /api/session: sign in with the password of a role."""

    model_config = example(role="owner", password="correct horse battery")

    role: RoleWord
    """the role to sign in as; it needs a password"""
    password: _Secret
    """the present password of that role"""
    bearer: bool = False
    """whether the response contains a token instead of setting a cookie, for scripts"""


class FirstPassword(Command):
    """Body of POST /api/accounts/{role}/first-password: a one-time code, and the password to set with it."""

    model_config = example(code="7K2M-QX9P", password="correct horse battery")

    code: _Secret
    """the code on the label of the station, or one that a higher role created"""
    password: _Secret
    """the password to set for the role in the path"""


class NewPassword(Command):
    """Body of PUT /api/accounts/{role}/password: the role's new password, and the user's own present one."""

    model_config = example(password="a longer horse battery", own="correct horse battery")

    password: _Secret
    """the password to set for the role in the path"""
    own: _Secret | None = None
    """the present password of the user's own role; not needed on the station's own machine"""


class NewToken(Command):
    """Body of POST /api/access-tokens: name, role and validity of an access token, with which a script uses the API."""

    model_config = example(name="home-assistant", role="owner", days=365)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}$")]
    """identifies the token in the list and in the log; a token of the same name is replaced"""
    role: RoleWord = "driver"
    """the role of requests with this token; at most the user's own"""
    days: Annotated[int, Field(ge=1, le=LONGEST_ACCESS.days)] = 365
    """days until it expires; limited to the expiry of the access token that makes this request, if any"""


class SessionStatus(TypedDict):
    """Response of GET and POST /api/session: the user's role, the CSRF header's value, the roles that can sign in."""

    role: RoleName
    """the role of the user who sends this request; `visitor`: nobody is signed in"""
    signed_in: bool
    """whether the request belongs to a session, by its cookie or its token"""
    local: bool
    """whether the request comes from the station's own machine, which need not sign in"""
    csrf: str | None
    """value for the header X-Borne-Csrf, which changes made by a browser need; null: not signed in"""
    commissioned: bool
    """whether a password is set: then changes need a signed-in role"""
    can_sign_in: list[RoleName]
    """the roles that have a password, and can sign in"""
    shortest_password: int
    """the number of characters that a new password must have at least"""
    token: NotRequired[str]
    """the secret of the new session, to send as bearer token; only if requested with `bearer`"""


class AccountStatus(TypedDict):
    """Whether a role has a password, and whether a code to set its first one is valid; a role has a single account."""

    has_password: bool
    """whether somebody can sign in as this role"""
    awaits_code: bool
    """whether a valid code exists to set its first password"""


class RoleAccounts(TypedDict):
    """Response of GET /api/accounts: the account of each role."""

    driver: AccountStatus
    """the account of those who charge at this station"""
    owner: AccountStatus
    """the account of the owner of the station"""
    installer: AccountStatus
    """the account of the installer of the station"""
    service: AccountStatus
    """the account of the manufacturer's service"""


class FirstCode(TypedDict):
    """Response of POST /api/accounts/{role}/code: a one-time code to set the password with, and its validity."""

    code: str
    """the code, valid once; to be handed to the new user of the role"""
    days: int
    """days from now during which the code is valid"""


class TokenListed(TypedDict):
    """An access token in GET /api/access-tokens; its secret cannot be read again."""

    name: str
    """the name given by whoever created it"""
    role: RoleName
    """the role of requests with this token"""
    expires_at: str
    """when it stops being accepted (ISO 8601, UTC)"""


class TokenCreated(TypedDict):
    """Response of POST /api/access-tokens: the new access token with its secret."""

    name: str
    """the name that was given in the request"""
    token: str
    """the secret, returned only once"""
    expires_at: str | None
    """when it stops being accepted (ISO 8601, UTC); null: it has already been replaced or revoked"""


@router.get("/api/session", dependencies=[require_role(Role.VISITOR)], summary="Read who is signed in")
async def read_session(request: Request, access: ReadyAccess) -> SessionStatus:
    """Returns the user's role, the roles that can sign in, and the header value that changes by a browser need."""
    return _session_status(visitor_of(request), access)


@router.post(
    "/api/session",
    status_code=201,
    dependencies=[require_role(Role.VISITOR)],
    summary="Sign in",
    response_model=SessionStatus,
    responses=TOO_MANY,
)
async def sign_in(request: Request, body: SignIn, access: ReadyAccess) -> Response:
    """Begins a session with the password of a role. The response sets a cookie, or with `bearer` contains a token.

    403 if the password is wrong.
    """
    answer = await access.sign_in(_role(body.role), body.password.get_secret_value(), visitor_of(request).address)
    return _sign_in_response(request, access, answer, bearer=body.bearer, wrong_detail="the password is wrong")


@router.delete("/api/session", dependencies=[require_role(Role.VISITOR)], summary="Sign out", response_model=Accepted)
async def sign_out(
    request: Request, access: Annotated[SignInService | None, part_if_running(SignInService)]
) -> Response:
    """Ends the session of this request, if there is one, and deletes its cookie; other sessions continue."""
    visitor = visitor_of(request)
    if visitor.session is not None and access is not None:
        access.sessions.end(visitor.session)
    answer = JSONResponse(ACCEPTED)
    secure = is_https(request)
    path = root_path(request) or "/"
    answer.delete_cookie(session_cookie(request), path=path, secure=secure, httponly=True, samesite="strict")
    return answer


@router.get("/api/accounts", dependencies=[require_role(Role.OWNER)], summary="List the accounts")
async def list_accounts(access: ReadyAccess) -> RoleAccounts:
    """Returns for each role whether it has a password, and whether a code to set one is valid."""

    def account(role: Role) -> AccountStatus:
        return {"has_password": access.accounts.has_password(role), "awaits_code": access.accounts.accepts_code(role)}

    return {
        "driver": account(Role.DRIVER),
        "owner": account(Role.OWNER),
        "installer": account(Role.INSTALLER),
        "service": account(Role.SERVICE),
    }


@router.post(
    "/api/accounts/{role}/first-password",
    status_code=201,
    dependencies=[require_role(Role.VISITOR)],
    summary="Set the first password of a role",
    response_model=SessionStatus,
    responses=TOO_MANY,
)
async def set_first_password(request: Request, role: _PathRole, body: FirstPassword, access: ReadyAccess) -> Response:
    """Sets the password of a role with the code on the label, or with one that a higher role created.

    The response signs in, by a cookie. 403 if the code is wrong, used or expired.
    """
    code, password = body.code.get_secret_value(), body.password.get_secret_value()
    try:
        answer = await access.set_first_password(_role(role), code, password, visitor_of(request).address)
    except ValueError as error:
        raise HTTPException(422, f"password: {error}") from error
    return _sign_in_response(
        request, access, answer, bearer=False, wrong_detail="the code is wrong or was already used"
    )


@router.put(
    "/api/accounts/{role}/password",
    status_code=202,
    dependencies=[require_role(Role.DRIVER)],  # the user's own role, and lower ones
    summary="Change a password",
    responses=TOO_MANY,
)
async def change_password(request: Request, role: _PathRole, body: NewPassword, access: ReadyAccess) -> Accepted:
    """Changes the password of the user's own role, or of a lower one. Its other sessions and its access tokens end.

    403 if `own` is wrong.
    """
    visitor = visitor_of(request)
    await _require_own_password(access, visitor, body)
    managed_role = _manageable_role(visitor, role, or_own=True)
    try:
        await access.change_password(
            managed_role,
            body.password.get_secret_value(),
            visitor.role,
            visitor.address,
            except_session=visitor.session,
        )
    except ValueError as error:
        raise HTTPException(422, f"password: {error}") from error
    return ACCEPTED


@router.post(
    "/api/accounts/{role}/code",
    status_code=201,
    dependencies=[require_role(Role.OWNER)],
    summary="Create a code for a first password",
)
async def create_code(request: Request, role: _PathRole, access: ReadyAccess) -> FirstCode:
    """Creates a one-time code with which the new user of a lower role sets its password.

    An earlier code of that role becomes invalid; its present password is valid until the code is used.
    """
    managed_role = _manageable_role(visitor_of(request), role, or_own=False)
    return {"code": await access.accounts.issue_code(managed_role), "days": CODE_LASTS.days}


@router.get("/api/access-tokens", dependencies=[require_role(Role.OWNER)], summary="List the access tokens")
async def list_access_tokens(access: ReadyAccess) -> list[TokenListed]:
    """Returns the access tokens that have not expired."""
    return [
        {"name": name, "role": token.role.label, "expires_at": token.expires_at.isoformat()}
        for name, token in access.tokens.all().items()
    ]


@router.post(
    "/api/access-tokens", status_code=201, dependencies=[require_role(Role.OWNER)], summary="Create an access token"
)
async def create_access_token(request: Request, body: NewToken, access: ReadyAccess) -> TokenCreated:
    """Creates an access token for a script, of the user's own role or a lower one; replaces one with the same name."""
    visitor = visitor_of(request)
    token_role = _manageable_role(visitor, body.role, or_own=True)
    if (replaced := access.tokens.all().get(body.name)) is not None:
        _manageable_role(visitor, replaced.role.label, or_own=True)
    try:
        secret = await access.create_token(body.name, token_role, timedelta(days=body.days), maker=visitor.token)
    except ValueError as error:
        raise HTTPException(409, str(error)) from error
    created = access.tokens.find(secret)
    return {"name": body.name, "token": secret, "expires_at": created.expires_at.isoformat() if created else None}


@router.delete(
    "/api/access-tokens/{name}",
    status_code=202,
    dependencies=[require_role(Role.OWNER)],
    summary="Revoke an access token",
)
async def revoke_access_token(request: Request, name: _TokenName, access: ReadyAccess) -> Accepted:
    """Revokes an access token, and those that were created with it."""
    token = access.tokens.all().get(name)
    if token is None:
        raise HTTPException(404, "no access token has this name")
    _manageable_role(visitor_of(request), token.role.label, or_own=True)
    await access.tokens.revoke(name)
    return ACCEPTED


def _session_status(visitor: Visitor, access: SignInService) -> SessionStatus:
    accounts = access.accounts
    return {
        "role": visitor.role.label,
        "signed_in": visitor.session is not None,
        "local": visitor.local,
        "csrf": visitor.session.csrf if visitor.session is not None else None,
        "commissioned": accounts.has_any_password,
        "can_sign_in": [role.label for role in ACCOUNTS if accounts.has_password(role)],
        "shortest_password": SHORTEST_PASSWORD,
    }


def _sign_in_response(
    request: Request, access: SignInService, result: SignInResult, *, bearer: bool, wrong_detail: str
) -> Response:
    if isinstance(result, TooManyAttempts):
        wait_s = math.ceil(result.wait_s)
        detail = f"too many wrong passwords or codes; try again in {wait_s} s"
        return JSONResponse({"detail": detail, "wait_s": wait_s}, 429, {"Retry-After": str(wait_s)})
    if not isinstance(result, SignedIn):
        raise HTTPException(403, wrong_detail)
    body = _session_status(Visitor(result.session.role, "", session=result.session), access)
    if bearer:
        body["token"] = result.secret
    response = JSONResponse(body, 201)
    if not bearer:
        secure = is_https(request)
        name, path = session_cookie(request), root_path(request) or "/"
        response.set_cookie(name, result.secret, path=path, secure=secure, httponly=True, samesite="strict")
    return response


async def _require_own_password(access: SignInService, visitor: Visitor, body: NewPassword) -> None:
    """Require the user's own password to change a password, so that an unattended signed-in phone is not enough."""
    if visitor.local:
        return
    own_password = body.own.get_secret_value() if body.own is not None else ""
    answer = await access.confirm_password(visitor.role, own_password, visitor.address)
    if isinstance(answer, TooManyAttempts):
        wait_s = math.ceil(answer.wait_s)
        raise HTTPException(
            429, f"too many wrong passwords or codes; try again in {wait_s} s", {"Retry-After": str(wait_s)}
        )
    if not answer:
        raise HTTPException(403, "own: the password is wrong")


def _manageable_role(visitor: Visitor, label: str, *, or_own: bool) -> Role:
    """The role that the visitor wants to manage; 403 unless it is lower than theirs, or equal if that is allowed."""
    role = _role(label)
    if role > visitor.role or (role is visitor.role and not or_own and not visitor.local):
        raise HTTPException(403, f"the role {visitor.role.label} may not manage this role")
    return role


def _role(label: str) -> Role:
    return Role[label.upper()]
