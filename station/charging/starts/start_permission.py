"""Whether the station accepts new charging sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from station.charging.starts.start_request import StartSource

if TYPE_CHECKING:
    from station.charging.restart import RestartController
    from station.charging.transaction_settings import TransactionSettings
    from station.core.csms import Csms


class ActivationState(Protocol):
    """The part of the station's activation that charging needs: whether it is activated for public use."""

    @property
    def activated(self) -> bool:
        """Whether the station is activated; otherwise only an installer's test may charge."""
        ...


class StartPermission:
    """Whether the station as a whole lets charging start: not before activation, during a restart, or unaccepted.

    Whether an EVSE or a token may start is checked elsewhere.
    """

    def __init__(
        self, restart: RestartController, activation: ActivationState, csms: Csms, settings: TransactionSettings
    ) -> None:
        self._restart = restart
        self._activation = activation
        self._csms = csms
        self._settings = settings

    @property
    def activated(self) -> bool:
        """Whether the station is activated for public use; before that only an installer may test it."""
        return self._activation.activated

    def refusal(self, source: StartSource) -> str | None:
        """Why a charge of this source cannot start, in English without final period; None: the station permits it.

        Before the CSMS accepts the station, starts at the station itself need TxBeforeAcceptedEnabled (B02.FR.03,
        B03.FR.01); a remote start comes from the CSMS.
        """
        if self._restart.refuses_starts:
            return "the station is about to restart"
        if source is StartSource.INSTALLER:
            return "the station is activated already" if self.activated else None
        if not self.activated:
            return "the station is not activated yet"
        if source is StartSource.REMOTE or self._csms.accepted or self._settings.tx_before_accepted_enabled:
            return None
        return "the CSMS has not accepted the station"
