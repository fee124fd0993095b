// The raw bytes of the meters, with the decoded values.

import { get } from "./api.js";
import { download, find, make, runOnClick } from "./dom.js";
import { amps, decimal, kilovoltAmperes, kilowatts, timeWithSeconds } from "./format.js";
import { showFacts } from "./io.js";
import { watchStatus } from "./live.js";
import { t } from "./words.js";

const EVERY_MS = 1500;
const MOST_SHOWN = 200;
let known = 0;
let begun = false;

export function openMeter() {
  if (!begun) {
    begun = true;
    watchStatus(values);
    setInterval(() => document.hidden || find("#meter").hidden || step(), EVERY_MS);
    runOnClick(find("#meter-download"), save);
  }
  step();
}

async function step() {
  if (find("#meter-hold").checked) return;
  let chunks;
  try {
    chunks = await get(`/api/meter-frames?since=${known}`);
  } catch {
    return; // the banner reports it
  }
  const list = find("#meter-frames");
  if (known === 0) list.replaceChildren();
  known = chunks.at(-1)?.number ?? known;
  list.prepend(...chunks.reverse().map(row));
  while (list.children.length > MOST_SHOWN) list.lastChild.remove();
  if (list.children.length === 0) list.append(make("li", { class: "empty" }, t("meter.nothing")));
}

function row(chunk) {
  return make(
    "li",
    {},
    make("span", { class: "muted" }, `${timeWithSeconds(chunk.at)} ${chunk.sent ? "→" : "←"} ${chunk.wire}`),
    make("pre", {}, chunk.hex),
    make("pre", { class: "muted" }, chunk.text),
  );
}

function values(status) {
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

async function save() {
  const chunks = await get("/api/meter-frames?since=0");
  const lines = chunks.map((one) => `${one.at} ${one.sent ? ">" : "<"} ${one.wire} ${one.hex}\n`);
  download("meter-frames.txt", "text/plain", lines.join(""));
}
