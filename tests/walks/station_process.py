"""Runs the station as a separate process, which can be stopped and killed, and reads its data from the disk."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sqlite3
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
from msgspec.structs import replace
from pydantic import TypeAdapter

from ocpp_handlers.translate.translate import event_to_wire
from simulator.register import used_meter_wh
from station.core.model import EventType, TransactionEvent
from tests.csms import Payload
from tests.patience import PATIENCE_S, until
from tests.programs import Launch, Program, launch_own
from tests.walk import CARD

ROOT = Path(__file__).parents[2]
IDENTITY = "BORNE-TEST"
_RATE = 60.0
"""virtual seconds per second"""
_EVENTS: TypeAdapter[TransactionEvent] = TypeAdapter(TransactionEvent)


class ProgramWithApi:
    """A program that runs in a process of its own, with a client of its local API."""

    def __init__(self) -> None:
        self._process: Program | None = None
        self._api: httpx.AsyncClient | None = None

    @property
    def process(self) -> Program:
        """The running process."""
        assert self._process is not None, "it was not started"
        return self._process

    async def ended(self, *, within_s: float = PATIENCE_S) -> int:
        """Wait for the end of the process; returns its exit code."""
        await until(lambda: self.process.poll() is not None, within_s=within_s)
        code, self._process = self.process.wait(), None
        if self._api is not None:
            await self._api.aclose()
            self._api = None
        return code

    async def aclose(self) -> None:
        """Kill the process if it still runs at the end of a test."""
        if self._process is not None:
            self._process.kill()
            await self.ended()


class StationProcess(ProgramWithApi):
    """Runs `python -m borne run` on one storage directory, any number of times."""

    def __init__(
        self,
        directory: Path,
        csms_url: str | None,
        *,
        on_storage_failure: str = "stop",
        more: str = "",
        launch: Launch = launch_own,
    ) -> None:
        super().__init__()
        self._launch = launch
        self.storage = directory / "storage"
        self.log = directory / "log.jsonl"
        self._file = directory / "station.toml"
        self._ready = directory / "ready.json"
        csms = f'[csms]\nurl = "{csms_url}"\n' if csms_url is not None else ""
        self._file.write_text(
            f'[station]\nidentity = "{IDENTITY}"\nstorage = "{self.storage}"\n'
            f'on_storage_failure = "{on_storage_failure}"\n{csms}'
            f'[log]\nformat = "json"\n[simulation]\nrate = {_RATE}\n{more}',
            encoding="utf-8",
        )

    @property
    def api(self) -> httpx.AsyncClient:
        """A client of its local API; available after `ready`."""
        assert self._api is not None, "it is not ready"
        return self._api

    def start(self, *, http_port: int = 0, full_disk: bool = False, mistake: str = "") -> None:
        """Start the process without waiting. `mistake`: a Python statement that breaks the program before it begins."""
        assert self._process is None, "it runs"
        self._ready.unlink(missing_ok=True)
        arguments = ["run", "--config", str(self._file), "--http-port", str(http_port)]
        limit = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, ({}, r.getrlimit(r.RLIMIT_FSIZE)[1]))"
        first = limit.format(self._largest_file()) if full_disk else mistake
        self._process = self._launch([*arguments, "--ready-file", str(self._ready)], self.log, first)

    async def ready(self, *, https: bool = False) -> None:
        """Wait until the ready file exists; `https`: connect with a self-signed certificate."""
        await until(lambda: self._ready.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        port = json.loads(self._ready.read_text(encoding="utf-8"))["http_port"]
        scheme = "https" if https else "http"
        self._api = httpx.AsyncClient(base_url=f"{scheme}://127.0.0.1:{port}", timeout=PATIENCE_S, verify=not https)

    def kill(self) -> None:
        """Kill the process, as a power cut."""
        self.process.kill()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def fill_disk(self) -> None:
        """Limit the size of its files to that of the largest database file, as a full disk does."""
        self._limit_file_size(self._largest_file())

    def empty_disk(self) -> None:
        """Remove the limit of the file size: the disk has room again."""
        self._limit_file_size(resource.RLIM_INFINITY)

    def _largest_file(self) -> int:
        """The size of the largest database file."""
        largest = max((self.storage / name).stat().st_size for name in ("borne.sqlite", "borne.sqlite-wal"))
        assert self.log.stat().st_size < largest / 2, "it must be able to go on talking"
        return largest

    def _limit_file_size(self, size: int) -> None:
        """Limit the size of every file that the process writes."""
        _, hard_limit = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, hard_limit))

    # Actions of a person at the station

    async def post(self, path: str, **body: object) -> None:
        """Send a POST to the local API; it must be accepted."""
        answer = await self.api.post(path, json=body)
        assert answer.is_success, answer.text

    async def plug(self, **ev: object) -> None:
        """Plug a vehicle in."""
        await self.post("/api/sim/evses/1/plug", ev=ev)

    async def present(self) -> None:
        """Present the card to the reader."""
        await self.post("/api/evses/1/token", id_token=CARD.value, type=CARD.type)

    async def status(self) -> Payload:
        """The status from the API."""
        answer = await self.api.get("/api/status")
        assert answer.is_success, answer.text
        return cast("Payload", answer.json())

    async def evse(self, evse_id: int = 1) -> Payload:
        """The status of an EVSE from the API."""
        return cast("Payload", (await self.status())["evses"][evse_id - 1])

    async def until_evse(self, condition: Callable[[Payload], object], evse_id: int = 1) -> Payload:
        """Wait until the status of an EVSE meets a condition; returns it."""
        status: Payload = {}

        async def met() -> object:
            status.update(await self.evse(evse_id))
            return condition(status)

        await until(met)
        return status

    async def charging(self) -> None:
        """Plug in, present the card, wait until energy flows."""
        await self.plug()
        await self.present()
        await self.until_evse(lambda evse: evse["charging_state"] == "Charging")

    # Output and stored data

    def log_records(self) -> list[Payload]:
        """Return its log records so far."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def other_output(self) -> list[str]:
        """Output lines other than log lines: messages to the user, tracebacks."""
        return [line for line in self.log.read_text(encoding="utf-8").splitlines() if not line.startswith("{")]

    def register_wh(self) -> float:
        """The register of the simulated billing meter, whether the station runs or not."""
        return register_wh(self.storage)

    def records(self) -> list[Record]:
        """The transaction events on the disk, in the order of recording; the process must not be running."""
        return records(self.storage)


