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
<label>Identity <input id="text" size="16"></label> <span id="found" role="status"></span></p>
<form id="orders"><label>Order <select id="order">{orders}</select></label>
<button type="submit">Give it</button> <span id="selected"></span> <span id="outcome" role="status"></span></form>
<div class="wide"><table><thead><tr><th><input type="checkbox" id="all" aria-label="Select all that are shown"></th>
{columns}<th scope="col">Remarks</th><th scope="col">Panel</th></tr></thead><tbody id="rows"></tbody></table></div>
<p><a href="metrics">Metrics</a></p>
</main><script src="fleet.js"></script>
</body></html>
"""
"""the page; `{title}`, `{states}` (options of the filter), `{orders}` (options) and `{columns}` are to be replaced"""
COLUMNS: Final = {
    "number": "Number",
    "identity": "Station",
    "state": "State",
    "boots": "Boots",
    "started": "Transactions",
    "waiting_events": "Waiting events",
    "power_w": "Power",
    "register_wh": "Energy",
    "misbehaviour": "Misbehaviour",
}
"""titles of the columns by which the table can be sorted"""
SCRIPT: Final = """const element = id => document.getElementById(id);
const addLink = (cell, address, text) => {
  const anchor = document.createElement("a");
  anchor.href = address; anchor.textContent = text; cell.append(anchor);
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
const selected = new Set(), rows = new Map();
let sort = "number", numbers = [];
const stateClasses = {online: "good", failed: "bad", offline: "warn", "without power": "warn"};
function makeRow(station) {
  const row = document.createElement("tr"), box = document.createElement("input");
  box.type = "checkbox"; box.setAttribute("aria-label", "Select " + station.identity);
  box.checked = selected.has(station.number);
  box.addEventListener("change", () => {
    if (box.checked) selected.add(station.number); else selected.delete(station.number);
    showSelected();
  });
  row.insertCell().append(box);
  for (let index = 0; index < 11; index++) row.insertCell();
  return row;
}
function fillRow(row, station) {
  const texts = [station.number, null, "● " + station.state, station.boots,
    station.started + " started, " + station.ended + " ended", station.waiting_events,
    (station.power_w / 1000).toFixed(1) + " kW", (station.register_wh / 1000).toFixed(3) + " kWh",
    station.misbehaviour || "", station.failure || ""];
  texts.forEach((text, index) => {
    const cell = row.cells[index + 1];
    if (text !== null && cell.textContent !== String(text)) cell.textContent = text;
  });
  row.cells[3].className = stateClasses[station.state] || "quiet";
  showLink(row.cells[2], station.page, station.identity, station.identity);
  showLink(row.cells[11], station.page && station.page + "simulation", "simulation", "");
}
function showLink(cell, address, text, textWithoutLink) {
  const anchor = cell.firstElementChild;
  if (address && anchor) { if (anchor.href !== address) anchor.href = address; return; }
  if (!address && !anchor && cell.textContent === textWithoutLink) return;
  cell.textContent = address ? "" : textWithoutLink;
  if (address) addLink(cell, address, text);
}
function showRows(fleet) {
  numbers = fleet.rows.map(station => station.number);
  for (const number of [...rows.keys()]) if (!numbers.includes(number)) rows.delete(number);
  for (const station of fleet.rows) {
    if (!rows.has(station.number)) rows.set(station.number, makeRow(station));
    fillRow(rows.get(station.number), station);
  }
  const body = element("rows"), wanted = numbers.map(number => rows.get(number)), kept = new Set(wanted);
  for (const row of [...body.rows]) if (!kept.has(row)) row.remove();
  wanted.forEach((row, index) => {
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] || null);
  });
  const found = fleet.found + " stations" +
    (fleet.found > fleet.rows.length ? ", first " + fleet.rows.length : "");
  if (element("found").textContent !== found) element("found").textContent = found;
}
function showSelected() {
  element("selected").textContent = selected.size ? "to " + selected.size + " selected" : "to all that are shown";
}
async function giveOrder(event) {
  event.preventDefault();
  const button = element("orders").querySelector("button");
  const order = {order: element("order").value, numbers: selected.size ? [...selected] : numbers};
  element("outcome").textContent = "…"; button.disabled = true;
  try {
    const answer = await fetch("api/orders",
      {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(order)});
    const outcome = await answer.json();
    const reasons = Object.entries(outcome.reasons || {}).map(([identity, reason]) => identity + ": " + reason);
    element("outcome").textContent = answer.ok
      ? outcome.done + " done, " + outcome.refused + " refused " + reasons.slice(0, 3).join("; ") : outcome.detail;
  } catch (error) {
    element("outcome").textContent = "the fleet does not answer: it has probably ended";
  } finally {
    button.disabled = false;
  }
  update();
}
function sortBy(event) {
  const field = event.currentTarget.dataset.sort;
  sort = sort === field ? "-" + field : field;
  for (const button of document.querySelectorAll("[data-sort]")) {
    const direction = sort === button.dataset.sort ? "ascending"
      : sort === "-" + button.dataset.sort ? "descending" : "none";
    button.parentElement.setAttribute("aria-sort", direction);
  }
  update();
}
async function update() {
  try {
    const query = new URLSearchParams({state: element("state").value, text: element("text").value, sort});
    const fleet = await (await fetch("api/fleet?" + query)).json();
    element("progress").textContent = fleet.elapsed_s.toFixed(0) + " of " + fleet.lasts_s.toFixed(0) + " s";
    if (fleet.sample) showTiles(fleet.sample);
    showRows(fleet);
  } catch (error) {
    element("progress").textContent = "the fleet does not answer: it has probably ended";
  }
}
for (const button of document.querySelectorAll("[data-sort]")) button.addEventListener("click", sortBy);
element("orders").addEventListener("submit", giveOrder);
element("all").addEventListener("change", () => {
  for (const number of numbers) if (element("all").checked) selected.add(number); else selected.delete(number);
  for (const [number, row] of rows) row.cells[0].firstElementChild.checked = selected.has(number);
  showSelected();
});
showSelected();
element("state").addEventListener("change", update);
element("text").addEventListener("input", update);
setInterval(update, 1000);
update();
"""
"""reads /api/fleet each second, and fills the page with it"""
