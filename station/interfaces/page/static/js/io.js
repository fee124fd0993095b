// Current inputs and outputs, the software, and acknowledging the tamper alarm.

import { get, post, remove } from "./api.js";
import { find, make, runOnClick, setText, show, toast } from "./dom.js";
import { amps, dateAndTime, decimal, withUnit } from "./format.js";
import { onEvent, reloadStatus, watchStatus } from "./live.js";
import { hasText, t } from "./words.js";

const EVERY_MS = 1500;
const MENDED = ["contactor-welded", "contactor-stuck-open", "over-current"]; // latched until somebody has mended it
const LONG_WORD = /\S{19}/; // an address, which may break anywhere
let begun = false;

export function openLive() {
  if (!begun) {
    begun = true;
    watchStatus(software);
    onEvent("evse", step);
    setInterval(() => document.hidden || find("#live").hidden || step(), EVERY_MS);
    runOnClick(find("#io-tamper"), async () => {
      await remove("/api/tamper");
      await step();
      reloadStatus();
    });
  }
  step();
}

async function step() {
  let io;
  try {
    io = await get("/api/io");
  } catch {
    return; // the banner reports it
  }
  showFacts(find("#io-station"), [
    [t("io.selector"), io.selector_a === null ? "–" : amps(io.selector_a)],
    [t("io.jumpers"), io.jumpers ?? t("shell.unknown")],
    [t("io.jumpers-expected"), io.jumpers_expected ?? "–"],
    [t("io.flap"), pill(!io.tamper, io.tamper ? "io.alarm" : "io.quiet")],
    [t("io.grid-order"), io.grid_order ? t("shell.yes") : t("shell.no")],
  ]);
  setText(find("#io-mismatch"), io.jumpers_mismatch ?? "");
  show(find("#io-mismatch"), io.jumpers_mismatch !== null);
  show(find("#io-tamper"), io.tamper);
  const place = find("#io-evses");
  for (const evse of io.evses) {
    let card = place.querySelector(`[data-evse="${evse.evse}"]`);
    if (card === null) place.append((card = newCard(evse.evse)));
    const monitor = await get(`/api/evses/${evse.evse}/residual-current`);
    showFacts(find("dl", card), [...lines(evse), [t("io.residual"), showMonitor(monitor)]]);
    const service = document.documentElement.dataset.role === "service";
    show(find("[data-clear]", card), service && monitor.tripped);
    show(find("[data-mended]", card), service && evse.faults.some((one) => MENDED.includes(one)));
  }
}

function newCard(id) {
  const test = make("button", { type: "button" }, t("io.test-residual"));
  const clear = make("button", { type: "button", class: "danger", "data-clear": true }, t("io.clear-residual"));
  const mended = make("button", { type: "button", class: "danger", "data-mended": true }, t("io.mended"));
  runOnClick(test, async () => {
    const { result } = await post(`/api/evses/${id}/residual-current/test`);
    toast(t("io.tested", { result: t(`residual.${result}`) }));
    await step();
  });
  runOnClick(clear, async () => {
    await remove(`/api/evses/${id}/residual-current`);
    await step();
  });
  runOnClick(mended, async () => {
    await remove(`/api/evses/${id}/faults`);
    await step();
  });
  return make(
    "article",
    { class: "card", "data-evse": id },
    make("h2", {}, t("charge.evse", { number: id })),
    make("dl", { class: "facts" }),
    make("div", { class: "row" }, test, clear, mended),
  );
}

function showMonitor({ tripped, last_test: last }) {
  if (tripped) return make("span", { class: "pill bad" }, t("io.tripped"));
  return last === null ? t("io.untested") : `${t(`residual.${last.result}`)}, ${dateAndTime(last.at)}`;
}

function lines(evse) {
  const ordered = (is, wanted) => (is === wanted ? "" : ` (${t("io.ordered")}: ${t(wanted ? "shell.yes" : "shell.no")})`);
  return [
    [t("io.pilot"), `${evse.pilot} – ${t(`pilot.${evse.pilot}`)}`],
    [t("io.offers"), evse.pilot_offers_a === null ? t("io.steady") : amps(evse.pilot_offers_a)],
    [t("io.cable"), evse.cable_plugged ? t("shell.yes") : t("shell.no")],
    [t("io.proximity"), evse.cable_max_a === null ? "–" : amps(evse.cable_max_a)],
    [t("io.contactor"), t(evse.contactor_closed ? "io.closed" : "io.open") + ordered(evse.contactor_closed, evse.contactor_ordered)],
    [t("io.lock"), t(evse.locked ? "io.locked" : "io.unlocked") + ordered(evse.locked, evse.lock_ordered)],
    [t("io.bay"), t(evse.bay_occupied ? "io.occupied" : "io.empty")],
    [t("io.temperature"), evse.temperature_c === null ? "–" : withUnit(decimal(evse.temperature_c), "°C")],
    [t("io.faults"), evse.faults.length === 0 ? pill(true, "shell.none") : make("span", { class: "pill bad" }, evse.faults.map((one) => (hasText(`fault-name.${one}`) ? t(`fault-name.${one}`) : one)).join(", "))],
  ];
}

function software(status) {
  const update = status.firmware_update;
  showFacts(find("#io-software"), [
    [t("io.version"), status.firmware_version],
    [t("io.update"), update === null ? t("shell.none") : update.status],
    [t("io.model"), `${status.vendor} ${status.model}`],
    [t("io.stage"), t(`stage.${status.stage}`)],
    [t("io.csms"), status.csms === null ? t("ocpp.alone") : status.csms.connected ? t("ocpp.connected") : t("ocpp.apart")],
    ...(status.csms === null ? [] : [[t("io.queue"), String(status.queue.transaction_events)]]), // else nobody collects them
  ]);
}

const pill = (good, key) => make("span", { class: good ? "pill on" : "pill bad" }, t(key));

/** Show names and values; existing rows are updated in place, so that the layout does not jump. */
export function showFacts(list, rows) {
  for (const [index, [name, value]] of rows.entries()) {
    const row = list.children[index] ?? list.appendChild(make("div", {}, make("dt", {}, name), make("dd", {})));
    setText(row.firstChild, name);
    row.lastChild.classList.toggle("long", typeof value === "string" && LONG_WORD.test(value));
    if (typeof value === "string") setText(row.lastChild, value);
    else if (row.lastChild.firstElementChild?.isEqualNode(value) !== true) row.lastChild.replaceChildren(value);
  }
}
