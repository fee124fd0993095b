"""The generated table of messages: each one of OCPP has a cause, and none is said twice."""

from __future__ import annotations

from tools.references.message_causes import OTHER_CAUSES, causes, page, uncaused


def test_every_message_of_ocpp_has_a_cause_in_a_shipped_scenario_or_a_sentence() -> None:
    assert uncaused() == set()
    assert {cause.action for cause in causes()} & OTHER_CAUSES.keys() == set()


def test_the_page_names_the_step_before_a_message_and_its_scenario() -> None:
    rows = page().splitlines()
    (row,) = (row for row in rows if row.startswith("| NotifyCustomerInformation |"))
    assert "call = " in row
    assert row.endswith("| `customer-information` |")
    assert any(row.startswith("| Authorize | `card = {") for row in rows)
    assert any(row.startswith("| ClearCache | `{}`") for row in rows)
