"""Block B, what OCPP 2.1 adds: logins of network profiles, the component NetworkConfiguration, a reset that resumes."""

from __future__ import annotations

import base64
from typing import Final

import pytest

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case_2_1, setup
from tests.conformance.device_model_reports import reported
from tests.conformance.frames import Payload
from tests.conformance.station_under_test import PASSWORD, Setup
from tests.conformance.test_a_security import OTHER_SLOT

ALL_PROFILES = pytest.mark.parametrize(
    "station_setup",
    [Setup(security_profile=number) for number in (1, 2, 3)],
    ids=["profile-1", "profile-2", "profile-3"],
)
WITH_PASSWORD = pytest.mark.parametrize(
    "station_setup",
    [Setup(security_profile=number) for number in (1, 2)],
    ids=["profile-1", "profile-2"],
)
DOWNGRADE_ALLOWED: Final = {"SecurityCtrlr.AllowSecurityProfileDowngrade": "true"}
ABOVE_PROFILE_1 = pytest.mark.parametrize(
    "station_setup",
    [Setup(security_profile=number, variables=DOWNGRADE_ALLOWED) for number in (2, 3)],
    ids=["profile-2", "profile-3"],
)
SLOT_PASSWORD: Final = "PasswordOfSufficientLength"
MESSAGE_TIMEOUT_S: Final = 30
"""<Configured messageTimeout>"""
CSMS_URL: Final = "wss://csms.example.com/ocpp"
"""<Configured ocppCsmsUrl> of a slot that no case connects to"""


def connection_data(url: str, security_profile: int, **login: str) -> Payload:
    """A NetworkConnectionProfile as the cases set it; `login`: identity, basicAuthPassword."""
    return {
        "messageTimeout": MESSAGE_TIMEOUT_S,
        "ocppCsmsUrl": url,
        "ocppInterface": "Any",
        "ocppTransport": "JSON",
        "ocppVersion": "OCPP21",
        "securityProfile": security_profile,
        **login,
    }


async def set_network_profile(bench: Bench, slot: int, data: Payload) -> Payload:
    """SetNetworkProfile; its response."""
    return await bench.call("SetNetworkProfile", {"configurationSlot": slot, "connectionData": data})


async def set_configuration(bench: Bench, slot: int, **values: str) -> dict[str, Payload]:
    """SetVariables of variables of NetworkConfiguration, in one request if it may have so many; results by variable."""
    limit = int(await bench.get_variable("DeviceDataCtrlr", "ItemsPerMessage", instance="SetVariables"))
    component = {"name": "NetworkConfiguration", "instance": str(slot)}
    items: list[Payload] = [
        {"component": component, "variable": {"name": name}, "attributeValue": value} for name, value in values.items()
    ]
    step = len(items) if limit >= len(items) else 1
    results: list[Payload] = []
    for first in range(0, len(items), step):
        answer = await bench.call("SetVariables", {"setVariableData": items[first : first + step]})
        results += answer["setVariableResult"]
    assert [result["component"] for result in results] == [component] * len(items), results
    assert [result["variable"] for result in results] == [item["variable"] for item in items], results
    return {result["variable"]["name"]: result for result in results}


def check_accepted(results: dict[str, Payload]) -> None:
    """All results are Accepted; those of VPN and APN may be Rejected."""
    for name, result in results.items():
        allowed = {"Accepted", "Rejected"} if name in {"VpnEnabled", "ApnEnabled"} else {"Accepted"}
        assert result["attributeStatus"] in allowed, result


async def configuration(bench: Bench, slot: int, name: str) -> str:
    """The value of a variable of NetworkConfiguration, which can be read."""
    component = {"name": "NetworkConfiguration", "instance": str(slot)}
    request: Payload = {"getVariableData": [{"component": component, "variable": {"name": name}}]}
    (result,) = (await bench.call("GetVariables", request))["getVariableResult"]
    assert (result["component"], result["variable"]) == (component, {"name": name}), result
    assert result["attributeStatus"] == "Accepted", result
    return result["attributeValue"]


async def set_priority(bench: Bench, slots: list[str]) -> Payload:
    """SetVariables of NetworkConfigurationPriority; its result."""
    variable = {"name": "NetworkConfigurationPriority"}
    item = {"component": {"name": "OCPPCommCtrlr"}, "variable": variable, "attributeValue": ",".join(slots)}
    (result,) = (await bench.call("SetVariables", {"setVariableData": [item]}))["setVariableResult"]
    return result


