"""Block F: starts and stops transactions, and unlocks connectors, for the CSMS (F01–F03, F05)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from energy.charging_profile import Purpose
from energy.profile_store import ProfileRefusal
from ocpp_handlers.translate.charging_profiles import profile_from_wire, unsupported_feature
from ocpp_handlers.translate.translate import id_token_from_wire, parse_integer
from ocpp_handlers.wire import actions
from ocpp_handlers.wire.reason_codes import unknown_evse_code
from ocpp_handlers.wire.session import HandlerResult, Handlers
from station.charging.starts.start_request import StartRequest, StartSource

if TYPE_CHECKING:
    from energy.charging_profile import ChargingProfile
    from ocpp_handlers.connection.boot import BootMessageFilter
    from ocpp_handlers.wire import messages as m
    from station.charging.charging_station import ChargingStation
    from station.load.charging_profiles import PersistentProfiles
    from station.load.smart_charging_settings import SmartChargingSettings


class RemoteControl:
    """Handles RequestStartTransaction, RequestStopTransaction and UnlockConnector."""

    def __init__(
        self,
        gate: BootMessageFilter,
        station: ChargingStation,
        profiles: PersistentProfiles,
        settings: SmartChargingSettings,
        changed: Callable[[], None],
    ) -> None:
        self._changed = changed
        self._gate = gate
        self._station = station
        self._profiles = profiles
        self._settings = settings

    def register(self, handlers: Handlers) -> None:
        """Register the handlers of RequestStartTransaction, RequestStopTransaction and UnlockConnector."""
        handlers.on(actions.REQUEST_START_TRANSACTION, self.request_start)
        handlers.on(actions.REQUEST_STOP_TRANSACTION, self.request_stop)
        handlers.on(actions.UNLOCK_CONNECTOR, self.unlock_connector)

    async def request_start(
        self, request: m.RequestStartTransactionRequest
    ) -> HandlerResult[m.RequestStartTransactionResponse]:
        """Answer RequestStartTransaction and mark the EVSE as taken; follow-up: start the transaction (F01, F02).

        Rejected before the CSMS has accepted the station (B02.FR.05), and if the EVSE, token or charging profile is
        refused, or if the EVSE is reserved for another token. The profile is installed once the start has succeeded.
        The mark is removed if the response is not sent.
        """
        if not self._gate.accepted:
            return _rejected("CSNotAccepted", "the station is not accepted yet")
        id_token = id_token_from_wire(request["idToken"])
        group = request.get("groupIdToken")
        evse_id = request.get("evseId")
        if evse_id is not None and evse_id not in self._station.evses:
            return _rejected("UnknownEvse", f"evseId {evse_id} does not exist")
        group_id = id_token_from_wire(group) if group is not None else None
        remote_start_id = parse_integer(request["remoteStartId"], "remoteStartId")
        start_request = StartRequest(StartSource.REMOTE, id_token, evse_id, group_id, remote_start_id)
        decision = await self._station.starter.check(start_request)
        if decision.refusal is not None or decision.evse_id is None:
            return _rejected("Unspecified", decision.reason or "")
        chosen = decision.evse_id
        profile: ChargingProfile | None = None
        wire = request.get("chargingProfile")
        if wire is not None and self._settings.smart_charging_enabled:  # F01.FR.12: else it is ignored
            decoded = self._profile(wire, chosen)
            if isinstance(decoded, ProfileRefusal):  # F01.FR.26, F02.FR.27, K05.FR.05
                return _rejected(decoded.reason_code, decoded.sentence)
            profile = decoded
        self._station.starter.hold(chosen)

        async def start() -> None:
            started = await self._station.start_remotely(replace(start_request, evse_id=chosen))
            if started and profile is not None:  # F01.FR.10: for this transaction only
                self._profiles.install_expected(chosen, profile)
                self._changed()

        response: m.RequestStartTransactionResponse = {"status": "Accepted"}
        if (transaction_id := self._station.evses[chosen].transaction_id) is not None:  # F01.FR.13
            response["transactionId"] = transaction_id
        return HandlerResult(response, start, undo=lambda: self._station.starter.release(chosen))

    async def request_stop(
        self, request: m.RequestStopTransactionRequest
    ) -> HandlerResult[m.RequestStopTransactionResponse]:
        """Answer RequestStopTransaction; follow-up: end the authorization, which stops charging (F03)."""
        transaction_id = request["transactionId"]
        if not self._gate.accepted:  # B02.FR.05
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "CSNotAccepted"}})
        if not self._station.is_ongoing(transaction_id):  # F03.FR.08
            return HandlerResult({"status": "Rejected", "statusInfo": {"reasonCode": "TxNotFound"}})

        async def stop() -> None:
            self._station.stop(transaction_id)

        return HandlerResult({"status": "Accepted"}, stop)  # F03.FR.07

    async def unlock_connector(self, request: m.UnlockConnectorRequest) -> HandlerResult[m.UnlockConnectorResponse]:
        """Unlock the plug of a connector before answering; refused during an authorized transaction (F05)."""
        evse = self._station.evses.get(int(request["evseId"]))
        if evse is None or request["connectorId"] != evse.layout.connector_id:  # F05.FR.03
            code = unknown_evse_code(self._station.evses, int(request["evseId"]))
            return HandlerResult({"status": "UnknownConnector", "statusInfo": {"reasonCode": code}})
        if evse.state.authorization is not None:  # F05.FR.02
            return HandlerResult({"status": "OngoingAuthorizedTransaction"})
        return HandlerResult({"status": "Unlocked" if await evse.unlock() else "UnlockFailed"})  # F05.FR.04, F05.FR.05

    def _profile(self, wire: m.ChargingProfileType, evse_id: int) -> ChargingProfile | ProfileRefusal:
        if (unsupported := unsupported_feature(wire)) is not None:
            return unsupported
        profile = profile_from_wire(wire, evse_id)
        if profile.purpose is not Purpose.TX or profile.transaction_id is not None:  # F01.FR.09, F01.FR.11
            return ProfileRefusal(
                "InvalidProfile",
                "chargingProfile: RequestStartTransaction allows only a TxProfile without a transactionId",
            )
        profile = replace(profile, with_start=True)
        # The transaction does not exist yet: the other rules are checked with a placeholder id.
        named = replace(profile, transaction_id="to-be-started")
        return self._profiles.refusal(named, "to-be-started") or profile


def _rejected(reason_code: str, info: str) -> HandlerResult[m.RequestStartTransactionResponse]:
    return HandlerResult(
        {"status": "Rejected", "statusInfo": {"reasonCode": reason_code, "additionalInfo": info[:512]}}
    )
