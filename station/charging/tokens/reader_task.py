"""Presents the cards of one reader to the station: once while a card is held, and rate-limited."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from station.charging.authorization.authorizer import loggable_token
from station.charging.tokens.rate_limit import RateLimiter
from station.core.hardware.token_reader import ReaderError, UnusableUidError, id_token_from_uid
from station.core.model import Fault

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.evse import Evse
    from station.core.hardware.token_reader import TokenReader
    from station.core.model import IdToken

_log = logging.getLogger(__name__)

_RETRY_S: Final = 2.0
_SAME_CARD_S: Final = 1.5
"""a card read again within this time is still held to the reader"""


class CardReaderTask:
    """Presents the cards read by one card reader to the station, and reports the reader as faulty while it fails.

    `present` takes each token; `evses` get the fault; `reversed_bytes`: the reader sends the UID in reverse order.
    """

    def __init__(
        self,
        reader: TokenReader,
        evses: Iterable[Evse],
        present: Callable[[IdToken], object],
        clock: Clock,
        *,
        reversed_bytes: bool = False,
    ) -> None:
        self._reader = reader
        self._evses = tuple(evses)
        self._present = present
        self._clock = clock
        self._reversed_bytes = reversed_bytes
        self._failing = False
        self._last_card: tuple[str, float] | None = None
        self._rate_limiter = RateLimiter(clock)

    async def run(self) -> None:
        """Task until cancelled: read cards; a failing reader is reported as a fault (READER) and retried every 2 s."""
        while True:
            try:
                async for digits in self._reader.reads():
                    self._report(None)
                    if digits is not None:
                        self._process_card(digits)
                self._report(ReaderError("the reader sends nothing any more"))
            except ReaderError as error:
                self._report(error)
            await self._clock.sleep(_RETRY_S)

    def _process_card(self, digits: str) -> None:
        """Present a card, unless it is still held from the previous read or the rate limit is exceeded."""
        now_s, previous = self._clock.monotonic(), self._last_card
        self._last_card = (digits, now_s)
        if previous is not None and previous[0] == digits and now_s - previous[1] < _SAME_CARD_S:
            return
        if not self._rate_limiter.allows():
            _log.warning("%s: too many cards at once: one is rejected", self._reader)
            return
        try:
            token = id_token_from_uid(digits, reversed_bytes=self._reversed_bytes)
        except UnusableUidError as error:
            _log.warning("%s: %s", self._reader, error)
            return
        _log.info("%s: %s", self._reader, loggable_token(token))
        self._present(token)

    def _report(self, error: ReaderError | None) -> None:
        failing = error is not None
        if failing is self._failing:
            return
        self._failing = failing
        _log.log(logging.ERROR if failing else logging.INFO, "%s: %s", self._reader, error or "the reader works again")
        for evse in self._evses:
            evse.report_fault(Fault.READER, failing)
