// Reservations: those that wait for their holder; without a CSMS the owner reserves an EVSE for a card.

import { get, post, remove } from "./api.js";
import { find, make, runOnClick, setText, show, toast } from "./dom.js";
import { dateAndTime } from "./format.js";
import { watchStatus } from "./live.js";
import { t } from "./words.js";

const HOUR_S = 3600;
let hasSeveralEvses = false;
let lastReservations = "";

export async function openReservations() {
  const [{ by_owner: byOwner }, { cards }] = await Promise.all([loadReservations(), get("/api/cards")]);
  setText(find("#reservations-text"), t(byOwner ? "reservations.text" : "reservations.text-csms"));
  find("#reservation-card").replaceChildren(...cards.map((card) => make("option", { value: card.name }, card.label)));
  show(find("#reservation-form"), byOwner && cards.length > 0);
}

watchStatus((status) => {
  if (!status.powered) return;
  hasSeveralEvses = status.evses.length > 1;
  show(find("#reservation-place"), hasSeveralEvses);
  const evseField = find("#reservation-evse");
  if (evseField.childElementCount !== status.evses.length) {
    evseField.replaceChildren(...status.evses.map(({ id }) => make("option", { value: id }, t("charge.evse", { number: id }))));
  }
  const reservations = JSON.stringify(status.evses.map((evse) => [evse.reserved_until, evse.reservation]));
  if (reservations !== lastReservations && !find("#cards").hidden) loadReservations();
  lastReservations = reservations;
});

find("#reservation-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const hours = find("#reservation-hours").valueAsNumber;
  try {
    await post(`/api/evses/${find("#reservation-evse").value}/reservation`, { card: find("#reservation-card").value, for_s: hours * HOUR_S });
  } catch (error) {
    toast(error.message);
  }
  await loadReservations();
});

async function loadReservations() {
  const response = await get("/api/reservations");
  const items = response.reservations.map((reservation) => reservationItem(reservation, response.by_owner));
  find("#reservation-items").replaceChildren(...(items.length > 0 ? items : [make("li", { class: "empty" }, t("reservations.empty"))]));
  return response;
}

function reservationItem(reservation, byOwner) {
  const evseText = reservation.evse === null ? t("reservations.any") : t("charge.evse", { number: reservation.evse });
  const name = reservation.card ?? reservation.id_token;
  const until = t("reservations.until", { moment: dateAndTime(reservation.expires_at) });
  const details = hasSeveralEvses || reservation.evse === null ? `${evseText}, ${until}` : until;
  const description = make("div", {}, make("strong", {}, name), make("p", { class: "muted small" }, details));
  if (!byOwner || reservation.evse === null) return make("li", {}, description);
  const label = `${t("reservations.cancel")}: ${name}`;
  const cancelButton = make("button", { type: "button", class: "quiet", "aria-label": label }, t("reservations.cancel-short"));
  runOnClick(cancelButton, async () => {
    await remove(`/api/evses/${reservation.evse}/reservation`);
    await loadReservations();
  });
  return make("li", {}, description, cancelButton);
}
