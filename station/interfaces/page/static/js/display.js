// The display of the station, full screen: shows the screen that the station chooses, as large as fits. Texts are only
// inserted as text, never as HTML, and no address in them is opened.

import { find, make, show } from "./dom.js";
import { root } from "./root.js";

const EVERY_MS = 30_000; // besides the events
const SILENT_MS = 15_000;
const ANSWER_MS = 10_000; // a connection to a station without power may never end by itself
const AGAIN_MS = 5_000;
const LARGEST = { headed: 0.17, plain: 0.24 }; // letters of a screen with and without a heading, of the window's height
const SMALLEST_PX = 6;
const QUIET = 4; // modules around a QR code

const evse = document.documentElement.dataset.evse === "" ? null : Number(document.documentElement.dataset.evse);
const place = find("#screen");
const lines = find("#lines");
const code = find("#code");
let shown = "";
let heard = performance.now();
let reading = false;
let again = false;

/** Read the screen of this display, and show it. */
async function look() {
  if (reading) {
    again = true;
    return;
  }
  reading = true;
  try {
    const answer = await fetch(`${root}/api/display`, { signal: AbortSignal.timeout(ANSWER_MS) });
    if (answer.ok) {
      heard = performance.now();
      const display = (await answer.json()).find((one) => one.evse === evse);
      if (display !== undefined) draw(display);
    }
  } catch {
    // the station restarts: the banner says so after a while
  }
  show(find("#silent"), performance.now() - heard > SILENT_MS);
  reading = false;
  if (again) {
    again = false;
    look();
  }
}

function draw(display) {
  const { screen, light, qr } = display;
  const now = JSON.stringify([screen, light.colour]);
  if (now === shown) return;
  shown = now;
  document.documentElement.lang = screen.language;
  place.dataset.colour = light.colour;
  lines.replaceChildren(...screen.lines.map(lineElement));
  drawCode(qr);
  const dots = screen.pages > 1 ? screen.pages : 0;
  find("#pages").replaceChildren(
    ...Array.from({ length: dots }, (_, at) => make("li", { class: at + 1 === screen.page ? "now" : "" })),
  );
  fit();
}

function lineElement(line) {
  const spans = line.spans.map((span) => {
    const text = line.message_id === null ? together(span.text) : span.text;
    return make(span.bold ? "strong" : "span", {}, span.italic ? make("em", {}, text) : text);
  });
  const content = line.role === "figure" ? spans : make("span", {}, ...spans);
  return make("p", { class: line.role, dir: "auto" }, content);
}

/** Keep a number and its unit or currency on one line. */
function together(text) {
  return text.replace(/(\d) (?=[\p{L}\p{Sc}])|(\p{Sc}) (?=\d)/gu, "$1$2\u00a0");
}

function drawCode(qr) {
  show(code, qr !== null);
  if (qr === null) return;
  const side = qr.size + 2 * QUIET;
  const picture = find("svg", code);
  picture.setAttribute("viewBox", `${-QUIET} ${-QUIET} ${side} ${side}`);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", qr.path);
  picture.replaceChildren(path);
}

/** Choose the largest letters with which all lines fit the window. */
function fit() {
  const space = place.clientHeight * 0.92;
  let [small, large] = [SMALLEST_PX, innerHeight * (find(".heading", lines) === null && code.hidden ? LARGEST.plain : LARGEST.headed)];
  while (large - small > 1) {
    const size = (small + large) / 2;
    lines.style.fontSize = `${size}px`;
    if (lines.scrollHeight <= space && lines.scrollWidth <= lines.clientWidth) small = size;
    else large = size;
  }
  lines.style.fontSize = `${small}px`;
}

/** Reload the page if the station has another software since: nobody else does that on a screen without keys. */
async function reloadIfUpdated() {
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(ANSWER_MS) });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const { version } = page.documentElement.dataset;
    if (version !== undefined && version !== document.documentElement.dataset.version) location.reload();
  } catch {
    // it is checked again at the next connection
  }
}

/** Look again at each event. A browser gives up at an error status, such as 503 while the station starts. */
function listen() {
  const source = new EventSource(`${root}/api/events`);
  for (const kind of ["display", "light", "open"]) source.addEventListener(kind, look);
  source.addEventListener("open", reloadIfUpdated);
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  });
}

listen();
setInterval(look, EVERY_MS);
setInterval(() => show(find("#silent"), performance.now() - heard > SILENT_MS + EVERY_MS), 5000);
addEventListener("resize", fit);
look();
