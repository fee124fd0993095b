// A live list of requests between station and CSMS with their answers: one row each, with its duration.

import { get } from "./api.js";
import { make } from "./dom.js";
import { decimal, timeWithSeconds, withUnit } from "./format.js";
import { onEvent } from "./live.js";
import { t } from "./words.js";

const MOST_ROWS = 300;
const MINIMUM_INTERVAL_MS = 500;

/**
 * Keep `list` up to date, with what is new since the last time. `query` returns the filters, `isHeld` whether it stands still,
 * `extras` more of an open row. Returns the function that loads all of it again, as after a change of the filters.
 */
export function showExchanges(list, { query = () => ({}), isHeld = () => false, extras = () => [], most = MOST_ROWS }) {
  let timer = null;
  let search = 0; // number of the search whose rows are shown
  let lastNumber = 0;
  let rows = new Map(); // row by the number of its request, with its outcome
  async function load() {
    const [ofSearch, since] = [search, lastNumber];
    const found = await get(`/api/frames/exchanges?${new URLSearchParams({ ...query(), since, most })}`);
    if (ofSearch !== search || since !== lastNumber) return; // another search began, or these rows are there already
    lastNumber = found.last_number;
    for (const exchange of found.exchanges) {
      const before = rows.get(exchange.number);
      if (before?.outcome === exchange.outcome) continue;
      rows.set(exchange.number, { item: exchangeRow(exchange, extras, before?.item), outcome: exchange.outcome });
    }
    rows = new Map([...rows].sort(([first], [second]) => second - first).slice(0, most));
    place(list, [...rows.values()].map((row) => row.item));
  }
  onEvent("frame", () => {
    timer ??= setTimeout(async () => {
      timer = null;
      if (!isHeld()) await load().catch(() => {});
    }, MINIMUM_INTERVAL_MS);
  });
  return async () => {
    search += 1;
    lastNumber = 0;
    rows = new Map();
    await load();
  };
}

/** Make these the children of an element; those that stay are not taken out, so that they keep the focus. */
function place(list, items) {
  const wanted = new Set(items);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  items.forEach((item, index) => {
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
}

function exchangeRow(exchange, extras, before) {
  const arrow = exchange.direction === "out" ? "→" : "←";
  const title = exchange.action || exchange.message_id || (exchange.note === "" ? t("ocpp.unreadable") : "");
  const details = make(
    "details",
    { open: before?.querySelector("details").open ?? false },
    make(
      "summary",
      {},
      make("span", { class: "muted" }, timeWithSeconds(exchange.at)),
      ` ${arrow} ${title} `,
      make("span", { class: "muted" }, outcomeText(exchange)),
      exchange.note === "" ? null : make("span", { class: "badge" }, ` ${exchange.note}`),
    ),
  );
  details.addEventListener("toggle", () => fill(details, exchange, extras));
  fill(details, exchange, extras);
  return make("li", {}, details);
}

/** Add the messages to a row that is open. */
function fill(details, exchange, extras) {
  if (!details.open || details.children.length > 1) return;
  for (const text of [exchange.request, exchange.answer]) {
    if (text !== null && text !== "") details.append(make("pre", {}, pretty(text)));
  }
  details.append(...extras(exchange));
}

function outcomeText(exchange) {
  switch (exchange.outcome) {
    case "result":
      return `✓ ${withUnit(decimal(exchange.duration_s, 3), "s")}`;
    case "error":
      return `✗ ${errorCode(exchange.answer)} ${withUnit(decimal(exchange.duration_s, 3), "s")}`;
    case "open":
      return "…";
    default:
      return "";
  }
}

function errorCode(text) {
  try {
    return JSON.parse(text)[2];
  } catch {
    return "";
  }
}

/** The payload of a message, indented; the text as it is if it is no JSON. */
function pretty(text) {
  try {
    const [type, id, ...rest] = JSON.parse(text);
    return type === 4 ? rest.join("\n") : JSON.stringify(rest.at(-1), null, 2);
  } catch {
    return text;
  }
}
