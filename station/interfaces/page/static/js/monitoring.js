// The last events of monitors and faults as they occur, and the monitors of variables.

import { get } from "./api.js";
import { find, make, setText, show } from "./dom.js";
import { dateAndTime, decimal } from "./format.js";
import { onEvent, watchStatus } from "./live.js";
import { variableName } from "./model.js";
import { t } from "./words.js";

const MAX_EVENTS = 100;
let started = false;
let lastEventId = 0; // the id of the last event that is shown

export async function openMonitoring() {
  if (!started) {
    started = true;
    onEvent("device-event", (event) => addEvents([event]));
    watchStatus((status) => show(find("#monitoring-state"), status.csms !== null)); // without a CSMS nothing waits for one
  }
  await Promise.all([loadMonitors(), loadEvents()]);
}

async function loadEvents() {
  addEvents(await get(`/api/device-events?since=${lastEventId}`));
  show(find("#monitoring-none"), lastEventId === 0);
}

function addEvents(events) {
  const list = find("#monitoring-events");
  for (const event of events.filter((received) => received.id > lastEventId)) {
    lastEventId = event.id;
    list.prepend(eventRow(event));
  }
  while (list.children.length > MAX_EVENTS) list.lastChild.remove();
  show(find("#monitoring-none"), lastEventId === 0);
}

function eventRow(event) {
  const value = event.value === "" ? "" : ` = ${event.value}`;
  const details = [
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
      make("strong", { class: "mono" }, `${variableText(event)}${value}`),
      make("p", { class: "muted small" }, details.filter((detail) => detail !== null).join(" · ")),
    ),
  );
}

async function loadMonitors() {
  const monitoring = await get("/api/monitors");
  const { waiting, level, offline_severity: offline } = monitoring;
  setText(find("#monitoring-state"), t("monitoring.state", { waiting, level, offline }));
  show(find("#monitoring-disabled"), !monitoring.enabled);
  find("#monitoring-monitors").replaceChildren(
    ...monitoring.monitors.map((monitor) =>
      make(
        "tr",
        {},
        make("td", { class: "mono" }, variableText(monitor)),
        make("td", {}, triggerText(monitor)),
        make("td", {}, t("monitoring.severity-of", { severity: monitor.severity })),
        make("td", {}, t(`monitoring.by-${monitor.notification_type.toLowerCase()}`)),
      ),
    ),
  );
}

function triggerText({ type, value }) {
  if (type === "Delta" && value === 0) return t("monitoring.any-change");
  return t(`monitoring.type-${type.toLowerCase()}`, { value: decimal(value, 3) });
}

const variableText = (eventOrMonitor) => variableName({ ...eventOrMonitor, attribute: "Actual" });
