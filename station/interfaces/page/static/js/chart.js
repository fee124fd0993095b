// The chart of house and car currents with their limit, per phase, over the last hours; a touch shows the values of that time.

import { get } from "./api.js";
import { find, make, setText, show } from "./dom.js";
import { amps, timeOfDay } from "./format.js";
import { watchStatus } from "./live.js";
import { t } from "./words.js";

const SPAN_S = 3 * 3600;
const CHARGING_MINIMUM_A = 1; // a car that draws less does not charge
const MINIMUM_SPAN_S = 15 * 60;

const rows = [];
let latestHistory = null;
let phase = null;
let evseIndex = null; // index of the EVSE that is drawn; null: all of them, and the house
let chart = null;

/** Show the card of the chart and keep it up to date. */
export async function drawHistory() {
  await fetchRows();
  if (latestHistory === null) return;
  if (!latestHistory.has_grid_meter && latestHistory.evses.length > 1) evseIndex = 0; // without a grid meter there is no common limit
  show(find("#chart-card"), true);
  updateButtons();
  rebuildChart();
  watchStatus(refresh); // together with the other numbers on the page, so that they agree
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", rebuildChart);
  new ResizeObserver(() => chart?.setSize(chartSize())).observe(find("#chart"));
}

async function refresh(status) {
  if (!status.powered) return; // there is no history to read
  await fetchRows();
  draw();
}

async function fetchRows() {
  const sinceS = rows.at(-2)?.[0] ?? 0; // the last row was made for this request, and comes again
  try {
    const history = await get(`/api/history?since_s=${sinceS}`);
    latestHistory = history;
    while (rows.length > 0 && rows.at(-1)[0] > sinceS) rows.pop();
    rows.push(...history.rows);
    dropRowsWithLaterTimes();
    const oldest = (rows.at(-1)?.[0] ?? 0) - 2 * SPAN_S;
    while (rows.length > 0 && rows[0][0] < oldest) rows.shift();
  } catch {
    // the banner reports it
  }
}

/** Drop rows with a later time than a newer row: they remain if the clock was set back. */
function dropRowsWithLaterTimes() {
  let newerTime = Infinity;
  for (let index = rows.length - 1; index >= 0; index -= 1) {
    if (rows[index][0] < newerTime) newerTime = rows[index][0];
    else rows.splice(index, 1);
  }
}

function updateButtons() {
  const carOnly = evseIndex === null && !latestHistory.has_grid_meter; // the current of the house is unknown
  const title = evseIndex === null ? t(carOnly ? "chart.car" : "chart.title") : t("charge.evse", { number: latestHistory.evses[evseIndex].evse });
  setText(find("#chart-title"), title);
  const evseIndices = [...(latestHistory.has_grid_meter ? [null] : []), ...latestHistory.evses.keys()];
  show(find("#chart-points"), latestHistory.evses.length > 1);
  find("#chart-points").replaceChildren(
    ...evseIndices.map((index) => {
      const text = index === null ? t("chart.all") : String(latestHistory.evses[index].evse);
      return choiceButton(text, index === evseIndex, () => (evseIndex = index));
    }),
  );
  const phases = evseIndex === null ? latestHistory.phases : latestHistory.evses[evseIndex].phases;
  phase = phases > 1 ? (phase ?? mostLoadedPhase()) : 0;
  show(find("#chart-phases"), phases > 1);
  find("#chart-phases").replaceChildren(
    ...[0, 1, 2].map((index) => choiceButton(`L${index + 1}`, index === phase, () => (phase = index))),
  );
}

function choiceButton(text, selected, select) {
  const selectAndDraw = () => {
    select();
    updateButtons();
    draw();
  };
  return make("button", { type: "button", "aria-pressed": String(selected), onclick: selectAndDraw }, text);
}

/** The phase with the highest current, of those that a car uses: it decides what the car gets. */
function mostLoadedPhase() {
  const [, grid, car] = rows.at(-1) ?? [0, [0, 0, 0], [0, 0, 0], null];
  const charging = car.map((current) => current >= CHARGING_MINIMUM_A);
  const usedPhases = charging.includes(true) ? charging : [true, true, true];
  const currents = grid.map((current, index) => (usedPhases[index] ? (current ?? car[index]) : -Infinity));
  return currents.indexOf(Math.max(...currents));
}

