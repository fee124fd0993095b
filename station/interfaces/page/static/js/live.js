// The current state of the station, loaded after each event and every few seconds; reports a silent station.

import { get } from "./api.js";
import { find, setText, show } from "./dom.js";
import { root } from "./root.js";
import { t } from "./words.js";

const EVERY_MS = 4000;
const NOT_MORE_OFTEN_MS = 300;

const watchers = [];
const listeners = new Map();
let looking = false;
let again = false;
let source = null;

/** Call `watcher` with each status. */
export function watchStatus(watcher) {
  watchers.push(watcher);
  reloadStatus();
}

/** Call `listener` with each event of a kind (`evse`, `light`, `frame`, …). */
export function onEvent(kind, listener) {
  const first = !listeners.has(kind);
  listeners.set(kind, [...(listeners.get(kind) ?? []), listener]);
  if (first && source !== null) hear(kind);
}

/** Reload the status soon. */
export async function reloadStatus() {
  if (looking) {
    again = true;
    return;
  }
  looking = true;
  try {
    const status = await get("/api/status");
    banner(status.powered ? "" : t("banner.no-power"));
    for (const watcher of watchers) watcher(status);
  } catch {
    banner(t("banner.silent"));
  }
  await new Promise((resolve) => setTimeout(resolve, NOT_MORE_OFTEN_MS));
  looking = false;
  if (again) {
    again = false;
    reloadStatus();
  }
}

function banner(text) {
  const element = find("#banner");
  setText(element, text);
  show(element, text !== "");
}

function hear(kind) {
  source.addEventListener(kind, (event) => {
    const data = JSON.parse(event.data);
    for (const listener of listeners.get(kind)) listener(data);
  });
}

function listen() {
  source = new EventSource(`${root}/api/events`);
  for (const kind of listeners.keys()) hear(kind);
}

onEvent("evse", reloadStatus);
onEvent("light", reloadStatus);
listen();
setInterval(() => document.hidden || reloadStatus(), EVERY_MS);
document.addEventListener("visibilitychange", () => document.hidden || reloadStatus());
addEventListener("pagehide", () => source.close());
addEventListener("pageshow", (event) => event.persisted && listen());
