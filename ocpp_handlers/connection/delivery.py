"""Sends the events of the outbox in order: the oldest until the CSMS has accepted it, then the next (E13)."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from foundation.supervision import result_or_exception
from ocpp_handlers.wire.call_errors import CallRefusedError, InvalidRequestError, InvalidResponseError, LinkLostError
from station.core.csms import NoAnswerError
from station.storage.database import StorageError

if TYPE_CHECKING:
    from foundation.clock import Clock
    from ocpp_handlers.connection.link_settings import CsmsLinkSettings
    from station.core.model import TransactionEvent
    from station.storage.outbox import Outbox
    from station.storage.queued_event import QueuedEvent

_log = logging.getLogger(__name__)

_STORAGE_RETRY_S = 5.0

Send = Callable[["TransactionEvent"], Awaitable[None]]
"""sends one event and applies the response; raises NoAnswerError if it was not accepted"""


class TransactionEventDelivery:
    """Sends the TransactionEvents of the outbox to the CSMS, the oldest first; the only reader of the outbox (E13)."""

    def __init__(self, outbox: Outbox, send: Send, settings: CsmsLinkSettings, clock: Clock) -> None:
        self._outbox = outbox
        self._send = send
        self._settings = settings
        self._clock = clock

    async def run(self) -> None:
        """Send queued events until the link ends; each is removed when accepted, or given up after MessageAttempts.

        One that cannot be sent because of an error of this program, or because no form of it is valid, is set aside
        until the next link, so that the others reach the CSMS.

        Raises:
            LinkLostError: the session has ended; the event stays in the outbox.
        """
        with contextlib.suppress(StorageError):  # they stay set aside until the next link
            await self._outbox.requeue_set_aside()
        while True:
            try:
                queued = await self._outbox.oldest()
                if queued is None:
                    await self._outbox.wait()
                    continue
                await self._deliver(queued)
            except StorageError as error:
                _log.error("the outbox cannot be read or written: %s; trying again", error)
                await self._clock.sleep(_STORAGE_RETRY_S)

    async def mark_offline(self) -> None:
        """Mark all queued events as offline (TransactionEvent.offline) when the link ends; logs a disk error."""
        try:
            await self._outbox.mark_offline()
        except StorageError as error:
            _log.error("queued events could not be marked as offline: %s", error)

    async def _deliver(self, queued: QueuedEvent) -> None:
        """Send one event until it is accepted or MessageAttempts is reached (E13.FR.02, E13.FR.03, E13.FR.04)."""
        attempts = queued.attempts
        while True:
            error = await result_or_exception(self._send(queued.event))
            if error is None:
                await self._outbox.settle(queued)
                return
            if isinstance(error, LinkLostError | StorageError):
                raise error  # the link or the disk failed, not the message: not counted as an attempt
            if isinstance(error, InvalidRequestError) or not isinstance(error, NoAnswerError):
                _log.error(
                    "%s cannot be sent, and is tried again with the next connection",
                    _event_text(queued),
                    exc_info=error,
                )
                await self._outbox.set_aside(queued, error)
                return
            attempts += 1
            _log.warning("%s was not accepted by the CSMS: %s", _event_text(queued), error)
            with contextlib.suppress(StorageError):  # then the count is kept in memory only, for this link
                await self._outbox.count_failed_attempt(queued)
            if attempts >= self._settings.message_attempts:
                _log.error(
                    "%s is not sent again after %d attempts: %s. The events after it are sent; it stays in the"
                    " transactions of the station, to be compared with those of the CSMS",
                    _event_text(queued),
                    attempts,
                    _delivery_doubt(error),
                )
                await self._outbox.settle(queued, given_up=True)
                return
            await self._clock.sleep(self._settings.message_attempt_interval_s * attempts)


def _event_text(queued: QueuedEvent) -> str:
    """The event, for the log."""
    return f"transaction {queued.event.transaction_id}, event {queued.event.seq_no}"


def _delivery_doubt(error: NoAnswerError) -> str:
    """Whether the CSMS has an event whose last transmission ended with this error, for the log."""
    if isinstance(error, InvalidResponseError):
        return "the CSMS may have it, but its answer cannot be read"
    if isinstance(error, CallRefusedError):
        return "the CSMS has refused it"
    return "the CSMS may have it, but does not answer"
