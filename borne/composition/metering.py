"""The billing meters of a station, what signs their readings, and the records of it, put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.frozen import frozen
from metering.drivers.simulated import SimulatedMeterConfig
from metering.meter import SigningMeter
from metering.signed import Signatory
from station.charging.signing.signatures import Means, Signatures
from station.charging.signing.signed_records import SignedRecords
from station.charging.signing.signing import Signing
from station.charging.signing.signing_key import signing_key_of
from station.core.version import package_version
from station.storage.fact_store import FactStore

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.meter import Meter
    from station.billing.register_journal.journal_writer import Bookkeeper
    from station.billing.register_journal.time_quality import TimeKeeper
    from station.charging.billing_meters import BillingMeters
    from station.charging.evse import Evse
    from station.configuration.installation_file import Configuration
    from station.core.installation_file.charging_tables import EvseConfig
    from station.core.settings import Settings
    from station.storage.database import Database
    from station.storage.outbox import Outbox


_LOOK_EVERY_S = 86_400.0
_AFTER_START_S = 60.0


@dataclass(slots=True)
class Metrology:
    """What is billed by, and who vouches for it."""

    meters: BillingMeters
    records: SignedRecords
    signatures: dict[int, Signatures] = field(default_factory=dict[int, Signatures])
    """by EVSE; one that is not there signs nothing"""

    async def run(self, clock: Clock) -> None:
        """Check every day that the key of each EVSE is still the known one.

        Not at once: a start has more important things to do. A station that has never signed makes its key with its
        first signature, which loads the library for it (13 MiB).

        Raises:
            UnsignedError: one has none.
        """
        await clock.sleep(_AFTER_START_S)
        while True:
            for signatures in self.signatures.values():
                await signatures.check()
            await clock.sleep(_LOOK_EVERY_S)

    async def _pages(self, transaction_id: str) -> str | None:
        found = await self.records.of(transaction_id)
        return ",".join(f"{one.context}{one.page}" for one in found) or None

    def follow(self, time: TimeKeeper, books: Bookkeeper, evses: Mapping[int, Evse]) -> None:
        """Sign with the time that the station has, and have the journal told of keys and of what is not signed."""
        books.signed_pages = self._pages
        for evse_id, signatures in self.signatures.items():
            signatures.time_status = lambda: time.status
            signatures.on_key = books.key_changed
            signing = evses[evse_id].signing
            if signing is not None:
                signing.on_unsigned = books.unsigned


@frozen
class Desk:
    """What signing needs besides the EVSE."""

    configuration: Configuration
    database: Database
    records: SignedRecords
    outbox: Outbox
    settings: Settings
    clock: Clock


async def sign(evse: Evse, config: EvseConfig, driver: Meter, desk: Desk) -> Signatures | None:
    """Have the readings of an EVSE signed: by its meter where that can, else by the station where it is wanted.

    Raises:
        StorageError: the disk cannot be read.
    """
    meter = driver if isinstance(driver, SigningMeter) else None
    if meter is None and config.signing == "none":
        return None
    key = signing_key_of(Path(desk.configuration.station.storage), config.id)
    facts = FactStore(desk.database, "signing-key")
    means = Means(key, meter, desk.records, facts, lambda: signatory(evse, config, desk.configuration))
    signatures = Signatures(config.id, means, desk.clock)
    await signatures.load()
    evse.sign_with(Signing(evse, signatures, desk.outbox, desk.settings, desk.clock))
    return signatures


def signatory(evse: Evse, config: EvseConfig, configuration: Configuration) -> Signatory:
    """What signs the readings of an EVSE, and of which meter they are."""
    who = configuration.station
    return Signatory(
        gateway=f"{who.vendor} {who.model}",
        gateway_serial=f"{who.serial_number or who.identity}-{config.id}",
        version=package_version(),
        meter_model=meter_model(config),
        meter_serial=evse.meter.serial_number or config.meter_serial or "",
        firmware=who.firmware_version,
        charge_point=f"{who.identity} {config.id}",
    )


def meter_model(config: EvseConfig) -> str:
    """The maker's name of a meter, or what kind it is."""
    return "simulated" if isinstance(config.meter, SimulatedMeterConfig) else config.meter.table.name
