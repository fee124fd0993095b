"""The billing meter of each EVSE, stored across power cuts, and its exchange by an authorized person."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from foundation.events import Event
from foundation.frozen import Frozen
from foundation.json_values import parse_object
from metering.journal_entry import JournalEvent
from metering.reading import Reading, exact_wh
from metering.uncounted_energy import UncountedEnergy
from station.charging.journal_notice import JournalNotice
from station.security.security_events import SecurityEvents, SecurityEventType
from station.storage.recorded_register import lowest_register
from station.storage.stored_format import FlatFormat, names

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.journal_entry import Details
    from metering.plausibility import PlausibleMeter
    from station.charging.evse import Evse
    from station.storage.fact_store import FactStore
    from station.storage.outbox import Outbox

_log = logging.getLogger(__name__)


class ExchangeRefusedError(Exception):
    """The exchange of a billing meter cannot be recorded now; the message says why."""


class KnownMeter(Frozen):
    """The stored data of the billing meter of one EVSE, to check its readings after a restart."""

    serial_number: str | None = None
    exchanged_at: str | None = None
    """time of the last exchange or roll-over (ISO 8601); registers recorded before are not comparable"""
    register_wh: float | None = None
    """the register at `exchanged_at`"""
    after_event: int | None = None
    """the newest stored event at `exchanged_at`, independent of clock changes; None: stored by an older version"""
    stands_at_wh: float | None = None
    """the register value at which the register stopped counting; None: it counts"""
    unmoved_wh: float = 0.0
    """the energy that flowed without being counted"""


_STORED_NAMES: Final = names(
    "serial_number", "exchanged_at", "register_wh", "after_event", "stands_at_wh", "unmoved_wh"
)
METERS: Final = FlatFormat(KnownMeter, _STORED_NAMES)


class RecordedMeterExchange(Frozen):
    """The result of a meter exchange: serial number and import register of the old and the new meter."""

    old_serial: str | None
    """None: unknown"""
    old_register_wh: float | None
    """the last register read from the old meter; None: none was read since the start"""
    new_serial: str | None
    """None: unknown"""
    new_register_wh: float | None
    """None: the new meter has not been read yet"""


class BillingMeters:
    """The billing meters of all EVSEs: data on disk, exchange by a person, register roll-over, foreign meters.

    `facts`: where the data are stored, by EVSE number; events go to the register journal by `noted`.
    """

    def __init__(self, facts: FactStore, outbox: Outbox, security_events: SecurityEvents, clock: Clock) -> None:
        self._facts = facts
        self._outbox = outbox
        self._security_events = security_events
        self._clock = clock
        self._known: dict[int, KnownMeter] = {}
        self.noted: Event[JournalNotice] = Event()
        """published for each event of a meter that the register journal must contain"""
        self._foreign: set[int] = set()
        """EVSEs with an unapproved meter that has been reported"""

    async def load(self) -> None:
        """Load the stored data of all meters, at startup, before `restore_meter`.

        For a meter with unreadable data only its recorded registers are used.

        Raises:
            StorageError: the disk cannot be read.
        """
        for evse, text in (await self._facts.load()).items():
            if evse.isdecimal() and (known := self._facts.read(evse, _parse, text)) is not None:
                self._known[int(evse)] = known
            else:
                _log.error(
                    "EVSE %s: the stored data of its meter cannot be read; only recorded registers are used", evse
                )

    async def restore_meter(self, evse_id: int, meter: PlausibleMeter) -> None:
        """At startup, give a meter's plausibility check the last recorded register, serial number and standstill.

        Raises:
            StorageError: the records cannot be read.
        """
        known = self._known.get(evse_id, KnownMeter())
        since = datetime.fromisoformat(known.exchanged_at) if known.exchanged_at is not None else None
        recorded = await self._outbox.latest_events(evse_id, after=known.after_event or 0)
        if since is not None and known.after_event is None:
            recorded = [event for event in recorded if event.occurred_at >= since]
        last_reading = lowest_register(recorded)
        if last_reading is None and since is not None and known.register_wh is not None:
            last_reading = Reading(since, energy_import_wh=known.register_wh)
        uncounted_energy = None
        if known.stands_at_wh is not None:
            uncounted_energy = UncountedEnergy(known.stands_at_wh, unmoved_wh=known.unmoved_wh)
        meter.restore(last_reading, serial_number=known.serial_number, uncounted_energy=uncounted_energy)

    def serial_of(self, evse_id: int) -> str | None:
        """The stored serial number of the accepted meter of an EVSE; None: not known yet."""
        return self._known.get(evse_id, KnownMeter()).serial_number

    async def record_serial(self, evse_id: int, serial_number: str) -> None:
        """Store the serial number that the accepted meter of an EVSE reported; a new one goes to the journal.

        Raises:
            StorageError: the serial number is not stored.
        """
        known = self._known.get(evse_id, KnownMeter())
        if known.serial_number != serial_number:
            await self._store(evse_id, replace(known, serial_number=serial_number))
            self._note(JournalEvent.METER_FOUND, {"serial": serial_number}, evse_id)

    async def check_meter(self, evse: Evse) -> None:
        """Check the meter of an EVSE after a change: report a foreign meter, accept a register roll-over when idle.

        A foreign meter is reported once, as a security event; a register that does not count is stored.

        A roll-over is not accepted during a transaction, since its energy would be wrong.

        Raises:
            StorageError: the report or the new data is not stored.
        """
        await self._note_standstill(evse)
        foreign_reason = evse.meter.foreign
        if foreign_reason is None:
            self._foreign.discard(evse.id)
        elif evse.id not in self._foreign:
            tampering = SecurityEventType.TAMPER_DETECTION_ACTIVATED
            await self._security_events.report(tampering, f"EVSE {evse.id}: {foreign_reason}")
            self._foreign.add(evse.id)
        if evse.state.transaction is None and not evse.end_pending and await evse.meter.accept_roll_over():
            before, reading = evse.meter.latest, await evse.meter.read_now()
            details: Details = {
                "before_wh": _exact_text(before.energy_import_wh if before is not None else None),
                "register_wh": _exact_text(reading.energy_import_wh if reading is not None else None),
            }
            self._note(JournalEvent.METER_ROLLED_OVER, details, evse.id)
            known = self._known.get(evse.id, KnownMeter())
            register_wh = reading.energy_import_wh if reading is not None else None
            now, newest_row_id = self._clock.now().isoformat(), await self._outbox.newest_row_id()
            await self._store(
                evse.id, replace(known, exchanged_at=now, register_wh=register_wh, after_event=newest_row_id)
            )

    async def _note_standstill(self, evse: Evse) -> None:
        """Store a register that does not count, so that it stays implausible after a restart until it changes."""
        known = self._known.get(evse.id, KnownMeter())
        standstill, latest = evse.meter.standstill, evse.meter.latest
        if standstill is not None and standstill.register_wh != known.stands_at_wh:
            await self._store(
                evse.id, replace(known, stands_at_wh=standstill.register_wh, unmoved_wh=standstill.unmoved_wh)
            )
        elif (
            standstill is None
            and known.stands_at_wh is not None
            and latest is not None
            and latest.energy_import_wh != known.stands_at_wh
        ):
            await self._store(evse.id, replace(known, stands_at_wh=None, unmoved_wh=0.0))

    async def exchange(self, evse: Evse, by: str, reason: str) -> RecordedMeterExchange:
        """Accept the meter that is now installed in place of the old one, store this, and note it in the journal.

        `by`: the responsible person; `reason`: their reason. Reads the new meter.

        Raises:
            ExchangeRefusedError: a transaction is running or its end waits for this meter.
            StorageError: the exchange is not stored; the old meter stays the accepted one.
        """
        if evse.state.transaction is not None:
            raise ExchangeRefusedError("a transaction is running; it must end first")
        if evse.end_pending:
            raise ExchangeRefusedError("the end of a transaction waits for a reading of this meter")
        last_reading, old_serial = evse.meter.latest, evse.meter.serial_number
        known = self._known.get(evse.id, KnownMeter())
        if old_serial is None:
            old_serial = known.serial_number
        now, newest_row_id = self._clock.now().isoformat(), await self._outbox.newest_row_id()
        await self._store(evse.id, KnownMeter(exchanged_at=now, after_event=newest_row_id))
        await evse.meter.accept_exchange()
        reading = await evse.meter.read_now()
        exchanged = RecordedMeterExchange(
            old_serial,
            last_reading.energy_import_wh if last_reading is not None else None,
            evse.meter.serial_number,
            reading.energy_import_wh if reading is not None else None,
        )
        details: Details = {
            "by": by,
            "reason": reason,
            "old_serial": exchanged.old_serial,
            "old_register_wh": _exact_text(exchanged.old_register_wh),
            "new_serial": exchanged.new_serial,
            "new_register_wh": _exact_text(exchanged.new_register_wh),
        }
        self._note(JournalEvent.METER_EXCHANGE, details, evse.id)
        await self._store(evse.id, KnownMeter(exchanged.new_serial, now, exchanged.new_register_wh, newest_row_id))
        return exchanged

    def _note(self, event: JournalEvent, details: Details, evse_id: int) -> None:
        self.noted.publish(JournalNotice(event, details, evse_id))

    async def _store(self, evse_id: int, known: KnownMeter) -> None:
        await self._facts.save(str(evse_id), json.dumps(METERS.to_dict(known)))
        self._known[evse_id] = known


def _parse(text: str) -> KnownMeter:
    """Parse the stored data of a meter; raises ValueError or TypeError."""
    stored = parse_object(text)
    serial_number, exchanged_at, register_wh, after_event, stuck_at_wh, uncounted_wh = map(
        stored.get, _STORED_NAMES.values()
    )
    return KnownMeter(
        serial_number if isinstance(serial_number, str) else None,
        datetime.fromisoformat(exchanged_at).isoformat() if isinstance(exchanged_at, str) else None,
        register_wh if isinstance(register_wh, int | float) else None,
        after_event if isinstance(after_event, int) else None,
        stuck_at_wh if isinstance(stuck_at_wh, int | float) else None,
        uncounted_wh if isinstance(uncounted_wh, int | float) else 0.0,
    )


def _exact_text(energy_wh: float | None) -> str | None:
    exact = exact_wh(energy_wh)
    return str(exact) if exact is not None else None
