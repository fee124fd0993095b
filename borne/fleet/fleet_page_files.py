"""The HTML and the script of the page of a running fleet."""

from __future__ import annotations

from typing import Final

PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="fleet.css"></head><body><main>
<h1>{title}</h1>
<p id="progress">starting …</p>
<div class="tiles" id="tiles"></div>
<h2>Stations</h2>
<p><label>State <select id="state"><option value="">all</option>{states}</select></label>
<label>Identity <input id="text" size="16"></label> <span id="found"></span></p>
<div class="wide"><table><thead><tr><th>Number</th><th>Station</th><th>State</th><th>Boots</th><th>Transactions</th>
<th>Waiting events</th><th>Power</th><th>Energy</th><th></th></tr></thead><tbody id="rows"></tbody></table></div>
<p><a href="metrics">Metrics</a></p>
</main><script src="fleet.js"></script>
</body></html>
"""
"""the page; `{title}` and `{states}`, the options of the filter, are to be replaced"""
SCRIPT: Final = """const element = id => document.getElementById(id);
const addCell = (row, text, link) => {
  const newCell = row.insertCell();
  if (!link) { newCell.textContent = text; return; }
  const anchor = document.createElement("a");
  anchor.href = link; anchor.textContent = text; newCell.append(anchor);
};
const durationText = seconds => {
  if (seconds === null) return "–";
  return seconds >= 1 ? seconds.toFixed(2) + " s" : (seconds * 1000).toFixed(1) + " ms";
};
function showTiles(sample) {
  const values = [
    ...Object.entries(sample.states).map(([name, count]) => [count, name]),
    [sample.requests_per_s.toFixed(0), "requests/s"], [sample.failures, "failed requests"],
    [durationText(sample.median_s), "CSMS responds, median"], [durationText(sample.p95_s), "CSMS responds, p95"],
    [sample.started, "transactions started"], [sample.ended, "transactions ended"],
    [(sample.power_w / 1000).toFixed(1) + " kW", "charging"],
    [(sample.energy_wh / 1000).toFixed(2) + " kWh", "charged"],
    [sample.waiting_events, "waiting events"]];
  element("tiles").replaceChildren(...values.map(([value, name]) => {
    const tile = document.createElement("div"), bold = document.createElement("b");
    bold.textContent = value; tile.append(bold, name);
    return tile;
  }));
}
function showRows(fleet) {
  const body = document.createElement("tbody");
  body.id = "rows";
  for (const station of fleet.rows) {
    const row = body.insertRow();
    addCell(row, station.number); addCell(row, station.identity, station.page);
    addCell(row, station.state); addCell(row, station.boots);
    addCell(row, station.started + " started, " + station.ended + " ended"); addCell(row, station.waiting_events);
    addCell(row, (station.power_w / 1000).toFixed(1) + " kW");
    addCell(row, (station.register_wh / 1000).toFixed(3) + " kWh");
    addCell(row, station.failure || "");
  }
  element("rows").replaceWith(body);
  element("found").textContent = fleet.found + " stations" +
    (fleet.found > fleet.rows.length ? ", first " + fleet.rows.length : "");
}
async function update() {
  try {
    const query = new URLSearchParams({state: element("state").value, text: element("text").value});
    const fleet = await (await fetch("api/fleet?" + query)).json();
    element("progress").textContent = fleet.elapsed_s.toFixed(0) + " of " + fleet.lasts_s.toFixed(0) + " s";
    if (fleet.sample) showTiles(fleet.sample);
    showRows(fleet);
  } catch (error) {
    element("progress").textContent = "the fleet does not answer: it has probably ended";
  }
}
element("state").addEventListener("change", update);
element("text").addEventListener("input", update);
setInterval(update, 1000);
update();
"""
"""reads /api/fleet each second, and fills the page with it"""
