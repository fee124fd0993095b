"""The OpenAPI document of a station with simulated hardware, and the role that each operation needs.

The only module of the references that assembles a station.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from borne.composition.station_assembly import host_process
from station.configuration.installation_file import Configuration
from station.interfaces.access.permissions import Permissions
from station.interfaces.application import build_application
from station.interfaces.json_object import Json
from station.storage.storage_lock import StorageLock


@dataclass(frozen=True)
class Api:
    """The OpenAPI document of the API, and the permissions of its operations."""

    document: Json
    permissions: Permissions

    def role(self, method: str, path: str) -> str:
        """The least role of an operation; `path` as in the document."""
        return self.permissions.of(method.upper(), path).required_role.name.lower()


def api() -> Api:
    """The API of a station that is assembled but not started."""
    with tempfile.TemporaryDirectory() as place, StorageLock(Path(place)) as lock:
        configuration = Configuration.from_tree({"station": {"identity": "BORNE-0001", "storage": place}})
        station = host_process(configuration, lock=lock).station
        app = build_application(station.further_routes)
        return Api(app.openapi(), _permissions(app))


def _permissions(app: FastAPI) -> Permissions:
    """The permissions that the access control of the application enforces."""
    for middleware in app.user_middleware:
        if isinstance(permissions := middleware.kwargs.get("permissions"), Permissions):
            return permissions
    raise LookupError("no middleware enforces permissions")
