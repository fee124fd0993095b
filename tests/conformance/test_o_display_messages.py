"""Block O, display messages (Advanced User Interface): set, replaced, cleared, reported, refused.

What Part 6 leaves to an eye before the display is asked of `/api/messages`.
"""

from __future__ import annotations

import pytest

from tests.conformance import states
from tests.conformance.bench import Bench
from tests.conformance.cases import case, setup
from tests.conformance.display_messages import (
    CONTENT,
    MAIN_DISPLAY,
    MESSAGE_ID,
    OFFSET_S,
    PRIORITIES,
    SECOND_CONTENT,
    SECOND_ID,
    clear_all_messages,
    displayed_message_ids,
    equal_messages,
    is_displayed,
    message,
    messages_on_display,
    reported_message,
    reported_messages,
    request_messages,
    send_display_message,
    set_display_message,
)
from tests.conformance.frames import Payload

_CONTENTS = {
    "ASCII": CONTENT,
    "UTF8": "Bienvenue à cette borne, 30 €",
    "HTML": "<p>Welcome to <b>this</b> station</p>",
    "URI": "https://csms.example/welcome?station=1",
}
"""for each <Configured Message Format> a <Configured Message>"""


@pytest.fixture(autouse=True)
async def remove_earlier_messages(bench: Bench) -> None:
    """A station that was used before may still have messages."""
    await clear_all_messages(bench)


@PRIORITIES
@case("Advanced User Interface", "M", "UI-1 and UI-2")
async def test_tc_o_01_cs(bench: Bench, priority: str) -> None:
    """Set Display Message - Success"""
    for identity, (format, content) in enumerate(_CONTENTS.items()):
        sent = message(identity, content=content, format=format, priority=priority)
        assert await send_display_message(bench, sent) == "Accepted"
        assert await is_displayed(bench, identity)
        reported = await reported_message(bench, identity, request_id=100 + identity)
        assert reported["priority"] == priority
        assert reported["message"] == {"format": format, "content": content}
        assert reported == sent
    all_ids = set(range(len(_CONTENTS)))
    assert await displayed_message_ids(bench) == ({len(_CONTENTS) - 1} if priority == "AlwaysFront" else all_ids)


@case("Advanced User Interface", "M")
async def test_tc_o_02_cs(bench: Bench) -> None:
    """Get all Display Messages - Success"""
    sent = [await set_display_message(bench, message(identity, content=f"{identity}")) for identity in range(25)]
    assert equal_messages(await reported_messages(bench, 6), sent)
    parts = [f.payload for f in bench.journal.sent("NotifyDisplayMessages")]
    assert len(parts) > 1, "25 messages do not fit in one"  # O03.FR.03
    assert [part["tbc"] for part in parts] == [True] * (len(parts) - 1) + [False]  # O03.FR.04
    assert {part["requestId"] for part in parts} == {6}  # O03.FR.05


@case("Advanced User Interface", "M")
async def test_tc_o_03_cs(bench: Bench) -> None:
    """Get all Display Messages - No DisplayMessages configured"""
    assert await request_messages(bench) == "Unknown"
    await bench.silence("NotifyDisplayMessages", for_s=5.0)


@case("Advanced User Interface", "M")
async def test_tc_o_04_cs(bench: Bench) -> None:
    """Clear Display Message - Success"""
    await set_display_message(bench)
    assert (await bench.call("ClearDisplayMessage", {"id": MESSAGE_ID}))["status"] == "Accepted"
    assert await request_messages(bench, id=[MESSAGE_ID]) == "Unknown"
    assert not await is_displayed(bench)


@case("Advanced User Interface", "M")
async def test_tc_o_05_cs(bench: Bench) -> None:
    """Clear Display Message - Unknown Key"""
    assert (await bench.call("ClearDisplayMessage", {"id": MESSAGE_ID}))["status"] == "Unknown"


@case("Advanced User Interface", "M")
async def test_tc_o_07_cs(bench: Bench) -> None:
    """Get a Specific Display Message - Id"""
    sent = await set_display_message(bench)
    await set_display_message(bench, message(SECOND_ID))
    assert await reported_messages(bench, 9, id=[MESSAGE_ID]) == [sent]
    assert len(await reported_messages(bench, 10, id=[MESSAGE_ID, SECOND_ID, 999])) == 2