/** The rows that are drawn. */
const rowsInSpan = () => rows.filter((row) => row[0] >= rows.at(-1)[0] - SPAN_S);

/** Columns for uPlot: time, car on top of house, house, limit. Missing values are gaps. */
function columns() {
  const drawnRows = rowsInSpan();
  const times = drawnRows.map((row) => row[0]);
  if (evseIndex !== null) {
    return [times, drawnRows.map((row) => row[5][evseIndex][phase]), drawnRows.map(() => 0), drawnRows.map((row) => row[6][evseIndex])];
  }
  const houseCurrent = (row) => (row[7][phase] === null ? null : Math.max(0, row[7][phase]));
  const house = drawnRows.map(latestHistory.has_grid_meter ? houseCurrent : () => 0);
  const total = drawnRows.map(([, , car], index) => (house[index] === null ? null : house[index] + car[phase]));
  return [times, total, house, drawnRows.map((row) => row[3])];
}

function draw() {
  if (chart === null || rows.length === 0) return;
  const data = columns();
  chart.setData(data);
  updateLegend(data, chart.cursor.idx);
}

/** Show the currents at the touched time in the legend, else the current ones. */
function updateLegend(data, touchedIndex) {
  const rowIndex = touchedIndex ?? data[0].length - 1;
  const [moment, total, drawnHouse, limit] = data.map((column) => column[rowIndex]);
  // The house is not drawn below 0, where it feeds in.
  const house = evseIndex === null && latestHistory.has_grid_meter ? rowsInSpan()[rowIndex][7][phase] : drawnHouse;
  const values = { car: total === null ? null : total - drawnHouse, house, limit };
  for (const [name, value] of Object.entries(values)) setText(find(`#chart-${name}`), amps(value));
  show(find("#chart-house").closest("li"), latestHistory.has_grid_meter && evseIndex === null);
  setText(find("#chart-moment"), touchedIndex === null || touchedIndex === undefined ? t("chart.now") : timeOfDay(moment * 1000));
}

function chartSize() {
  const container = find("#chart");
  return { width: container.clientWidth, height: container.clientHeight };
}

function rebuildChart() {
  chart?.destroy();
  chart = new window.uPlot(options(), columns(), find("#chart"));
  draw();
}

function options() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--muted"),
    font: "12px system-ui, sans-serif",
    grid: { stroke: colour("--chart-grid"), width: 1 },
    ticks: { show: false },
  };
  const line = { width: 2, paths: window.uPlot.paths.stepped({ align: 1 }), points: { show: false } }; // a value holds until the next
  const area = (name, strength) => ({
    ...line,
    stroke: colour(name),
    fill: (plot) => gradientFill(plot, colour(name), strength),
  });
  return {
    ...chartSize(),
    padding: [12, 22, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    hooks: { setCursor: [(plot) => updateLegend(plot.data, plot.cursor.idx)] },
    legend: { show: false },
    scales: { x: { time: true, range: xRange }, y: { range: yRange } },
    axes: [
      { ...axis, grid: { show: false }, values: (_, ticks) => ticks.map((tick) => timeOfDay(tick * 1000)), space: 64, size: 28 },
      { ...axis, values: (_, ticks) => ticks.map((tick) => `${tick} A`), size: 48, space: 36 },
    ],
    bands: [{ series: [1, 2] }],
    series: [
      {},
      area("--chart-car", 60),
      area("--chart-house", 45),
      { ...line, stroke: colour("--chart-limit"), dash: [6, 5] },
    ],
  };
}

/** A colour gradient that fades towards the baseline. */
function gradientFill(plot, colour, strength) {
  const { top, height } = plot.bbox;
  if (!(height > 0)) return colour;
  const gradient = plot.ctx.createLinearGradient(0, top, 0, top + height);
  gradient.addColorStop(0, `color-mix(in srgb, ${colour} ${strength}%, transparent)`);
  gradient.addColorStop(1, `color-mix(in srgb, ${colour} ${strength / 2}%, transparent)`);
  return gradient;
}

function xRange(_, lowest, highest) {
  return [Math.min(lowest, highest - MINIMUM_SPAN_S), highest];
}

function yRange(plot, lowest, highest) {
  return [0, Math.max(10, Math.ceil((highest * 1.12) / 5) * 5)];
}
