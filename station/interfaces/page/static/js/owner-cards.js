// The owner's cards; a new card is added by presenting it to the reader. The operator's list is read-only.

import { get, post, remove } from "./api.js";
import { find, make, runOnClick, setText, show, toast } from "./dom.js";
import { dateAndTime, decimal } from "./format.js";
import { t } from "./words.js";

const LOOK_MS = 1000;
const LISTED_AT_ONCE = 50;
let waiting = null;

export function openCards() {
  load();
  loadList();
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
  const before = (await load()).cards.length;
  waiting ??= setInterval(() => wait(before), LOOK_MS);
});

runOnClick(find("#cards-cancel"), async () => {
  await remove("/api/cards/learning");
  await load();
});

/** Wait until a card is presented, or the time is over. */
async function wait(before) {
  const { learning, cards } = await load();
  if (learning) return;
  clearInterval(waiting);
  waiting = null;
  toast(t(cards.length > before ? "outcome.learned" : "cards.none-came"));
  if (cards.length > before) find("#cards-label").value = "";
}

async function load() {
  const answer = await get("/api/cards");
  setText(find("#cards-text"), t(answer.counts ? "cards.text" : "cards.text-csms"));
  show(find("#cards-add"), !answer.learning);
  show(find("#cards-waiting"), answer.learning);
  show(find("#cards-cancel"), answer.learning);
  const items = answer.cards.map(item);
  find("#cards-items").replaceChildren(...(items.length > 0 ? items : [make("li", { class: "empty" }, t("cards.empty"))]));
  return answer;
}

function item(card) {
  const gone = make("button", { type: "button", class: "quiet", "aria-label": `${t("shell.delete")}: ${card.label}` }, t("shell.delete"));
  runOnClick(gone, async () => {
    if (!confirm(t("cards.sure", { label: card.label }))) return;
    await remove(`/api/cards/${card.name}`);
    await load();
  });
  return make("li", {}, make("div", {}, make("strong", {}, card.label), make("p", { class: "muted small" }, t("cards.added", { moment: dateAndTime(card.added_at) }))), gone);
}

/** Show the local authorization list that the operator has sent, from its beginning; nothing if none is in use. */
async function loadList() {
  find("#list-items").replaceChildren();
  await loadMore();
}

runOnClick(find("#list-more"), loadMore);

/** Append the next entries of the list. */
async function loadMore() {
  const items = find("#list-items");
  const list = await get(`/api/auth/list?most=${LISTED_AT_ONCE}&skip=${items.childElementCount}`);
  items.append(...list.tokens.map(listed));
  show(find("#list"), list.version > 0 && list.entries > 0);
  setText(find("#list-title"), t("list.title", { count: decimal(list.entries, 0) }));
  const more = list.entries - items.childElementCount;
  show(find("#list-more"), more > 0);
  setText(find("#list-more"), t("list.more", { count: decimal(more, 0) }));
}

function listed(entry) {
  const { status, expires_at } = entry.info;
  const details = entry.name ? [entry.token] : [];
  if (expires_at) details.push(t("list.until", { moment: dateAndTime(expires_at) }));
  const name = make("strong", {}, entry.name ?? entry.token);
  const known = make("div", {}, name, make("p", { class: "muted small" }, details.join(", ")));
  return make("li", {}, known, make("span", {}, t(status === "Accepted" ? "list.accepted" : "list.refused")));
}
