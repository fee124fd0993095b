"""The configuration of a P1 port (DSMR and its relatives) as grid source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from energy.grid import GridSource
from energy.sources.source_context import THREE_PHASES, SourceContext

if TYPE_CHECKING:
    from foundation.clock import Clock

_KEY_BYTES: Final = 16


class P1Config(BaseModel):
    """Configuration of a meter whose P1 port reaches a serial device of this machine, or a serial server."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    type: Literal["p1"]
    device: Annotated[str, Field(min_length=1)]
    """path of the serial device, or `socket://host:port` of a serial server or dongle"""
    version: Literal["auto", "old", "modern"] = "auto"
    """old: 2.2 and 3 (9600 7E1); modern: 4 and later (115200 8N1); auto tries both"""
    key: SecretStr | None = None
    """decryption key from the grid operator, 32 hex digits, if telegrams are encrypted (Luxembourg)"""
    authentication_key: SecretStr | None = None
    """32 hex digits; that of Luxembourg when absent"""

    @field_validator("key", "authentication_key")
    @classmethod
    def _is_a_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and _bytes(key) is None:
            raise ValueError(f"must be {2 * _KEY_BYTES} hexadecimal digits")
        return key

    def open(self, clock: Clock, context: SourceContext = THREE_PHASES) -> GridSource:
        """Make the source; the device is opened when samples are requested."""
        # late: the parser, serialx, and cryptography
        from energy.sources.p1_source import P1Keys, P1Source

        keys = P1Keys(_bytes(self.key), _bytes(self.authentication_key))
        return P1Source(self.device, self.version, keys, clock, context)


def _bytes(key: SecretStr | None) -> bytes | None:
    try:
        found = bytes.fromhex(key.get_secret_value()) if key is not None else b""
    except ValueError:
        return None
    return found if len(found) == _KEY_BYTES else None
