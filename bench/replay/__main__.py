"""`make replay`: compares trips, pauses and energy of the controllers. Prints tables; `--docs` also draws pictures."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.replay.models import ReplayScore, ReplaySite
from bench.replay.run import NAMES, ORACLE, OURS, SITES, Found, Scores, all_scores
from bench.replay.traces import HOUR_S, LoadTrace, load_traces, read_trace_csv
from simulator.trace import TraceError

_HEAD = ("", "trips", "above limit, s/h", "power, kW", "of oracle", "pauses/24 h", "contactor/24 h", "heat")


def rows(scores: Scores) -> list[tuple[str, ...]]:
    """The table of one site: totals of the replayed time, scaled to one hour or to 24 hours."""
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
    """Format a table as Markdown."""
    lines = [f"| {' | '.join(_HEAD)} |", f"|{'---|' * len(_HEAD)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in table)])


def total(found: Iterable[Scores]) -> Scores:
    """Sum the scores of several sites."""
    sums = {name: ReplayScore() for name in NAMES}
    for scores in found:
        for name, score in scores.items():
            known = sums[name]
            sums[name] = replace(
                known,
                seconds=known.seconds + score.seconds,
                energy_wh=known.energy_wh + score.energy_wh,
                trips=known.trips + score.trips,
                above_s=known.above_s + score.above_s,
                pauses=known.pauses + score.pauses,
                operations=known.operations + score.operations,
                hottest=max(known.hottest, score.hottest),
            )
    return sums


def report(sites: Sequence[ReplaySite], found: Found) -> str:
    """All tables: per site, per kind of meter if there are several, in total, per seed."""
    over_seeds = {site.name: total(scores[site.name] for scores in found.values()) for site in sites}
    texts: list[str] = []
    for site in sites:
        texts += [f"### {site.name}: {site.meter.name}; {site.vehicle.name}", markdown(rows(over_seeds[site.name]))]
    kinds = list(dict.fromkeys(_meter_kind(site) for site in sites))
    for kind in kinds if len(kinds) > 1 else []:
        of_kind = [over_seeds[site.name] for site in sites if _meter_kind(site) == kind]
        texts += [f"### All with {kind}", markdown(rows(total(of_kind)))]
    if len(sites) > 1:
        texts += ["### All together", markdown(rows(total(over_seeds.values())))]
        texts += ["### Seed by seed", by_seed(sites, found)]
    return "\n\n".join(texts)


def _meter_kind(site: ReplaySite) -> str:
    """The kind of a site's meter: the first word of the meter's name."""
    return site.meter.name.replace(",", " ").split()[0]


def by_seed(sites: Sequence[ReplaySite], found: Found) -> str:
    """The energy of this project's controller relative to the oracle: per seed, mean and worst."""
    kinds = list(dict.fromkeys(_meter_kind(site) for site in sites))
    parts = {"all": list(sites)} | {f"all with {kind}": [s for s in sites if _meter_kind(s) == kind] for kind in kinds}
    parts |= {site.name: [site] for site in sites}
    lines = [f"| of oracle | {' | '.join(f'seed {seed}' for seed in found)} | mean | worst |"]
    lines.append(f"|{'---|' * (len(found) + 3)}")
    for name, some in parts.items():
        sums = [total(scores[site.name] for site in some) for scores in found.values()]
        ratios = [sums_of_seed[OURS].energy_wh / sums_of_seed[ORACLE].energy_wh for sums_of_seed in sums]
        columns = [*ratios, sum(ratios) / len(ratios), min(ratios)]
        lines.append(f"| {name} | {' | '.join(f'{ratio:.1%}' for ratio in columns)} |")
    ours = [total(scores.values())[OURS] for scores in found.values()]
    rates = [score.pauses * 24 * HOUR_S / score.seconds for score in ours]
    lines.append(f"| pauses/24 h | {' | '.join(f'{r:.1f}' for r in [*rates, sum(rates) / len(rates), max(rates)])} |")
    trips = [score.trips for score in ours]
    lines.append(f"| trips | {' | '.join(f'{n:g}' for n in [*trips, round(sum(trips) / len(trips), 1), max(trips)])} |")
    return "\n".join(lines)


def _traces(site: ReplaySite, seed: int, *, own: LoadTrace | None, count: int) -> list[LoadTrace]:
    return [own] if own is not None else list(load_traces(site.house, seed, count))


def main() -> None:
    """Replay, and print the report."""
    parser = argparse.ArgumentParser(description="Replay household loads against load managements.")
    parser.add_argument("--days", type=int, default=1, help="days of each site and seed")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 1 on")
    parser.add_argument("--site", help="only sites whose name contains this")
    parser.add_argument("--trace", type=Path, help="a CSV file in place of the synthetic houses: amperes of L1, L2, L3")
    parser.add_argument("--docs", type=Path, help="where to write table.md and the pictures")
    given = parser.parse_args()
    sites = [site for site in SITES if given.site is None or given.site in site.name]
    if not sites:
        parser.error(f"--site: must be a part of one of: {'; '.join(site.name for site in SITES)}")
    try:
        own = read_trace_csv(given.trace) if given.trace is not None else None
    except TraceError as error:
        parser.error(f"--trace: {error}")
    seeds = [1] if own is not None else list(range(1, given.seeds + 1))
    traces_of = partial(_traces, own=own, count=given.days)
    began_s = time.perf_counter()
    found = all_scores(sites, seeds, traces_of, lambda text: print(f"… {text}", file=sys.stderr, flush=True))
    text = report(sites, found)
    print(text)
    totals = {site.name: total(scores[site.name] for scores in found.values()) for site in sites}
    ours = total(totals.values())[OURS]
    hours = ours.seconds / HOUR_S
    print(f"\n{time.perf_counter() - began_s:.0f} s for {hours:.1f} h at {len(sites)} sites", file=sys.stderr)
    print(f"{OURS}: {ours.trips} trips", file=sys.stderr)
    if given.docs is not None:
        from bench.replay import plots

        given.docs.mkdir(parents=True, exist_ok=True)
        (given.docs / "table.md").write_text(text + "\n", encoding="utf-8")
        plots.draw(given.docs, sites, traces_of, totals)


if __name__ == "__main__":
    main()
