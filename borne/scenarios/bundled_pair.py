"""A station of this process with a bundled CSMS of its own, which has the time of the station."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Final

from simulator.csms.csms import CsmsSettings, DemoCsms

if TYPE_CHECKING:
    from borne.scenarios.local_station import LocalStation, LocalStations
    from simulator.csms.vehicle_answers import CertificatePki
    from station.configuration.installation_file import Configuration

PATIENCE_S: Final = 5.0
"""real seconds to wait at the end of simulated ones for a CSMS elsewhere"""
BUNDLED_PATIENCE_S: Final = 0.25
"""the same for the bundled CSMS in this process: it has answered before simulated time goes on"""
_HOST: Final = "127.0.0.1"
_HEARTBEAT_S: Final = 300


@contextlib.asynccontextmanager
async def running_pair(
    stations: LocalStations, configuration_for: Callable[[str], Configuration], pki: CertificatePki | None = None
) -> AsyncGenerator[tuple[LocalStation, DemoCsms]]:
    """Run both while the block runs. `configuration_for` returns the station's, from the URL of its CSMS.

    Raises:
        ConfigurationError: as `configuration_for` raises it.
        StartError: the station cannot be started.
    """
    with socket.create_server((_HOST, 0)) as listener:  # before the station, which has to know its port
        url = f"ws://{_HOST}:{listener.getsockname()[1]}/ocpp"
        async with stations.running(configuration_for(url)) as station:
            csms = DemoCsms(
                station.runtime.clock.now, settings=CsmsSettings(heartbeat_interval_s=_HEARTBEAT_S, pki=pki)
            )
            async with csms.listening(listener=listener):
                yield station, csms
