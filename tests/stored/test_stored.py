"""A storage of each released version opens completely: nothing is skipped, all is as it was, and what waits goes on."""

from __future__ import annotations

import ast
import base64
import contextlib
import json
import logging
import re
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import time, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace
from pydantic import TypeAdapter

from borne.journal_file import check_journal_file, export_entries
from borne.station_settings import StationSettings
from energy.charging_profile import ChargingProfile
from energy.tariff import ChargePlan, TariffMode
from metering import ocmf
from metering.ocmf_keys import read_key
from metering.ocmf_signature import check_signature
from ocpp_handlers.translate.translate import event_to_wire
from simulator.clock import VirtualClock
from simulator.register import EnergyRegister
from station.billing.price import Bill, PriceList
from station.billing.transaction_log import TransactionLog, TransactionQuery
from station.charging.authorization.authorization_cache import AuthorizationCache
from station.charging.authorization.local_list import LocalAuthorizationList
from station.core.model import EventType, Fault, IdTokenInfo, TransactionEvent
from station.core.version import package_version
from station.maintenance.firmware.record import FirmwareRecord
from station.maintenance.firmware.state import UpdateOrder
from station.security.certificates.contract_records import ContractRecords
from station.storage import payloads
from station.storage.database import Database
from station.storage.fact_store import FactStore
from station.storage.outbox import Outbox
from station.storage.settings_table import SettingsTable
from tests import project
from tests.csms import Csms, Payload, running_csms
from tests.databases import open_database
from tests.stored.make import (
    CARD,
    CONTRACT,
    FORGOTTEN,
    FORMER_CARD,
    OWN_CARD,
    all_settings,
    profiles,
    visiting,
)
from tests.stored.storage import DATABASE, PASSWORDS, Stored, all_stored, station_configuration, tables
from tests.walk import Walk, powered

STORED = all_stored()
EACH = pytest.mark.parametrize("stored", STORED, ids=lambda stored: stored.version)
NEWEST = STORED[-1]
UNREADABLE = re.compile(r"cannot be read|left out|does not exist any more|its default is used|set aside|cannot be used")
CUT_FOR = timedelta(minutes=10)
"""how long the station was without power"""


# What is in a fixture


def _database_of(stored: Stored, folder: Path) -> sqlite3.Connection:
    stored.restore(folder)
    return sqlite3.connect(folder / DATABASE)


def _rows_by_column(database: sqlite3.Connection, table: str) -> list[dict[str, object]]:
    """Return the rows of a table by the names of their columns."""
    cursor = database.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
    names = [str(column[0]) for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def contains(now: object, before: object) -> bool:
    """Whether all of `before` is in `now`: a later release may know of more fields, and of none less."""
    match before, now:
        case dict(), dict():
            old, new = cast("dict[str, object]", before), cast("dict[str, object]", now)
            return all(key in new and contains(new[key], value) for key, value in old.items())
        case list(), list():
            olds, news = cast("list[object]", before), cast("list[object]", now)
            return len(olds) == len(news) and all(map(contains, news, olds))
        case _:
            return before == now


def test_this_release_has_a_fixture_of_its_own() -> None:
    """Before a version is published: `python -m tests.stored.make`."""
    assert NEWEST.version == package_version()


async def test_every_table_that_the_migrations_make_is_in_the_fixture_of_this_release(tmp_path: Path) -> None:
    async with open_database(tmp_path / "new" / DATABASE, VirtualClock()):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "new" / DATABASE)) as database:
        created = set(tables(database))
    with contextlib.closing(_database_of(NEWEST, tmp_path / "stored")) as database:
        filled = {name for name, rows in tables(database).items() if rows}
    assert len(created) > 10
    assert created - filled == {"unreadable_rows"}  # empty, since every row of a fixture can be read


@pytest.mark.parametrize(
    "stored", STORED[4:], ids=lambda stored: stored.version
)  # 0.5.0 was the first that knew contracts
async def test_the_contract_of_a_driver_is_found_and_forgotten(stored: Stored, tmp_path: Path) -> None:
    with contextlib.closing(_database_of(stored, tmp_path)) as database:
        names = [str(row["name"]) for row in _rows_by_column(database, "facts")]
    [key] = [name.partition("/")[2] for name in names if name.startswith("contract/")]
    clock = VirtualClock()
    async with open_database(tmp_path / DATABASE, clock) as database:
        records = ContractRecords(FactStore(database, "contract"), clock)
        assert await records.serial_numbers_of(CONTRACT) == [key.rpartition("-")[2]]
        await records.forget(CONTRACT)
        assert await FactStore(database, "contract").load() == {}


