"""The installer's phone finds the station: a real browser of multicast DNS, on the loopback interface."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from station.configuration.network_tables import MdnsConfig
from station.interfaces.mdns import addresses_of, is_announced, txt_records
from tests.csms import running_csms
from tests.patience import until as until_real
from tests.walk import Walk, configuration, powered

KINDS = ["_http._tcp.local.", "_ocpp._tcp.local."]
HERE = {"host": "127.0.0.1", "port": 0}


class ServiceListener:
    """Records the stations that a browser of multicast DNS finds."""

    def __init__(self, network: AsyncZeroconf) -> None:
        self.network = network
        self.found: dict[str, str] = {}
        """names to the kinds of service"""
        self.removed: set[str] = set()

    def on_change(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        """Record that a service was added or removed."""
        del zeroconf
        if state_change is ServiceStateChange.Removed:
            self.removed.add(name)
        else:
            self.found[name] = service_type

    async def resolve(self, kind: str, name: str) -> AsyncServiceInfo:
        """Return addresses, port and records of a service."""
        info = AsyncServiceInfo(kind, f"{name}.{kind}")
        assert await info.async_request(self.network.zeroconf, 5000)
        return info


@contextlib.asynccontextmanager
async def browsing() -> AsyncGenerator[ServiceListener]:
    """Run a multicast DNS browser on the loopback interface."""
    network = AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
    phone = ServiceListener(network)
    browser = AsyncServiceBrowser(network.zeroconf, KINDS, handlers=[phone.on_change])
    try:
        yield phone
    finally:
        await browser.async_cancel()
        await network.async_close()


async def until_found(walk: Walk, phone: ServiceListener, names: set[str]) -> None:
    """Advance the virtual time until these names are found; the network takes real time."""
    await until_real(lambda: names <= phone.found.keys(), meanwhile=lambda: walk.advance(0.5))


async def test_a_browser_finds_the_page_and_the_station_and_hears_its_goodbye(tmp_path: Path) -> None:
    config = configuration(tmp_path, None, http=HERE, mdns={"enabled": True})
    names = {f"BORNE-TEST.{kind}" for kind in KINDS}
    async with browsing() as phone, running_csms() as csms:
        async with powered(config, csms) as walk:
            await until_found(walk, phone, names)
            for kind in KINDS:
                info = await phone.resolve(kind, "BORNE-TEST")
                assert info.port == walk.web.port
                assert info.parsed_addresses() == ["127.0.0.1"]
                assert info.decoded_properties["serial"] == "0001"
                assert info.decoded_properties["model"] == "flex"
        await until_real(lambda: names <= phone.removed)


@pytest.mark.parametrize(
    ("host", "enabled", "found"),
    [
        ("127.0.0.1", None, False),
        ("::1", None, False),
        ("localhost", None, False),
        ("0.0.0.0", None, True),
        ("192.168.1.20", None, True),
        ("192.168.1.20", False, False),
        ("127.0.0.1", True, True),
    ],
)
def test_it_is_announced_where_others_can_reach_it_unless_configured_otherwise(
    host: str, enabled: bool | None, found: bool
) -> None:
    assert is_announced(MdnsConfig(enabled=enabled), host) is found


def test_at_every_address_is_at_those_of_both_families_where_it_listens_at_both() -> None:
    assert addresses_of("fd00::2") == ["fd00::2"]
    assert addresses_of("192.168.1.20") == ["192.168.1.20"]
    ipv4_only, both = addresses_of("0.0.0.0"), addresses_of("::")
    assert set(ipv4_only) == {address for address in both if ":" not in address}
    assert not {"127.0.0.1", "::1"} & set(both)


async def test_a_browser_that_speaks_ipv6_alone_finds_the_page(tmp_path: Path) -> None:
    ipv6_addresses = [address for address in addresses_of("::") if ":" in address]
    if not ipv6_addresses:
        pytest.skip("this machine has no address of IPv6")
    config = configuration(tmp_path, None, http={"host": "::", "port": 0}, mdns={"name": "BORNE-SIX"})
    async with running_csms() as csms, powered(config, csms) as walk:
        network = AsyncZeroconf(interfaces=ipv6_addresses, ip_version=IPVersion.V6Only)
        phone = ServiceListener(network)
        browser = AsyncServiceBrowser(network.zeroconf, KINDS, handlers=[phone.on_change])
        try:
            await until_found(walk, phone, {f"BORNE-SIX.{kind}" for kind in KINDS})
            info = await phone.resolve(KINDS[0], "BORNE-SIX")
            assert info.port == walk.web.port
            assert {address.partition("%")[0] for address in info.parsed_scoped_addresses()} == set(addresses_of("::"))
        finally:
            await browser.async_cancel()
            await network.async_close()


def test_no_secret_is_reported(tmp_path: Path) -> None:
    csms = {"url": "ws://csms.example/ocpp", "password": "0123456789abcdef"}
    station = {"identity": "BORNE-TEST", "iccid": "8933000000000000000"}
    records = txt_records(configuration(tmp_path, None, csms=csms, station=station), "/", "1.0")
    assert records.keys() <= {"path", "vendor", "model", "version", "ocpp", "serial"}
