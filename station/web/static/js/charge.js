// The driver's page: is it free, why is it this current, what has it brought, start and stop.

import { get, post } from "./api.js";
import { drawHistory } from "./chart.js";
import { acting, find, make, say, show, toast } from "./dom.js";
import { amps, duration, kilowattHours, kilowatts, money, soon } from "./format.js";
import { openKey } from "./key.js";
import { look, watch } from "./live.js";
import { known, t } from "./words.js";

const role = document.documentElement.dataset.role;
const isDriver = role !== "visitor";
const cards = new Map();
const MAY_CHARGE = new Set(["Charging", "SuspendedEV", "SuspendedEVSE"]);
const SOON_MS = 120_000; // what changes all the time is not announced
const NAMED = new Set(["user", "grid-operator"]); // limits whose setter has a name that people know
let charges = new Map();

watch(async (status) => {
  if (!status.powered) return;
  try {
    charges = new Map((await get("/api/charges")).map((one) => [one.evse, one]));
  } catch {
    charges = new Map(); // then without energy, time and cost
  }
  const place = find("#evses");
  for (const evse of status.evses) {
    if (!cards.has(evse.id)) {
      if (cards.size === 0) place.replaceChildren();
      const card = newCard(evse.id);
      cards.set(evse.id, card);
      place.append(card.root);
    }
    update(cards.get(evse.id), evse, status);
  }
});

if (isDriver) drawHistory();

/** The card of an EVSE and the places in it that change. */
function newCard(id) {
  const root = find("#evse-card").content.firstElementChild.cloneNode(true);
  const place = {};
  for (const element of root.querySelectorAll("*")) {
    for (const name of Object.keys(element.dataset)) place[name] = element;
  }
  acting(place.stop, async () => {
    await post(`/api/evses/${id}/stop`);
    look();
  });
  acting(place.now, async () => {
    await post(`/api/evses/${id}/charge-now`);
    look();
  });
  acting(place.start, () => start(id));
  openKey(id, place);
  return { root, ...place };
}

function update(card, evse, status) {
  const charge = charges.get(evse.id);
  const state = stateOf(evse);
  card.root.dataset.colour = evse.light?.colour ?? "white";
  card.root.dataset.pattern = evse.light?.pattern ?? "steady";
  say(card.name, status.evses.length > 1 ? t("charge.evse", { number: evse.id }) : "");
  show(card.name, status.evses.length > 1);
  say(card.headline, t(`state.${state}`));
  say(card.sentence, sentenceOf(state, evse, status.stage));
  ring(card, evse, state, charge);
  figures(card, evse, charge, status);
  prices(card, evse);
  why(card, evse, status);
  show(card.key, charge?.signs === true);
  actions(card, evse, charge, state);
}

/** The reason of the light says what goes on; a fault says more. */
function stateOf(evse) {
  return evse.light?.reason ?? evse.connector_status.toLowerCase();
}

function sentenceOf(state, evse, stage) {
  const fault = evse.faults.find((one) => known(`fault.${one}`));
  if (fault !== undefined) return t(`fault.${fault}`);
  if (state === "not-activated" && stage === "not-commissioned") return t("state.not-commissioned.text");
  return known(`state.${state}.text`) ? t(`state.${state}.text`) : "";
}

function ring(card, evse, state, charge) {
  const flows = evse.charging_state === "Charging";
  const most = charge?.rating_a ?? Math.max(32, evse.offered_a);
  const part = flows || evse.offered_a > 0 ? Math.min(1, evse.offered_a / most) : 1;
  card.arc.setAttribute("stroke-dasharray", `${(part * 100).toFixed(1)} 100`);
  if (flows) {
    say(card.figure, kilowatts(evse.meter?.power_w ?? null));
    say(card.unit, t("charge.of", { current: amps(evse.offered_a), most: amps(most) }));
  } else if (evse.offered_a > 0) {
    say(card.figure, amps(evse.offered_a));
    say(card.unit, t("charge.offered"));
  } else {
    say(card.figure, t(`ring.${state === "not-activated" ? state : evse.connector_status.toLowerCase()}`));
    say(card.unit, state === "available" && charge !== undefined ? t("charge.up-to", { most: amps(most) }) : "");
  }
}

function figures(card, evse, charge, status) {
  const running = charge?.charge?.authorized || evse.charging_state !== "EVConnected" ? (charge?.charge ?? null) : null;
  show(card.figures, running !== null || evse.cost !== null || evse.display.length > 0);
  show(card.energyTile, running !== null);
  show(card.timeTile, running !== null);
  if (running === null) return;
  say(card.energy, kilowattHours(running.energy_wh));
  say(card.time, duration((new Date(status.clock.now) - new Date(running.began_at)) / 1000));
}

