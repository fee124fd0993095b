"""As it left the factory: the station is to be commissioned again, and nobody of before has any right at it.

What is billed stays: transactions, signed records, keys, the register journal, the security log and what is still to be
sent. It may be repeated: a reset that a full disk or a power cut broke off is finished by another one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from station.core.model import StoppedReason, TriggerReason
from station.maintenance.commissioning.report import remove_report
from station.security.security_events import SecurityEventType
from station.storage.database import StorageError

if TYPE_CHECKING:
    from borne.life import Life
    from station.charging.evse import Evse
    from station.configuration.installation_file import Configuration
    from station.maintenance.commissioning.site_settings import SiteSettings

_OPENS_WITHIN_S: Final = 15.0


class NotSafeError(Exception):
    """A contactor does not open, or a transaction does not end: nothing is taken, and nobody charges until it is."""


async def reset_to_factory(life: Life, settings: SiteSettings, who: str) -> Configuration:
    """Open the contactors, end what goes on, forget people and settings; the configuration for the next life.

    Raises:
        NotSafeError: as it says.
        StorageError: not all is reset; try again.
    """
    await life.activation.begin_anew()
    evses = tuple(life.station.evses.values())
    for evse in evses:
        _end(evse)
    for evse in evses:
        await _opened(evse, life)
    configuration = settings.in_force()
    await life.cards.clear()
    await life.station.tokens.clear()
    await life.prices.forget()
    await life.load.priorities.forget()
    await life.commissioning.clear()
    await life.residual.forget_try()
    await life.access.forget_everybody()
    try:
        await asyncio.to_thread(remove_report, configuration)
        installed = await asyncio.to_thread(settings.forget)
    except OSError as error:
        raise StorageError(f"not all is reset: {error.strerror}") from error
    await life.security_events.report(
        SecurityEventType.RECONFIGURATION_OF_SECURITY_PARAMETERS, f"factory reset by {who}"
    )
    return installed


def _end(evse: Evse) -> None:
    """End what goes on at an EVSE: a transaction too that outlives its authorization while the vehicle is there."""
    evse.release_lock()  # nobody is known any more whom it could be kept for
    if evse.state.authorization is not None or evse.transaction_id is not None:
        evse.end_authorization(TriggerReason.STOP_AUTHORIZED, StoppedReason.LOCAL, ends_transaction=True)


async def _opened(evse: Evse, life: Life) -> None:
    """See its contactor open, and its transaction end.

    Raises:
        NotSafeError: in time they do not.
    """
    deadline_s = life.clock.monotonic() + _OPENS_WITHIN_S
    seen = evse.changed.count
    while evse.state.seen.contactor_closed or evse.transaction_id is not None:
        left_s = deadline_s - life.clock.monotonic()
        if left_s <= 0.0:
            raise NotSafeError(f"EVSE {evse.id}: the contactor does not open, or the transaction does not end")
        await evse.changed.wait_at_most(seen, life.clock, left_s)
        seen = evse.changed.count
