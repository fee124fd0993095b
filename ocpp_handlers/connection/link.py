"""The link to the CSMS as the blocks see it: it is online or not, and takes calls while it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ocpp_handlers.wire.session import LinkLostError

if TYPE_CHECKING:
    from ocpp_handlers.connection.boot import BootGate
    from ocpp_handlers.wire.actions import Action
    from ocpp_handlers.wire.session import Session

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class Link:
    """The session of the moment."""

    def __init__(self, gate: BootGate) -> None:
        self._gate = gate
        self.session: Session | None = None

    @property
    def online(self) -> bool:
        """Connected, and accepted by the CSMS."""
        return self.session is not None and self._gate.accepted

    @property
    def accepted(self) -> bool:
        """Whether the CSMS has accepted the station since it started, connected or not."""
        return self._gate.accepted

    async def call(
        self, action: Action[RequestT, ResponseT], request: RequestT, *, requested: bool = False
    ) -> ResponseT:
        """Send a CALL over the session of the moment.

        Raises:
            NoAnswerError: there is none, or as `Session.call`.
        """
        if self.session is None:
            raise LinkLostError("there is no link to the CSMS")
        return await self.session.call(action, request, requested=requested)
