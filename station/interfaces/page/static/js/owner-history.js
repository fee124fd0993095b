// The owner's history: the newest charges first, a date range, and the documents of each charge.

import { get } from "./api.js";
import { acting, find, make, setText, show } from "./dom.js";
import { day, duration, kilowattHours, money } from "./format.js";
import { root } from "./root.js";
import { isoDay } from "./station-time.js";
import { t } from "./words.js";

const language = document.documentElement.lang;

const PAGE = 20;
const LONGEST_NUMBER = 36;
let shown = 0;
let labels = [];

export async function openHistory() {
  await offerCards();
  await load(true);
}

find("#history-filter").addEventListener("change", () => load(true));
find("#history-filter").addEventListener("submit", (event) => event.preventDefault());
acting(find("#history-more"), () => load(false));

function wanted() {
  const { since, until, card } = Object.fromEntries(new FormData(find("#history-filter")));
  const query = new URLSearchParams(ofCard(card));
  if (since) query.set("since", `${since}T00:00:00`);
  if (until) query.set("until", dayAfter(until));
  return query;
}

/** Query parameters for one card: its label if the owner gave it one, else its number. */
function ofCard(text) {
  const given = text.trim();
  if (given === "") return {};
  const labelled = labels.some((label) => label.toLowerCase() === given.toLowerCase());
  return labelled ? { card: given } : { token: given.slice(0, LONGEST_NUMBER) };
}

/** The day after a date, since the end of the range is exclusive. */
function dayAfter(date) {
  const next = new Date(`${date}T12:00:00Z`);
  next.setUTCDate(next.getUTCDate() + 1);
  return `${next.toISOString().slice(0, 10)}T00:00:00`;
}

async function load(anew) {
  const query = wanted();
  find("#csv").href = `${root}/api/transactions.csv?${query}`;
  if (anew) shown = 0;
  query.set("most", PAGE);
  query.set("skip", shown);
  const { total, transactions } = await get(`/api/transactions?${query}`);
  const list = find("#history-items");
  if (anew) list.replaceChildren();
  list.append(...transactions.map(item));
  shown += transactions.length;
  setText(find("#history-sum"), total === 0 ? t("history.none") : t("history.count", { count: total }));
  show(find("#history-more"), shown < total);
}

function item(one) {
  const path = `/api/transactions/${encodeURIComponent(one.transaction_id)}`;
  const lasted = one.duration_s === null ? t("history.ongoing") : duration(one.duration_s);
  const cost = one.cost === null ? null : make("strong", {}, asked(one.cost));
  return make(
    "li",
    { class: "charge" },
    make("div", { class: "row" }, make("strong", {}, kilowattHours(one.energy_wh)), cost),
    make("p", { class: "muted small" }, [day(one.began_at), lasted, holder(one)].filter(Boolean).join(" · ")),
    make("div", { class: "row" }, ...papers(one, path)),
  );
}

/** The owner's label of the card, else its number. */
const holder = (one) => (one.at_page ? t("history.at-page") : (one.card ?? one.token));

/** The cost, if it can be billed. */
function asked(cost) {
  return cost.amount === null ? t("history.unbillable") : money(cost.amount, cost.currency);
}

/** The documents of a charge; a receipt only after its end. */
function papers(one, path) {
  const record = make("a", { href: `${root}${path}/record`, download: true }, t("history.record"));
  if (one.duration_s === null) return [record];
  return [make("a", { href: `${root}${path}/receipt.pdf?lang=${language}`, download: true }, t("history.receipt")), record];
}

// Monthly report

const report = find("#report");
report.elements.month.value = isoDay(Date.now() - 7 * 86_400_000).slice(0, 7); // early in a month the last one is meant
report.addEventListener("input", link);
link();

function link() {
  const { month, card } = Object.fromEntries(new FormData(report));
  const query = new URLSearchParams({ month, ...ofCard(card) });
  for (const [name, more] of [["pdf", `&lang=${language}`], ["csv", ""]]) {
    const offer = find(`#report-${name}`);
    if (month) offer.href = `${root}/api/monthly-report.${name}?${query}${more}`;
    else offer.removeAttribute("href");
  }
}

/** Offer the owner's cards by their labels. */
async function offerCards() {
  const { cards, former } = await get("/api/cards");
  labels = [...new Set([...cards.map((card) => card.label), ...former])];
  find("#card-labels").replaceChildren(...labels.map((label) => make("option", { value: label })));
  link();
}
