"""Who may use a route: the station's own rows first, then those of further routes, and service for all others."""

from __future__ import annotations

from station.interfaces.access.permissions import OTHERS, OWN_ROUTES, Permission, Permissions
from station.security.access.accounts import Role

FURTHER = (
    Permission("GET", "/api/extra/*/state", Role.VISITOR, logs_changes=False),
    Permission("*", "/api/extra/**", Role.OWNER, logs_changes=False),
    Permission("*", "/api/firmware", Role.VISITOR),
)


def test_further_routes_have_the_first_of_their_permissions_that_fits() -> None:
    permissions = Permissions(FURTHER)
    assert permissions.of("GET", "/api/extra/1/state") is FURTHER[0]
    assert permissions.of("HEAD", "/api/extra/1/state") is FURTHER[0]
    assert permissions.of("POST", "/api/extra/1/state") is FURTHER[1]
    assert permissions.of("PUT", "/api/extra/1/2/3") is FURTHER[1]


def test_further_routes_cannot_loosen_a_permission_of_the_station() -> None:
    declared = (Permission("POST", "/api/firmware", Role.SERVICE),)
    assert Permissions(FURTHER, declared).of("POST", "/api/firmware").least is Role.SERVICE


def test_a_path_that_no_row_names_is_for_service_only() -> None:
    assert Permissions(FURTHER).of("GET", "/api/nowhere") is OTHERS
    assert OWN_ROUTES.of("GET", "/api/extra/1/state") is OTHERS
    assert OWN_ROUTES.of("GET", "/api/sim/evses/1/circuit") is OTHERS
    assert OTHERS.least is Role.SERVICE
