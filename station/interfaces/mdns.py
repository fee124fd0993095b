"""Lets an installer's phone find the station in the local network: announced by multicast DNS (RFC 6762, RFC 6763).

Nothing secret is told: who looks learns what the label on the station says too.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING, Final

from station.core.identifiers import host_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foundation.clock import Clock
    from station.configuration.installation_file import Configuration
    from station.configuration.network_tables import MdnsConfig

_log = logging.getLogger(__name__)

_LOOK_AGAIN_S: Final = 30.0
"""how often it is looked whether the network gave us other addresses"""
_LONGEST_NAME: Final = 63
"""bytes of a label (RFC 1035 2.3.4)"""


def is_announced(config: MdnsConfig, http_host: str) -> bool:
    """Whether the station is to be found: as the installation file says, else where others can reach its page."""
    return not _is_loopback(http_host) if config.enabled is None else config.enabled


def txt_records(configuration: Configuration, path: str, version: str) -> dict[str, str]:
    """What the TXT records tell."""
    who = configuration.station
    told = {"path": path, "vendor": who.vendor, "model": who.model, "version": version, "ocpp": "2.0.1"}
    return told | ({"serial": who.serial_number} if who.serial_number is not None else {})


class MdnsAnnouncement:
    """Says where the page is, as `_http._tcp` (with TLS `_https._tcp`) and as `_ocpp._tcp`. Auxiliary."""

    def __init__(self, configuration: Configuration, port: int, path: str, version: str, clock: Clock) -> None:
        """`path`: of the page."""
        self._host = configuration.http.host
        page = "_https._tcp.local." if configuration.http.tls else "_http._tcp.local."
        self._types = (page, "_ocpp._tcp.local.")
        self._port = port
        self._name = _label(configuration.mdns.name or configuration.station.identity)
        self._records = txt_records(configuration, path, version)
        self._clock = clock

    async def run(self) -> None:
        """Announce until cancelled, anew whenever the addresses change; then say goodbye.

        Raises:
            OSError: there is no network.
        """
        while True:
            addresses = addresses_of(self._host)
            if not addresses:
                raise OSError("mDNS: there is no address to be found at")
            await self._announce(addresses)

    async def _announce(self, addresses: Sequence[str]) -> None:
        """As long as these are the addresses."""
        from zeroconf import Error, InterfaceChoice, IPVersion, ServiceInfo
        from zeroconf.asyncio import AsyncZeroconf

        # IPv6 has no interface of its own choice: each is named by an address of it.
        interfaces = InterfaceChoice.Default if self._host == "0.0.0.0" else list(addresses)
        families = {":" in address for address in addresses}
        version = IPVersion.All if len(families) > 1 else IPVersion.V6Only if True in families else IPVersion.V4Only
        network = AsyncZeroconf(interfaces=interfaces, ip_version=version)
        try:
            for kind in self._types:
                info = ServiceInfo(
                    kind,
                    f"{self._name}.{kind}",
                    addresses=[ipaddress.ip_address(address).packed for address in addresses],
                    port=self._port,
                    properties=self._records,
                    server=f"{host_name(self._name)}.local.",
                )
                registered = network.async_register_service(info, allow_name_change=True)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # it yields nothing of use
                await (await registered)
            _log.info("mDNS: announced as %s at %s", self._name, ", ".join(addresses))
            while addresses_of(self._host) == addresses:
                await self._clock.sleep(_LOOK_AGAIN_S)
        except Error as error:
            raise OSError(f"mDNS: {error or type(error).__name__}") from error
        finally:
            await network.async_unregister_all_services()
            await network.async_close()


def addresses_of(host: str) -> list[str]:
    """Where a page that listens at this address is reached, in order: at `::` by IPv4 as well as by IPv6."""
    if _is_address(host) and not ipaddress.ip_address(host).is_unspecified:
        return [host]
    import ifaddr

    ips = (address.ip for adapter in ifaddr.get_adapters() for address in adapter.ips)
    found = {ip if isinstance(ip, str) else ip[0] for ip in ips if isinstance(ip, str) or ":" in host}
    return sorted(ip for ip in found if not _is_loopback(ip))


def _label(text: str) -> str:
    """A name as DNS-SD takes one: any text, but no dot and not too long."""
    plain = text.replace(".", "-")
    return plain.encode()[:_LONGEST_NAME].decode(errors="ignore")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback if _is_address(host) else host == "localhost"
