"""Commissions a station of a walk over its local API, step by step."""

from __future__ import annotations

from typing import Any, cast

from tests.walks.visit import Api

PLAIN: tuple[dict[str, Any], ...] = (
    {"step": "identity", "by": "A. Installer", "identity": "BORNE-TEST"},
    {"step": "site", "name": "Home", "address": "Main Street 1", "place": "garage, left wall"},
    {"step": "network"},
    {"step": "breaker", "rating_a": 32, "curve": "C"},
    {"step": "wiring", "cross_section_mm2": 6, "terminals_tightened": True, "cover_tightened": True},
    {"step": "residual", "external_type_b": True},
)
"""the steps of a station with a CSMS and no further equipment"""


async def try_step(api: Api, **body: Any) -> dict[str, Any]:
    """Test a step; returns the response."""
    answer = await api.client.post("/api/commissioning/steps", json=body)
    assert answer.status_code == 200, answer.text
    return cast("dict[str, Any]", answer.json())


async def skip_test(api: Api) -> None:
    """Skip the test session."""
    await api.post("/api/commissioning/steps/test-session/skip", {"reason": "no vehicle"}, status=200)


async def commission(api: Api) -> dict[str, Any]:
    """Do all steps, and complete commissioning."""
    for body in PLAIN:
        result = await try_step(api, **body)
        assert result["settled"], result
    await skip_test(api)
    return await api.post("/api/commissioning")
