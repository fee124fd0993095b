"""The style of the pages of fleets, scenarios and the bundled CSMS, for light and dark screens."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --back: #fff; --text: #1b1f24; --soft: #5b6570; --rule: #d6dbe1; --tile: #f4f6f8;
  --good: #11703a; --bad: #b3261e; --warn: #8a5200;
  --c0: #1f6fd1; --c1: #d1651f; --c2: #6b7785; --c3: #8a3fc7; --inner: #12478a; }
@media (prefers-color-scheme: dark) { :root { --back: #14171b; --text: #e6e9ed; --soft: #a2acb8; --rule: #343b44;
  --tile: #1e2329; --good: #58c98a; --bad: #ff8a80; --warn: #f0b35e;
  --c0: #6aa9f7; --c1: #f0a35e; --c2: #97a3b0; --c3: #c490f5;
  --inner: #2f6bb5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1360px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 32px 0 8px; }
.verdict { font-weight: 600; font-size: 18px; margin: 0; } .good { color: var(--good); } .bad { color: var(--bad); }
.warn { color: var(--warn); } .quiet { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 10px; }
.tiles div { background: var(--tile); border-radius: 8px; padding: 10px 12px; color: var(--soft); font-size: 13px; }
.tiles b { display: block; color: var(--text); font-size: 20px; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 16px; }
figure { margin: 0; } figcaption { font-weight: 600; } svg { width: 100%; max-width: 760px; height: auto; }
svg text { font-size: 11px; fill: var(--soft); } svg .y { text-anchor: end; } svg .x { text-anchor: middle; }
.grid { stroke: var(--rule); stroke-width: 1; } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round;
  stroke-linecap: round; }
.line.c0 { stroke: var(--c0); } .line.c1 { stroke: var(--c1); } .line.c2 { stroke: var(--c2); }
.line.c3 { stroke: var(--c3); } .bar { fill: var(--c0); opacity: .45; } .bar.inner { fill: var(--inner); opacity: 1; }
.mark rect { fill: var(--c3); opacity: .22; } svg .mark text { fill: var(--c3); font-weight: 600; text-anchor: middle; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; color: var(--soft); font-size: 13px; }
.legend i { display: inline-block; width: 12px; height: 3px; margin-right: 5px; vertical-align: middle; }
i.c0 { background: var(--c0); } i.c1 { background: var(--c1); } i.c2 { background: var(--c2); }
i.c3 { background: var(--c3); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; font-size: 13px; } small { color: var(--soft); }
pre { background: var(--tile); padding: 12px; border-radius: 8px; overflow-x: auto; font-size: 12.5px; }
a { color: var(--c0); } input, select { font: inherit; color: inherit; background: var(--tile); padding: 5px 8px;
  border: 1px solid var(--rule); border-radius: 6px; }
button { font: inherit; font-weight: 600; color: var(--back); background: var(--c0); padding: 6px 12px;
  border: 0; border-radius: 6px; cursor: pointer; }
button.plain { background: none; color: inherit; padding: 6px 0; min-height: 36px;
  min-width: 36px; font-size: inherit; text-align: left; }
[aria-sort="ascending"] button::after { content: " ▲"; } [aria-sort="descending"] button::after { content: " ▼"; }
input[type="checkbox"] { width: 20px; height: 20px; margin: 2px; vertical-align: middle; }
:focus-visible { outline: 3px solid var(--c0); outline-offset: 2px; }
.orders { align-items: start; }
details { border: 1px solid var(--rule); border-radius: 8px; padding: 8px 12px; }
details > form { margin-top: 8px; } details p { margin: 0 0 8px; } details input, details select { max-width: 100%; }
summary { cursor: pointer; font-weight: 600; padding: 6px 0; min-height: 36px; }
"""