async def priority(bench: Bench) -> list[str]:
    """The slots of NetworkConfigurationPriority."""
    return (await bench.get_variable("OCPPCommCtrlr", "NetworkConfigurationPriority")).split(",")


async def has_root(bench: Bench) -> None:
    """The station can use security profile 2: without TLS so far, it gets a CSMS root certificate."""
    if bench.setup.security_profile == 1:
        await states.certificate_installed(bench, "CSMSRootCertificate", bench.pki.root)


async def reconnected(bench: Bench) -> None:
    """The test system closes the connection, and the station connects again."""
    before = bench.csms.connection
    await bench.csms.close(and_stay_away=False)
    await _connected_again(bench, before)


async def _connected_again(bench: Bench, before: int) -> None:
    await bench.until(
        lambda: bench.csms.connection != before and bench.csms.connected.is_set(), within_s=120.0, why="no reconnect"
    )
    await bench.settle()


def check_login(bench: Bench, identity: str, password: str) -> None:
    """The latest connection request was for this identity, with this password."""
    request = bench.csms.handshakes[-1]
    assert request.path.rpartition("/")[2] == identity
    expected = base64.b64encode(f"{identity}:{password}".encode()).decode()
    assert request.headers["Authorization"] == f"Basic {expected}"


@case_2_1("Core", "M")
@ALL_PROFILES
async def test_tc_b_100_cs(bench: Bench) -> None:
    """Set new NetworkConnectionProfile - Identity and password"""
    security_profile = max(2, bench.setup.security_profile)  # a profile 2 would be a downgrade from 3
    data = connection_data(CSMS_URL, security_profile, identity="OTHER-IDENTITY", basicAuthPassword=SLOT_PASSWORD)
    answer = await set_network_profile(bench, OTHER_SLOT, data)
    assert answer["status"] == "Accepted", answer  # step 2
    answer = await bench.call("GetBaseReport", {"requestId": 5, "reportBase": "FullInventory"})
    assert answer["status"] == "Accepted", answer  # step 4
    rows = await reported(bench, 5)
    named = {(row["component"]["name"], row["component"].get("instance"), row["variable"]["name"]): row for row in rows}
    slots = named["OCPPCommCtrlr", None, "NetworkConfigurationPriority"]["variableCharacteristics"]["valuesList"]
    expected = {
        "OcppCsmsUrl": CSMS_URL,
        "OcppInterface": "Any",
        "OcppTransport": "JSON",
        "OcppVersion": "OCPP21",
        "MessageTimeout": str(MESSAGE_TIMEOUT_S),
        "SecurityProfile": str(security_profile),
        "VpnEnabled": "false",
        "ApnEnabled": "false",
    }
    assert str(OTHER_SLOT) in slots.split(",")
    for slot in slots.split(","):  # step 5
        for name, value in expected.items():
            (attribute,) = named["NetworkConfiguration", slot, name]["variableAttribute"]
            if slot == str(OTHER_SLOT):
                assert attribute["value"] == value, name
        (attribute,) = named["NetworkConfiguration", slot, "BasicAuthPassword"]["variableAttribute"]
        assert attribute["mutability"] == "WriteOnly"
        assert "value" not in attribute


@case_2_1("Core", "M")
async def test_tc_b_101_cs(bench: Bench) -> None:
    """Reset ImmediateAndResume - With Ongoing Transaction - TxResumptionTimeout 0 or <omitted> - Rejected"""
    connection = bench.csms.connection
    answer = await bench.call("Reset", {"type": "ImmediateAndResume"})
    assert answer["status"] == "Rejected", answer
    await bench.advance(10.0)
    assert bench.csms.connection == connection, "the station has reset"


@case_2_1("Core", "M")
@ALL_PROFILES
async def test_tc_b_105_cs(bench: Bench) -> None:
    """Set new NetworkConnectionProfile - Add new NetworkConfiguration using SetVariables"""
    results = await set_configuration(
        bench,
        OTHER_SLOT,
        OcppCsmsUrl=bench.csms.url,
        OcppInterface="Any",
        OcppTransport="JSON",
        OcppVersion="OCPP21",
        MessageTimeout=str(MESSAGE_TIMEOUT_S),
        SecurityProfile=str(bench.setup.security_profile),
        Identity=bench.identity,
        BasicAuthPassword=SLOT_PASSWORD,
        VpnEnabled="false",
        ApnEnabled="false",
    )
    check_accepted(results)


