// The raw bytes of the meters, with the decoded values.

import { get } from "./api.js";
import { download, find, make, runOnClick } from "./dom.js";
import { amps, decimal, kilovoltAmperes, kilowatts, timeWithSeconds } from "./format.js";
import { showFacts } from "./io.js";
import { watchStatus } from "./live.js";
import { t } from "./words.js";

const RELOAD_INTERVAL_MS = 1500;
const MAX_CHUNKS = 200;
let lastNumber = 0;
let started = false;

export function openMeter() {
  if (!started) {
    started = true;
    watchStatus(showValues);
    setInterval(() => document.hidden || find("#meter").hidden || loadChunks(), RELOAD_INTERVAL_MS);
    runOnClick(find("#meter-download"), downloadChunks);
  }
  loadChunks();
}

async function loadChunks() {
  if (find("#meter-hold").checked) return;
  const since = lastNumber;
  let chunks;
  try {
    chunks = await get(`/api/meter-frames?since=${since}`);
  } catch {
    return; // the banner reports it
  }
  if (since !== lastNumber) return; // these chunks are there already
  const list = find("#meter-frames");
  if (lastNumber === 0) list.replaceChildren();
  lastNumber = chunks.at(-1)?.number ?? lastNumber;
  list.prepend(...chunks.reverse().map(chunkRow));
  while (list.children.length > MAX_CHUNKS) list.lastChild.remove();
  if (list.children.length === 0) list.append(make("li", { class: "empty" }, t("meter.nothing")));
}

function chunkRow(chunk) {
  return make(
    "li",
    {},
    make("span", { class: "muted" }, `${timeWithSeconds(chunk.at)} ${chunk.sent ? "→" : "←"} ${chunk.wire}`),
    make("pre", {}, chunk.hex),
    make("pre", { class: "muted" }, chunk.text),
  );
}

function showValues(status) {
  const grid = status.grid;
  const rows = [[t("meter.grid"), grid === null ? t("meter.silent") : t("meter.age", { seconds: decimal(grid.age_s, 0) })]];
  if (grid !== null) {
    for (const [index, current] of grid.currents_a.entries()) rows.push([`L${index + 1}`, amps(current)]);
    const power = grid.power_w === null ? kilovoltAmperes(grid.apparent_power_va) : kilowatts(grid.power_w);
    rows.push([t("meter.power"), power], [t("limit.grid"), amps(grid.limit_a)]);
  }
  for (const evse of status.evses) {
    const reading = evse.meter === null ? t("meter.silent") : `${kilowatts(evse.meter.power_w)}, ${evse.meter.currents_a.map(amps).join(" / ")}`;
    rows.push([t("charge.evse", { number: evse.id }), evse.meter_error ?? reading]);
  }
  showFacts(find("#meter-values"), rows);
}

async function downloadChunks() {
  const chunks = await get("/api/meter-frames?since=0");
  const lines = chunks.map((chunk) => `${chunk.at} ${chunk.sent ? ">" : "<"} ${chunk.wire} ${chunk.hex}\n`);
  download("meter-frames.txt", "text/plain", lines.join(""));
}
