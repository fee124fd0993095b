"""Routes with which a test bench lets a simulated station break the protocol: messages, raw frames, handshakes."""

from __future__ import annotations

import json
import uuid
from typing import Annotated, Final, Literal

from fastapi import HTTPException
from pydantic import Field, JsonValue, model_validator
from typing_extensions import TypedDict

from ocpp_handlers.connection.connection import CsmsAccess
from simulator.misbehaviour.handshake_trial import HandshakeTrial, try_handshake
from simulator.misbehaviour.rules import MessageKind, Rule, Sender, Way, rule_errors
from simulator.misbehaviour.station_misbehaviour import NoCsmsConnectionError, RuleInForce
from simulator.world import World
from station.interfaces.access.roles import require_role
from station.interfaces.api.dependencies import ACCEPTED, Accepted, Command, Settle, example, part
from station.interfaces.api.routing import api_router
from station.security.access.accounts import Role
from station.security.certificates.certificate_store import CertificateStore
from station.security.credentials import Credentials
from station.security.network_profiles import NetworkProfiles

router = api_router("simulation")

_LONGEST_FRAME: Final = 4 * 1024 * 1024
_LONGEST_TEXT: Final = 200_000
"""a body has 256 KiB at most"""
_Action = Annotated[str, Field(min_length=1, max_length=50)]
_Json = dict[str, JsonValue]
_World = Annotated[World, part(World)]


class MisbehaviourOrder(Command):
    """Body of POST /api/sim/misbehaviour: what is done to the next messages of one kind.

    The first rule that matches a message decides; the station's software, its storage and its bills do not notice.
    """

    model_config = example(way="duplicate", sender="station", action="TransactionEvent")

    way: Way
    """drop: the message is lost; delay: it and all later ones of its sender wait; duplicate: it comes twice; reorder:
    it comes after the next message; corrupt: its second half is missing; replace: `text`, `payload` or `error` comes
    instead; answer: the station does not get this request of the CSMS, which is answered with `payload` or `error`;
    sequence-number: the seqNo of the event is changed by `offset`; half-frame: half of the websocket frame leaves, and
    nothing after it until the connection ends"""
    sender: Sender = "station"
    """whose messages"""
    message: MessageKind = "call"
    """requests, or answers to requests of the other side"""
    action: _Action | None = None
    """only messages of this action; of an answer: the action that is answered; null: of every action"""
    times: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    """number of messages; 0: until the rule is removed"""
    skip: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """number of such messages that pass unchanged before"""
    seconds: Annotated[float, Field(gt=0, le=86_400)] = 10.0
    """of delay, and the longest wait of reorder, by the station's clock"""
    text: Annotated[str, Field(max_length=_LONGEST_TEXT)] | None = None
    """of replace: the frame that comes instead, of any form; `{id}` in it is the id of the message"""
    payload: _Json | None = None
    """of replace and answer: the payload that comes instead, which may break the schema"""
    error: Annotated[str, Field(max_length=255)] | None = None
    """of replace and answer: code of the CALLERROR that comes instead of an answer"""
    description: Annotated[str, Field(max_length=1000)] = ""
    """description of that CALLERROR"""
    offset: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = -1
    """of sequence-number: what is added: -1 repeats the number before, 1 skips one"""
    new_id: bool = False
    """of duplicate: the second request has an id of its own"""

    def to_rule(self) -> Rule:
        """The rule."""
        return Rule(**self.model_dump())

    @model_validator(mode="after")
    def _check_fields(self) -> MisbehaviourOrder:
        errors = [f"{field}: {reason}" for field, reason in rule_errors(self.to_rule())]
        if errors:
            raise ValueError("; ".join(errors))
        return self


class RuleAdded(TypedDict):
    """Response of POST /api/sim/misbehaviour."""

    number: int
    """number of the rule"""


class RuleShown(TypedDict):
    """A rule in force."""

    number: int
    """its number, in the order in which the rules are tried"""
    way: str
    """what is done"""
    sender: str
    """whose messages"""
    message: str
    """call or answer"""
    action: str | None
    """of which action; null: of every one"""
    skip: int
    """messages that still pass unchanged"""
    left: int | None
    """messages that are still changed; null: until the rule is removed"""


class NoteShown(TypedDict):
    """Something that was done to a message."""

    at: str
    """when, by the station's clock (ISO 8601, UTC)"""
    sender: str
    """whose message it was"""
    text: str
    """what was done"""


class MisbehaviourShown(TypedDict):
    """Response of GET /api/sim/misbehaviour: the rules in force, and what was done last."""

    rules: list[RuleShown]
    """the rules in force"""
    count: int
    """number of messages to which something was done so far"""
    notes: list[NoteShown]
    """what was done last, in order"""