/** What it costs and how that comes about; where there is no amount, what is told in its place. */
function prices(card, evse) {
  const { cost, display } = evse;
  show(card.costTile, cost !== null);
  if (cost !== null) {
    say(card.costName, t(cost.final ? "charge.total" : "charge.cost"));
    say(card.cost, money(cost.amount, cost.currency));
  }
  message(card.tariffTile, card.tariff, display.find((one) => one.topic === "tariff"));
  message(card.totalTile, card.total, display.find((one) => one.topic === "cost" && cost === null));
}

/** A text from elsewhere, in whatever language; of HTML only what is between the tags. */
function message(tile, place, told) {
  show(tile, told !== undefined);
  if (told === undefined) return;
  place.lang = told.language ?? "";
  say(place, told.format === "HTML" ? told.content.replace(/<[^>]*>/g, " ").trim() : told.content);
}

function why(card, evse, status) {
  const limit = evse.limit;
  const asks = limit !== null && MAY_CHARGE.has(evse.charging_state) && evse.faults.length === 0;
  show(card.why, asks);
  if (!asks) return;
  say(card.whyTitle, t(limit.current_a > 0 ? "why.title" : "why.title-none", { current: amps(limit.current_a) }));
  const house = fullest(status.grid, limit, evse.meter);
  say(card.whyText, t(house === null ? `why.${limit.source}` : "why.grid-now", { by: limit.by ?? "", ...house }));
  const announced = limit.next_change !== null && new Date(limit.next_change) - new Date(status.clock.now) > SOON_MS;
  show(card.whyNext, announced);
  if (announced) {
    say(card.whyNext, t("why.next", { time: soon(limit.next_change, status.clock.now) }));
  }
  const most = Math.max(...evse.limits.map((one) => one.current_a), 1);
  const tightestFirst = [...evse.limits].sort((one, other) => one.current_a - other.current_a);
  card.limits.replaceChildren(...tightestFirst.map((one) => limitRow(one, limit, most)));
}

/** What the house draws besides the car on its fullest phase, where that is what limits. */
function fullest(grid, limit, meter) {
  if (limit.source !== "grid" || !grid || grid.limit_a === null) return null;
  const house = grid.currents_a.map((one, phase) => (one === null ? 0 : one - (meter?.currents_a[phase] ?? 0)));
  return { connection: amps(grid.limit_a), house: amps(Math.max(0, ...house)) };
}

function limitRow(one, binding, most) {
  const bar = make("i");
  bar.style.width = `${Math.round((100 * one.current_a) / most)}%`;
  const name = NAMED.has(one.source) && one.by !== null ? `${t(`limit.${one.source}`)} (${one.by})` : t(`limit.${one.source}`);
  const binds = one.source === binding.source && one.by === binding.by && one.current_a === binding.current_a;
  return make(
    "li",
    { class: binds ? "binds" : "" },
    make("span", {}, name),
    make("span", {}, amps(one.current_a)),
    make("span", { class: "bar", "aria-hidden": "true" }, bar),
  );
}

function actions(card, evse, charge, state) {
  const someone = charge?.charge?.authorized === true;
  const usable = ["available", "plugged-in", "reserved", "offline"].includes(state);
  show(card.stop, isDriver && someone);
  show(card.start, isDriver && usable && charge !== undefined && charge.start !== "plug");
  show(card.now, isDriver && someone && evse.limit?.source === "tariff");
  const hint = usable ? t(charge?.start === "plug" ? "charge.hint-plug" : "charge.hint-card") : "";
  say(card.hint, hint);
  show(card.hint, hint !== "" && card.start.hidden);
}

async function start(id) {
  if (charges.get(id)?.start === "button") {
    await post(`/api/evses/${id}/start-button`);
  } else if (charges.get(id)?.start === "account") {
    await present(id, { id_token: "driver", type: "Local" });
  } else {
    const number = await askForCard();
    if (number !== null) await present(id, { id_token: number });
  }
  look();
}

async function present(id, card) {
  const told = await post(`/api/evses/${id}/token?wait=settled`, card);
  toast(t(`outcome.${told.outcome ?? "asked"}`));
}

/** Let the driver type the number of a card; it is remembered on this device only. */
function askForCard() {
  const dialog = find("#card-dialog");
  const input = find("#card-number");
  input.value = localStorage.getItem("card") ?? "";
  dialog.returnValue = "";
  find("[data-close]", dialog).onclick = () => dialog.close();
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      if (dialog.returnValue !== "go") return resolve(null);
      localStorage.setItem("card", input.value.trim());
      resolve(input.value.trim());
    };
  });
}
