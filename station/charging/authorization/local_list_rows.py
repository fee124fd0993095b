"""The local authorization list on disk: rows of tables `local_list` and `local_list_state`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from msgspec.structs import fields

from foundation.frozen import Frozen
from station.charging.authorization.authorization_cache import TOKEN_INFOS
from station.core.model import IdToken, IdTokenInfo
from station.storage.unreadable_rows import RowAddress

if TYPE_CHECKING:
    from station.charging.authorization.authorization_cache import Key
    from station.storage.sql import Row

TABLE: Final = "local_list"
STATE_TABLE: Final = "local_list_state"
STATE_ADDRESS: Final = RowAddress(STATE_TABLE, "1")
"""the only row of that table"""
OVERHEAD_BYTES: Final = 20
"""size of a row on disk besides its texts"""
_DEFAULTS: Final = {field.name: field.default for field in fields(IdTokenInfo) if not field.required}


class LocalListState(Frozen):
    """Version and size of the list, stored with each update."""

    version: int = 0
    """0: the CSMS has never sent a list"""
    entries: int = 0
    size_bytes: int = 0


def address_of(key: Key) -> RowAddress:
    """Build the address of a token's row for the list of unreadable rows; with a hash, since the token is secret."""
    return RowAddress(TABLE, hashlib.sha256("/".join(key).encode()).hexdigest()[:16])


def row_of(id_token: IdToken, info: IdTokenInfo) -> tuple[str, str, str, str | None]:
    """Build the row of a token: token, type, info as JSON without the attributes that have their default, spelling.

    The spelling is the token as the CSMS has sent it, if that is not in lower case.
    """
    without = [name for name, default in _DEFAULTS.items() if getattr(info, name) == default]
    spelling = id_token.value if id_token.value != id_token.key[0] else None
    return *id_token.key, TOKEN_INFOS.to_text(info, without=without), spelling


def info_of(row: Row) -> IdTokenInfo:
    """Parse a row of table `local_list`: token, type, info, spelling.

    Raises:
        ValueError: the row cannot be read.
    """
    return TOKEN_INFOS.from_text(row[2])


def token_of(row: Row) -> IdToken:
    """Parse the token of a row of table `local_list`, as the CSMS has spelled it; older rows are in lower case."""
    return IdToken(str(row[0] if row[3] is None else row[3]), str(row[1]))


def state_of(row: Row) -> LocalListState:
    """Parse a row of table `local_list_state`: version, entries, size_bytes.

    Raises:
        ValueError: the row cannot be read.
    """
    return LocalListState(*(int(str(value)) for value in row))


def size_bytes_of(row: Row) -> int:
    """Return the approximate size of a row of table `local_list` on disk, without the spelling of its token."""
    return sum(len(str(value).encode()) for value in row[:3]) + OVERHEAD_BYTES
