"""Events of the meter or the signing key of an EVSE for the register journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.frozen import Frozen

if TYPE_CHECKING:
    from metering.journal_entry import Details, JournalEvent


class JournalNotice(Frozen):
    """Event content: something about the meter or signing key of an EVSE that the register journal must contain."""

    event: JournalEvent
    details: Details
    evse_id: int
