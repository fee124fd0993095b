"""A station that somebody else started: bring it to where a case begins, or say why the case cannot run on it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from tests.conformance.bench import Bench
from tests.conformance.frames import Payload
from tests.conformance.station_under_test import PASSWORD, Unsupported, variable_row

_as_found: dict[str, list[Payload]] = {}
"""the variables of each station when the run met it first; each case begins with them"""
_roots_found: dict[str, list[Payload]] = {}
"""the root certificates that each station had then"""
_overridden: dict[str, list[Payload]] = {}
"""variables that the last case overrode although they are not writable"""


@contextlib.asynccontextmanager
async def prepared_station(bench: Bench) -> AsyncGenerator[None]:
    """The station as a case begins with it; it is restored afterwards.

    Raises:
        Unsupported: it is not the station that the case needs.
    """
    await _check_fitness(bench)
    try:
        await _prepare_station(bench)
        yield
    finally:
        await _restore_station(bench)


async def _prepare_station(bench: Bench) -> None:
    """Make the station idle and connected as the case needs, without vehicle, fault, certificate or cached token."""
    setup, station = bench.setup, bench.station
    await station.advance(0.0)  # what time it is there
    await station.link("up")
    await _set_csms(bench)
    await _install_certificates(bench)
    await station.power("cycle")
    await bench.accepted()
    await _restore_variables(bench)
    await bench.configure("AuthCtrlr", "LocalPreAuthorize", "false")  # Part 6, general pre conditions
    await _clear_evses(bench)
    await bench.call("ClearChargingProfile", {"chargingProfileCriteria": {}})
    await _override_variables(bench)
    for number in range(1, setup.evses + 1):
        for place in ({"id": number}, {"id": number, "connectorId": 1}):
            await bench.call("ChangeAvailability", {"operationalStatus": "Operative", "evse": place})
    await bench.call("ChangeAvailability", {"operationalStatus": "Operative"})
    await bench.call("ClearCache", {})
    await bench.call("SetMonitoringBase", {"monitoringBase": "FactoryDefault"})
    await bench.call("SetMonitoringLevel", {"severity": 9})
    await bench.settle()
    await bench.learn_points()
    if not setup.accept_at_boot:
        await _restart_with_refused_connection(bench)
    bench.csms.unread.clear()
    bench.journal.frames.clear()  # the case begins here
    bench.journal.faults.clear()


async def _restore_station(bench: Bench) -> None:
    """Restore the station's own CSMS, password and roots; its variables are restored when the next case begins."""
    station = bench.station
    await bench.csms.stop()  # the station's own may be at the same place
    await station.delete("/api/sim/network")
    await _remove_certificates(bench)
    for root in _roots_found.get(_name(bench), []):
        await station.put("/api/sim/certificates", {"type": root["type"], "pem": root["pem"]})
    await station.power("cycle")


async def _check_fitness(bench: Bench) -> None:
    """Check what can be seen from outside, and adapt the setup to the EVSEs that exist."""
    setup, station = bench.setup, bench.station
    status = await station.get("/api/status")
    if len(status["evses"]) < setup.evses:
        raise Unsupported(f"the case needs {setup.evses} EVSEs; the station under test has {len(status['evses'])}")
    if setup.tables.keys() - {"variable", "csms"}:
        raise Unsupported("the case needs an installation file of its own")
    if status["csms"] is None:
        raise Unsupported("the station under test has no CSMS in its installation file")
    rows = await station.get("/api/variables")
    kinds = {row["value"] for row in rows if row["variable"] == "ConnectorType"}
    if any(kind.startswith("c") is not setup.attached_cable for kind in kinds):
        raise Unsupported(f"the case needs attached_cable = {str(setup.attached_cable).lower()}")
    bench.identity = status["identity"]
    bench.serial_number = next((row["value"] for row in rows if row["variable"] == "SerialNumber"), bench.identity)
    bench.setup = replace(setup, evses=len(status["evses"]))


async def _set_csms(bench: Bench) -> None:
    """The station's next boot finds this test system, in the security profile of the case."""
    setup = bench.setup
    network: Payload = {
        "url": bench.csms.url,
        "security_profile": setup.security_profile,
        **setup.tables.get("csms", {}),
    }
    bench.csms.passwords = None
    if setup.security_profile in (1, 2):
        network["password"] = PASSWORD
        bench.csms.passwords = {bench.identity: PASSWORD}
    await bench.station.put("/api/sim/network", network)


