"""The configuration of a P1 port (DSMR and its relatives) as grid source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from msgspec import Meta

from energy.grid import GridSource
from energy.sources.grid_source_table import MeterPort, SerialSourceTable
from energy.sources.source_context import THREE_PHASES, SourceContext
from foundation.secret import Secret
from foundation.table_definition import Check

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foundation.clock import Clock

_KEY_BYTES: Final = 16


class P1Config(SerialSourceTable, tag_field="type", tag="p1"):
    """A meter whose P1 port (DSMR, Belgium, Luxembourg) reaches a serial device of this machine, or a serial server."""

    type: ClassVar[Literal["p1"]] = "p1"
    simulation_table: ClassVar[str] = "p1"
    wired_port: ClassVar[MeterPort] = MeterPort.P1
    version: Literal["auto", "old", "modern"] = "auto"
    """old: 2.2 and 3 (9600 7E1); modern: 4 and later (115200 8N1); auto tries both"""
    key: Annotated[Secret | None, Meta(examples=["00112233445566778899AABBCCDDEEFF"])] = None
    """decryption key from the grid operator, 32 hex digits, if telegrams are encrypted (Luxembourg)"""
    authentication_key: Annotated[Secret | None, Meta(examples=["00112233445566778899AABBCCDDEEFF"])] = None
    """32 hex digits; that of Luxembourg when absent"""

    @classmethod
    def field_checks(cls) -> Mapping[str, Check]:
        """Both keys have 32 hexadecimal digits."""
        return {"key": _check_key, "authentication_key": _check_key}

    def open(self, clock: Clock, context: SourceContext = THREE_PHASES) -> GridSource:
        """Make the source; the device is opened when samples are requested."""
        # late: the parser, serialx, and cryptography
        from energy.sources.p1_source import P1Keys, p1_source

        keys = P1Keys(_key_bytes(self.key), _key_bytes(self.authentication_key))
        return p1_source(self.device, self.version, keys, clock, context)


def _check_key(key: Secret) -> None:
    if _key_bytes(key) is None:
        raise ValueError(f"must be {2 * _KEY_BYTES} hexadecimal digits")


def _key_bytes(key: Secret | None) -> bytes | None:
    try:
        found = bytes.fromhex(key.get_secret_value()) if key is not None else b""
    except ValueError:
        return None
    return found if len(found) == _KEY_BYTES else None
