// The last events of monitors and faults as they occur, and the monitors of variables.

import { get } from "./api.js";
import { find, make, setText, show } from "./dom.js";
import { dateAndTime, decimal } from "./format.js";
import { onEvent, watchStatus } from "./live.js";
import { variableName } from "./model.js";
import { t } from "./words.js";

const MOST_SHOWN = 100;
let begun = false;
let known = 0; // the id of the last event that is shown

export async function openMonitoring() {
  if (!begun) {
    begun = true;
    onEvent("device-event", (event) => add([event]));
    watchStatus((status) => show(find("#monitoring-state"), status.csms !== null)); // without a CSMS nothing waits for one
  }
  await Promise.all([monitors(), events()]);
}

async function events() {
  add(await get(`/api/device-events?since=${known}`));
  show(find("#monitoring-none"), known === 0);
}

function add(happened) {
  const list = find("#monitoring-events");
  for (const event of happened.filter((one) => one.id > known)) {
    known = event.id;
    list.prepend(row(event));
  }
  while (list.children.length > MOST_SHOWN) list.lastChild.remove();
  show(find("#monitoring-none"), known === 0);
}

function row(event) {
  const value = event.value === "" ? "" : ` = ${event.value}`;
  const facts = [
    dateAndTime(event.at),
    t("monitoring.severity-of", { severity: event.severity }),
    event.cleared === true ? t("monitoring.cleared") : null,
    event.tech_code,
    event.tech_info,
  ];
  return make(
    "li",
    {},
    make(
      "div",
      {},
      make("strong", { class: "mono" }, `${variable(event)}${value}`),
      make("p", { class: "muted small" }, facts.filter((fact) => fact !== null).join(" · ")),
    ),
  );
}

async function monitors() {
  const found = await get("/api/monitors");
  const { waiting, level, offline_severity: offline } = found;
  setText(find("#monitoring-state"), t("monitoring.state", { waiting, level, offline }));
  show(find("#monitoring-disabled"), !found.enabled);
  find("#monitoring-monitors").replaceChildren(
    ...found.monitors.map((one) =>
      make(
        "tr",
        {},
        make("td", { class: "mono" }, variable(one)),
        make("td", {}, trigger(one)),
        make("td", {}, t("monitoring.severity-of", { severity: one.severity })),
        make("td", {}, t(`monitoring.by-${one.notification_type.toLowerCase()}`)),
      ),
    ),
  );
}

function trigger({ type, value }) {
  if (type === "Delta" && value === 0) return t("monitoring.any-change");
  return t(`monitoring.type-${type.toLowerCase()}`, { value: decimal(value, 3) });
}

const variable = (one) => variableName({ ...one, attribute: "Actual" });
