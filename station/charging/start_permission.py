"""Whether anybody may begin to charge at this station now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from station.charging.restart import RestartController
    from station.core.csms import Csms
    from station.core.setting_groups import TransactionSettings


class ActivationState(Protocol):
    """Knows whether the station serves the public."""

    @property
    def activated(self) -> bool:
        """Whether anybody but the installer may charge."""
        ...


class StartPermission:
    """Allows charges to begin, or says what hinders them."""

    def __init__(
        self, restart: RestartController, activation: ActivationState, csms: Csms, settings: TransactionSettings
    ) -> None:
        self._restart = restart
        self._activation = activation
        self._csms = csms
        self._settings = settings

    @property
    def activated(self) -> bool:
        """Whether the station serves the public; before that an installer may test it."""
        return self._activation.activated

    @property
    def hindrance(self) -> str | None:
        """Why nobody may begin to charge, whoever asks for it; None: nothing hinders."""
        if self._restart.refuses_starts:
            return "the station is about to restart"
        return None if self.activated else "the station is not activated yet"

    @property
    def granted(self) -> bool:
        """B02.FR.03, B03.FR.01: before the CSMS accepts the station only where TxBeforeAcceptedEnabled says so."""
        if self.hindrance is not None:
            return False
        return self._csms.accepted_once or self._settings.tx_before_accepted_enabled
