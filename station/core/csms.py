"""What the station needs from outside. The CSMS is one of these; a station without one is complete too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Protocol

from foundation.frozen import frozen
from station.core.model import IdToken, IdTokenInfo


class NoAnswerError(Exception):
    """The CSMS did not answer: the link is down, too slow, or it answered with an error."""


class Csms(Protocol):
    """Who the station may ask."""

    @property
    def online(self) -> bool:
        """Whether the CSMS is connected and has accepted the station."""
        ...

    @property
    def accepted_once(self) -> bool:
        """Whether the CSMS has accepted the station since it started (B02.FR.03, B03.FR.01)."""
        ...

    async def authorize(self, id_token: IdToken, /) -> IdTokenInfo:
        """Ask what the CSMS knows of an id token.

        Raises:
            NoAnswerError: nothing is known.
        """
        ...


class NoCsms:
    """A station that stands alone."""

    @property
    def online(self) -> bool:
        """Never."""
        return False

    @property
    def accepted_once(self) -> bool:
        """There is nobody whose consent it needs."""
        return True

    async def authorize(self, _: IdToken, /) -> IdTokenInfo:
        """Nobody to ask."""
        raise NoAnswerError("there is no CSMS")


class CsmsProxy:
    """The CSMS that the station asks now: none before its OCPP stack has connected itself."""

    def __init__(self) -> None:
        self._csms: Csms = NoCsms()

    def connect(self, csms: Csms) -> None:
        """Ask this CSMS from now on."""
        self._csms = csms

    @property
    def online(self) -> bool:
        """Whether the CSMS is connected and has accepted the station."""
        return self._csms.online

    @property
    def accepted_once(self) -> bool:
        """Whether the CSMS has accepted the station since it started, or there is none."""
        return self._csms.accepted_once

    async def authorize(self, id_token: IdToken, /) -> IdTokenInfo:
        """Ask what the CSMS knows of an id token.

        Raises:
            NoAnswerError: nothing is known.
        """
        return await self._csms.authorize(id_token)


class Absent(Enum):
    """A value of its own for what is not there: null is data too."""

    ABSENT = "absent"


@frozen
class VendorMessage:
    """Something that OCPP has no message for (P01, P02); `data` is any JSON and is never touched."""

    vendor_id: str
    message_id: str | None = None
    data: object = Absent.ABSENT
    custom_data: Mapping[str, object] | None = None
    """customData, never touched either"""


@frozen
class VendorAnswer:
    """The answer to such a message."""

    status: str
    """DataTransferStatusEnumType"""
    data: object = Absent.ABSENT
    custom_data: Mapping[str, object] | None = None


class VendorMessages(Protocol):
    """Messages of a vendor's own, to the CSMS and from it."""

    async def send(self, message: VendorMessage) -> VendorAnswer:
        """Send one, once.

        Raises:
            NoAnswerError: there is no answer, or the CSMS does not know such messages at all.
        """
        ...

    def answer_with(self, vendor_id: str, message_id: str | None, answer: VendorAnswer) -> None:
        """From now on answer this vendor's message so.

        Raises:
            ValueError: too many answers are known already.
        """
        ...


class CsmsLink(Protocol):
    """The link to the CSMS, as the local API shows and a test bench cuts it."""

    @property
    def connected(self) -> bool:
        """Whether the websocket is up."""
        ...

    @property
    def connected_since(self) -> datetime | None:
        """Since when it is up."""
        ...

    @property
    def last_error(self) -> str | None:
        """Why the last attempt failed; None when it did not."""
        ...

    @property
    def boot_status(self) -> str:
        """What the CSMS thinks of the station: Unknown, Pending, Rejected or Accepted."""
        ...

    @property
    def url(self) -> str:
        """Where the CSMS is."""
        ...

    @property
    def security_profile(self) -> int:
        """The OCPP security profile of the link."""
        ...

    @property
    def data_transfer(self) -> VendorMessages:
        """Messages that OCPP has no name for."""
        ...

    def reconnect(self) -> None:
        """Dial anew soon: what proves who the station is has changed. An answer that is owed leaves first."""
        ...

    def cut_network(self) -> None:
        """The network is gone until `mend`."""
        ...

    def restore_network(self) -> None:
        """The network is back."""
        ...


@frozen
class VariableRow:
    """One attribute of one variable of the device model."""

    component: str
    component_instance: str | None
    evse: int | None
    connector: int | None
    variable: str
    instance: str | None
    attribute: str
    value: str | None
    """None: it cannot be read"""
    mutability: str


class Variables(Protocol):
    """The device model, as the local API shows and a test bench changes it."""

    def rows(self) -> list[VariableRow]:
        """Everything there is."""
        ...

    def override(self, row: VariableRow) -> None:
        """Put a value in force at once, past its mutability, unsaved.

        Raises:
            KeyError: there is no such variable.
            ValueError: why the value is refused.
        """
        ...

    def restore(self, row: VariableRow) -> None:
        """End what `override` did; the value of the row does not matter.

        Raises:
            KeyError: there is no such variable.
        """
        ...
