"""A station that somebody else started: bring it to where a case begins, or say why the case cannot run on it."""

from __future__ import annotations

from typing import Any

from tests.conformance.bench import Bench
from tests.conformance.frames import Payload
from tests.conformance.station import PASSWORD, Unsupported

_as_found: dict[str, list[Payload]] = {}
"""the variables of each station when the run met it first; each case begins with them"""
_overridden: dict[str, list[Payload]] = {}
"""what the last case set past its mutability"""


async def tidy(bench: Bench) -> None:
    """Idle, connected, without a vehicle, a fault or a cached token; variables as the case wants them.

    Raises:
        Unsupported: it is not the station that the case needs.
    """
    setup, station = bench.setup, bench.station
    status = await station.get("/api/status")
    if len(status["evses"]) != setup.evses:
        raise Unsupported(f"the case needs {setup.evses} EVSEs; the station under test has {len(status['evses'])}")
    if not setup.accept_at_boot or setup.tables:
        raise Unsupported("the case needs an installation file of its own")
    if setup.security_profile not in (0, 1):
        raise Unsupported(f"the case needs security profile {setup.security_profile}")
    bench.identity = status["identity"]
    secured = status["csms"]["security_profile"] == 1
    bench.csms.passwords = None  # an earlier case may have changed it
    rows = await station.get("/api/variables")
    kinds = {row["value"] for row in rows if row["variable"] == "ConnectorType"}
    if any(kind.startswith("c") is not setup.attached_cable for kind in kinds):
        raise Unsupported(f"the case needs attached_cable = {str(setup.attached_cable).lower()}")
    await station.advance(0.0)  # what time it is there
    await station.link("up")
    await station.power("cycle")
    await bench.accepted()
    await _restore_variables(bench)
    await _empty_places(bench)
    await bench.call("ClearChargingProfile", {"chargingProfileCriteria": {}})
    for name, value in setup.variables.items():
        component, variable, *instance = name.split(".")
        body = {"component": component, "variable": variable} | ({"instance": instance[0]} if instance else {})
        await station.put("/api/sim/variables", body | {"value": value})
        _overridden.setdefault(str(station.http.base_url), []).append(body)
    for number in range(1, setup.evses + 1):
        for place in ({"id": number}, {"id": number, "connectorId": 1}):
            await bench.call("ChangeAvailability", {"operationalStatus": "Operative", "evse": place})
    await bench.call("ChangeAvailability", {"operationalStatus": "Operative"})
    await bench.call("ClearCache", {})
    if secured:
        await bench.configure("SecurityCtrlr", "BasicAuthPassword", PASSWORD)
        bench.csms.passwords = {bench.identity: PASSWORD}
    await bench.settle()
    bench.csms.unread.clear()
    bench.journal.frames.clear()  # the case begins here
    bench.journal.faults.clear()
    await bench.learn_points()


async def _empty_places(bench: Bench) -> None:
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
    """What earlier cases have configured is as it was."""
    station, where = bench.station, str(bench.station.http.base_url)
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