@case_2_1("Core", "M")
@pytest.mark.parametrize("listed_before", [False, True], ids=["not-listed", "listed"])
@WITH_PASSWORD
async def test_tc_b_107_cs(bench: Bench, *, listed_before: bool) -> None:
    """Set new NetworkConnectionProfile - Add and remove slot from NetworkConfigurationPriority"""
    await has_root(bench)
    if listed_before:
        data = connection_data(CSMS_URL, 2, basicAuthPassword=SLOT_PASSWORD)
        assert (await set_network_profile(bench, OTHER_SLOT, data))["status"] == "Accepted"
        result = await set_priority(bench, [*await priority(bench), str(OTHER_SLOT)])
        assert result["attributeStatus"] == "Accepted", result
    present = await priority(bench)  # step 2
    assert (str(OTHER_SLOT) in present) is listed_before
    others = [slot for slot in present if slot != str(OTHER_SLOT)]
    if listed_before:
        result = await set_priority(bench, others)
        assert result["attributeStatus"] == "Accepted", result  # step 4
    results = await set_configuration(
        bench,
        OTHER_SLOT,
        OcppCsmsUrl="ws://invalidurl.example.com/",
        OcppInterface="Any",
        OcppTransport="JSON",
        OcppVersion="OCPP21",
        MessageTimeout=str(MESSAGE_TIMEOUT_S),
        SecurityProfile="2",
        BasicAuthPassword=SLOT_PASSWORD,
        VpnEnabled="false",
        ApnEnabled="false",
    )
    check_accepted(results)  # step 8
    result = await set_priority(bench, [*others, str(OTHER_SLOT)])
    assert result["attributeStatus"] == "Rejected", result  # step 10
    assert result["attributeStatusInfo"]["reasonCode"] == "InvalidNetworkConf", result
    check_accepted(await set_configuration(bench, OTHER_SLOT, OcppCsmsUrl="wss://validurl.example.com:443/"))  # step 12
    result = await set_priority(bench, [*others, str(OTHER_SLOT)])
    assert result["attributeStatus"] == "Accepted", result  # step 14
    present = await priority(bench)  # step 16
    assert present == [*others, str(OTHER_SLOT)]
    result = await set_priority(bench, present[:-1])
    assert result["attributeStatus"] == "Accepted", result  # step 18


@case_2_1("Core", "M")
@ALL_PROFILES
async def test_tc_b_108_cs(bench: Bench) -> None:
    """Set new NetworkConnectionProfile - Prevent overwriting configured Network Profile slot"""
    await has_root(bench)
    data = connection_data(CSMS_URL, max(2, bench.setup.security_profile))
    assert (await set_network_profile(bench, OTHER_SLOT, data))["status"] == "Accepted"
    result = await set_priority(bench, [*await priority(bench), str(OTHER_SLOT)])
    assert result["attributeStatus"] == "Accepted", result
    slots = await priority(bench)
    assert len(slots) >= 2  # step 2
    for slot in slots:  # step 4
        before = await configuration(bench, int(slot), "MessageTimeout")
        result = (await set_configuration(bench, int(slot), MessageTimeout="123"))["MessageTimeout"]
        assert result["attributeStatus"] == "Rejected", result
        assert result["attributeStatusInfo"]["reasonCode"] == "PriorityNetworkConf", result
        assert await configuration(bench, int(slot), "MessageTimeout") == before


