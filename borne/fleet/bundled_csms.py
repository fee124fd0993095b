"""The CSMS that comes with the package, as a process of a fleet."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from borne.fleet.unit import EngineError
from foundation.json_values import integer_of, number_or_none, objects_of, parse_object
from simulator.fleet.energy_balance import CsmsBill

_HOST: Final = "127.0.0.1"
_START_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 15.0
_BILLS_TIMEOUT_S: Final = 60.0
_URL_PREFIX: Final = "CSMS at "


class BundledCsms:
    """`borne csms` in a process of its own, with its bills in a folder: they survive its restarts."""

    def __init__(self, folder: Path, *, workers: int, heartbeat_s: int, pki: Path | None = None) -> None:
        """Prepare it; `start` starts it.

        Args:
            folder: for its bills and its log.
            workers: number of its processes.
            heartbeat_s: the interval that it sets at each station.
            pki: folder of the PKI with which it checks contracts; None: it has none.
        """
        self._folder = folder
        self._workers = workers
        self._heartbeat_s = heartbeat_s
        self._pki = pki
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._serving = False
        self.url = ""
        """its URL for stations, without identity; empty before `start`"""

    async def start(self) -> None:
        """Start it, at the same port as before; returns once it listens.

        Raises:
            EngineError: it cannot be started.
        """
        try:
            self._process = await self._started_process()
        except OSError as error:
            where = f": {error.filename}" if error.filename is not None else ""
            raise EngineError(f"the bundled CSMS cannot be started{where}: {error.strerror}") from error
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                line = (await _output(self._process).readline()).decode()
        except TimeoutError:
            line = ""
        if not line.startswith(_URL_PREFIX):
            await self.stop()
            raise EngineError(f"the bundled CSMS does not start; see {self._folder / 'csms.log'}")
        self.url = line.removeprefix(_URL_PREFIX).strip()
        self._port = urlsplit(self.url).port or 0
        self._serving = True

    async def _started_process(self) -> asyncio.subprocess.Process:
        self._folder.mkdir(parents=True, exist_ok=True)
        arguments = [
            *("csms", "--host", _HOST, "--port", str(self._port), "--workers", str(self._workers), "--quiet"),
            *("--heartbeat", str(self._heartbeat_s), "--storage", str(self._folder), "--until-stdin-closes"),
            *(("--pki", str(self._pki)) if self._pki is not None else ()),
        ]
        with (self._folder / "csms.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "borne", *arguments),
                stdin=asyncio.subprocess.PIPE,  # it ends with this process, however that ends
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C stops the stations first
            )

    async def ensure_started(self) -> None:
        """Start it if it does not serve: it has been stopped, its start or stop was cancelled, or it has ended.

        Raises:
            EngineError: it cannot be started.
        """
        if not self._serving or self._process is None or self._process.returncode is not None:
            await self.stop()
            await self.start()

    async def stop(self) -> None:
        """Stop it in order; nothing if it does not run."""
        self._serving = False
        if (process := self._process) is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        self._process = None

    async def bills(self) -> dict[str, dict[str, CsmsBill]]:
        """The bill of each transaction, by identity of the station and transactionId.

        Raises:
            EngineError: it does not answer.
        """
        try:
            async with httpx.AsyncClient(timeout=_BILLS_TIMEOUT_S, trust_env=False) as client:
                response = (await client.get(f"http://{_HOST}:{self._port}/api/transactions")).raise_for_status()
            found: dict[str, dict[str, CsmsBill]] = {}
            for transaction in objects_of(parse_object(response.content)["transactions"]):
                bill = CsmsBill(number_or_none(transaction["energy_wh"]), integer_of(transaction["missing"]))
                found.setdefault(str(transaction["station"]), {})[str(transaction["id"])] = bill
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise EngineError(f"the bills of the bundled CSMS cannot be read: {error}") from error
        return found


def _output(process: asyncio.subprocess.Process) -> asyncio.StreamReader:
    if process.stdout is None:
        raise TypeError("the process was started without a pipe")
    return process.stdout
