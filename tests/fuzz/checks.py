"""What no message of the CSMS may cause: exceptions, an open contactor, lost events, pages that fail."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Generator, Iterator

from tests.csms import Csms
from tests.walk import Walk
from tests.walks.visit import visiting


class FaultError(AssertionError):
    """The station reacted in a way that no message may cause."""


class _TracebackCollector(logging.Handler):
    """Collects log records with a traceback: unforeseen errors."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record that has a traceback."""
        if record.exc_info is not None and record.exc_info[0] is not None:
            self.messages.append(f"{record.getMessage()}\n{''.join(traceback.format_exception(*record.exc_info))}")


@contextlib.contextmanager
def logged_exceptions() -> Generator[list[str]]:
    """Collect the exceptions that are logged during the block."""
    handler = _TracebackCollector()
    logging.getLogger().addHandler(handler)
    try:
        yield handler.messages
    finally:
        logging.getLogger().removeHandler(handler)


def check_charging(walk: Walk) -> None:
    """Raise FaultError if the contactor is open."""
    if not walk.board.outputs.contactor:
        raise FaultError("the contactor opened during the charge")


async def check_pages(walk: Walk) -> None:
    """Read every page and resource that may show values of the CSMS."""
    async with visiting(walk) as api:
        for path in _PAGES:
            answer = await api.client.get(path, follow_redirects=True)
            if answer.status_code != 200:
                raise FaultError(f"{path}: {answer.status_code} {answer.text}")


_PAGES = (
    "/",
    "/display",
    "/metrics",
    "/api/status",
    "/api/charges",
    "/api/history",
    "/api/transactions",
    "/api/profiles",
    "/api/monitors",
    "/api/messages",
    "/api/display",
    "/api/reservations",
    "/api/auth/cache",
    "/api/auth/list",
    "/api/certificates",
    "/api/firmware",
    "/api/time-zone",
    "/api/frames",
)


def open_transactions(csms: Csms) -> Iterator[str]:
    """Transactions of which not all events have arrived, up to Ended."""
    numbers: dict[str, set[int]] = {}
    last: dict[str, int] = {}
    for event in csms.received("TransactionEvent"):
        identity = event["transactionInfo"]["transactionId"]
        numbers.setdefault(identity, set()).add(event["seqNo"])
        if event["eventType"] == "Ended":
            last[identity] = event["seqNo"]
    for identity, arrived in numbers.items():
        if identity not in last or arrived != set(range(last[identity] + 1)):
            yield identity


def check_events(csms: Csms) -> None:
    """Raise FaultError unless all events of all transactions have arrived."""
    if missing := list(open_transactions(csms)):
        raise FaultError(f"not all events of {missing} have arrived")
