"""`make replay`: who trips, who pauses, who delivers. Prints the table; with `--docs` draws its pictures."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.replay.play import NAMES, ORACLE, OURS, SITES, all_scores
from bench.replay.traces import HOUR_S, Trace, days, from_csv
from bench.replay.world import Score, Site
from station.simulation.trace import TraceError

_HEAD = ("", "trips", "above limit, s/h", "power, kW", "of oracle", "pauses/24 h", "contactor/24 h", "heat")


def rows(scores: dict[str, Score]) -> list[tuple[str, ...]]:
    """The table of one site: what happened in all the time that was played, brought to an hour or to 24."""
    best_wh = scores[ORACLE].energy_wh
    return [
        (
            name,
            str(score.trips),
            f"{score.above_s / hours:.1f}",
            f"{score.energy_wh / 1000 / hours:.2f}",
            f"{score.energy_wh / best_wh:.1%}",
            f"{score.pauses / hours * 24:.1f}",
            f"{score.operations / hours * 24:.1f}",
            f"{score.hottest:.0%}",
        )
        for name, score in scores.items()
        for hours in [score.seconds / HOUR_S]
    ]


def markdown(table: list[tuple[str, ...]]) -> str:
    """A table as it stands in a document."""
    lines = [f"| {' | '.join(_HEAD)} |", f"|{'---|' * len(_HEAD)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in table)])


def total(found: Iterable[dict[str, Score]]) -> dict[str, Score]:
    """The scores of several sites together."""
    sums = {name: Score() for name in NAMES}
    for scores in found:
        for name, one in scores.items():
            known = sums[name]
            sums[name] = replace(
                known,
                seconds=known.seconds + one.seconds,
                energy_wh=known.energy_wh + one.energy_wh,
                trips=known.trips + one.trips,
                above_s=known.above_s + one.above_s,
                pauses=known.pauses + one.pauses,
                operations=known.operations + one.operations,
                hottest=max(known.hottest, one.hottest),
            )
    return sums


def report(sites: Sequence[Site], found: dict[str, dict[str, Score]]) -> str:
    """All tables: of each site, of each kind of meter where there are several, of everything."""
    texts: list[str] = []
    for site in sites:
        texts += [f"### {site.name}: {site.meter.name}; {site.vehicle.name}", markdown(rows(found[site.name]))]
    meters = list(dict.fromkeys(site.meter for site in sites))
    for meter in meters if len(meters) > 1 else []:
        of_meter = [found[site.name] for site in sites if site.meter == meter]
        texts += [f"### All with {meter.name}", markdown(rows(total(of_meter)))]
    if len(sites) > 1:
        texts += ["### All together", markdown(rows(total(found.values())))]
    return "\n\n".join(texts)


def _traces(site: Site, *, own: Trace | None, seed: int, count: int) -> list[Trace]:
    return [own] if own is not None else list(days(site.house, seed, count))


def main() -> None:
    """Play and tell."""
    parser = argparse.ArgumentParser(description="Replay household loads against load managements.")
    parser.add_argument("--days", type=int, default=7, help="days of each site")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--site", help="only sites whose name contains this")
    parser.add_argument("--trace", type=Path, help="a CSV file in place of the synthetic houses: amperes of L1, L2, L3")
    parser.add_argument("--docs", type=Path, help="where to write table.md and the pictures")
    given = parser.parse_args()
    sites = [site for site in SITES if given.site is None or given.site in site.name]
    if not sites:
        parser.error(f"--site: must be a part of one of: {'; '.join(site.name for site in SITES)}")
    try:
        own = from_csv(given.trace) if given.trace is not None else None
    except TraceError as error:
        parser.error(f"--trace: {error}")
    traces_of = partial(_traces, own=own, seed=given.seed, count=given.days)
    began_s = time.perf_counter()
    found = all_scores(sites, traces_of, lambda text: print(f"… {text}", file=sys.stderr, flush=True))
    text = report(sites, found)
    print(text)
    ours = total(found.values())[OURS]
    hours = ours.seconds / HOUR_S
    print(f"\n{time.perf_counter() - began_s:.0f} s for {hours:.1f} h at {len(sites)} sites", file=sys.stderr)
    print(f"{OURS}: {ours.trips} trips", file=sys.stderr)
    if given.docs is not None:
        from bench.replay import plots

        given.docs.mkdir(parents=True, exist_ok=True)
        (given.docs / "table.md").write_text(text + "\n", encoding="utf-8")
        plots.draw(given.docs, sites, traces_of, found)


if __name__ == "__main__":
    main()
