"""Validates payloads against the JSON schemas of an edition of OCPP."""

from __future__ import annotations

import functools
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from msgspec import MsgspecError, convert
from msgspec.json import Encoder

from ocpp_handlers.wire.schema_types import payload_type
from ocpp_handlers.wire.schema_violation import SchemaViolation

if TYPE_CHECKING:
    from ocpp_handlers.wire.edition import Edition
    from ocpp_handlers.wire.schema_errors import SchemaErrors

_ENCODER: Final = Encoder()
_WAIVED_LIMITS: Final = {
    "SendLocalListRequest": ("localAuthorizationList", "minItems"),  # empty is allowed (D01.FR.04, D01.FR.05)
    "SetMonitoringLevelRequest": ("severity", "minimum"),  # out of range is Rejected (N05.FR.02), not a CALLERROR
}
"""by message: a field and the limit of its JSON schema that a requirement contradicts"""


class Schemas:
    """Validates payloads against the JSON schemas of an edition; each is read at its first use and cached.

    Almost all payloads are valid: those are recognized by msgspec. Only the others are validated by the schema itself.
    """

    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self._folder = _schema_folder(edition)
        self._types: dict[str, object] = {}
        self._errors: SchemaErrors | None = None

    def check_request(self, action: str, payload: object) -> SchemaViolation | None:
        """Validate the payload of a CALL; None if it is valid."""
        return self._violation(action, f"{action}Request", payload)

    def has_only_unknown_values(self, action: str, payload: object, field: str) -> bool:
        """Return whether an invalid request is valid but for texts in `field` that its enumeration does not have.

        `field` is a field of the request itself: an enumeration, or a list of one. False for a very large request.
        """
        return self._schema_errors().has_only_unknown_values(f"{action}Request", payload, field)

    def check_response(self, action: str, payload: object) -> SchemaViolation | None:
        """Validate the payload of a CALLRESULT to this action; None if it is valid."""
        return self._violation(action, f"{action}Response", payload)

    def check_unanswered(self, action: str, payload: object) -> SchemaViolation | None:
        """Validate the payload of a SEND; None if it is valid. `action`: one of `UnansweredAction`."""
        return None if self._accepts(action, payload) else self._schema_errors().violation(action, payload)

    def remove_unknown_fields(self, action: str, payload: object) -> object:
        """Remove nulls and unknown fields from the payload of a CALLRESULT, in place, and return it.

        Some CSMSs send `"idTokenInfo": null` for an absent field, or add fields of their own.
        """
        message = f"{action}Response"
        if self._accepts(message, payload):
            return payload
        return self._schema_errors().remove_unknown_fields(message, payload)

    def cut_request(self, action: str, payload: object) -> tuple[object, list[str]]:
        """Return the payload of an invalid CALL without the fields that its schema does not have, and their paths."""
        return self._without_unknown_fields(action, f"{action}Request", payload)

    def cut_response(self, action: str, payload: object) -> tuple[object, list[str]]:
        """Return the payload of an invalid CALLRESULT as `cut_request` does."""
        return self._without_unknown_fields(action, f"{action}Response", payload)

    def _without_unknown_fields(self, action: str, message: str, payload: object) -> tuple[object, list[str]]:
        if action not in self.edition.actions:
            return payload, []
        return self._schema_errors().without_unknown_fields(message, payload)

    def _violation(self, action: str, message: str, payload: object) -> SchemaViolation | None:
        # Action names come from the CSMS: only those of the edition are used to build a path.
        if action not in self.edition.actions:
            return SchemaViolation("NotImplemented", f"OCPP {self.edition.name} has no such action.")
        return None if self._accepts(message, payload) else self._schema_errors().violation(message, payload)

    def _accepts(self, message: str, payload: object) -> bool:
        """Return whether a payload is surely valid; False if the JSON schema has to decide."""
        kind = self._types.get(message)
        if kind is None:
            kind = self._types[message] = payload_type(json.loads(self._schema_text(message)))
        try:
            convert(payload, kind)
            _ENCODER.encode(payload)  # refuses unpaired surrogates, which JSON in UTF-8 does not have
        except (MsgspecError, ValueError, TypeError):  # the last one: an object that is not JSON
            return False
        return True

    def _schema_errors(self) -> SchemaErrors:
        if self._errors is None:
            from ocpp_handlers.wire.schema_errors import SchemaErrors  # late: 6 MiB, for invalid payloads only

            self._errors = SchemaErrors(self._schema_text)
        return self._errors

    def _schema_text(self, message: str) -> str:
        text = (self._folder / f"{message}.json").read_text(encoding="utf-8")
        if (limit := _WAIVED_LIMITS.get(message)) is not None:
            text = _without_limit(text, *limit)
        return text


@functools.cache
def shared_schemas(edition: Edition) -> Schemas:
    """The schemas of an edition that all stations of the process share, so that each is compiled once."""
    return Schemas(edition)


def _schema_folder(edition: Edition) -> Path:
    """The schema folder in the `ocpp` package; found without importing ocpp.v201, which takes 100 ms."""
    spec = find_spec("ocpp")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the ocpp package, which brings the schemas of OCPP, is not installed")
    return Path(spec.origin).parent / edition.schema_folder / "schemas"


def _without_limit(text: str, field: str, limit: str) -> str:
    """Remove a limit of a field, if it has it, from the JSON text of a schema."""
    schema = cast("dict[str, dict[str, dict[str, object]]]", json.loads(text))
    schema["properties"][field].pop(limit, None)
    return json.dumps(schema)
