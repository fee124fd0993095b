"""Builds the signing of meter readings: billing meters, signers and signed records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from foundation.frozen import Frozen
from metering.meter import SigningMeter
from metering.ocmf_payload import Signatory
from station.charging.signing.meter_value_signing import SigningSetup
from station.charging.signing.reading_signer import ReadingSigner, SignatureSource
from station.charging.signing.signed_records import SignedRecords
from station.charging.signing.signing_key import signing_key_of
from station.core.version import package_version
from station.storage.fact_store import FactStore

if TYPE_CHECKING:
    from foundation.clock import Clock
    from metering.meter import Meter
    from station.charging.billing_meters import BillingMeters
    from station.charging.meter_polling import MeterPoller
    from station.charging.signing.meter_value_signing import TariffSource
    from station.configuration.installation_file import Configuration
    from station.core.installation_file.charging_tables import EvseConfig
    from station.core.station_time import TimeStatusSource
    from station.storage.database import Database


_CHECK_INTERVAL_S = 86_400.0
_DELAY_AFTER_START_S = 60.0


class Metrology(Struct):
    """The billing meters of a station, its store of signed records, and the signers of its readings."""

    meters: BillingMeters
    """the billing meters, with their replacements and serial numbers"""
    records: SignedRecords
    """the stored signed records (OCMF)"""
    signers: dict[int, ReadingSigner] = field(default_factory=dict[int, ReadingSigner])
    """the signer of each EVSE that signs, by EVSE"""

    async def run(self, clock: Clock) -> None:
        """Check once a day, until cancelled, that the signing key of each EVSE is unchanged.

        Delayed after a start, in favour of more important tasks. A station that has never signed creates its key with
        its first signature, which loads the library for it (13 MiB).

        Raises:
            SigningError: a key cannot be read.
        """
        await clock.sleep(_DELAY_AFTER_START_S)
        while True:
            for signatures in self.signers.values():
                await signatures.check()
            await clock.sleep(_CHECK_INTERVAL_S)


class SigningContext(Frozen):
    """The parts of a station that `signing_setup` needs for every EVSE."""

    configuration: Configuration
    database: Database
    records: SignedRecords
    """where signed records are stored"""
    tariff: TariffSource
    """source of the tariff text in signed records"""
    time: TimeStatusSource
    """source of the time quality in signed records"""
    clock: Clock


async def signing_setup(
    config: EvseConfig, driver: Meter, poller: MeterPoller, context: SigningContext
) -> SigningSetup | None:
    """Create the signing of an EVSE's readings: by its meter if that can sign, else by the station's key if configured.

    Returns None if nothing signs. `driver`: its billing meter; `poller`: polls it.

    Raises:
        StorageError: the disk cannot be read.
    """
    meter = driver if isinstance(driver, SigningMeter) else None
    if meter is None and config.signing == "none":
        return None
    key = signing_key_of(Path(context.configuration.station.storage), config.id)
    facts = FactStore(context.database, "signing-key")
    source = SignatureSource(key, meter, context.records, lambda: signatory(poller, config, context.configuration))
    signatures = ReadingSigner(config.id, source, facts, context.time, context.clock)
    await signatures.load()
    return SigningSetup(signatures, context.tariff)


def signatory(poller: MeterPoller, config: EvseConfig, configuration: Configuration) -> Signatory:
    """The names and serial numbers of station and meter that identify the signer in an EVSE's OCMF records."""
    station = configuration.station
    return Signatory(
        gateway=f"{station.vendor} {station.model}",
        gateway_serial=f"{station.serial_number or station.identity}-{config.id}",
        version=package_version(),
        meter_model=config.meter.model_name,
        meter_serial=poller.serial_number or config.meter_serial or "",
        firmware=station.firmware_version,
        charge_point=f"{station.identity} {config.id}",
    )
