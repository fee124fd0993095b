// Current inputs and outputs, the software, and acknowledging the tamper alarm.

import { get, post, remove } from "./api.js";
import { find, make, runOnClick, setText, show, toast } from "./dom.js";
import { amps, dateAndTime, decimal, withUnit } from "./format.js";
import { onEvent, reloadStatus, watchStatus } from "./live.js";
import { hasText, t } from "./words.js";

const RELOAD_INTERVAL_MS = 1500;
const LATCHED_FAULTS = ["contactor-welded", "contactor-stuck-open", "over-current"]; // until service states that they are repaired
const LONG_WORD = /\S{19}/; // an address, which may break anywhere
let started = false;

export function openLive() {
  if (!started) {
    started = true;
    watchStatus(showSoftware);
    onEvent("evse", refresh);
    setInterval(() => document.hidden || find("#live").hidden || refresh(), RELOAD_INTERVAL_MS);
    runOnClick(find("#io-tamper"), async () => {
      await remove("/api/tamper");
      await refresh();
      reloadStatus();
    });
  }
  refresh();
}

async function refresh() {
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
  const container = find("#io-evses");
  for (const evse of io.evses) {
    let card = container.querySelector(`[data-evse="${evse.evse}"]`);
    if (card === null) container.append((card = createCard(evse.evse)));
    const monitor = await get(`/api/evses/${evse.evse}/residual-current`);
    showFacts(find("dl", card), [...evseRows(evse), [t("io.residual"), monitorContent(monitor)]]);
    const isService = document.documentElement.dataset.role === "service";
    show(find("[data-clear]", card), isService && monitor.tripped);
    show(find("[data-mended]", card), isService && evse.faults.some((fault) => LATCHED_FAULTS.includes(fault)));
  }
}

function createCard(evseId) {
  const testButton = make("button", { type: "button" }, t("io.test-residual"));
  const clearButton = make("button", { type: "button", class: "danger", "data-clear": true }, t("io.clear-residual"));
  const mendedButton = make("button", { type: "button", class: "danger", "data-mended": true }, t("io.mended"));
  runOnClick(testButton, async () => {
    const { result } = await post(`/api/evses/${evseId}/residual-current/test`);
    toast(t("io.tested", { result: t(`residual.${result}`) }));
    await refresh();
  });
  runOnClick(clearButton, async () => {
    await remove(`/api/evses/${evseId}/residual-current`);
    await refresh();
  });
  runOnClick(mendedButton, async () => {
    await remove(`/api/evses/${evseId}/faults`);
    await refresh();
  });
  return make(
    "article",
    { class: "card", "data-evse": evseId },
    make("h2", {}, t("charge.evse", { number: evseId })),
    make("dl", { class: "facts" }),
    make("div", { class: "row" }, testButton, clearButton, mendedButton),
  );
}

function monitorContent({ tripped, last_test: lastTest }) {
  if (tripped) return make("span", { class: "pill bad" }, t("io.tripped"));
  return lastTest === null ? t("io.untested") : `${t(`residual.${lastTest.result}`)}, ${dateAndTime(lastTest.at)}`;
}

function evseRows(evse) {
  const orderText = (actual, ordered) => (actual === ordered ? "" : ` (${t("io.ordered")}: ${t(ordered ? "shell.yes" : "shell.no")})`);
  const faults = evse.faults.map((fault) => (hasText(`fault-name.${fault}`) ? t(`fault-name.${fault}`) : fault));
  return [
    [t("io.pilot"), `${evse.pilot} – ${t(`pilot.${evse.pilot}`)}`],
    [t("io.offers"), evse.pilot_offers_a === null ? t("io.steady") : amps(evse.pilot_offers_a)],
    [t("io.cable"), evse.cable_plugged ? t("shell.yes") : t("shell.no")],
    [t("io.proximity"), evse.cable_max_a === null ? "–" : amps(evse.cable_max_a)],
    [t("io.contactor"), t(evse.contactor_closed ? "io.closed" : "io.open") + orderText(evse.contactor_closed, evse.contactor_ordered)],
    [t("io.lock"), t(evse.locked ? "io.locked" : "io.unlocked") + orderText(evse.locked, evse.lock_ordered)],
    [t("io.bay"), t(evse.bay_occupied ? "io.occupied" : "io.empty")],
    [t("io.temperature"), evse.temperature_c === null ? "–" : withUnit(decimal(evse.temperature_c), "°C")],
    [t("io.faults"), faults.length === 0 ? pill(true, "shell.none") : make("span", { class: "pill bad" }, faults.join(", "))],
  ];
}

function showSoftware(status) {
  const update = status.firmware_update;
  showFacts(find("#io-software"), [
    [t("io.version"), status.firmware_version],
    [t("io.update"), update === null ? t("shell.none") : update.status],
    [t("io.model"), `${status.vendor} ${status.model}`],
    [t("io.stage"), t(`stage.${status.stage}`)],
    [t("io.csms"), status.csms === null ? t("ocpp.alone") : status.csms.connected ? t("ocpp.connected") : t("ocpp.apart")],
    ...(status.csms === null ? [] : [[t("io.queue"), String(status.queue.transaction_events)]]), // without a CSMS nothing is queued
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