@case_2_1("Core", "M")
@WITH_PASSWORD
async def test_tc_b_109_cs(bench: Bench) -> None:
    """Set new NetworkConnectionProfile - When changing SecurityCtrlr.Identity/BasicAuthPassword the
    NetworkProfiles.Identity/BasicAuthPassword must be cleared
    """
    security_profile = bench.setup.security_profile
    active = int(await bench.get_variable("OCPPCommCtrlr", "ActiveNetworkProfile"))  # step 2
    own = connection_data(bench.csms.url, security_profile, identity=bench.identity, basicAuthPassword=SLOT_PASSWORD)
    assert (await set_network_profile(bench, active, own))["status"] == "Accepted"  # the prerequisite
    bench.csms.passwords = {bench.identity: SLOT_PASSWORD}
    await reconnected(bench)
    await bench.expect("BootNotification")  # with another network profile (B10.FR.10)
    check_login(bench, bench.identity, SLOT_PASSWORD)
    assert await configuration(bench, active, "Identity") == bench.identity  # step 4
    before, bench.csms.passwords = bench.csms.connection, {bench.identity: PASSWORD}
    security = {"name": "SecurityCtrlr"}
    items: list[Payload] = [
        {"component": security, "variable": {"name": "Identity"}, "attributeValue": bench.identity},
        {"component": security, "variable": {"name": "BasicAuthPassword"}, "attributeValue": PASSWORD},
    ]
    results = (await bench.call("SetVariables", {"setVariableData": items}))["setVariableResult"]  # step 6
    assert [(result["component"], result["variable"]["name"], result["attributeStatus"]) for result in results] == [
        (security, "Identity", "Accepted"),
        (security, "BasicAuthPassword", "Accepted"),
    ]
    await _connected_again(bench, before)  # A01: the station reconnects with the new password of its own accord
    assert await configuration(bench, active, "Identity") == ""  # step 8
    await reconnected(bench)  # step 10
    check_login(bench, bench.identity, PASSWORD)
    assert int(await bench.get_variable("OCPPCommCtrlr", "ActiveNetworkProfile")) == active  # step 12
    assert await configuration(bench, active, "SecurityProfile") == str(security_profile)  # step 14
    restored = connection_data(bench.csms.url, security_profile, identity=bench.identity, basicAuthPassword=PASSWORD)
    assert (await set_network_profile(bench, active, restored))["status"] == "Accepted"  # step 16
    await reconnected(bench)  # step 18
    await bench.expect("BootNotification")
    check_login(bench, bench.identity, PASSWORD)
    assert int(await bench.get_variable("OCPPCommCtrlr", "ActiveNetworkProfile")) == active  # step 20


async def downgrade_is_rejected(bench: Bench, security_profile: int) -> None:
    """SetNetworkProfile with this security profile, step 2 of the cases."""
    data = connection_data(CSMS_URL, security_profile, basicAuthPassword=SLOT_PASSWORD)
    answer = await set_network_profile(bench, OTHER_SLOT, data)
    assert answer["status"] == "Rejected", answer
    assert answer["statusInfo"]["reasonCode"] == "NoSecurityDowngrade", answer


async def configured_downgrade_is_rejected(bench: Bench, security_profile: int) -> None:
    """SetVariables of NetworkConfiguration with this security profile, step 4 of the cases."""
    results = await set_configuration(
        bench,
        OTHER_SLOT,
        OcppCsmsUrl=CSMS_URL,
        OcppInterface="Any",
        OcppTransport="JSON",
        OcppVersion="OCPP21",
        MessageTimeout=str(MESSAGE_TIMEOUT_S),
        SecurityProfile=str(security_profile),
        BasicAuthPassword=SLOT_PASSWORD,
        VpnEnabled="false",
        ApnEnabled="false",
    )
    result = results["SecurityProfile"]
    assert result["attributeStatus"] == "Rejected", result
    assert result["attributeStatusInfo"]["reasonCode"] == "NoSecurityDowngrade", result


@case_2_1("Core", "M")
@ABOVE_PROFILE_1
async def test_tc_b_110_cs(bench: Bench) -> None:
    """Set new NetworkConnectionProfile - No security downgrade to profile #1"""
    await downgrade_is_rejected(bench, 1)


@case_2_1("Core", "M")
@ABOVE_PROFILE_1
async def test_tc_b_111_cs(bench: Bench) -> None:
    """Set new NetworkConnectionProfile - No security downgrade to profile #1 - DM"""
    await configured_downgrade_is_rejected(bench, 1)


@case_2_1("Advanced Security", "C", "AS-4.1")
@setup(security_profile=3)
async def test_tc_b_112_cs(bench: Bench) -> None:
    """Set new NetworkConnectionProfile - AllowSecurityDowngrade is false"""
    assert await bench.get_variable("SecurityCtrlr", "AllowSecurityProfileDowngrade") == "false"
    await downgrade_is_rejected(bench, 2)


@case_2_1("Advanced Security", "C", "AS-4.1")
@setup(security_profile=3)
async def test_tc_b_113_cs(bench: Bench) -> None:
    """Set new NetworkConnectionProfile - AllowSecurityDowngrade = false - DM"""
    assert await bench.get_variable("SecurityCtrlr", "AllowSecurityProfileDowngrade") == "false"
    await configured_downgrade_is_rejected(bench, 2)
