// The owner's history: the newest charges first, a date range, and the documents of each charge.

import { get } from "./api.js";
import { find, make, runOnClick, setText, show } from "./dom.js";
import { dateAndTime, duration, kilowattHours, money } from "./format.js";
import { root } from "./root.js";
import { isoDay } from "./station-time.js";
import { t } from "./words.js";

const language = document.documentElement.lang;

const PAGE_SIZE = 20;
const MAX_TOKEN_LENGTH = 36;
let loadedCount = 0;
let cardLabels = [];
let search = 0; // number of the search that was begun last

export async function openHistory() {
  await offerCards();
  await loadTransactions(true);
}

find("#history-filter").addEventListener("change", () => loadTransactions(true));
find("#history-filter").addEventListener("submit", (event) => event.preventDefault());
runOnClick(find("#history-more"), () => loadTransactions(false));

function filterQuery() {
  const { since, until, card } = Object.fromEntries(new FormData(find("#history-filter")));
  const query = new URLSearchParams(cardQuery(card));
  if (since) query.set("since", `${since}T00:00:00`);
  if (until) query.set("until", dayAfter(until));
  return query;
}

/** Query parameters for one card: its label if the owner gave it one, else its number. */
function cardQuery(text) {
  const card = text.trim();
  if (card === "") return {};
  const labelled = cardLabels.some((label) => label.toLowerCase() === card.toLowerCase());
  return labelled ? { card } : { token: card.slice(0, MAX_TOKEN_LENGTH) };
}

/** The day after a date, since the end of the range is exclusive. */
function dayAfter(date) {
  const nextDay = new Date(`${date}T12:00:00Z`);
  nextDay.setUTCDate(nextDay.getUTCDate() + 1);
  return `${nextDay.toISOString().slice(0, 10)}T00:00:00`;
}

async function loadTransactions(fromStart) {
  const query = filterQuery();
  find("#csv").href = `${root}/api/transactions.csv?${new URLSearchParams([...query, ["lang", language]])}`;
  if (fromStart) {
    search += 1;
    loadedCount = 0;
    show(find("#history-more"), false);
  }
  const ofSearch = search;
  query.set("most", PAGE_SIZE);
  query.set("skip", loadedCount);
  const { total, tests, without_energy: withoutEnergy, transactions } = await get(`/api/transactions?${query}`);
  if (ofSearch !== search) return; // another search began
  const list = find("#history-items");
  if (fromStart) list.replaceChildren();
  list.append(...transactions.map(transactionItem));
  loadedCount += transactions.length;
  setText(find("#history-sum"), total === 0 ? t("history.none") : countText(total - tests - withoutEnergy, tests, withoutEnergy));
  show(find("#history-more"), loadedCount < total);
}

/** The number of charges as text; test sessions and those without energy are counted separately. */
function countText(charges, tests, withoutEnergy) {
  const parts = [t("history.count", { count: charges })];
  if (tests > 0) parts.push(t("history.tests", { count: tests }));
  if (withoutEnergy > 0) parts.push(t("history.empty", { count: withoutEnergy }));
  return parts.join(" · ");
}

function transactionItem(transaction) {
  const path = `/api/transactions/${encodeURIComponent(transaction.transaction_id)}`;
  const durationText = transaction.duration_s === null ? t("history.ongoing") : duration(transaction.duration_s);
  const cost = transaction.cost === null ? null : make("strong", {}, costText(transaction.cost));
  const details = [kindText(transaction), dateAndTime(transaction.began_at), durationText, holderText(transaction)];
  return make(
    "li",
    { class: "charge" },
    make("div", { class: "row" }, make("strong", {}, kilowattHours(transaction.energy_wh)), cost),
    make("p", { class: "muted small" }, details.filter(Boolean).join(" · ")),
    make("div", { class: "row" }, ...documentLinks(transaction, path)),
  );
}

/** The kind of a transaction as text; null for a charge that counts. */
const kindText = (transaction) => (transaction.kind === "charge" ? null : t(`history.kind-${transaction.kind}`));

/** The card of a transaction: the owner's label, else its number; null for a test session. */
function holderText(transaction) {
  if (transaction.kind === "test") return null;
  return transaction.at_page ? t("history.at-page") : (transaction.card ?? transaction.token);
}

/** The cost as text: the amount, or that it cannot be billed. */
function costText(cost) {
  return cost.amount === null ? t("history.unbillable") : money(cost.amount, cost.currency);
}

/** Links to the documents of a charge: a receipt only after its end, the signed record if there is one. */
function documentLinks(transaction, path) {
  const documentLink = (name, text) => make("a", { href: `${root}${path}/${name}`, download: true }, text);
  const receipt = transaction.duration_s === null ? [] : [documentLink(`receipt.pdf?lang=${language}`, t("history.receipt"))];
  return transaction.signed ? [...receipt, documentLink("record", t("history.record"))] : receipt;
}

// Monthly report

const report = find("#report");
report.elements.month.value = isoDay(Date.now() - 7 * 86_400_000).slice(0, 7); // early in a month, the previous month is preset
report.addEventListener("input", updateReportLinks);
updateReportLinks();

function updateReportLinks() {
  const { month, card } = Object.fromEntries(new FormData(report));
  const query = new URLSearchParams({ month, ...cardQuery(card), lang: language });
  for (const name of ["pdf", "csv"]) {
    const anchor = find(`#report-${name}`);
    if (month) anchor.href = `${root}/api/monthly-report.${name}?${query}`;
    else anchor.removeAttribute("href");
  }
}

/** Load the labels of the owner's cards, and offer them in the card fields. */
async function offerCards() {
  const { cards, former } = await get("/api/cards");
  cardLabels = [...new Set([...cards.map((card) => card.label), ...former])];
  find("#card-labels").replaceChildren(...cardLabels.map((label) => make("option", { value: label })));
  updateReportLinks();
}
