"""Creates the communication with vehicles (ISO 15118), for the EVSEs that have an SECC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from foundation.supervision import AuxiliaryTask
from station.core.csms import CurrentVehicleCsms
from station.vehicle.vehicles import Vehicles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from borne.composition.charging import ChargingParts
    from borne.composition.core import CoreParts
    from borne.composition.load import LoadParts
    from station.core.installation_file.charging_tables import EvseConfig
    from station.core.vehicle_link import VehicleLink
    from station.interfaces.parts import StationParts
    from station.security.certificates.certificate_status import CertificateStatusCache
    from station.security.certificates.secc_certificates import SeccCertificates
    from station.vehicle.credentials import SeccCredentialsSource
    from station.vehicle.secc_renewal import SeccCertificateRenewal


class SeccParts(Frozen):
    """The certificates of the SECCs, of a station that has one."""

    certificates: SeccCertificates
    statuses: CertificateStatusCache
    credentials: SeccCredentialsSource


class VehicleParts(Frozen):
    """What `create_vehicles` creates for one run."""

    vehicles: Vehicles
    csms: CurrentVehicleCsms
    """the CSMS, once the OCPP stack runs"""
    secc: SeccParts | None
    """None: no EVSE has an SECC"""
    renewals: Mapping[int, SeccCertificateRenewal]
    """the certificates of the SECCs as those that the CSMS signs, by EVSE"""
    tasks: Sequence[AuxiliaryTask]

    def add_to(self, parts: StationParts) -> None:
        """Add the communication with vehicles to `parts`, where the routes of the API find it."""
        parts.add(Vehicles, self.vehicles)


async def create_vehicles(core: CoreParts, charging: ChargingParts, load: LoadParts) -> VehicleParts:
    """Create the communication of each EVSE that has an SECC; without one nothing is loaded.

    Raises:
        StorageError: the records cannot be read.
    """
    links = [
        (config, link)
        for config in core.configuration.evse
        if (link := core.runtime.hardware.vehicle_link(config)) is not None
    ]
    csms = CurrentVehicleCsms()
    if not links:
        return VehicleParts(Vehicles({}), csms, None, {}, ())
    return await _create_communications(core, charging, load, links, csms)


async def _create_communications(
    core: CoreParts,
    charging: ChargingParts,
    load: LoadParts,
    links: Sequence[tuple[EvseConfig, VehicleLink]],
    csms: CurrentVehicleCsms,
) -> VehicleParts:
    # late: only stations with an SECC load these
    from station.core.setting_groups import SettingGroups
    from station.security.certificates.certificate_status import CertificateStatusCache
    from station.security.certificates.secc_certificates import SeccCertificates
    from station.vehicle.contract_authorization import ContractAuthorization
    from station.vehicle.credentials import SeccCredentialsSource
    from station.vehicle.recognition import VehicleRecognition
    from station.vehicle.secc_renewal import SeccCertificateRenewal
    from station.vehicle.vehicle_communication import VehicleCommunication, VehicleServices
    from station.vehicle.vehicle_schedules import VehicleSchedules
    from station.vehicle.vehicle_settings import VehicleSettings

    clock, starter = core.clock, charging.station.starter
    certificates = SeccCertificates(
        core.storage / "certificates" / "secc",
        [config.id for config, _ in links],
        core.certificates,
        core.settings.security,
        clock,
        core.security_events,
    )
    statuses = CertificateStatusCache(core.facts("certificate-status"), clock)
    await statuses.load()
    credentials = SeccCredentialsSource(certificates, statuses)
    services = VehicleServices(
        ContractAuthorization(starter, core.certificates, core.contract_records, clock),
        VehicleRecognition(starter, enabled=core.configuration.autocharge.enabled),
        csms,
        load.load.profiles.store,
        core.outbox,
        core.settings.authorization,
        clock,
        core.auxiliary,
    )
    communications: dict[int, VehicleCommunication] = {}
    for config, link in links:
        facts = core.facts(f"vehicle-{config.id}")
        settings = VehicleSettings(facts)
        settings.preset(VehicleSettings.secc_id, f"{core.configuration.station.identity}-{config.id}"[:64])
        await SettingGroups((settings,)).load(facts)
        evse = charging.evses[config.id]
        schedules = VehicleSchedules(evse, load.load.schedules, load.load.profiles, clock)
        communications[config.id] = VehicleCommunication(evse, link, schedules, credentials, settings, services)
    tasks = [
        AuxiliaryTask(f"vehicle at EVSE {evse_id}", communication.run)
        for evse_id, communication in communications.items()
    ]
    renewals = {
        evse_id: SeccCertificateRenewal(evse_id, certificates, communication.settings, clock)
        for evse_id, communication in communications.items()
    }
    secc = SeccParts(certificates, statuses, credentials)
    return VehicleParts(Vehicles(communications), csms, secc, renewals, tasks)
