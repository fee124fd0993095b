// The owner's history: the newest charges first, a date range, and the documents of each charge.

import { get } from "./api.js";
import { find, make, runOnClick, setText, show } from "./dom.js";
import { dateAndTime, duration, kilowattHours, money } from "./format.js";
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
runOnClick(find("#history-more"), () => load(false));

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

async function load(fromStart) {
  const query = wanted();
  find("#csv").href = `${root}/api/transactions.csv?${new URLSearchParams([...query, ["lang", language]])}`;
  if (fromStart) shown = 0;
  query.set("most", PAGE);
  query.set("skip", shown);
  const { total, tests, without_energy: empty, transactions } = await get(`/api/transactions?${query}`);
  const list = find("#history-items");
  if (fromStart) list.replaceChildren();
  list.append(...transactions.map(item));
  shown += transactions.length;
  setText(find("#history-sum"), total === 0 ? t("history.none") : counts(total - tests - empty, tests, empty));
  show(find("#history-more"), shown < total);
}

/** How many charges there are; test sessions and those without energy are counted apart. */
function counts(charges, tests, empty) {
  const parts = [t("history.count", { count: charges })];
  if (tests > 0) parts.push(t("history.tests", { count: tests }));
  if (empty > 0) parts.push(t("history.empty", { count: empty }));
  return parts.join(" · ");
}

function item(one) {
  const path = `/api/transactions/${encodeURIComponent(one.transaction_id)}`;
  const lasted = one.duration_s === null ? t("history.ongoing") : duration(one.duration_s);
  const cost = one.cost === null ? null : make("strong", {}, asked(one.cost));
  return make(
    "li",
    { class: "charge" },
    make("div", { class: "row" }, make("strong", {}, kilowattHours(one.energy_wh)), cost),
    make("p", { class: "muted small" }, [kind(one), dateAndTime(one.began_at), lasted, holder(one)].filter(Boolean).join(" · ")),
    make("div", { class: "row" }, ...papers(one, path)),
  );
}

/** What an entry is, if it is no charge that counts. */
const kind = (one) => (one.kind === "charge" ? null : t(`history.kind-${one.kind}`));

/** The owner's label of the card, else its number; a test session has none. */
function holder(one) {
  if (one.kind === "test") return null;
  return one.at_page ? t("history.at-page") : (one.card ?? one.token);
}

/** The cost, if it can be billed. */
function asked(cost) {
  return cost.amount === null ? t("history.unbillable") : money(cost.amount, cost.currency);
}

/** The documents of a charge: a receipt only after its end, the signed record if there is one. */
function papers(one, path) {
  const paper = (name, text) => make("a", { href: `${root}${path}/${name}`, download: true }, text);
  const receipt = one.duration_s === null ? [] : [paper(`receipt.pdf?lang=${language}`, t("history.receipt"))];
  return one.signed ? [...receipt, paper("record", t("history.record"))] : receipt;
}

// Monthly report

const report = find("#report");
report.elements.month.value = isoDay(Date.now() - 7 * 86_400_000).slice(0, 7); // early in a month the last one is meant
report.addEventListener("input", link);
link();

function link() {
  const { month, card } = Object.fromEntries(new FormData(report));
  const query = new URLSearchParams({ month, ...ofCard(card), lang: language });
  for (const name of ["pdf", "csv"]) {
    const offer = find(`#report-${name}`);
    if (month) offer.href = `${root}/api/monthly-report.${name}?${query}`;
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
