// The display of the station, full screen: shows the screen that the station chooses, as large as fits. Texts are only
// inserted as text, never as HTML, and no address in them is opened.

import { find, make, show } from "./dom.js";
import { root } from "./root.js";

const RELOAD_INTERVAL_MS = 30_000; // in addition to the reload at each event
const SILENT_MS = 15_000;
const RESPONSE_TIMEOUT_MS = 10_000; // a connection to a station without power may never end by itself
const RECONNECT_DELAY_MS = 5_000;
const LARGEST_FRACTION = { headed: 0.17, plain: 0.24 }; // height of letters with and without a heading, as part of the window's height
const SMALLEST_PX = 6;
const QUIET_ZONE = 4; // width in modules of the blank margin around a QR code

const evse = document.documentElement.dataset.evse === "" ? null : Number(document.documentElement.dataset.evse);
const screenElement = find("#screen");
const linesElement = find("#lines");
const qrElement = find("#code");
let drawnContent = "";
let respondedAtMs = performance.now();
let loading = false;
let reloadPending = false;

/** Load the screen of this display, and draw it. */
async function loadScreen() {
  if (loading) {
    reloadPending = true;
    return;
  }
  loading = true;
  try {
    const response = await fetch(`${root}/api/display`, { signal: AbortSignal.timeout(RESPONSE_TIMEOUT_MS) });
    if (response.ok) {
      respondedAtMs = performance.now();
      const display = (await response.json()).find((candidate) => candidate.evse === evse);
      if (display !== undefined) draw(display);
    }
  } catch {
    // the station restarts: a message says so after a while
  }
  show(find("#silent"), performance.now() - respondedAtMs > SILENT_MS);
  loading = false;
  if (reloadPending) {
    reloadPending = false;
    loadScreen();
  }
}

function draw(display) {
  const { screen, light, qr } = display;
  const content = JSON.stringify([screen, light.colour]);
  if (content === drawnContent) return;
  drawnContent = content;
  document.documentElement.lang = screen.language;
  screenElement.dataset.colour = light.colour;
  linesElement.replaceChildren(...screen.lines.map(lineElement));
  drawQrCode(qr);
  const dots = screen.pages > 1 ? screen.pages : 0;
  find("#pages").replaceChildren(
    ...Array.from({ length: dots }, (_, index) => make("li", { class: index + 1 === screen.page ? "now" : "" })),
  );
  fitText();
}

function lineElement(line) {
  const spans = line.spans.map((span) => {
    const text = line.message_id === null ? keepUnitsTogether(span.text) : span.text;
    return make(span.bold ? "strong" : "span", {}, span.italic ? make("em", {}, text) : text);
  });
  const content = line.role === "figure" ? spans : make("span", {}, ...spans);
  return make("p", { class: line.role, dir: "auto" }, content);
}

/** Keep a number and its unit or currency on one line. */
function keepUnitsTogether(text) {
  return text.replace(/(\d) (?=[\p{L}\p{Sc}])|(\p{Sc}) (?=\d)/gu, "$1$2\u00a0");
}

function drawQrCode(qr) {
  show(qrElement, qr !== null);
  if (qr === null) return;
  const side = qr.size + 2 * QUIET_ZONE;
  const picture = find("svg", qrElement);
  picture.setAttribute("viewBox", `${-QUIET_ZONE} ${-QUIET_ZONE} ${side} ${side}`);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", qr.path);
  picture.replaceChildren(path);
}

/** Choose the largest letters with which all lines fit the window. */
function fitText() {
  const availableHeight = screenElement.clientHeight * 0.92;
  const isPlain = find(".heading", linesElement) === null && qrElement.hidden;
  let [small, large] = [SMALLEST_PX, innerHeight * (isPlain ? LARGEST_FRACTION.plain : LARGEST_FRACTION.headed)];
  while (large - small > 1) {
    const size = (small + large) / 2;
    linesElement.style.fontSize = `${size}px`;
    if (linesElement.scrollHeight <= availableHeight && linesElement.scrollWidth <= linesElement.clientWidth) small = size;
    else large = size;
  }
  linesElement.style.fontSize = `${small}px`;
}

/** Reload the page if the station has another software since: nobody else does that on a screen without keys. */
async function reloadIfUpdated() {
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(RESPONSE_TIMEOUT_MS) });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const { version } = page.documentElement.dataset;
    if (version !== undefined && version !== document.documentElement.dataset.version) location.reload();
  } catch {
    // it is checked again at the next connection
  }
}

/** Load the screen again at each event. A browser gives up at an error status, such as 503 while the station starts. */
function listenForEvents() {
  const eventSource = new EventSource(`${root}/api/events`);
  for (const kind of ["display", "light", "open"]) eventSource.addEventListener(kind, loadScreen);
  eventSource.addEventListener("open", reloadIfUpdated);
  eventSource.addEventListener("error", () => {
    if (eventSource.readyState === EventSource.CLOSED) setTimeout(listenForEvents, RECONNECT_DELAY_MS);
  });
}

listenForEvents();
setInterval(loadScreen, RELOAD_INTERVAL_MS);
setInterval(() => show(find("#silent"), performance.now() - respondedAtMs > SILENT_MS + RELOAD_INTERVAL_MS), 5000);
addEventListener("resize", fitText);
loadScreen();
