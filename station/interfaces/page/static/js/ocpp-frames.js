// The OCPP messages: search, hold, open, export.

import { find, setText, toast } from "./dom.js";
import { watchStatus } from "./live.js";
import { showExchanges } from "./ocpp-exchanges.js";
import { root } from "./root.js";
import { t } from "./words.js";

const FILTERS = { text: "#ocpp-filter", action: "#ocpp-action", direction: "#ocpp-direction" };
const TIMES = { begin: "#ocpp-begin", end: "#ocpp-end" };
const FORMS = ["jsonl", "har", "pcapng"];
let started = false;

export async function openOcpp() {
  if (started) return;
  started = true;
  watchStatus((status) => setText(find("#ocpp-link"), connectionText(status.csms)));
  const reload = showExchanges(find("#ocpp-frames"), { query, isHeld: () => find("#ocpp-hold").checked });
  const search = () => {
    setExportLinks();
    reload().catch((error) => toast(error.message));
  };
  for (const selector of [...Object.values(FILTERS), ...Object.values(TIMES), "#ocpp-hold"]) {
    find(selector).addEventListener("input", search);
  }
  setExportLinks();
  await reload();
}

function connectionText(csms) {
  if (csms === null) return t("ocpp.alone");
  const state = csms.connected ? t("ocpp.connected") : `${t("ocpp.apart")} ${csms.last_error ?? ""}`;
  return `${csms.url} · ${state}`;
}

/** The filters that are set, as the API takes them; times of this browser's time zone. */
function query() {
  const filters = {};
  for (const [name, selector] of Object.entries(FILTERS)) {
    const value = find(selector).value.trim();
    if (value !== "") filters[name] = value;
  }
  for (const [name, selector] of Object.entries(TIMES)) {
    const moment = new Date(find(selector).value);
    if (!Number.isNaN(moment.getTime())) filters[name] = moment.toISOString();
  }
  return filters;
}

function setExportLinks() {
  for (const form of FORMS) {
    find(`#ocpp-${form}`).href = `${root}/api/frames/export?${new URLSearchParams({ ...query(), form })}`;
  }
}