def _kinds_of_module(file: Path) -> Iterator[str]:
    """The kinds of facts that a module writes or reads, as its calls name them."""
    tree = project.tree(file)
    constants = {
        target.id: node.value.value
        for statement in tree.body
        for node in [statement]
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Constant)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        place = {"facts": 0, "FactStore": 1, "save_fact": 1}.get(called)
        if place is None or len(node.args) <= place:
            continue
        name = node.args[place]
        if isinstance(name, ast.Constant):
            yield str(name.value)
        elif isinstance(name, ast.Name) and name.id in constants:
            yield str(constants[name.id])
        elif called == "save_fact" and not _is_defined_in(tree, "save_fact"):  # a name that is put together
            yield from _beginnings(tree)


def _is_defined_in(tree: ast.Module, name: str) -> bool:
    return any(getattr(node, "name", None) == name for node in tree.body)


def _beginnings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"^([a-z-]+)/[a-z/]*$", node.value)


def kinds_of_facts() -> set[str]:
    """The kinds of facts that the program can write."""
    return {kind for file in project.modules().values() for kind in _kinds_of_module(file)}


def test_every_kind_of_fact_that_the_program_can_write_is_in_the_fixture_of_this_release() -> None:
    kinds = kinds_of_facts()
    assert {"network", "tamper", "availability", "card", "signing-key"} <= kinds, "the search has gone blind"
    assert kinds == NEWEST.kinds_of_facts()


def test_no_fact_of_a_release_is_of_a_kind_that_nobody_reads() -> None:
    kinds = kinds_of_facts()
    for stored in STORED:
        assert stored.kinds_of_facts() <= kinds, stored.version


def test_every_setting_is_in_the_fixture_of_this_release_and_most_are_not_as_usual(tmp_path: Path) -> None:
    with contextlib.closing(_database_of(NEWEST, tmp_path)) as database:
        rows = {str(name): str(value) for name, value in database.execute("SELECT name, value FROM settings")}
    assert rows.keys() == {setting.name for setting in all_settings()}
    usual = {setting.name for setting in all_settings() if setting.format(setting.default) == rows[setting.name]}
    assert usual == {"sampled_data_enabled", "smart_charging_enabled", "auth_cache_enabled"}


def test_every_field_of_an_event_has_a_value_somewhere_in_the_fixture_of_this_release(tmp_path: Path) -> None:
    with contextlib.closing(_database_of(NEWEST, tmp_path)) as database:
        texts = [str(text) for (text,) in database.execute("SELECT payload FROM events")]
        texts += [str(text) for (text,) in database.execute("SELECT payload FROM awaited_ends")]
    events = [json.loads(text) for text in texts]
    filled = {name for event in events for name, value in event.items() if value not in (None, [], False)}
    assert set(events[0]) == filled
    assert {event["event_type"] for event in events} == {"Started", "Updated", "Ended"}
    assert len({event["trigger"] for event in events}) >= 9


@EACH
def test_a_fixture_names_no_machine_and_no_secret_but_its_own(stored: Stored) -> None:
    for file in stored.folder.rglob("*"):
        if file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            assert not re.search(r"/(?:tmp|home|root|work|var)/", text), file
            assert not any(password in text for password in PASSWORDS.values()), file


# What the stores make of it


@dataclass
class Opened:
    """The database of a fixture, opened by the present program."""

    database: Database
    clock: VirtualClock
    rows: dict[str, list[dict[str, object]]]
    """the rows of each table before the present program opened it"""

    def column(self, table: str, name: str) -> list[str]:
        """Return the texts of a column without NULLs."""
        return [str(row[name]) for row in self.rows[table] if row[name] is not None]


