"""Lets an installer's phone find the station in the local network: announced by multicast DNS (RFC 6762, RFC 6763).

Nothing secret is told: who looks learns what the label on the station says too.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metering.clock import Clock
    from station.configuration.installation_file import Configuration, MdnsConfig

_log = logging.getLogger(__name__)

_LOOK_AGAIN_S: Final = 30.0
"""how often it is looked whether the network gave us other addresses"""
_LONGEST_NAME: Final = 63
"""bytes of a label (RFC 1035 2.3.4)"""


def announces(config: MdnsConfig, http_host: str) -> bool:
    """Whether the station is to be found: as the installation file says, else where others can reach its page."""
    return not _is_loopback(http_host) if config.enabled is None else config.enabled


def records(configuration: Configuration, version: str) -> dict[str, str]:
    """What the TXT records tell."""
    who = configuration.station
    told = {"path": "/", "vendor": who.vendor, "model": who.model, "version": version, "ocpp": "2.0.1"}
    return told | ({"serial": who.serial_number} if who.serial_number is not None else {})


class Announcement:
    """Says where the page is, as `_http._tcp` (with TLS `_https._tcp`) and as `_ocpp._tcp`. Auxiliary."""

    def __init__(self, configuration: Configuration, port: int, version: str, clock: Clock) -> None:
        self._host = configuration.http.host
        page = "_https._tcp.local." if configuration.http.tls else "_http._tcp.local."
        self._types = (page, "_ocpp._tcp.local.")
        self._port = port
        self._name = _label(configuration.mdns.name or configuration.station.identity)
        self._records = records(configuration, version)
        self._clock = clock

    async def run(self) -> None:
        """Announce until cancelled, anew whenever the addresses change; then say goodbye.

        Raises:
            OSError: there is no network.
        """
        while True:
            addresses = self._addresses()
            if not addresses:
                raise OSError("mDNS: there is no address to be found at")
            await self._announce(addresses)

    async def _announce(self, addresses: Sequence[str]) -> None:
        """As long as these are the addresses."""
        from zeroconf import Error, InterfaceChoice, IPVersion, ServiceInfo
        from zeroconf.asyncio import AsyncZeroconf

        everywhere = ipaddress.ip_address(self._host).is_unspecified if _is_address(self._host) else False
        interfaces = InterfaceChoice.Default if everywhere else list(addresses)
        network = AsyncZeroconf(interfaces=interfaces, ip_version=IPVersion.V4Only)
        try:
            for kind in self._types:
                info = ServiceInfo(
                    kind,
                    f"{self._name}.{kind}",
                    addresses=[socket.inet_aton(address) for address in addresses],
                    port=self._port,
                    properties=self._records,
                    server=f"{host_name(self._name)}.local.",
                )
                registered = network.async_register_service(info, allow_name_change=True)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # it yields nothing of use
                await (await registered)
            _log.info("mDNS: announced as %s at %s", self._name, ", ".join(addresses))
            while self._addresses() == addresses:
                await self._clock.sleep(_LOOK_AGAIN_S)
        except Error as error:
            raise OSError(f"mDNS: {error or type(error).__name__}") from error
        finally:
            await network.async_unregister_all_services()
            await network.async_close()

    def _addresses(self) -> list[str]:
        """The IPv4 addresses at which the page can be reached, in order."""
        if _is_address(self._host) and not ipaddress.ip_address(self._host).is_unspecified:
            return [self._host] if ":" not in self._host else []
        import ifaddr

        found = (address.ip for adapter in ifaddr.get_adapters() for address in adapter.ips)
        return sorted(ip for ip in found if isinstance(ip, str) and not _is_loopback(ip))


def _label(text: str) -> str:
    """A name as DNS-SD takes one: any text, but no dot and not too long."""
    plain = text.replace(".", "-")
    return plain.encode()[:_LONGEST_NAME].decode(errors="ignore")


def host_name(label: str) -> str:
    """A host name made of a name: letters, digits and hyphens."""
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in label).strip("-")
    return name or "station"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback if _is_address(host) else host == "localhost"
