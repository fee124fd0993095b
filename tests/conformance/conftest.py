"""The suite's fixtures and options: a bench for each test, the general rules after it, and the report of a run."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from tests.conformance import report, rules
from tests.conformance.bench import Bench
from tests.conformance.cases import EDITIONS, editions_of
from tests.conformance.csms import Csms, Journal
from tests.conformance.external import prepared_station
from tests.conformance.frames import OcppVersion
from tests.conformance.pki import Pki
from tests.conformance.station_process import StationProcess
from tests.conformance.station_under_test import IDENTITY, PASSWORD, SERIAL_NUMBER, Setup, Station, Unsupported
from tests.patience import PATIENCE_S
from tests.programs import Launch, ProgramHost, launch_own

SWITCHING_BOARD = {"phase_switching": True, "phase_choice": True}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each case under the editions of OCPP that have it, or only under the one that the options ask for.

    A station that runs already speaks OCPP 2.0.1, unless the options say otherwise.
    """
    if "edition" in metafunc.fixturenames:
        marks = {mark.name for mark in metafunc.definition.iter_markers()}
        editions = editions_of(metafunc.function.__name__, marks)
        option = metafunc.config.getoption
        chosen = option("--edition", None) or ("2.0.1" if option("--station", None) is not None else None)
        metafunc.parametrize("edition", [edition for edition in editions if chosen in (None, edition)])


def pytest_configure(config: pytest.Config) -> None:
    """Register the report."""
    report.register(config)


@pytest.fixture
def launch(request: pytest.FixtureRequest) -> Launch | None:
    """How our own station is started; None: somebody else has started one."""
    if request.config.getoption("--station", None) is not None:
        return None
    if request.config.getoption("--own-process", False) or request.node.get_closest_marker("smoke") is not None:
        return launch_own
    host: ProgramHost = request.getfixturevalue("program_host")
    return host.launch


@pytest.fixture
def station_setup(request: pytest.FixtureRequest) -> Setup:
    """The configuration that the test's mark asks for; a test may override this fixture by parameters."""
    mark = request.node.get_closest_marker("setup")
    return mark.args[0] if mark is not None else Setup()


@pytest.fixture
async def bench(
    request: pytest.FixtureRequest,
    station_setup: Setup,
    edition: OcppVersion,
    launch: Launch | None,
    tmp_path: Path,
) -> AsyncGenerator[Bench]:
    """A station that is connected, accepted and idle, and the CSMS that it is connected to."""
    url: str | None = request.config.getoption("--station", None)
    if request.config.getoption("--switching-board", False):
        station_setup = replace(station_setup, evse={**station_setup.evse, **SWITCHING_BOARD})
    station_setup = replace(station_setup, edition=edition)
    pki, journal = Pki(tmp_path), Journal()
    csms = Csms(journal, port=int(request.config.getoption("--csms-port", "9310") or 0) if url else 0)
    csms.edition = station_setup.edition
    csms.tls, tls = _tls(pki, station_setup)
    if station_setup.security_profile in (1, 2):
        csms.passwords = {IDENTITY: PASSWORD}
    csms.accepting = station_setup.accept_at_boot
    process = StationProcess(tmp_path, launch) if launch is not None else None
    await csms.start()
    failed_before = request.session.testsfailed
    try:
        if process is not None:
            client = await process.start(station_setup, csms.url, tls)
        else:
            client = httpx.AsyncClient(base_url=url or "", timeout=PATIENCE_S)
        station = Station(client)
        async with client, contextlib.aclosing(station.clock):
            bench = Bench(station, csms, journal, station_setup, pki)
            bench.process = process
            request.node.stash[_BENCH] = bench
            try:
                async with prepared_station(bench) if process is None else _booted(bench):
                    yield bench
                    await bench.drain_messages()
                    if request.session.testsfailed == failed_before:
                        rules.check(bench)
            except Unsupported as why:
                pytest.skip(str(why))
    finally:
        for endpoint in (csms, *(request.node.stash[_BENCH].other_endpoints if _BENCH in request.node.stash else ())):
            await endpoint.stop()
        if process is not None:
            await asyncio.to_thread(process.kill)


@contextlib.asynccontextmanager
async def _booted(bench: Bench) -> AsyncGenerator[None]:
    """Our own station, as its case begins with it."""
    if bench.setup.accept_at_boot:
        await bench.accepted()
        await bench.learn_points()
    yield


_BENCH = pytest.StashKey[Bench]()


def _tls(pki: Pki, setup: Setup) -> tuple[Any, dict[str, str]]:
    """The TLS context of the CSMS, and the TLS keys of the station's `csms` table."""
    if setup.security_profile < 2:
        return None, {}
    csms_table = {"ca_file": str(pki.write_pem("root.pem", pki.root.pem))}
    if setup.security_profile == 2:
        return pki.server_context(), csms_table
    station_certificate = pki.station(SERIAL_NUMBER)  # A00.FR.511
    csms_table["certificate_file"] = str(pki.write_pem("station.pem", station_certificate.pem))
    csms_table["key_file"] = str(pki.write_pem("station.key", station_certificate.key_pem))
    return pki.server_context(client_root=pki.root), csms_table


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows the frames that passed and the end of the station's log."""
    report = yield
    if report.failed and _BENCH in item.stash:
        bench = item.stash[_BENCH]
        report.sections.append(("frames", "\n".join(str(frame) for frame in bench.journal.frames[-60:])))
        if bench.process is not None and bench.process.log.exists():
            report.sections.append(("station log", bench.process.log.read_text(errors="replace")[-4000:]))
    name, edition = item.nodeid.partition("[")[0], edition_of(item)
    report.user_properties.append(("edition", edition))
    report.user_properties.append(("tests_of_case", item.config.stash[_TESTS].get((name, edition), 1)))
    return report


def edition_of(item: object) -> str:
    """The edition of OCPP under which a test is run."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("edition", EDITIONS[0])) if callspec is not None else EDITIONS[0]


_TESTS = pytest.StashKey[Counter[tuple[str, str]]]()
"""the number of tests of each function, by its name and edition"""


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> Generator[None, object, object]:
    """Count the tests of each function, also those that the run will not select."""
    del obj
    collected: object = yield
    tests = cast("list[object]", collected) if isinstance(collected, list) else [collected]
    counts = collector.config.stash.setdefault(_TESTS, Counter())
    counts.update((f"{collector.nodeid}::{name}", edition_of(test)) for test in tests)
    return cast("object", collected)