@dataclass(frozen=True)
class Record:
    """A transaction event on disk."""

    event: TransactionEvent
    settled: bool

    @property
    def key(self) -> tuple[str, int]:
        """The unique key of the event: transaction id and seqNo."""
        assert self.event.seq_no is not None
        return self.event.transaction_id, self.event.seq_no

    @property
    def wire(self) -> Payload:
        """The event as sent to the CSMS, without the `offline` flag."""
        return cast("Payload", event_to_wire(replace(self.event, offline=False)))


def register_wh(storage: Path, evse_id: int = 1) -> float:
    """Read the register of the simulated billing meter of an EVSE, in Wh."""
    (total_wh,) = struct.unpack_from("<d", (storage / f"simulated-meter-{evse_id}.register").read_bytes())
    return float(total_wh)


def initial_register_wh(identity: str, evse_id: int = 1) -> float:
    """Return the register, in Wh, with which the simulated billing meter of an EVSE with three phases begins."""
    return sum(used_meter_wh(f"{identity}/{evse_id}", phases=3))


def records(storage: Path) -> list[Record]:
    """Read the events on the disk, from a copy: the next start must find the files as the kill left them."""
    with tempfile.TemporaryDirectory() as copy:
        for name in ("borne.sqlite", "borne.sqlite-wal"):
            if (storage / name).exists():
                shutil.copy(storage / name, copy)
        connection = sqlite3.connect(Path(copy) / "borne.sqlite")
        try:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchall():
                return []
            rows: list[tuple[Any, ...]] = connection.execute(
                "SELECT payload, seq_no, settled_at IS NOT NULL FROM events ORDER BY id"
            ).fetchall()
        finally:
            connection.close()
    return [Record(replace(_EVENTS.validate_json(row[0]), seq_no=row[1]), bool(row[2])) for row in rows]


def open_transactions(found: list[Record]) -> set[str]:
    """The transactions that have begun and not ended."""
    ended = {record.event.transaction_id for record in found if record.event.event_type is EventType.ENDED}
    return {record.event.transaction_id for record in found} - ended
