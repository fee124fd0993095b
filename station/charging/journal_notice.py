"""Events of the meter or the signing key of an EVSE for the register journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from metering.journal_entry import Details, JournalEvent


class JournalNotice(Frozen):
    """An entry to be written to the register journal."""

    event: JournalEvent
    details: Details
    evse_id: int
