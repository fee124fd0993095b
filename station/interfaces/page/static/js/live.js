// The current state of the station, loaded after each event and every few seconds; reports a silent station.

import { get } from "./api.js";
import { find, setText, show } from "./dom.js";
import { root } from "./root.js";
import { t } from "./words.js";

const RELOAD_INTERVAL_MS = 4000;
const MINIMUM_INTERVAL_MS = 300;

const watchers = [];
const listeners = new Map();
let loading = false;
let reloadPending = false;
let eventSource = null;

/** Call `watcher` with each status. */
export function watchStatus(watcher) {
  watchers.push(watcher);
  reloadStatus();
}

/** Call `listener` with each event of a kind (`evse`, `light`, `frame`, …). */
export function onEvent(kind, listener) {
  const isFirst = !listeners.has(kind);
  listeners.set(kind, [...(listeners.get(kind) ?? []), listener]);
  if (isFirst && eventSource !== null) subscribe(kind);
}

/** Reload the status, at most once every `MINIMUM_INTERVAL_MS`, and pass it to the watchers. */
export async function reloadStatus() {
  if (loading) {
    reloadPending = true;
    return;
  }
  loading = true;
  try {
    const status = await get("/api/status");
    showBanner(status.powered ? "" : t("banner.no-power"));
    for (const watcher of watchers) watcher(status);
  } catch {
    showBanner(t("banner.silent"));
  }
  await new Promise((resolve) => setTimeout(resolve, MINIMUM_INTERVAL_MS));
  loading = false;
  if (reloadPending) {
    reloadPending = false;
    reloadStatus();
  }
}

function showBanner(text) {
  const element = find("#banner");
  setText(element, text);
  show(element, text !== "");
}

function subscribe(kind) {
  eventSource.addEventListener(kind, (event) => {
    const data = JSON.parse(event.data);
    for (const listener of listeners.get(kind)) listener(data);
  });
}

function listenForEvents() {
  eventSource = new EventSource(`${root}/api/events`);
  for (const kind of listeners.keys()) subscribe(kind);
}

onEvent("evse", reloadStatus);
onEvent("light", reloadStatus);
listenForEvents();
setInterval(() => document.hidden || reloadStatus(), RELOAD_INTERVAL_MS);
document.addEventListener("visibilitychange", () => document.hidden || reloadStatus());
addEventListener("pagehide", () => eventSource.close());
addEventListener("pageshow", (event) => event.persisted && listenForEvents());
