// The owner's history: the newest charges first, a span of days, and what can be taken along of each.

import { get } from "./api.js";
import { acting, find, make, say, show } from "./dom.js";
import { day, duration, kilowattHours, money } from "./format.js";
import { t } from "./words.js";

const PAGE = 20;
let shown = 0;

export function openHistory() {
  load(true);
}

find("#history-filter").addEventListener("change", () => load(true));
find("#history-filter").addEventListener("submit", (event) => event.preventDefault());
acting(find("#history-more"), () => load(false));

function wanted() {
  const { since, until } = Object.fromEntries(new FormData(find("#history-filter")));
  const query = new URLSearchParams();
  if (since) query.set("since", `${since}T00:00:00`);
  if (until) query.set("until", dayAfter(until));
  return query;
}

/** The day that is meant is inside. */
function dayAfter(date) {
  const next = new Date(`${date}T12:00:00Z`);
  next.setUTCDate(next.getUTCDate() + 1);
  return `${next.toISOString().slice(0, 10)}T00:00:00`;
}

async function load(anew) {
  const query = wanted();
  find("#csv").href = `/api/transactions.csv?${query}`;
  if (anew) shown = 0;
  query.set("most", PAGE);
  query.set("skip", shown);
  const { total, transactions } = await get(`/api/transactions?${query}`);
  const list = find("#history-items");
  if (anew) list.replaceChildren();
  list.append(...transactions.map(item));
  shown += transactions.length;
  say(find("#history-sum"), total === 0 ? t("history.none") : t("history.count", { count: total }));
  show(find("#history-more"), shown < total);
}

function item(one) {
  const path = `/api/transactions/${encodeURIComponent(one.transaction_id)}`;
  const lasted = one.duration_s === null ? t("history.ongoing") : duration(one.duration_s);
  const cost = one.cost === null ? null : make("strong", {}, money(one.cost.amount, one.cost.currency));
  return make(
    "li",
    { class: "charge" },
    make("div", { class: "row" }, make("strong", {}, kilowattHours(one.energy_wh)), cost),
    make("p", { class: "muted small" }, `${day(one.began_at)} · ${lasted} · ${one.token ?? "–"}`),
    make("div", {}, make("a", { href: `${path}/record`, download: true }, t("history.record"))),
  );
}