class RawFrame(Command):
    """Body of POST /api/sim/frame: a text frame that the station itself would not send.

    `text`, or a request of `action`, or of `length` characters; exactly one of them.
    """

    model_config = example(action="NoSuchAction", payload={})

    text: Annotated[str, Field(max_length=_LONGEST_TEXT)] | None = None
    """the frame as it is; need not be JSON"""
    action: _Action | None = None
    """action of a request"""
    payload: _Json = Field(default={})
    """payload of that request, which need not fit the schema"""
    length: Annotated[int, Field(ge=200, le=_LONGEST_FRAME)] | None = None
    """of a DataTransfer request that is so long, in characters"""
    message_type: Annotated[int, Field(ge=0, le=1_000_000)] = 2
    """the number at its begin: 2 is that of a request"""

    def to_text(self, message_id: str) -> str:
        """The frame.

        Raises:
            HTTPException: 422, it is not exactly one of text, action, length.
        """
        if sum(value is not None for value in (self.text, self.action, self.length)) != 1:
            raise HTTPException(422, "text, action or length: exactly one of them is required")
        if self.text is not None:
            return self.text
        if self.action is not None:
            return json.dumps([self.message_type, message_id, self.action, self.payload], ensure_ascii=False)
        frame: list[object] = [self.message_type, message_id, "DataTransfer", {"vendorId": "borne", "data": ""}]
        overhead = len(json.dumps(frame))
        frame[3] = {"vendorId": "borne", "data": "x" * ((self.length or 0) - overhead)}
        return json.dumps(frame)


class FrameSent(TypedDict):
    """Response of POST /api/sim/frame."""

    message_id: str | None
    """id of the message; null: that of the given text"""
    length: int
    """characters of the frame"""


class HandshakeOrder(Command):
    """Body of POST /api/sim/handshake: a connection attempt beside the station's own link, which it ends at once."""

    model_config = example(subprotocols=["ocpp9.9"])

    subprotocols: Annotated[list[Annotated[str, Field(pattern=r"^[!-~]{1,50}$")]], Field(max_length=20)] | None = None
    """the subprotocols that it offers; an empty list: none; null: those of the station"""
    certificate: Literal["own", "unknown-root", "none"] = "own"
    """client certificate with security profile 3: that of the station, one of an unknown root, or none"""
    password: Annotated[str, Field(max_length=64)] | None = None
    """password instead of the station's, with security profile 1 or 2; null: that of the station"""


class HandshakeShown(TypedDict):
    """Response of POST /api/sim/handshake: how the CSMS has answered."""

    accepted: bool
    """whether it has opened the websocket"""
    status: int | None
    """HTTP status of its response; null: none"""
    subprotocol: str | None
    """the subprotocol that it has chosen; null: none"""
    closed: str | None
    """code and reason with which it has closed the websocket within a second; null: it has not"""
    error: str | None
    """why there is no connection; null: there was one"""


@router.post(
    "/api/sim/misbehaviour",
    status_code=201,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Let the station break the protocol",
)
async def add_misbehaviour(body: MisbehaviourOrder, world: _World) -> RuleAdded:
    """Add a rule for the next messages between station and CSMS; 409 if there are a hundred already."""
    try:
        return {"number": world.misbehaviour.add(body.to_rule())}
    except ValueError as error:
        raise HTTPException(409, str(error)) from error


@router.get(
    "/api/sim/misbehaviour",
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Read the rules of misbehaviour",
)
async def read_misbehaviour(world: _World) -> MisbehaviourShown:
    """Returns the rules in force, and what was done to which message."""
    found = world.misbehaviour
    return {
        "rules": [_rule_to_json(rule) for rule in found.rules],
        "count": found.count,
        "notes": [{"at": note.at.isoformat(), "sender": note.sender, "text": note.text} for note in found.notes],
    }


@router.delete(
    "/api/sim/misbehaviour",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="End all misbehaviour",
)
async def end_misbehaviour(world: _World) -> Accepted:
    """Remove all rules; messages that wait go on at their time."""
    world.misbehaviour.clear()
    return ACCEPTED


@router.post(
    "/api/sim/frame",
    status_code=202,
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Send any frame to the CSMS",
)
async def send_frame(body: RawFrame, world: _World, settle: Settle) -> FrameSent:
    """Send a text frame that the station itself would not send; 409 while there is no connection to the CSMS."""
    message_id = str(uuid.uuid4())
    text = body.to_text(message_id)
    try:
        world.misbehaviour.send_frame(text)
    except NoCsmsConnectionError as error:
        raise HTTPException(409, str(error)) from error
    await settle()
    return {"message_id": message_id if body.text is None else None, "length": len(text)}


@router.post(
    "/api/sim/handshake",
    dependencies=[require_role(Role.SERVICE, logs_changes=False)],
    summary="Try a handshake with the CSMS",
)
async def attempt_handshake(
    body: HandshakeOrder,
    network: Annotated[NetworkProfiles, part(NetworkProfiles)],
    credentials: Annotated[Credentials, part(Credentials)],
    certificates: Annotated[CertificateStore, part(CertificateStore)],
) -> HandshakeShown:
    """Connect to the CSMS beside the station's own link, with other subprotocols, certificate or password, and close.

    409 if no CSMS is configured. The CSMS may end the station's own link, which has the same identity.
    """
    access = CsmsAccess(network, credentials, certificates)
    if network.profile is None:
        raise HTTPException(409, "no CSMS is configured")
    trial = HandshakeTrial(body.subprotocols, body.certificate, body.password)
    answer = await try_handshake(network.profile, access, trial)
    return {
        "accepted": answer.accepted,
        "status": answer.status,
        "subprotocol": answer.subprotocol,
        "closed": answer.closed,
        "error": answer.error,
    }


def _rule_to_json(active: RuleInForce) -> RuleShown:
    rule = active.rule
    return {
        "number": active.number,
        "way": rule.way,
        "sender": rule.sender,
        "message": rule.message,
        "action": rule.action,
        "skip": active.skip,
        "left": active.left,
    }
