// Live OCPP messages: filter, hold, open, download.

import { get } from "./api.js";
import { download, find, make, runOnClick, setText, show } from "./dom.js";
import { timeWithSeconds } from "./format.js";
import { onEvent, watchStatus } from "./live.js";
import { t } from "./words.js";

const MAX_FRAMES = 300;
const callActions = new Map(); // by message id, for the title of the response
let started = false;
let lastNumber = 0;

export async function openOcpp() {
  if (started) return;
  started = true;
  watchStatus((status) => setText(find("#ocpp-link"), connectionText(status.csms)));
  onEvent("frame", (frame) => find("#ocpp-hold").checked || addFrames([frame]));
  find("#ocpp-filter").addEventListener("input", applyFilter);
  find("#ocpp-hold").addEventListener("change", loadMissedFrames);
  runOnClick(find("#ocpp-download"), downloadFrames);
  await loadMissedFrames();
}

async function loadMissedFrames() {
  if (find("#ocpp-hold").checked) return;
  addFrames(await get(`/api/frames?since=${lastNumber}`));
}

function connectionText(csms) {
  if (csms === null) return t("ocpp.alone");
  const state = csms.connected ? t("ocpp.connected") : `${t("ocpp.apart")} ${csms.last_error ?? ""}`;
  return `${csms.url} · ${state}`;
}

function addFrames(frames) {
  const list = find("#ocpp-frames");
  for (const frame of frames.filter((received) => received.number > lastNumber)) {
    lastNumber = frame.number;
    list.prepend(frameRow(frame));
  }
  while (list.children.length > MAX_FRAMES) list.lastChild.remove();
  applyFilter();
}

function frameRow(frame) {
  const { title, pretty } = parseFrame(frame);
  const arrow = frame.direction === "out" ? "→" : "←";
  return make(
    "li",
    { "data-text": `${title} ${frame.text}`.toLowerCase() },
    make(
      "details",
      {},
      make("summary", {}, make("span", { class: "muted" }, timeWithSeconds(frame.at)), ` ${arrow} ${title}`),
      make("pre", {}, pretty),
    ),
  );
}

/** The title and payload of a frame; the title is the action of the CALL, or of the CALL that a response belongs to. */
function parseFrame(frame) {
  try {
    const [type, id, ...rest] = JSON.parse(frame.text);
    const pretty = JSON.stringify(rest.at(-1), null, 2);
    if (type === 2) {
      callActions.set(id, rest[0]);
      if (callActions.size > MAX_FRAMES) callActions.delete(callActions.keys().next().value);
      return { title: rest[0], pretty };
    }
    const action = callActions.get(id) ?? id;
    return { title: type === 3 ? `${action} ✓` : `${action} ✗ ${rest[0]}`, pretty };
  } catch {
    return { title: t("ocpp.unreadable"), pretty: frame.text };
  }
}

function applyFilter() {
  const filterText = find("#ocpp-filter").value.trim().toLowerCase();
  for (const item of find("#ocpp-frames").children) show(item, item.dataset.text.includes(filterText));
}

async function downloadFrames() {
  const frames = await get("/api/frames?since=0");
  const lines = frames.map((frame) => `${frame.at} ${frame.direction === "out" ? ">" : "<"} ${frame.text}\n`);
  download("ocpp-frames.txt", "text/plain", lines.join(""));
}