@contextlib.asynccontextmanager
async def opened(stored: Stored, folder: Path) -> AsyncGenerator[Opened]:
    """Open the database of a fixture."""
    with contextlib.closing(_database_of(stored, folder)) as database:
        rows = {name: _rows_by_column(database, name) for name in tables(database)}
    clock = VirtualClock(start=stored.ended_at)
    async with open_database(folder / DATABASE, clock) as found:
        yield Opened(found, clock, rows)


@EACH
async def test_opening_a_storage_leaves_every_row_as_it_was(stored: Stored, tmp_path: Path) -> None:
    async with opened(stored, tmp_path) as storage:
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        for name, before in storage.rows.items():
            assert contains(_rows_by_column(database, name), before), name


STORED_TYPES = {
    ("charging_profiles", "payload"): ChargingProfile,
    ("firmware_updates", "payload"): UpdateOrder,
    ("authorization_cache", "info"): IdTokenInfo,
    ("transactions", "prices"): PriceList,
    ("transactions", "bill"): Bill,
}
"""what is stored as JSON of its fields, besides events and samples"""


@EACH
@pytest.mark.parametrize(("place", "kind"), STORED_TYPES.items(), ids=[".".join(place) for place in STORED_TYPES])
async def test_what_is_stored_as_json_is_read_and_written_again_with_the_same_content(
    stored: Stored, tmp_path: Path, place: tuple[str, str], kind: type
) -> None:
    adapter: TypeAdapter[object] = TypeAdapter(kind)
    async with opened(stored, tmp_path) as storage:
        texts = storage.column(*place)
    assert texts
    for text in texts:
        assert contains(json.loads(adapter.dump_json(adapter.validate_json(text))), json.loads(text))


@EACH
async def test_every_event_and_sample_is_read_and_written_again_with_the_same_content(
    stored: Stored, tmp_path: Path
) -> None:
    async with opened(stored, tmp_path) as storage:
        events = storage.column("events", "payload") + storage.column("awaited_ends", "payload")
        samples = storage.column("ended_samples", "payload")
    assert len(events) > 50
    assert len(samples) > 10
    for text in events:
        assert contains(json.loads(payloads.event_to_text(payloads.event_from_text(text))), json.loads(text))
    for text in samples:
        assert contains(json.loads(payloads.value_to_text(payloads.value_from_text(text))), json.loads(text))


