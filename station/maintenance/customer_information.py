"""Reports and erases the data stored of a customer (OCPP 2.0.1 N09, N10).

A customer is identified by id tokens. The authorization cache forgets them at once; the local authorization list keeps
them, since only the CSMS changes it (N10.FR.03). Transactions stay on record without
token; but an event that the CSMS has not received yet, or of a running transaction, is billing data, and is made
anonymous afterwards. Signed records are reported and stay (docs/adr/0010).
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

from foundation.frozen import Frozen
from station.core.model import EventType, IdToken
from station.maintenance import signed_data_erasure as signed_traces
from station.maintenance.found_rows import find_keys
from station.storage.database import Database
from station.storage.payloads import READABLE
from station.storage.recorded_register import last_register

if TYPE_CHECKING:
    from foundation.clock import Clock
    from station.charging.authorization.authorization_cache import AuthorizationCache, Key
    from station.charging.authorization.local_list import LocalAuthorizationList
    from station.charging.authorization.owner_cards import OwnerCards
    from station.charging.reservations.reservation import Reservation
    from station.charging.reservations.reservations import Reservations
    from station.core.model import IdTokenInfo, TransactionEvent
    from station.security.certificates.certificate_checks import CertificateHash
    from station.security.certificates.contract_records import ContractRecords
    from station.storage.outbox import Outbox
    from station.storage.set_aside_rows import SetAsideRows

_log = logging.getLogger(__name__)

MAX_TRANSACTIONS = 500
"""most transactions in one report, the newest: some 150 messages to the CSMS"""
_RETRY_S = 3_600.0
_CONTRACT = "eMAID"
"""the type of id tokens that vehicles present with a contract certificate"""

_VALUE = f"lower(json_extract({READABLE}, '$.id_token.value'))"
_TYPE = f"json_extract({READABLE}, '$.id_token.type')"
_OF_TOKEN = f"{_VALUE} = ? AND {_TYPE} = ?"
_LOGGED_ONLY = (
    "token = ? COLLATE NOCASE AND token_type = ? AND began_at <= ? AND NOT EXISTS"
    f" (SELECT 1 FROM events WHERE events.transaction_id = transactions.transaction_id AND {_OF_TOKEN})"
)
"""a transaction in the log with a token that none of its events has"""


class Customer(Frozen):
    """Whose data is meant: an id token, or an identifier that is the value or in the additional info of id tokens."""

    id_token: IdToken | None = None
    identifier: str | None = None


class RemainingRecords(Frozen):
    """How many records keep the token after a customer was cleared."""

    needed: int
    """events that still need the token, and are cleared afterwards"""
    signed: int
    """signed records, which stay"""
    listed: int
    """entries of the local authorization list, which stay until the CSMS removes them"""


class StoredTokens(Frozen):
    """Where the station stores id tokens."""

    cache: AuthorizationCache
    local_list: LocalAuthorizationList
    cards: OwnerCards


class CustomerInformation:
    """Reports and erases what the station has stored of a customer: cache, cards, reservations, transactions.

    It also reports the customer's entry in the local authorization list, and leaves it there.
    """

    def __init__(
        self,
        tokens: StoredTokens,
        reservations: Reservations,
        contracts: ContractRecords,
        outbox: Outbox,
        database: Database,
        set_aside_rows: SetAsideRows,
        clock: Clock,
    ) -> None:
        """`set_aside_rows`: rows that a safe start has set aside, which are reported as a number and erased too."""
        self._tokens = tokens.cache
        self._local_list = tokens.local_list
        self._reservations = reservations
        self._contracts = contracts
        self._cards = tokens.cards
        self._outbox = outbox
        self._database = database
        self._set_aside_rows = set_aside_rows
        self._clock = clock

    async def customer_of_certificate(self, named: CertificateHash) -> Customer | None:
        """The customer of a contract certificate that a vehicle has presented; None: it is not recorded.

        Raises:
            StorageError: the records cannot be read.
        """
        emaid = await self._contracts.emaid_of(named)
        return Customer(IdToken(emaid, _CONTRACT)) if emaid is not None else None

    async def report(self, customer: Customer) -> str:
        """Collect everything that is stored of a customer, as lines of text; empty if there is nothing. Sends nothing.

        Raises:
            StorageError: the records cannot be read.
        """
        keys = await self._keys(customer)
        cached = [(key, info) for key, info in self._tokens.entries() if key in keys]
        lines = [f"Authorization cache: {_token_text(*key)}, {info.status.value}" for key, info in cached]
        lines += [
            f"Local authorization list: {_token_text(token.value, token.type)}, {info.status.value}"
            for token, info in await self._local_list_entries(keys)
        ]
        cards = [card for card in self._cards.all_with_removed() if card.id_token.key in keys]
        lines += [f"Owner's card: {_token_text(*card.id_token.key)}, {card.label}" for card in cards]
        for value, kind in keys:
            serial_numbers = await self._contracts.serial_numbers_of(value) if kind == _CONTRACT else []
            lines += [f"Contract certificate: serial number {number}, eMAID {value}" for number in serial_numbers]
        lines += [
            _reservation_line(reservation)
            for reservation in self._reservations.pending
            if reservation.id_token.key in keys
        ]
        transactions = await self._transaction_ids(keys)
        lines += [
            _transaction_line(transaction_id, await self._outbox.events(transaction_id))
            for transaction_id in transactions
        ]
        lines += await self._log_only_lines(keys, transactions)
        if aside := sum([await self._set_aside_rows.count_of_token(*key) for key in keys]):
            lines.append(f"Set aside after failed starts: {aside} entries of cache, cards and reservations")
        if signed := await self._signed_record_count(keys):
            lines.append(f"Signed records: {signed}, kept as proof of the billed energy")
        return "\n".join(lines)

    async def _log_only_lines(self, keys: Collection[Key], reported: Collection[str]) -> list[str]:
        """Lines of transactions whose events are deleted already, from the transaction log."""
        lines: list[str] = []
        for key in keys:
            rows = await self._database.long_query(
                "SELECT transaction_id, evse_id, began_at, ended_at FROM transactions"
                " WHERE token = ? COLLATE NOCASE AND token_type = ? ORDER BY number DESC LIMIT ?",
                (*key, MAX_TRANSACTIONS),
            )
            lines += [
                f"Transaction {transaction_id}: EVSE {evse_id}, {_token_text(*key)}, from {began_at} until {ended_at}"
                for transaction_id, evse_id, began_at, ended_at in rows
                if transaction_id not in reported
            ]
        return lines

    async def _local_list_entries(self, keys: Collection[Key]) -> list[tuple[IdToken, IdTokenInfo]]:
        """The entries of these tokens in the local authorization list."""
        entries = [entry for value in {key[0] for key in keys} for entry in await self._local_list.entries_of(value)]
        return [entry for entry in entries if entry[0].key in keys]

    async def _signed_record_count(self, keys: Collection[Key]) -> int:
        return sum([await signed_traces.count_signed_records(self._database, key) for key in keys])

    async def clear(self, customer: Customer) -> RemainingRecords:
        """Erase the data of a customer, except signed records; `run` erases later what is still needed.

        Cards and cache entries are removed; transactions stay without token. Returns what remains.

        Raises:
            StorageError: not everything is erased.
        """
        keys = await self._keys(customer)
        await self._outbox.flush()  # stores which events the CSMS has received
        now = self._clock.now().isoformat()
        needed = 0
        for key in keys:
            await self._tokens.forget(IdToken(*key))
            await self._cards.remove_token(IdToken(*key))
            await self._reservations.forget(IdToken(*key))
            if key[1] == _CONTRACT:
                await self._contracts.forget(key[0])
            await self._set_aside_rows.delete_of_token(*key)
            needed += await self._make_anonymous(key, now)
        return RemainingRecords(
            needed, await self._signed_record_count(keys), len(await self._local_list_entries(keys))
        )

    async def run(self) -> None:
        """Erase once an hour what `clear` could not erase yet and is not needed any more, until cancelled.

        Raises:
            StorageError: the disk cannot be read or written.
        """
        while True:
            rows = await self._database.rows("SELECT token, type, asked_at FROM customers_to_forget")
            for token, kind, requested_at in rows:
                # Late responses to events have put the token into the cache again.
                await self._tokens.forget(IdToken(str(token), str(kind)))
                await self._make_anonymous((str(token), str(kind)), str(requested_at))
            await self._clock.sleep(_RETRY_S)

    async def _keys(self, customer: Customer) -> Collection[Key]:
        """The id tokens of a customer."""
        if customer.id_token is not None:
            return {customer.id_token.key}
        identifier = (customer.identifier or "").casefold()
        rows = await self._database.long_query(
            f"SELECT DISTINCT {_VALUE}, {_TYPE}"
            f" FROM events WHERE {_VALUE} IS NOT NULL AND ({_VALUE} = ?1 OR EXISTS ("
            f"  SELECT 1 FROM json_each({READABLE}, '$.id_token.additional_info') AS info"
            "  WHERE lower(json_extract(info.value, '$[0]')) = ?1))"
            # The log keeps transactions longer than their events.
            " UNION SELECT lower(token), token_type FROM transactions WHERE token = ?1 COLLATE NOCASE",
            (identifier,),
        )
        cached = {key for key, _ in self._tokens.entries() if key[0] == identifier}
        cached |= {
            reservation.id_token.key
            for reservation in self._reservations.pending
            if reservation.id_token.key[0] == identifier
        }
        cached |= {card.id_token.key for card in self._cards.all_with_removed() if card.id_token.key[0] == identifier}
        cached |= {token.key for token, _ in await self._local_list.entries_of(identifier)}
        return cached | {(str(token), str(kind)) for token, kind in rows}

    async def _transaction_ids(self, keys: Collection[Key]) -> list[str]:
        ids: list[str] = []
        for key in keys:
            rows = await self._database.long_query(
                f"SELECT transaction_id FROM events WHERE {_OF_TOKEN}"
                " GROUP BY transaction_id ORDER BY MAX(id) DESC LIMIT ?",
                (*key, MAX_TRANSACTIONS),
            )
            ids += [str(row[0]) for row in rows]
        return ids

    async def _make_anonymous(self, key: Key, requested_at: str) -> int:
        """Remove a token from events that do not need it; if others do, store the request. Returns their number."""
        await self._erase_from_events(key, requested_at)
        await self._erase_from_log(key, requested_at)
        copies = await signed_traces.erase_copies(self._database, key, requested_at)
        rows = await self._database.long_query(
            f"SELECT COUNT(*) FROM events WHERE {_OF_TOKEN} AND occurred_at <= ?", (*key, requested_at)
        )
        if needed := max(int(str(rows[0][0])), copies):
            await self._database.write(
                "INSERT INTO customers_to_forget (token, type, asked_at) VALUES (?, ?, ?)"
                " ON CONFLICT (token, type) DO UPDATE SET asked_at = excluded.asked_at",
                (*key, requested_at),
            )
        else:
            await self._database.write("DELETE FROM customers_to_forget WHERE token = ? AND type = ?", key)
        return needed

    async def _erase_from_events(self, key: Key, requested_at: str) -> None:
        where, values = f"{_OF_TOKEN} AND occurred_at <= ?", (*key, requested_at)
        async for numbers in find_keys(self._database, "events", f"{where} AND NOT {signed_traces.NEEDED}", values):
            await self._database.write_many(
                "UPDATE events SET payload = json_set(payload, '$.id_token', NULL)"
                f" WHERE id = ? AND {where} AND {signed_traces.EVENT_NOT_NEEDED}",
                [(number, *values) for number in numbers],
            )

    async def _erase_from_log(self, key: Key, requested_at: str) -> None:
        """Remove a token from the log of transactions, except from those with an event that still has it."""
        values = (*key, requested_at, *key)
        async for numbers in find_keys(self._database, "transactions", _LOGGED_ONLY, values, key="number"):
            await self._database.write_many(
                f"UPDATE transactions SET token = NULL, token_type = NULL WHERE number = ? AND {_LOGGED_ONLY}",
                [(number, *values) for number in numbers],
            )


def _token_text(value: str, kind: str) -> str:
    """A token for the CSMS; without the value of a key code, which must not enter logs (C04.FR.04)."""
    return kind if kind == "KeyCode" else f"{kind} {value}"


def _reservation_line(reservation: Reservation) -> str:
    evse = f"EVSE {reservation.evse_id}" if reservation.evse_id is not None else "any EVSE"
    until = reservation.expires_at.isoformat(timespec="seconds")
    return f"Reservation {reservation.reservation_id}: {evse}, {_token_text(*reservation.id_token.key)}, until {until}"


def _transaction_line(transaction_id: str, events: list[TransactionEvent]) -> str:
    tokens = {_token_text(event.id_token.value, event.id_token.type) for event in events if event.id_token is not None}
    additional = {info for event in events if event.id_token is not None for info in event.id_token.additional_info}
    ended = [event for event in events if event.event_type is EventType.ENDED]
    registers = [last_register(events[:1]), last_register(events)]
    readings = [
        register.energy_import_wh
        for register in registers
        if register is not None and register.energy_import_wh is not None
    ]
    parts = [
        f"Transaction {transaction_id}: EVSE {events[0].evse_id}",
        *sorted(tokens),
        *(f"{kind} {value}" for value, kind in sorted(additional)),
        f"from {events[0].occurred_at.isoformat(timespec='seconds')}",
        f"until {ended[0].occurred_at.isoformat(timespec='seconds')}" if ended else "ongoing",
    ]
    if len(readings) == len(registers):
        parts.append(f"{readings[1] - readings[0]:.0f} Wh")
    return ", ".join(parts)
