"""The parts of the communication with vehicles (ISO 15118) of one run of a station."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from foundation.supervision import AuxiliaryTask
from station.core.csms import NoVehicleCsms
from station.vehicle.vehicles import Vehicles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from station.core.csms import VehicleCsms
    from station.interfaces.parts import StationParts
    from station.security.certificates.certificate_status import CertificateStatusCache
    from station.security.certificates.secc_certificates import SeccCertificates
    from station.vehicle.secc_credentials import SeccCredentialsSource
    from station.vehicle.secc_renewal import SeccCertificateRenewal


class VehicleCsmsHolder:
    """Holds the CSMS of the present OCPP stack, which is built again after a failure."""

    def __init__(self) -> None:
        self.present: VehicleCsms = NoVehicleCsms()


class SeccParts(Frozen):
    """The certificates of the SECCs, of a station that has one."""

    certificates: SeccCertificates
    statuses: CertificateStatusCache
    credentials: SeccCredentialsSource


class VehicleParts(Frozen):
    """What `create_vehicles` creates for one run."""

    vehicles: Vehicles
    csms: VehicleCsmsHolder
    """the CSMS, once the OCPP stack runs"""
    secc: SeccParts | None
    """None: no EVSE has an SECC"""
    renewals: Mapping[int, SeccCertificateRenewal]
    """the certificates of the SECCs as those that the CSMS signs, by EVSE"""
    tasks: Sequence[AuxiliaryTask]

    def add_to(self, parts: StationParts) -> None:
        """Add the communication with vehicles to `parts`, where the routes of the API find it."""
        parts.add(Vehicles, self.vehicles)
