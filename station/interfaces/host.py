"""What the local API is about: the station's parts, as far as it shows and moves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from borne.life import Life
    from foundation.clock import Clock
    from station.configuration.installation_file import Configuration
    from station.core.event_feed import Feed
    from station.maintenance.commissioning.site_settings import SiteSettings


class Host(Protocol):
    """The program that serves the API."""

    @property
    def configuration(self) -> Configuration:
        """The installation file."""
        ...

    @property
    def clock(self) -> Clock:
        """The station's clock."""
        ...

    @property
    def feed(self) -> Feed:
        """What happens."""
        ...

    @property
    def life(self) -> Life | None:
        """The living station; None while its power is cut."""
        ...

    @property
    def site_settings(self) -> SiteSettings:
        """What the installer has set on site."""
        ...

    def live_anew(self, configuration: Configuration) -> None:
        """Begin a new life with another configuration."""
        ...

    async def begun(self) -> None:
        """Wait until the station lives; after `live_anew` that is the new life."""
        ...

    async def lose_power(self) -> None:
        """Cut the power."""
        ...

    async def restore_power(self) -> None:
        """Bring it back; returns when the station lives."""
        ...
