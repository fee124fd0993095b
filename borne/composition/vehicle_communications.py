"""Creates the communication with the vehicles of a station that has SECCs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from borne.composition.vehicle_parts import SeccParts, VehicleCsmsHolder, VehicleParts
from foundation.supervision import AuxiliaryTask
from station.core.setting_groups import SettingGroups
from station.security.certificates.certificate_status import CertificateStatusCache
from station.security.certificates.secc_certificates import SeccCertificates
from station.vehicle.contract_authorization import ContractAuthorization
from station.vehicle.recognition import VehicleRecognition
from station.vehicle.secc_credentials import SeccCredentialsSource
from station.vehicle.secc_renewal import SeccCertificateRenewal
from station.vehicle.vehicle_communication import VehicleCommunication, VehicleServices
from station.vehicle.vehicle_notices import VehicleNotices
from station.vehicle.vehicle_schedules import VehicleSchedules
from station.vehicle.vehicle_settings import VehicleSettings
from station.vehicle.vehicles import Vehicles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from borne.composition.charging import ChargingParts
    from borne.composition.core import CoreParts
    from borne.composition.load import LoadParts
    from station.core.installation_file.charging_tables import EvseConfig
    from station.core.vehicle_link import VehicleLink


async def create_communications(
    core: CoreParts,
    charging: ChargingParts,
    load: LoadParts,
    links: Sequence[tuple[EvseConfig, VehicleLink]],
) -> VehicleParts:
    """Create the communication with the vehicle of each EVSE of `links`.

    Raises:
        StorageError: the records cannot be read.
    """
    holder = VehicleCsmsHolder()
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
    core.auxiliary.subscribe(statuses.changed, credentials.changed.publish)
    core.auxiliary.subscribe(certificates.changed, lambda _: credentials.note_installed())
    services = VehicleServices(
        ContractAuthorization(starter, core.certificates, core.contract_records, clock),
        VehicleRecognition(starter, enabled=core.configuration.autocharge.enabled),
        VehicleNotices(lambda: holder.present, core.outbox, clock),
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
        AuxiliaryTask("certificates of SECCs", credentials.run),
        *(
            AuxiliaryTask(f"vehicle at EVSE {evse_id}", communication.run)
            for evse_id, communication in communications.items()
        ),
    ]
    renewals = {
        evse_id: SeccCertificateRenewal(evse_id, certificates, communication.settings, clock)
        for evse_id, communication in communications.items()
    }
    secc = SeccParts(certificates, statuses, credentials)
    return VehicleParts(Vehicles(communications), holder, secc, renewals, tasks)
