"""The communication with the vehicles of all EVSEs that have an SECC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from energy.profile_store import ProfileRefusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from station.vehicle.vehicle_communication import VehicleCommunication


class Vehicles:
    """The communication with vehicles, by EVSE; none for an EVSE without an SECC."""

    def __init__(self, communications: Mapping[int, VehicleCommunication]) -> None:
        self.communications = communications

    def refresh(self) -> None:
        """Offer vehicles what is possible now: the CSMS has come or gone."""
        for communication in self.communications.values():
            communication.refresh()

    def profile_refusal(self, evse_id: int) -> ProfileRefusal | None:
        """Why a TxProfile for an EVSE is too early: before the needs of its vehicle (K15.FR.17); None: it is not."""
        communication = self.communications.get(evse_id)
        if communication is None or not communication.awaits_needs:
            return None
        return ProfileRefusal("InvalidMessageSeq", "the needs of the vehicle are not known yet")