@PRIORITIES
@case("Advanced User Interface", "M", "UI-1")
async def test_tc_o_08_cs(bench: Bench, priority: str) -> None:
    """Get a Specific Display Message - Priority"""
    kinds = ("AlwaysFront", "InFront", "NormalCycle")
    sent = {kind: await set_display_message(bench, message(number, priority=kind)) for number, kind in enumerate(kinds)}
    assert await reported_messages(bench, 11, priority=priority) == [sent[priority]]


@case("Advanced User Interface", "M")
async def test_tc_o_09_cs(bench: Bench) -> None:
    """Get a Specific Display Message - State"""
    await set_display_message(bench)
    for number, state in enumerate(("Charging", "Faulted", "Idle", "Unavailable")):
        sent = await set_display_message(bench, message(number, state=state))
        assert await reported_messages(bench, 12 + number, state=state) == [sent]


@case("Advanced User Interface", "M")
async def test_tc_o_11_cs(bench: Bench) -> None:
    """Get a Specific Display Message - Unknown parameters"""
    await set_display_message(bench)
    assert await request_messages(bench, id=[SECOND_ID]) == "Unknown"
    await bench.silence("NotifyDisplayMessages", for_s=5.0)


@case("Advanced User Interface", "M")
async def test_tc_o_12_cs(bench: Bench) -> None:
    """Set Display Message - Replace DisplayMessage"""
    await set_display_message(bench, message(state="Idle", endDateTime=bench.iso(600.0)))
    replacing = message(content="This message was replaced", priority="InFront", display=False)
    assert await send_display_message(bench, replacing) == "Accepted"
    assert await reported_messages(bench) == [replacing]  # with all its parameters, and none of the old one
    assert await is_displayed(bench)


@case("Advanced User Interface", "M")
async def test_tc_o_13_cs(bench: Bench) -> None:
    """Set Display Message - Display message at StartTime"""
    sent = message(startDateTime=bench.iso(OFFSET_S))
    assert await send_display_message(bench, sent) == "Accepted"
    reported = await reported_message(bench)
    assert reported["startDateTime"] == sent["startDateTime"]
    await bench.advance(OFFSET_S - 5.0)
    assert not await is_displayed(bench)
    await bench.advance(5.0)
    assert await is_displayed(bench)


@pytest.mark.smoke
@case("Advanced User Interface", "M")
async def test_tc_o_14_cs(bench: Bench) -> None:
    """Set Display Message - Remove message after EndTime"""
    sent = message(endDateTime=bench.iso(OFFSET_S))
    assert await send_display_message(bench, sent) == "Accepted"
    reported = await reported_message(bench)
    assert reported["endDateTime"] == sent["endDateTime"]
    await bench.advance(OFFSET_S - 5.0)
    assert await is_displayed(bench)
    await bench.advance(5.0)
    assert not await is_displayed(bench)
    assert await request_messages(bench, 14, id=[MESSAGE_ID]) == "Unknown"


@case("Advanced User Interface", "C", "NOT (UI-1.1 and UI-1.2 and UI-1.3)")
@setup(variables={"DisplayMessageCtrlr.SupportedPriorities": "NormalCycle"})
async def test_tc_o_17_cs(bench: Bench) -> None:
    """Set Display Message - NotSupportedPriority"""
    assert await bench.get_variable("DisplayMessageCtrlr", "SupportedPriorities") == "NormalCycle"
    for unsupported in ("AlwaysFront", "InFront"):
        assert await send_display_message(bench, message(priority=unsupported)) == "NotSupportedPriority"
    assert await send_display_message(bench, message()) == "Accepted"


@case("", "")
@setup(tables={"display": {"states": ["Charging", "Idle"]}})
async def test_tc_o_18_cs(bench: Bench) -> None:
    """Set Display Message - NotSupportedState"""
    for state in ("Faulted", "Unavailable"):
        assert await send_display_message(bench, message(state=state)) == "NotSupportedState"
    assert await send_display_message(bench, message(state="Idle")) == "Accepted"


