"""The tables of a scenario file: their fields with constraints, read by pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, model_validator

from foundation.frozen import Frozen
from simulator.api.misbehaviour import RawFrame
from simulator.scenarios.driving import DRIVING_WORDS, EvseNumber
from simulator.scenarios.messages import Sender
from simulator.scenarios.verdicts import TimeKind
from station.interfaces.api.dependencies import Command

Json = dict[str, JsonValue]
Seconds = Annotated[float, Field(gt=0, le=10 * 86_400)]
"""seconds of the station's clock"""

CheckedThing = Literal["station", "evse", "inputs", "display", "transaction", "bill", "upload"]


class WaitStep(Command):
    """`wait`: let time pass."""

    seconds: Seconds | None = None
    """so many seconds"""
    until: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None = None
    """until this time of day, HH:MM in the time zone of the station"""

    @model_validator(mode="after")
    def _check_one(self) -> WaitStep:
        if (self.seconds is None) == (self.until is None):
            raise ValueError("seconds or until: exactly one of them is required")
        return self


class MessagePattern(Command):
    """A message that is expected."""

    action: Annotated[str, Field(min_length=1, max_length=50)]
    """name of the action"""
    sender: Sender | None = None
    """who sends it; left out: whichever"""
    payload: Json = Field(default={})
    """pattern of its payload"""
    answer: Json | None = None
    """pattern of the payload of its answer, which must come in the same time; left out: no matter"""
    error: Annotated[str, Field(max_length=300)] | None = None
    """pattern of the code of the CALLERROR that answers it; left out: no matter"""


class ExpectStep(MessagePattern):
    """`expect`: a message comes, after the one that the last expectation has found."""

    within_s: Seconds = 30.0
    """until then"""


class ExpectAllStep(Command):
    """`expect_all`: some messages come, in any order."""

    messages: Annotated[tuple[MessagePattern, ...], Field(min_length=1, max_length=100)]
    """the messages"""
    within_s: Seconds = 30.0
    """until then"""


class ExpectNoneStep(MessagePattern):
    """`expect_none`: no such message comes."""

    for_s: Seconds = 5.0
    """for so long, from the begin of the step"""


class CheckStep(Command):
    """`check`: a state of the station, its display, its registers or a bill becomes as described."""

    of: CheckedThing = "evse"
    """what is read: `station`, `evse` (GET /api/status), `inputs` (GET /api/io: pilot, contactor, lock), `display`,
    `transaction` (the newest one in the station's log), `bill` (what the CSMS has of it), `upload` (the last file that
    the station has uploaded to `${files}`)"""
    evse: EvseNumber = 1
    """of which EVSE, if it is of one"""
    values: Json
    """pattern of the values"""
    within_s: Seconds = 10.0
    """until then"""


class RequestStep(Command):
    """`request`: any request of the station's API."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    """HTTP method"""
    path: Annotated[str, Field(pattern=r"^/", max_length=500)]
    """path, with the query"""
    body: JsonValue = None
    """body as JSON; left out: none"""
    status: Annotated[int, Field(ge=100, le=599)] | None = None
    """the HTTP status that is expected; left out: success"""
    answer: JsonValue = None
    """pattern of the response; left out: no matter"""


class CallStep(Command):
    """`call`: the CSMS sends a request to the station."""

    action: Annotated[str, Field(min_length=1, max_length=50)]
    """name of the action"""
    payload: Json = Field(default={})
    """its payload"""
    answer: Json | None = None
    """pattern of the payload of the answer; left out: no matter"""
    error: Annotated[str, Field(max_length=300)] | None = None
    """pattern of the code of the CALLERROR with which the station answers; left out: it answers without error"""
    within_s: Seconds = 60.0
    """until then the station has answered; if a person has to let the CSMS send it, in real time"""


class FrameStep(RawFrame):
    """`frame`: the station sends a frame that its software would not send."""

    answer: Json | None = None
    """pattern of the payload of the answer; left out: no matter"""
    error: Annotated[str, Field(max_length=300)] | None = None
    """pattern of the code of the CALLERROR that answers it; left out: no matter"""
    within_s: Seconds = 30.0
    """until then the answer has come, if one is expected"""


class ErrorAnswer(Command):
    """A CALLERROR."""

    code: Annotated[str, Field(min_length=1, max_length=50)] = "InternalError"
    """its code"""
    description: Annotated[str, Field(max_length=255)] = ""
    """its description"""


class CsmsAnswerStep(Command):
    """`csms_answers`: how the CSMS answers the next requests of an action."""

    action: Annotated[str, Field(min_length=1, max_length=50)]
    """name of the action"""
    payload: Json = Field(default={})
    """fields that its answer has, beside those that it would have anyway; null leaves a field out"""
    error: ErrorAnswer | None = None
    """a CALLERROR in place of an answer"""
    silent: bool = False
    """whether it does not answer at all"""
    times: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    """for so many requests; 0: until another `csms_answers` for this action"""


class ScenarioTable(Command):
    """`[scenario]`: what the scenario is."""

    name: Annotated[str, Field(max_length=200)] = ""
    """its name in reports; left out: the name of the file"""
    about: Annotated[str, Field(max_length=2000)] = ""
    """what it shows"""
    time: TimeKind = "simulated"
    """`simulated`: time passes as fast as the machine can, so the CSMS must accept timestamps that run ahead; `real`"""
    limit_s: Annotated[float, Field(gt=0, le=7 * 86_400)] = 300.0
    """real seconds after which it is ended, and has failed; in real time beside those that its steps may wait"""


WORDS: Final[Mapping[str, type[Command]]] = {
    **{name: word.body for name, word in DRIVING_WORDS.items()},
    "wait": WaitStep,
    "expect": ExpectStep,
    "expect_all": ExpectAllStep,
    "expect_none": ExpectNoneStep,
    "check": CheckStep,
    "request": RequestStep,
    "call": CallStep,
    "frame": FrameStep,
    "csms_answers": CsmsAnswerStep,
}
"""the words of scenario files, with the models of their tables"""


class Step(Frozen):
    """One step of a scenario file."""

    word: str
    """what it does, one of `WORDS`"""
    table: Command
    """the table of the word"""
    note: str = ""
    """what the step is for, in reports"""
    line: int | None = None
    """where it begins in the file"""
