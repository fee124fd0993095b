"""A station that somebody else started: bring it to where a case begins, or say why the case cannot run on it."""

from __future__ import annotations

from tests.conformance.bench import Bench
from tests.conformance.station import PASSWORD, Unsupported


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
    bench.csms.passwords = {status["identity"]: PASSWORD} if status["csms"]["security_profile"] == 1 else None
    rows = await station.get("/api/variables")
    kinds = {row["value"] for row in rows if row["variable"] == "ConnectorType"}
    if any(kind.startswith("c") is not setup.attached_cable for kind in kinds):
        raise Unsupported(f"the case needs attached_cable = {str(setup.attached_cable).lower()}")
    for evse in status["evses"]:
        if evse["plugged"]:
            await station.unplug(evse["id"], 1)
    await station.power("cycle")
    await station.link("up")
    await bench.accepted()
    for name, value in setup.variables.items():
        component, variable, *instance = name.split(".")
        body = {"component": component, "variable": variable, "value": value}
        await station.put("/api/sim/variables", body | ({"instance": instance[0]} if instance else {}))
    for number in range(1, setup.evses + 1):
        for place in ({"id": number}, {"id": number, "connectorId": 1}):
            await bench.call("ChangeAvailability", {"operationalStatus": "Operative", "evse": place})
    await bench.call("ChangeAvailability", {"operationalStatus": "Operative"})
    await bench.call("ClearCache", {})
    await bench.settle()
    bench.csms.unread.clear()
    await bench.learn_points()