@case("Advanced User Interface", "C", "NOT (UI-2.1 and UI-2.2 and UI-2.3 and UI-2.4)")
@setup(variables={"DisplayMessageCtrlr.SupportedFormats": "ASCII,UTF8"})
async def test_tc_o_19_cs(bench: Bench) -> None:
    """Set Display Message - NotSupportedMessageFormat"""
    assert await bench.get_variable("DisplayMessageCtrlr", "SupportedFormats") == "ASCII,UTF8"
    for format, content in _CONTENTS.items():
        expected = "NotSupportedMessageFormat" if format in {"HTML", "URI"} else "Accepted"
        assert await send_display_message(bench, message(content=content, format=format)) == expected


@PRIORITIES
@case("Advanced User Interface", "M")
async def test_tc_o_20_cs(bench: Bench, priority: str) -> None:
    """Set Display Message - Persistent over reboot"""
    sent = await set_display_message(bench, message(priority=priority))
    await states.booted(bench)
    reported = await reported_message(bench, request_id=20)
    assert reported["priority"] == priority
    assert reported["message"] == sent["message"]
    assert await is_displayed(bench)


@case("Advanced User Interface", "C", "UI-1.2")
async def test_tc_o_22_cs(bench: Bench) -> None:
    """Set Display Message - Multiple In front priority"""
    await set_display_message(bench, message(73, priority="NormalCycle"))
    assert await send_display_message(bench, message(priority="InFront")) == "Accepted"
    assert (
        await send_display_message(bench, message(SECOND_ID, priority="InFront", content=SECOND_CONTENT)) == "Accepted"
    )
    await reported_message(bench, request_id=22)
    await reported_message(bench, SECOND_ID, request_id=23)
    assert await messages_on_display(bench) == [MESSAGE_ID, SECOND_ID]
    assert await displayed_message_ids(bench) == {MESSAGE_ID, SECOND_ID}  # without the normal cycle


@case("Advanced User Interface", "C", "UI-1.1")
async def test_tc_o_24_cs(bench: Bench) -> None:
    """Set Display Message - Second Alwaysfront priority"""
    await set_display_message(bench, message(73, priority="InFront"))
    assert await send_display_message(bench, message(priority="AlwaysFront")) == "Accepted"
    assert await messages_on_display(bench) == [MESSAGE_ID]
    assert await send_display_message(bench, message(SECOND_ID, priority="AlwaysFront")) == "Accepted"
    assert await request_messages(bench, id=[MESSAGE_ID]) == "Unknown"
    await reported_message(bench, SECOND_ID, request_id=24)
    assert await messages_on_display(bench) == [SECOND_ID]
    assert await displayed_message_ids(bench) == {SECOND_ID}


@case("Advanced User Interface", "M")
async def test_tc_o_33_cs(bench: Bench) -> None:
    """Get a Specific Display Message - No DisplayMessages configured"""
    assert await request_messages(bench, id=[MESSAGE_ID]) == "Unknown"


@case("Advanced User Interface", "M")
async def test_tc_o_34_cs(bench: Bench) -> None:
    """Get a Specific Display Message - Known Id, but not matching State"""
    await set_display_message(bench, message(state="Charging"))
    assert await request_messages(bench, id=[MESSAGE_ID], state="Idle") == "Unknown"
    assert await request_messages(bench, id=[MESSAGE_ID], state="Charging") == "Accepted"
    await bench.expect("NotifyDisplayMessages")


@case("Advanced User Interface", "C", "( UI-1.1and UI-1.2) or ( UI-1.2 and UI-1.3) or ( UI-1.3and UI-1.1)")
async def test_tc_o_35_cs(bench: Bench) -> None:
    """Get a Specific Display Message - Known Id, but not matching Priority"""
    await set_display_message(bench, message(priority="InFront"))
    assert await request_messages(bench, id=[MESSAGE_ID], priority="NormalCycle") == "Unknown"
    assert await request_messages(bench, id=[MESSAGE_ID], priority="InFront") == "Accepted"
    await bench.expect("NotifyDisplayMessages")


# Requirements without a case


async def _answer(bench: Bench, wire: Payload) -> tuple[str, str]:
    """SetDisplayMessage: the status, and the reason code."""
    answer = await bench.call("SetDisplayMessage", {"message": wire})
    return answer["status"], answer.get("statusInfo", {}).get("reasonCode", "")


