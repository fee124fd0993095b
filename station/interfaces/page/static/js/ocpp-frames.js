// Live OCPP messages: filter, hold, open, download.

import { get } from "./api.js";
import { download, find, make, runOnClick, setText, show } from "./dom.js";
import { timeWithSeconds } from "./format.js";
import { onEvent, watchStatus } from "./live.js";
import { t } from "./words.js";

const MOST_SHOWN = 300;
const asked = new Map(); // the action of each call, for its answer
let begun = false;
let known = 0;

export async function openOcpp() {
  if (begun) return;
  begun = true;
  watchStatus((status) => setText(find("#ocpp-link"), link(status.csms)));
  onEvent("frame", (frame) => find("#ocpp-hold").checked || add([frame]));
  find("#ocpp-filter").addEventListener("input", filter);
  find("#ocpp-hold").addEventListener("change", catchUp);
  runOnClick(find("#ocpp-download"), save);
  await catchUp();
}

async function catchUp() {
  if (find("#ocpp-hold").checked) return;
  add(await get(`/api/frames?since=${known}`));
}

function link(csms) {
  if (csms === null) return t("ocpp.alone");
  const state = csms.connected ? t("ocpp.connected") : `${t("ocpp.apart")} ${csms.last_error ?? ""}`;
  return `${csms.url} · ${state}`;
}

function add(frames) {
  const list = find("#ocpp-frames");
  for (const frame of frames.filter((one) => one.number > known)) {
    known = frame.number;
    list.prepend(row(frame));
  }
  while (list.children.length > MOST_SHOWN) list.lastChild.remove();
  filter();
}

function row(frame) {
  const { title, pretty } = read(frame);
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

/** The action of a CALL, or of the CALL that a response belongs to. */
function read(frame) {
  try {
    const [type, id, ...rest] = JSON.parse(frame.text);
    const pretty = JSON.stringify(rest.at(-1), null, 2);
    if (type === 2) {
      asked.set(id, rest[0]);
      if (asked.size > MOST_SHOWN) asked.delete(asked.keys().next().value);
      return { title: rest[0], pretty };
    }
    const action = asked.get(id) ?? id;
    return { title: type === 3 ? `${action} ✓` : `${action} ✗ ${rest[0]}`, pretty };
  } catch {
    return { title: t("ocpp.unreadable"), pretty: frame.text };
  }
}

function filter() {
  const wanted = find("#ocpp-filter").value.trim().toLowerCase();
  for (const item of find("#ocpp-frames").children) show(item, item.dataset.text.includes(wanted));
}

async function save() {
  const frames = await get("/api/frames?since=0");
  const lines = frames.map((one) => `${one.at} ${one.direction === "out" ? ">" : "<"} ${one.text}\n`);
  download("ocpp-frames.txt", "text/plain", lines.join(""));
}
