// The owner's cards; a new card is added by presenting it to the reader. The operator's list is read-only.

import { get, post, remove } from "./api.js";
import { find, make, runOnClick, setText, show, toast } from "./dom.js";
import { dateAndTime, decimal } from "./format.js";
import { t } from "./words.js";

const POLL_INTERVAL_MS = 1000;
const PAGE_SIZE = 50;
let pollTimer = null;

export function openCards() {
  loadCards();
  loadAuthorizationList();
}

find("#cards-add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const label = find("#cards-label").value.trim();
  try {
    await post("/api/cards/learning", { label });
  } catch (error) {
    toast(error.message);
    return;
  }
  const countBefore = (await loadCards()).cards.length;
  pollTimer ??= setInterval(() => checkLearning(countBefore), POLL_INTERVAL_MS);
});

runOnClick(find("#cards-cancel"), async () => {
  await remove("/api/cards/learning");
  await loadCards();
});

/** Check whether the new card was presented or the time is over; if so, stop polling. */
async function checkLearning(countBefore) {
  const { learning, cards } = await loadCards();
  if (learning) return;
  clearInterval(pollTimer);
  pollTimer = null;
  toast(t(cards.length > countBefore ? "outcome.learned" : "cards.none-came"));
  if (cards.length > countBefore) find("#cards-label").value = "";
}

async function loadCards() {
  const response = await get("/api/cards");
  setText(find("#cards-text"), t(response.counts ? "cards.text" : "cards.text-csms"));
  show(find("#cards-add"), !response.learning);
  show(find("#cards-waiting"), response.learning);
  show(find("#cards-cancel"), response.learning);
  const items = response.cards.map(cardItem);
  find("#cards-items").replaceChildren(...(items.length > 0 ? items : [make("li", { class: "empty" }, t("cards.empty"))]));
  return response;
}

function cardItem(card) {
  const deleteButton = make("button", { type: "button", class: "quiet", "aria-label": `${t("shell.delete")}: ${card.label}` }, t("shell.delete"));
  runOnClick(deleteButton, async () => {
    if (!confirm(t("cards.sure", { label: card.label }))) return;
    await remove(`/api/cards/${card.name}`);
    await loadCards();
  });
  const added = make("p", { class: "muted small" }, t("cards.added", { moment: dateAndTime(card.added_at) }));
  return make("li", {}, make("div", {}, make("strong", {}, card.label), added), deleteButton);
}

/** Show the local authorization list that the operator has sent, from its beginning; nothing if none is in use. */
async function loadAuthorizationList() {
  find("#list-items").replaceChildren();
  await loadMoreEntries();
}

runOnClick(find("#list-more"), loadMoreEntries);

/** Append the next entries of the list. */
async function loadMoreEntries() {
  const items = find("#list-items");
  const list = await get(`/api/auth/list?most=${PAGE_SIZE}&skip=${items.childElementCount}`);
  items.append(...list.tokens.map(entryItem));
  show(find("#list"), list.version > 0 && list.entries > 0);
  setText(find("#list-title"), t("list.title", { count: decimal(list.entries, 0) }));
  const remaining = list.entries - items.childElementCount;
  show(find("#list-more"), remaining > 0);
  setText(find("#list-more"), t("list.more", { count: decimal(remaining, 0) }));
}

function entryItem(entry) {
  const { status, expires_at } = entry.info;
  const details = entry.name ? [entry.token] : [];
  if (expires_at) details.push(t("list.until", { moment: dateAndTime(expires_at) }));
  const name = make("strong", {}, entry.name ?? entry.token);
  const description = make("div", {}, name, make("p", { class: "muted small" }, details.join(", ")));
  return make("li", {}, description, make("span", {}, t(status === "Accepted" ? "list.accepted" : "list.refused")));
}
