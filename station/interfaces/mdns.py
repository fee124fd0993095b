"""Announces the station in the local network by multicast DNS, for an installer's phone (RFC 6762, RFC 6763).

The announcement contains no secrets, only data that is also printed on the label of the station.
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

_ADDRESS_CHECK_INTERVAL_S: Final = 30.0
"""interval at which a change of the network addresses is checked"""
_LONGEST_NAME: Final = 63
"""bytes of a label (RFC 1035 2.3.4)"""


def is_announced(config: MdnsConfig, http_host: str) -> bool:
    """Return whether to announce the station: as configured; by default if its page is not on loopback only."""
    return not is_loopback_host(http_host) if config.enabled is None else config.enabled


def txt_records(configuration: Configuration, path: str, version: str) -> dict[str, str]:
    """The TXT records of the announcement: URL path of the page, vendor, model, version, serial number."""
    station = configuration.station
    properties = {"path": path, "vendor": station.vendor, "model": station.model, "version": version, "ocpp": "2.0.1"}
    return properties | ({"serial": station.serial_number} if station.serial_number is not None else {})


class MdnsAnnouncement:
    """Announces the page of a station by mDNS as `_http._tcp` (with TLS `_https._tcp`) and `_ocpp._tcp`. Auxiliary."""

    def __init__(self, configuration: Configuration, port: int, path: str, version: str, clock: Clock) -> None:
        """`port`: TCP port of the page; `path`: its URL path."""
        self._host = configuration.http.host
        page = "_https._tcp.local." if configuration.http.tls else "_http._tcp.local."
        self._types = (page, "_ocpp._tcp.local.")
        self._port = port
        self._name = _service_label(configuration.mdns.name or configuration.station.identity)
        self._records = txt_records(configuration, path, version)
        self._clock = clock

    async def run(self) -> None:
        """Announce until cancelled, again whenever the machine's addresses change; then withdraw the announcement.

        Raises:
            OSError: there is no network, or the announcement failed.
        """
        while True:
            addresses = addresses_of(self._host)
            if not addresses:
                raise OSError("mDNS: no network address to announce")
            await self._announce(addresses)

    async def _announce(self, addresses: Sequence[str]) -> None:
        """Announce until the addresses change."""
        import zeroconf.asyncio  # late: it takes long to import, and the start does not wait for the announcement

        # IPv6 has no default interface: each interface is given by one of its addresses.
        interfaces = zeroconf.InterfaceChoice.Default if self._host == "0.0.0.0" else list(addresses)
        families = {":" in address for address in addresses}
        single_family = zeroconf.IPVersion.V6Only if True in families else zeroconf.IPVersion.V4Only
        version = zeroconf.IPVersion.All if len(families) > 1 else single_family
        network = zeroconf.asyncio.AsyncZeroconf(interfaces=interfaces, ip_version=version)
        try:
            for kind in self._types:
                info = zeroconf.ServiceInfo(
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
                await self._clock.sleep(_ADDRESS_CHECK_INTERVAL_S)
        except zeroconf.Error as error:
            raise OSError(f"mDNS: {error or type(error).__name__}") from error
        finally:
            await network.async_unregister_all_services()
            await network.async_close()


def addresses_of(host: str) -> list[str]:
    """The machine's IP addresses at which a page listening on `host` is reached, sorted, without loopback."""
    if _is_address(host) and not ipaddress.ip_address(host).is_unspecified:
        return [host]
    import ifaddr  # late: only where the page listens on all addresses

    ips = (address.ip for adapter in ifaddr.get_adapters() for address in adapter.ips)
    found = {ip if isinstance(ip, str) else ip[0] for ip in ips if isinstance(ip, str) or ":" in host}
    return sorted(ip for ip in found if not is_loopback_host(ip))


def _service_label(text: str) -> str:
    """A name as a DNS-SD label: without dots, and at most 63 bytes."""
    without_dots = text.replace(".", "-")
    return without_dots.encode()[:_LONGEST_NAME].decode(errors="ignore")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback_host(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback if _is_address(host) else host == "localhost"
