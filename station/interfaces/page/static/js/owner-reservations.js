// Reservations: those that wait for their holder; without a CSMS the owner reserves an EVSE for a card.

import { get, post, remove } from "./api.js";
import { find, make, runOnClick, setText, show, toast } from "./dom.js";
import { dateAndTime } from "./format.js";
import { watchStatus } from "./live.js";
import { t } from "./words.js";

const HOUR_S = 3600;
let several = false;
let known = "";

export async function openReservations() {
  const [{ by_owner: byOwner }, { cards }] = await Promise.all([load(), get("/api/cards")]);
  setText(find("#reservations-text"), t(byOwner ? "reservations.text" : "reservations.text-csms"));
  find("#reservation-card").replaceChildren(...cards.map((card) => make("option", { value: card.name }, card.label)));
  show(find("#reservation-form"), byOwner && cards.length > 0);
}

watchStatus((status) => {
  if (!status.powered) return;
  several = status.evses.length > 1;
  show(find("#reservation-place"), several);
  const places = find("#reservation-evse");
  if (places.childElementCount !== status.evses.length) {
    places.replaceChildren(...status.evses.map(({ id }) => make("option", { value: id }, t("charge.evse", { number: id }))));
  }
  const now = JSON.stringify(status.evses.map((evse) => [evse.reserved_until, evse.reservation]));
  if (now !== known && !find("#cards").hidden) load();
  known = now;
});

find("#reservation-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const hours = find("#reservation-hours").valueAsNumber;
  try {
    await post(`/api/evses/${find("#reservation-evse").value}/reservation`, { card: find("#reservation-card").value, for_s: hours * HOUR_S });
  } catch (error) {
    toast(error.message);
  }
  await load();
});

async function load() {
  const answer = await get("/api/reservations");
  const items = answer.reservations.map((one) => item(one, answer.by_owner));
  find("#reservation-items").replaceChildren(...(items.length > 0 ? items : [make("li", { class: "empty" }, t("reservations.empty"))]));
  return answer;
}

function item(one, byOwner) {
  const place = one.evse === null ? t("reservations.any") : t("charge.evse", { number: one.evse });
  const name = one.card ?? one.id_token;
  const until = t("reservations.until", { moment: dateAndTime(one.expires_at) });
  const shown = make("div", {}, make("strong", {}, name), make("p", { class: "muted small" }, several || one.evse === null ? `${place}, ${until}` : until));
  if (!byOwner || one.evse === null) return make("li", {}, shown);
  const gone = make("button", { type: "button", class: "quiet", "aria-label": `${t("reservations.cancel")}: ${name}` }, t("reservations.cancel-short"));
  runOnClick(gone, async () => {
    await remove(`/api/evses/${one.evse}/reservation`);
    await load();
  });
  return make("li", {}, shown, gone);
}