@EACH
async def test_the_record_has_every_event_sample_and_end_of_every_transaction(
    stored: Stored, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(stored, tmp_path) as storage:
        outbox = Outbox(storage.database, storage.clock)
        await outbox.check()
        counted = 0
        for identity in {str(row["transaction_id"]) for row in storage.rows["events"]}:
            numbers = {row["seq_no"] for row in storage.rows["events"] if row["transaction_id"] == identity}
            assert {event.seq_no for event in await outbox.events(identity)} == numbers
            counted += len(await outbox.end_data.samples(identity))
        assert counted == len(storage.rows["ended_samples"])
        for row in storage.rows["awaited_ends"]:
            end = await outbox.end_data.find_end(str(row["transaction_id"]))
            assert end is not None
            assert end.transaction_id == row["transaction_id"]
        assert await outbox.count_waiting() == sum(1 for row in storage.rows["events"] if row["settled_at"] is None)
        ended = {row["transaction_id"] for row in storage.rows["events"] if row["event_type"] == "Ended"}
        assert (
            set(await outbox.open_transactions()) == {row["transaction_id"] for row in storage.rows["events"]} - ended
        )
    assert not UNREADABLE.search(caplog.text)


@EACH
async def test_the_log_of_transactions_has_each_with_its_registers_prices_and_bill(
    stored: Stored, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(stored, tmp_path) as storage:
        log = TransactionLog(storage.database)
        found = {
            transaction.transaction_id: transaction for transaction in (await log.find(TransactionQuery())).transactions
        }
        assert len(found) == len(storage.rows["transactions"])
        for row in storage.rows["transactions"]:
            transaction = found[str(row["transaction_id"])]
            registers = [transaction.begin.energy_wh, transaction.end.energy_wh]
            assert [float(wh) if wh is not None else None for wh in registers] == [
                round(wh, 3) if isinstance(wh, float) else None for wh in (row["begin_wh"], row["end_wh"])
            ]
            assert (transaction.prices is not None, transaction.bill is not None) == (
                bool(row["prices"]),
                bool(row["bill"]),
            )
            assert (transaction.token, transaction.meter_serial) == (row["token"], row["meter_serial"])
            assert (transaction.corrected_s, transaction.lasted_s) == (row["corrected_s"], row["lasted_s"])
            assert (str(transaction.stated_cost.amount) if transaction.stated_cost else None) == row["told_cost"]
            periods = [
                row for row in storage.rows["tariff_readings"] if row["transaction_id"] == transaction.transaction_id
            ]
            read = [(period.period, period.energy_wh) for period in await log.periods(transaction.transaction_id)]
            assert read == [(row["period"], row["energy_wh"]) for row in periods]
        assert [transaction for transaction in found.values() if transaction.corrected_s], "none was corrected"
        assert [transaction for transaction in found.values() if transaction.stated_cost and transaction.bill], (
            "none has cost anything"
        )
    assert not UNREADABLE.search(caplog.text)


@EACH
async def test_cards_profiles_and_the_update_under_way_are_known(
    stored: Stored, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(stored, tmp_path) as storage:
        settings = StationSettings()
        await settings.groups.load(SettingsTable(storage.database))
        for row in storage.rows["settings"]:
            setting = settings.groups.find(str(row["name"]))
            assert setting is not None, row["name"]
            assert settings.groups.group_of(setting).text_of(setting) == row["value"]
        cache = AuthorizationCache(storage.database, settings.authorization, storage.clock)
        await cache.load()
        assert {key for key, _ in cache.entries()} == {
            (row["token"], row["type"]) for row in storage.rows["authorization_cache"]
        }
        local_list = LocalAuthorizationList(storage.database, settings.authorization, storage.clock)
        await local_list.load()
        listed = storage.rows.get("local_list", [])  # no release before 0.3.0 has one
        assert [token.key for token, _ in await local_list.page(1_000)] == [
            (row["token"], row["type"]) for row in listed
        ]
        assert local_list.entries == len(listed)
        record = FirmwareRecord(storage.database)
        await record.load()
        assert record.update is not None
        assert record.update.status == storage.rows["firmware_statuses"][-1]["status"]
    assert not UNREADABLE.search(caplog.text)


@EACH
def test_the_journal_is_whole_and_every_signed_record_is_valid(stored: Stored, tmp_path: Path) -> None:
    with contextlib.closing(_database_of(stored, tmp_path)) as database:
        keys = {row["fingerprint"]: row["spki"] for row in _rows_by_column(database, "signing_keys")}
        records = _rows_by_column(database, "signed_records")
    assert check_journal_file(tmp_path).intact, check_journal_file(tmp_path).lines
    assert {"begin", "end", "signing-key", "boot"} <= {json.loads(line)["event"] for line in export_entries(tmp_path)}
    assert records
    for row in records:
        key = read_key(cast("bytes", keys[row["fingerprint"]]).hex())
        assert check_signature(ocmf.parse_record(str(row["record"]).encode()), key).valid


# What the whole program makes of it


@contextlib.asynccontextmanager
async def revived(stored: Stored, storage: Path) -> AsyncGenerator[Walk]:
    """Restore the power ten minutes later, with a CSMS."""
    async with running_csms(Csms()) as csms:
        csms.answers["BootNotification"] = lambda _: _keep_heartbeat_interval(csms)
        stored.restore(storage, csms.port)
        config = station_configuration(storage, csms.url)
        async with powered(config, csms, at=stored.ended_at + CUT_FOR) as walk:
            yield walk
    assert csms.schema_faults == []


def _keep_heartbeat_interval(csms: Csms) -> Payload:
    """Answer BootNotification with the interval that is set already."""
    return {"currentTime": csms.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "interval": 301, "status": "Accepted"}


def _queued_events(stored: Stored, folder: Path) -> list[TransactionEvent]:
    """Return the events that the CSMS has not acknowledged, in their order."""
    with contextlib.closing(_database_of(stored, folder)) as database:
        rows = [row for row in _rows_by_column(database, "events") if row["settled_at"] is None]
    rows.sort(key=lambda row: cast("int", row["id"]))
    return [replace(payloads.event_from_text(row["payload"]), seq_no=cast("int", row["seq_no"])) for row in rows]


def _without_offline(wire: Any) -> Payload:
    return {name: value for name, value in wire.items() if name != "offline"}


@EACH
async def test_the_queue_is_delivered_in_order_and_what_was_open_is_ended(
    stored: Stored, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = _queued_events(stored, tmp_path / "before")
    with contextlib.closing(sqlite3.connect(tmp_path / "before" / DATABASE)) as database:
        awaited = {str(row["transaction_id"]) for row in _rows_by_column(database, "awaited_ends")}
    registers = {
        evse_id: EnergyRegister(tmp_path / "before" / f"simulated-meter-{evse_id}.register") for evse_id in (1, 2)
    }
    register_wh = {evse_id: round(register.energy_wh, 3) for evse_id, register in registers.items()}
    for register in registers.values():
        register.close()
    open_starts = {event.transaction_id: event for event in waiting if event.event_type is EventType.STARTED}
    for event in waiting:
        if event.event_type is EventType.ENDED:
            open_starts.pop(event.transaction_id, None)
    assert len(open_starts) == 2
    assert len(waiting) > 30
    async with revived(stored, tmp_path / "storage") as walk:
        outbox = walk.parts.outbox
        await walk.until(lambda: len(walk.events()) >= len(waiting) + len(open_starts), within_s=900)
        delivered = walk.events()
        assert [_without_offline(event) for event in delivered[: len(waiting)]] == [
            _without_offline(event_to_wire(event)) for event in waiting
        ]
        assert all(event["offline"] for event in delivered[: len(waiting)])
        ends = {event["transactionInfo"]["transactionId"]: event for event in delivered[len(waiting) :]}
        assert ends.keys() == open_starts.keys()
        for identity, end in ends.items():
            assert end["eventType"] == "Ended"
            by_driver = identity in awaited
            assert end["transactionInfo"]["stoppedReason"] == ("Local" if by_driver else "PowerLoss")
            totals = [
                sample["value"]
                for value in end["meterValue"]
                for sample in value["sampledValue"]
                if sample["measurand"] == "Energy.Active.Import.Register" and "phase" not in sample
            ]
            assert totals == sorted(totals)
            assert totals[-1] == register_wh[open_starts[identity].evse_id]
            assert len(totals) > 5, "the samples that were kept for the end"
            numbers = [event.seq_no for event in await outbox.events(identity)]
            assert numbers == list(range(len(numbers)))
        await walk.settle()
        await outbox.flush()
        assert await outbox.count_waiting() == 0
        assert await outbox.open_transactions() == []
        statuses = [notification["status"] for notification in walk.csms.received("FirmwareStatusNotification")]
        assert statuses[:4] == ["Downloading", "Downloaded", "SignatureVerified", "InstallScheduled"]
        logs = [
            (notification["status"], notification["requestId"])
            for notification in walk.csms.received("LogStatusNotification")
        ]
        assert logs == [("UploadFailure", 7)]
        assert "TamperDetectionActivated" in [
            notification["type"] for notification in walk.csms.received("SecurityEventNotification")
        ]
        with contextlib.closing(sqlite3.connect(tmp_path / "storage" / DATABASE)) as database:
            transaction_rows = _rows_by_column(database, "transactions")
        assert [row for row in transaction_rows if row["ended_at"] is None] == []
        await walk.advance(3_700)
        for identity in {event.transaction_id for event in waiting if event.id_token == FORGOTTEN}:
            assert {event.id_token for event in await outbox.events(identity)} == {None}
    assert check_journal_file(tmp_path / "storage").intact, check_journal_file(tmp_path / "storage").lines
    ended = [json.loads(line) for line in export_entries(tmp_path / "storage")]
    assert {entry["details"]["transaction"] for entry in ended if entry["event"] == "end"} >= set(open_starts)
    assert not UNREADABLE.search(caplog.text), UNREADABLE.findall(caplog.text)


@EACH
async def test_everybody_gets_in_and_all_is_in_force_as_before(
    stored: Stored, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with contextlib.closing(_database_of(stored, tmp_path / "before")) as database:
        settings = {str(name): str(value) for name, value in database.execute("SELECT name, value FROM settings")}
    pages = (tmp_path / "before" / "page.pem").read_bytes()
    async with revived(stored, tmp_path / "storage") as walk, visiting(walk) as api:
        await walk.accepted()
        parts = walk.parts
        assert parts.network.slots.keys() == {1, 2}
        scheme, credentials = walk.csms.headers[0]["Authorization"].split(" ")
        assert scheme == "Basic"
        assert base64.b64decode(credentials).decode() == "BORNE-TEST:fedcba9876543210-of-a-test"
        groups = parts.setting_groups
        in_force = {setting.name: groups.group_of(setting).text_of(setting) for setting in groups.all()}
        assert {name: in_force[name] for name in settings} == settings
        added = [setting for setting in groups.all() if setting.name not in settings]
        assert {setting.name for setting in added if in_force[setting.name] != setting.format(setting.default)} == set()
        assert {profile.id for profile in parts.load.profiles.store.all()} >= {
            cast("int", wire["id"]) for _, wire in profiles()
        }
        request = {"evseId": 1, "duration": 60, "chargingRateUnit": "A"}
        answer = await walk.csms.call("GetCompositeSchedule", request)
        (period,) = answer["schedule"]["chargingSchedulePeriod"]
        assert (period["limit"], period["numberPhases"]) == (20.0, 3)
        assert {key for key, _ in parts.tokens.entries()} >= {CARD.key}
        assert {card.id_token: card.label for card in parts.cards.all().values()} == {OWN_CARD: "the blue one"}
        assert parts.cards.labels()[FORMER_CARD.key] == "the lost one"
        assert parts.activation.activated
        assert (await api.get("/api/commissioning"))["stage"] == "activated"
        assert (await api.client.get("/api/commissioning/report.pdf")).status_code == 200
        assert (await api.get("/api/prices"))["prices"]["period"][0]["name"] == "HC"
        assert parts.load.priorities.priority_of(2) == 3
        assert parts.load.plans.of(1).departure == time(7, 30)
        if stored.version not in {"0.1.0", "0.2.0", "0.3.0", "0.4.0"}:
            assert parts.load.plans.of(2) == ChargePlan(TariffMode.OFF_PEAK, time(5, 45), 30_000.0)
        limits = (await api.get("/api/load-management"))["limits"]
        assert set(limits) >= {"operator", "user"}
        assert parts.load.grid.limit_a == 80.0
        faults = {evse_id: evse.state.faults for evse_id, evse in parts.station.evses.items()}
        assert Fault.DC_RESIDUAL_CURRENT in faults[3]
        assert Fault.DC_RESIDUAL_CURRENT not in faults[1]
        assert (await api.get("/api/status"))["tamper"]
        assert [evse.state.operative for evse in parts.station.evses.values()] == [True, True, False, True]
        assert parts.firmware.record.update is not None
        variables = {(variable.component.name, variable.name): variable.read() for variable in walk.device_model}
        assert variables["OwnCtrlr", "Place"] == "the other garage"
        assert parts.meters.serial_of(1) == "SIMULATED-1"
        for number in (1, 2):
            key = parts.signer(number).key
            assert key is not None
        installed = await walk.csms.call("GetInstalledCertificateIds", {})
        kinds = {chain["certificateType"] for chain in installed["certificateHashDataChain"]}
        assert kinds == {"CSMSRootCertificate", "ManufacturerRootCertificate"}
        assert await parts.certificates.has_valid_station_certificate()
        away = {"X-Forwarded-For": "192.0.2.7"}
        for role, password in PASSWORDS.items():
            body = {"role": role, "password": password}
            assert (await api.client.post("/api/session", json=body, headers=away)).status_code == 201
            api.client.cookies.clear()
        token = {"Authorization": f"Bearer {stored.info['access_token']}"}
        answer = await api.client.get("/api/access-tokens", headers=away | token)
        assert [access_token["name"] for access_token in answer.json()] == ["script"], answer.text
        assert (await api.client.get("/api/access-tokens", headers=away)).status_code == 401
    assert (tmp_path / "storage" / "page.pem").read_bytes() == pages
    assert json.loads((tmp_path / "storage" / "site-settings.json").read_text()) == {"grid": {"safe_current_a": 7.0}}
    assert not UNREADABLE.search(caplog.text), UNREADABLE.findall(caplog.text)
