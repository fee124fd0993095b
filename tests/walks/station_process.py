"""The station as a process of its own, which can be stopped, interrupted and killed, and what it leaves on disk."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import httpx
from pydantic import TypeAdapter

from ocpp_handlers.translate.translate import event_to_wire
from station.core.model import EventType, TransactionEvent
from tests.csms import Payload
from tests.patience import PATIENCE_S
from tests.walk import CARD

ROOT = Path(__file__).parents[2]
_LOOK_EVERY_S = 0.005
_RATE = 60.0
"""virtual seconds per second"""
_EVENTS: TypeAdapter[TransactionEvent] = TypeAdapter(TransactionEvent)


async def until(what: Callable[[], object], *, within_s: float = PATIENCE_S) -> None:
    """Wait in real time until something is true."""
    async with asyncio.timeout(within_s):
        while not what():  # noqa: ASYNC110 - of another process there is nothing to wait on
            await asyncio.sleep(_LOOK_EVERY_S)


class StationProcess:
    """`python -m borne run` on one storage directory, started as often as a test wants."""

    def __init__(
        self, directory: Path, csms_url: str | None, *, on_storage_failure: str = "stop", more: str = ""
    ) -> None:
        self.storage = directory / "storage"
        self.log = directory / "log.jsonl"
        self._file = directory / "station.toml"
        self._ready = directory / "ready.json"
        csms = f'[csms]\nurl = "{csms_url}"\n' if csms_url is not None else ""
        self._file.write_text(
            f'[station]\nidentity = "BORNE-TEST"\nstorage = "{self.storage}"\n'
            f'on_storage_failure = "{on_storage_failure}"\n{csms}'
            f'[log]\nformat = "json"\n[simulation]\nrate = {_RATE}\n{more}',
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._api: httpx.AsyncClient | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process."""
        assert self._process is not None, "it was not started"
        return self._process

    @property
    def api(self) -> httpx.AsyncClient:
        """Its local API, once it is ready."""
        assert self._api is not None, "it is not ready"
        return self._api

    def start(self, *, http_port: int = 0, full_disk: bool = False, mistake: str = "") -> None:
        """Start it; does not wait. `mistake` is a statement in Python that breaks its program before it begins."""
        assert self._process is None, "it runs"
        self._ready.unlink(missing_ok=True)
        program = f"{mistake}\nimport runpy\nrunpy.run_module('borne', run_name='__main__')"
        command = [sys.executable, *(["-c", program] if mistake else ["-m", "borne"])]
        arguments = ["run", "--config", str(self._file), "--http-port", str(http_port)]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("BORNE_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *arguments, "--ready-file", str(self._ready)],
                cwd=ROOT,
                env=inherited,
                stdout=subprocess.DEVNULL,
                stderr=log,
                preexec_fn=self.fill_disk if full_disk else None,
            )

    async def ready(self, *, https: bool = False) -> None:
        """Wait until its API answers; `https` with a certificate that nobody vouches for."""
        await until(lambda: self._ready.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        port = json.loads(self._ready.read_text(encoding="utf-8"))["http_port"]
        scheme = "https" if https else "http"
        self._api = httpx.AsyncClient(base_url=f"{scheme}://127.0.0.1:{port}", timeout=PATIENCE_S, verify=not https)

    def kill(self) -> None:
        """The power fails: no goodbye."""
        self.process.kill()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def ended(self, *, within_s: float = PATIENCE_S) -> int:
        """Wait for its end; how it exited."""
        await until(lambda: self.process.poll() is not None, within_s=within_s)
        code, self._process = self.process.returncode, None
        if self._api is not None:
            await self._api.aclose()
            self._api = None
        return code

    async def aclose(self) -> None:
        """Leave nothing running behind a test, however it ended."""
        if self._process is not None:
            self._process.kill()
            await self.ended()

    def fill_disk(self) -> None:
        """From now on no file of it can grow beyond its largest, the log of the database."""
        largest = max((self.storage / name).stat().st_size for name in ("borne.sqlite", "borne.sqlite-wal"))
        assert self.log.stat().st_size < largest / 2, "it must be able to go on talking"
        self._limit_files(largest)

    def empty_disk(self) -> None:
        """There is room again."""
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, size: int) -> None:
        pid = self._process.pid if self._process is not None else 0  # 0: in the child itself
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, most))

    # What a person does at it

    async def post(self, path: str, **body: object) -> None:
        """Act through the local API; it must be accepted."""
        answer = await self.api.post(path, json=body)
        assert answer.is_success, answer.text

    async def plug(self, **ev: object) -> None:
        """Plug a vehicle in."""
        await self.post("/api/sim/evses/1/plug", ev=ev)

    async def present(self) -> None:
        """Hold the card to the reader."""
        await self.post("/api/evses/1/token", id_token=CARD.value, type=CARD.type)

    async def status(self) -> Payload:
        """What the API shows."""
        answer = await self.api.get("/api/status")
        assert answer.is_success, answer.text
        return cast("Payload", answer.json())

    async def evse(self) -> Payload:
        """What the API shows of its EVSE."""
        return cast("Payload", (await self.status())["evses"][0])

    async def until_evse(self, what: Callable[[Payload], object]) -> Payload:
        """Wait until the API shows something of its EVSE."""
        async with asyncio.timeout(PATIENCE_S):
            while not what(shown := await self.evse()):  # noqa: ASYNC110 - as in `until`
                await asyncio.sleep(_LOOK_EVERY_S)
            return shown

    async def charging(self) -> None:
        """Plug in, present the card, wait until energy flows."""
        await self.plug()
        await self.present()
        await self.until_evse(lambda evse: evse["charging_state"] == "Charging")

    # What it leaves behind

    def said(self) -> list[Payload]:
        """Its log lines so far."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def plainly_said(self) -> list[str]:
        """What it wrote besides the log: sentences for whoever started it, tracebacks."""
        return [line for line in self.log.read_text(encoding="utf-8").splitlines() if not line.startswith("{")]

    def register_wh(self) -> float:
        """What the simulated billing meter shows, whether the station runs or not."""
        return register_wh(self.storage)

    def records(self) -> list[Record]:
        """The transaction events on its disk, in the order in which they were recorded; it must not be running."""
        return records(self.storage)


@dataclass(frozen=True)
class Record:
    """A transaction event on disk."""

    event: TransactionEvent
    settled: bool

    @property
    def key(self) -> tuple[str, int]:
        """What makes it unique."""
        assert self.event.seq_no is not None
        return self.event.transaction_id, self.event.seq_no

    @property
    def wire(self) -> Payload:
        """As the CSMS gets it, but for the `offline` flag."""
        return cast("Payload", event_to_wire(replace(self.event, offline=False)))


def register_wh(storage: Path, evse_id: int = 1) -> float:
    """What the simulated billing meter of an EVSE shows."""
    total_wh, *_ = struct.unpack("<4d", (storage / f"simulated-meter-{evse_id}.register").read_bytes())
    return float(total_wh)


def records(storage: Path) -> list[Record]:
    """The events on a disk. Read from a copy: what a kill left must be found by the next start as it is."""
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