async def test_an_unknown_display_is_refused(bench: Bench) -> None:
    """O01.FR.22"""
    unknown: list[Payload] = [
        {"name": "Screen"},
        {"name": "Display", "instance": "2"},
        {"name": "Display", "evse": {"id": 1}},
        {"name": "Display", "evse": {"id": 1, "connectorId": 1}},
    ]
    for display in unknown:
        assert await _answer(bench, message() | {"display": display}) == ("Rejected", "InvalidValue")
    assert await request_messages(bench) == "Unknown"


@setup(evses=2, tables={"display": {"evses": [2]}})
async def test_a_message_is_only_for_its_display(bench: Bench) -> None:
    """O01.FR.20, O01.FR.21, O01.FR.23; each display has its own message in front"""
    of_evse: Payload = {"name": "display", "evse": {"id": 2}}
    await set_display_message(bench, message(1, priority="AlwaysFront", display=False))
    await set_display_message(bench, message(2, priority="AlwaysFront") | {"display": of_evse})
    await set_display_message(bench, message(3) | {"display": of_evse})
    assert await messages_on_display(bench) == [1, 2]
    assert (await reported_message(bench, 1)).get("display") is None
    assert (await reported_message(bench, 2))["display"] == of_evse
    answer = await bench.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    assert answer["status"] == "Accepted"
    displays: list[Payload] = []
    while True:
        part = await bench.expect("NotifyReport")
        displays += [
            row["component"]
            for row in part["reportData"]
            if row["component"]["name"] == "Display" and row["variable"]["name"] == "Available"
        ]
        if not part["tbc"]:
            break
    assert displays == [MAIN_DISPLAY, {"name": "Display", "evse": {"id": 2}}]


async def test_as_many_messages_as_the_limit_says(bench: Bench) -> None:
    """O01.FR.11: one more is Rejected, one in place of another is not; DisplayMessages counts them"""
    (row,) = await _report_of(bench, "DisplayMessageCtrlr", "DisplayMessages")
    most = int(row["variableCharacteristics"]["maxLimit"])
    for identity in range(most):
        await set_display_message(bench, message(identity, content=f"{identity:03d} " + "é" * 508))
    assert await bench.get_variable("DisplayMessageCtrlr", "DisplayMessages") == str(most)
    assert await _answer(bench, message(most)) == ("Rejected", "TooManyElements")
    assert await _answer(bench, message(0, content="replaced")) == ("Accepted", "")
    found = await reported_messages(bench)
    assert len(found) == most
    assert found[0]["message"]["content"] == "replaced"
    # Two messages with AlwaysFront count as one.
    assert await _answer(bench, message(1, priority="AlwaysFront")) == ("Accepted", "")
    assert await _answer(bench, message(most, priority="AlwaysFront")) == ("Accepted", "")
    assert await bench.get_variable("DisplayMessageCtrlr", "DisplayMessages") == str(most)


async def _report_of(bench: Bench, component: str, variable: str) -> list[Payload]:
    item: Payload = {"component": {"name": component}, "variable": {"name": variable}}
    answer = await bench.call("GetReport", {"requestId": 1, "componentVariable": [item]})
    assert answer["status"] == "Accepted", answer
    return (await bench.expect("NotifyReport"))["reportData"]


async def test_a_message_that_cannot_be_shown_is_refused(bench: Bench) -> None:
    """The reason names what is wrong; nothing is stored"""
    invalid = [
        message(format="ASCII", content="30 €"),
        message(content="bell \x07"),
        message(content=" "),
        message(message={"format": "UTF8", "content": "Hej", "language": "s v"}),
        message(endDateTime=bench.iso(-1.0)),
        message(startDateTime=bench.iso(60.0), endDateTime=bench.iso(30.0)),
    ]
    for wire in invalid:
        assert await _answer(bench, wire) == ("Rejected", "InvalidValue"), wire
    assert await _answer(bench, message(format="URI", content="no uri")) == ("Rejected", "InvalidURL")
    assert await request_messages(bench) == "Unknown"


async def test_disabled_messages_are_refused_and_not_shown(bench: Bench) -> None:
    """DisplayMessageCtrlr.Enabled"""
    await set_display_message(bench)
    await bench.configure("DisplayMessageCtrlr", "Enabled", "false")
    assert not await is_displayed(bench)
    assert await _answer(bench, message(SECOND_ID)) == ("Rejected", "NotEnabled")
    await bench.configure("DisplayMessageCtrlr", "Enabled", "true")
    assert await is_displayed(bench)