async def _install_certificates(bench: Bench) -> None:
    """Install only the certificates that the case's security profile needs; remember the station's own roots."""
    station, kinds = bench.station, {"CSMSRootCertificate", "ManufacturerRootCertificate"}
    if _name(bench) not in _roots_found:
        held = await station.get("/api/certificates")
        _roots_found[_name(bench)] = [
            certificate for certificate in held if certificate["type"] in kinds and not certificate["fallback"]
        ]
    await _remove_certificates(bench)
    if bench.setup.security_profile >= 2:
        root = {"type": "CSMSRootCertificate", "pem": bench.pki.root.pem}
        await station.put("/api/sim/certificates", root)
    if bench.setup.security_profile == 3:
        issued = bench.pki.station(bench.serial_number)
        own = {"type": "ChargingStationCertificate", "pem": issued.key_pem + issued.pem}
        await station.put("/api/sim/certificates", own)


async def _remove_certificates(bench: Bench) -> None:
    for kind in ("CSMSRootCertificate", "ManufacturerRootCertificate", "ChargingStationCertificate"):
        await bench.station.delete("/api/sim/certificates", {"type": kind})


async def _override_variables(bench: Bench) -> None:
    """Override the variables that the case's installation file would set."""
    named = [variable_row(name, value) for name, value in bench.setup.variables.items()]
    for row in [*named, *bench.setup.tables.get("variable", [])]:
        await bench.station.put("/api/sim/variables", row)
        _overridden.setdefault(_name(bench), []).append({key: row[key] for key in row if key != "value"})


async def _restart_with_refused_connection(bench: Bench) -> None:
    """Restart the station; its first attempt to connect is refused, and it waits a second for the next one."""
    await bench.configure("OCPPCommCtrlr", "RetryBackOffWaitMinimum", "1")
    await bench.configure("OCPPCommCtrlr", "RetryBackOffRandomRange", "0")
    bench.csms.accepting, dialled = False, len(bench.csms.handshakes)
    await bench.station.power("cycle")
    await bench.until(lambda: len(bench.csms.handshakes) > dialled, why="no attempt to connect")
    bench.csms.accepting = True


def _name(bench: Bench) -> str:
    return str(bench.station.http.base_url)


async def _clear_evses(bench: Bench) -> None:
    """No fault, no vehicle, nobody in the parking bay; what was going on has ended with the power cycle."""
    for evse in (await bench.station.get("/api/status"))["evses"]:
        number = evse["id"]
        for code in evse["faults"]:
            await bench.station.delete("/api/sim/faults", {"evse": number, "code": code})
        await bench.station.post("/api/sim/meter", {"evse": number, "failure": False})
        if evse["plugged"]:
            await bench.station.post("/api/unlock", {"evse": number})
            await bench.settle()
            await bench.station.unplug(number, 1)
        await bench.station.parking_bay(number, occupied=False)
    await bench.advance(5.0)


async def _restore_variables(bench: Bench) -> None:
    """Restore the variables that earlier cases configured."""
    station, where = bench.station, _name(bench)
    for body in _overridden.pop(where, []):
        await station.delete("/api/sim/variables", body)
    rows: list[Payload] = await station.get("/api/variables")
    before = {_place(row): row for row in _as_found.setdefault(where, rows)}
    for row in rows:
        found = before.get(_place(row), row)
        if row["mutability"] != "ReadWrite" or found["value"] in {None, row["value"]}:
            continue
        evse = {"id": row["evse"]} | ({"connectorId": row["connector"]} if row["connector"] else {})
        component = {"name": row["component"], "instance": row["component_instance"]}
        item: Payload = {
            "component": _without_none(component) | ({"evse": evse} if row["evse"] else {}),
            "variable": _without_none({"name": row["variable"], "instance": row["instance"]}),
            "attributeType": row["attribute"],
            "attributeValue": found["value"],
        }
        await bench.call("SetVariables", {"setVariableData": [item]})


def _place(row: Payload) -> tuple[Any, ...]:
    return tuple(
        row[name]
        for name in ("component", "component_instance", "evse", "connector", "variable", "instance", "attribute")
    )


def _without_none(place: Payload) -> Payload:
    return {name: value for name, value in place.items() if value is not None}
