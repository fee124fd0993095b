"""Which of the stored data of a station a backup contains: settings always, billing records on request.

What belongs to the board at hand or to the present moment stays where it is, and is in no backup: latches of
protection and tampering, the wear of the contactors, cables in the sockets, what was learned of the grid meter, limits
of an energy manager, firmware updates, log files and caches. So a restore can neither acknowledge an alarm nor bring
back an authorization that the CSMS has withdrawn since.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from foundation.frozen import Frozen

DATABASE: Final = "borne.sqlite"
"""the database file in the storage folder"""
ASIDE_PREFIX: Final = "aside_"
"""beginning of the names of tables with rows that a safe start has set aside"""


class Part(Frozen):
    """A part of the stored data, which a restore replaces as a whole."""

    tables: tuple[str, ...]
    """tables of the database"""
    fact_kinds: tuple[str, ...]
    """kinds of rows in table `facts`"""
    files: tuple[str, ...]
    """patterns of files and folders in the storage folder"""

    @property
    def facts_condition(self) -> str:
        """The SQL condition that selects the facts."""
        return " OR ".join(f"substr(name, 1, {len(kind) + 1}) = '{kind}/'" for kind in self.fact_kinds)

    def entries(self, storage: Path) -> list[str]:
        """The names of its files and folders that exist in a storage folder, sorted."""
        return sorted({path.name for pattern in self.files for path in storage.glob(pattern)})

    def includes(self, entry: str) -> bool:
        """Return whether a file or folder of the storage folder, given by its name, belongs to it."""
        return any(Path(entry).match(pattern) for pattern in self.files)


SETTINGS: Final = Part(
    tables=(
        "settings",
        "charging_profiles",
        "monitors",
        "monitor_states",
        "display_messages",
        "local_list",
        "local_list_state",
    ),
    fact_kinds=(
        "access-token",
        "account",
        "activation",
        "availability",
        "card",
        "charge-plan",
        "commissioning",
        "monitoring",
        "network",
        "prices",
        "priority",
        "shared-limit",
        "variable",
    ),
    files=("basic-auth.json", "certificates", "commissioning-report.json", "page.pem", "site-settings.json"),
)
"""settings, cards, prices, accounts, network profiles, certificates and their keys: what makes it this station"""
RECORDS: Final = Part(
    tables=(
        "events",
        "ended_samples",
        "awaited_ends",
        "transactions",
        "tariff_readings",
        "signing_keys",
        "signed_records",
        "security_events",
        "customers_to_forget",
        "reservations",
        "monitoring_events",
        "unreadable_rows",
    ),
    fact_kinds=("contract", "meter", "retention", "signing-key"),
    files=("grid-orders.jsonl", "register-journal.head", "register-journal.jsonl", "signing", "simulated-meter-*"),
)
"""billing records and what must fit them: events still to be sent, the keys that sign readings, and their pages"""
KEPT_TABLES: Final = ("authorization_cache", "firmware_updates", "firmware_statuses")
"""tables that are in no backup"""
KEPT_FACT_KINDS: Final = (
    "cable",
    "certificate-status",
    "contactor",
    "external-limit",
    "grid-meter",
    "log-upload",
    "residual-current",
    "tamper",
)
"""kinds of facts that are in no backup"""


class Manifest(Frozen):
    """The first entry of a backup: whose it is, and what it contains."""

    identity: str
    """the station's identity at the CSMS"""
    program: str
    """version of the program that made it"""
    database_version: int
    """number of the last migration of the database; 0: there is no database"""
    made_at: str
    """when it was made, by the clock of the machine (ISO 8601, UTC)"""
    with_records: bool
    """whether it contains the billing records"""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the stored data that it contains."""
        return (SETTINGS, RECORDS) if self.with_records else (SETTINGS,)


def files_below(storage: Path, part: Part) -> Iterator[Path]:
    """Yield the regular files of a part, those in its folders included, sorted; no unfinished ones."""
    for entry in part.entries(storage):
        path = storage / entry
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in found:
            if file.is_file() and not file.is_symlink() and not file.name.startswith("."):
                yield file
