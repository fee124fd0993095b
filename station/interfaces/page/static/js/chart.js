// The chart of house and car currents with their limit, per phase, over the last hours; a touch reads a moment.

import { get } from "./api.js";
import { find, make, setText, show } from "./dom.js";
import { amps, timeOfDay } from "./format.js";
import { watchStatus } from "./live.js";
import { t } from "./words.js";

const SPAN_S = 3 * 3600;
const CHARGES_A = 1; // a car that draws less does not charge
const LEAST_SPAN_S = 15 * 60;

const rows = [];
let about = null;
let phase = null;
let point = null; // index of the charging point that is drawn; null: all of them, and the house
let chart = null;

/** Show the card of the chart and keep it up to date. */
export async function drawHistory() {
  await fetchRows();
  if (about === null) return;
  if (!about.has_grid_meter && about.evses.length > 1) point = 0; // without a grid meter there is no common limit
  show(find("#chart-card"), true);
  buttons();
  rebuild();
  watchStatus(step); // at the moments of the other numbers on the page, with which these agree
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", rebuild);
  new ResizeObserver(() => chart?.setSize(size())).observe(find("#chart"));
}

async function step(status) {
  if (!status.powered) return; // there is no history to read
  await fetchRows();
  draw();
}

async function fetchRows() {
  const known = rows.at(-2)?.[0] ?? 0; // the last one was made for us and comes again
  try {
    const history = await get(`/api/history?since_s=${known}`);
    about = history;
    while (rows.length > 0 && rows.at(-1)[0] > known) rows.pop();
    rows.push(...history.rows);
    dropWhatIsLater();
    const oldest = (rows.at(-1)?.[0] ?? 0) - 2 * SPAN_S;
    while (rows.length > 0 && rows[0][0] < oldest) rows.shift();
  } catch {
    // the banner reports it
  }
}

/** Drop rows with a later time than a newer row: they remain if the clock was set back. */
function dropWhatIsLater() {
  let next = Infinity;
  for (let at = rows.length - 1; at >= 0; at -= 1) {
    if (rows[at][0] < next) next = rows[at][0];
    else rows.splice(at, 1);
  }
}

function buttons() {
  const alone = point === null && !about.has_grid_meter; // of the house nothing is known
  setText(find("#chart-title"), point !== null ? t("charge.evse", { number: about.evses[point].evse }) : t(alone ? "chart.car" : "chart.title"));
  const points = [...(about.has_grid_meter ? [null] : []), ...about.evses.keys()];
  show(find("#chart-points"), about.evses.length > 1);
  find("#chart-points").replaceChildren(
    ...points.map((one) => choice(one === null ? t("chart.all") : String(about.evses[one].evse), one === point, () => (point = one))),
  );
  const phases = point === null ? about.phases : about.evses[point].phases;
  phase = phases > 1 ? (phase ?? fullest()) : 0;
  show(find("#chart-phases"), phases > 1);
  find("#chart-phases").replaceChildren(
    ...[0, 1, 2].map((index) => choice(`L${index + 1}`, index === phase, () => (phase = index))),
  );
}

function choice(text, chosen, choose) {
  const act = () => {
    choose();
    buttons();
    draw();
  };
  return make("button", { type: "button", "aria-pressed": String(chosen), onclick: act }, text);
}

/** The phase with the highest current, of those that a car uses: it decides what the car gets. */
function fullest() {
  const [, grid, car] = rows.at(-1) ?? [0, [0, 0, 0], [0, 0, 0], null];
  const used = car.some((one) => one >= CHARGES_A) ? car.map((one) => one >= CHARGES_A) : [true, true, true];
  const drawn = grid.map((one, index) => (used[index] ? (one ?? car[index]) : -Infinity));
  return drawn.indexOf(Math.max(...drawn));
}

/** The rows that are drawn. */
const inSpan = () => rows.filter((row) => row[0] >= rows.at(-1)[0] - SPAN_S);

/** Columns for uPlot: time, car on top of house, house, limit. Missing values are gaps. */
function columns() {
  const span = inSpan();
  const times = span.map((row) => row[0]);
  if (point !== null) {
    return [times, span.map((row) => row[5][point][phase]), span.map(() => 0), span.map((row) => row[6][point])];
  }
  const of = (row) => (row[7][phase] === null ? null : Math.max(0, row[7][phase]));
  const house = span.map(about.has_grid_meter ? of : () => 0);
  const total = span.map(([, , car], at) => (house[at] === null ? null : house[at] + car[phase]));
  return [times, total, house, span.map((row) => row[3])];
}

function draw() {
  if (chart === null || rows.length === 0) return;
  const data = columns();
  chart.setData(data);
  tell(data, chart.cursor.idx);
}

/** Show the currents at the touched time in the legend, else the current ones. */
function tell(data, index) {
  const at = index ?? data[0].length - 1;
  const [moment, total, above, limit] = data.map((column) => column[at]);
  const house = point === null && about.has_grid_meter ? inSpan()[at][7][phase] : above; // not drawn below 0, where it feeds in
  const values = { car: total === null ? null : total - above, house, limit };
  for (const [name, value] of Object.entries(values)) setText(find(`#chart-${name}`), amps(value));
  show(find("#chart-house").closest("li"), about.has_grid_meter && point === null);
  setText(find("#chart-moment"), index === null || index === undefined ? t("chart.now") : timeOfDay(moment * 1000));
}

function size() {
  const place = find("#chart");
  return { width: place.clientWidth, height: place.clientHeight };
}

function rebuild() {
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
    fill: (plot) => shade(plot, colour(name), strength),
  });
  return {
    ...size(),
    padding: [12, 22, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    hooks: { setCursor: [(plot) => tell(plot.data, plot.cursor.idx)] },
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
function shade(plot, colour, strength) {
  const { top, height } = plot.bbox;
  if (!(height > 0)) return colour;
  const gradient = plot.ctx.createLinearGradient(0, top, 0, top + height);
  gradient.addColorStop(0, `color-mix(in srgb, ${colour} ${strength}%, transparent)`);
  gradient.addColorStop(1, `color-mix(in srgb, ${colour} ${strength / 2}%, transparent)`);
  return gradient;
}

function xRange(_, least, most) {
  return [Math.min(least, most - LEAST_SPAN_S), most];
}

function yRange(plot, least, most) {
  return [0, Math.max(10, Math.ceil((most * 1.12) / 5) * 5)];
}
