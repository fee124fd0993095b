"""Block B: stores the network connection profiles that the CSMS sets (B09)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ocpp_handlers.wire import actions
from ocpp_handlers.wire.edition import V21
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.security.network_profile import NetworkProfile, NetworkProfileRefusal
from station.security.network_profiles import NetworkProfiles
from station.storage.database import StorageError

if TYPE_CHECKING:
    from ocpp_handlers.connection.link import Link
    from ocpp_handlers.wire import messages as m

_log = logging.getLogger(__name__)


class NetworkProfileBlock:
    """Handles SetNetworkProfile: stores profiles of the CSMS in the configuration slots of the station."""

    def __init__(self, network: NetworkProfiles, link: Link) -> None:
        self._network = network
        self._link = link

    def register(self, handlers: Handlers) -> None:
        """Register the handler of SetNetworkProfile."""
        handlers.on(actions.SET_NETWORK_PROFILE, self.set_network_profile)

    async def set_network_profile(
        self, request: m.SetNetworkProfileRequest
    ) -> HandlerResult[m.SetNetworkProfileResponse]:
        """Check and store a network profile (B09.FR.01 to B09.FR.05, B09.FR.31); the present link stays."""
        slot, data = request["configurationSlot"], request["connectionData"]
        profile = NetworkProfile(
            url=data["ocppCsmsUrl"],
            security_profile=data["securityProfile"],
            message_timeout_s=data["messageTimeout"],
            interface=data["ocppInterface"],
            versions=self._network.versions,
            identity=data.get("identity"),
            ocpp_version=data.get("ocppVersion"),
        )
        refusal = _unsupported(data) or await self._network.check_profile(slot, profile)
        if refusal is not None:
            info: m.StatusInfoType = {"reasonCode": refusal.reason_code, "additionalInfo": refusal.info}
            return HandlerResult({"status": "Rejected", "statusInfo": info})
        try:
            await self._network.store(
                slot,
                profile,
                data.get("basicAuthPassword"),
                at_next_connection=self._link.edition.includes(V21),
            )
        except ValueError as error:
            invalid: m.StatusInfoType = {
                "reasonCode": "InvalidNetworkConf",
                "additionalInfo": f"basicAuthPassword {error}",
            }
            return HandlerResult({"status": "Rejected", "statusInfo": invalid})
        except StorageError as error:  # B09.FR.03
            _log.error("network profile %d could not be stored: %s", slot, error)
            return HandlerResult({"status": "Failed", "statusInfo": {"reasonCode": "OutOfStorage"}})
        return HandlerResult({"status": "Accepted"})


def _unsupported(data: m.NetworkConnectionProfileType) -> NetworkProfileRefusal | None:
    """The refusal of a profile that the station does not support (B09.FR.02); ocppVersion is ignored, as specified: the
    station offers the versions of its installation file."""
    if data["ocppTransport"] != "JSON":
        return NetworkProfileRefusal("InvalidNetworkConf", "ocppTransport: the station supports JSON only")
    for name in ("apn", "vpn"):  # rejected rather than ignored: the link would be less private than requested
        if name in data:
            return NetworkProfileRefusal(
                "InvalidNetworkConf", f"{name}: the station cannot set up this connection itself"
            )
    return None
