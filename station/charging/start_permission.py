"""Whether the station accepts new charging sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

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

    @property
    def refusal_reason(self) -> str | None:
        """Why charging cannot start with any token, in English; None: at most the CSMS's acceptance is missing."""
        if self._restart.refuses_starts:
            return "the station is about to restart"
        return None if self.activated else "the station is not activated yet"

    @property
    def granted(self) -> bool:
        """Whether charging may start; before the CSMS accepts the station only with TxBeforeAcceptedEnabled.

        B02.FR.03, B03.FR.01.
        """
        if self.refusal_reason is not None:
            return False
        return self._csms.accepted or self._settings.tx_before_accepted_enabled
