"""Measures a local authorization list of 100,000 tokens: sending, look-up, memory (`python -m bench.local_list`)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.processes import STATION, MeasuredProgram, run_program
from foundation.clock import SystemClock
from station.charging.authorization.authorization_settings import AuthorizationSettings
from station.charging.authorization.local_list import MAX_ENTRIES, LocalAuthorizationList
from station.core.model import IdToken
from station.storage.database import open_database
from station.storage.database_thread import DatabaseThread
from station.storage.read_connections import ReadConnections

LOOK_UP_AIM_MS = 2.0
LAG_AIM_MS = 50.0
MEMORY_AIM_MIB = 16.0
_ITEMS_PER_MESSAGE = 500
"""items of a SendLocalListRequest (LocalAuthListCtrlr.ItemsPerMessage)"""
_LOOK_UPS = 5_000
_PING_EVERY_S = 0.002


def quantile(figures: Sequence[float], share: float) -> float:
    """The figure that this share of all figures does not exceed."""
    return sorted(figures)[min(len(figures) - 1, int(len(figures) * share))]


def _message(tokens: Sequence[str], version: int) -> str:
    info = {"status": "Accepted", "groupIdToken": {"idToken": "FLEET-7", "type": "Central"}}
    items = [{"idToken": {"idToken": token, "type": "ISO14443"}, "idTokenInfo": info} for token in tokens]
    kind = "Full" if version == 1 else "Differential"
    return json.dumps({"updateType": kind, "versionNumber": version, "localAuthorizationList": items})


async def send(station: MeasuredProgram, tokens: Sequence[str]) -> tuple[float, list[float]]:
    """Send a list in as many messages as it needs; returns seconds, and ping times in microseconds meanwhile."""
    pings: list[float] = []

    async def ping() -> None:
        while True:
            pings.append(await station.csms.ping_us())
            await asyncio.sleep(_PING_EVERY_S)

    messages = [
        _message(tokens[start : start + _ITEMS_PER_MESSAGE], 1 + start // _ITEMS_PER_MESSAGE)
        for start in range(0, len(tokens), _ITEMS_PER_MESSAGE)
    ]
    pinging = asyncio.create_task(ping())
    began_s = time.perf_counter()
    for number, message in enumerate(messages):
        answer = await station.csms.ask(number, "SendLocalList", message)
        if answer["status"] != "Accepted":
            raise RuntimeError(f"the station answered {answer}")
    took_s = time.perf_counter() - began_s
    pinging.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pinging
    return took_s, pings


async def look_up(storage: Path, tokens: Sequence[str]) -> list[float]:
    """Times of look-ups in the stored list, in milliseconds."""
    clock = SystemClock()
    times: list[float] = []
    with DatabaseThread() as thread:
        async with open_database(storage / "borne.sqlite", clock, thread, ReadConnections(clock)) as database:
            local_list = LocalAuthorizationList(database, AuthorizationSettings(), clock)
            await local_list.load()
            for token in tokens:
                began_s = time.perf_counter()
                if await local_list.find(IdToken(token, "ISO14443")) is None:
                    raise RuntimeError("a token is missing")
                times.append((time.perf_counter() - began_s) * 1e3)
    return times


async def measure(count: int, folder: Path) -> bool:
    """Measure a list of `count` tokens, and print a table; returns whether all aims are met."""
    chance = random.Random(1)
    tokens = [f"{chance.getrandbits(56):014X}" for _ in range(count)]
    async with run_program("-m", "borne", "run", configuration=STATION, folder=folder) as station:
        await asyncio.sleep(3.0)  # it is idle then
        before_mib = station.resident_mib
        took_s, pings = await send(station, tokens)
        grown_mib = station.resident_mib - before_mib
    times = await look_up(folder / "storage", chance.sample(tokens, min(count, _LOOK_UPS)))
    lag_ms, found_ms = quantile(pings, 0.99) / 1e3, quantile(times, 0.99)
    print(f"{count} tokens in messages of {_ITEMS_PER_MESSAGE}: {took_s:.1f} s")
    print(f"answer to a ping meanwhile, p50 / p99 / maximum: {quantile(pings, 0.5) / 1e3:.1f}", end=" / ")
    print(f"{lag_ms:.1f} / {max(pings) / 1e3:.1f} ms")
    print(f"resident memory: {before_mib:.1f} MiB, and {grown_mib:+.1f} MiB afterwards")
    print(f"look-up, p50 / p99 / maximum: {quantile(times, 0.5):.2f} / {found_ms:.2f} / {max(times):.2f} ms")
    return found_ms <= LOOK_UP_AIM_MS and lag_ms <= LAG_AIM_MS and grown_mib <= MEMORY_AIM_MIB


def main() -> int:
    """Measure; exit code 1 if an aim is not met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=MAX_ENTRIES, help="tokens in the list")
    count: int = parser.parse_args().tokens
    with tempfile.TemporaryDirectory() as folder:
        return 0 if asyncio.run(measure(count, Path(folder))) else 1


if __name__ == "__main__":
    raise SystemExit(main())
