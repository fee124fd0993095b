// The driver's page: availability, current with its reason, energy and cost, start and stop.

import { get, post } from "./api.js";
import { activate } from "./activation.js";
import { drawHistory } from "./chart.js";
import { find, make, runOnClick, setText, show, toast } from "./dom.js";
import { amps, decimal, duration, kilowattHours, kilowatts, money, price, timeOrDate, timeWithSeconds } from "./format.js";
import { loadKeyWhenOpened } from "./key.js";
import { reloadStatus, watchStatus } from "./live.js";
import { hasText, language, t } from "./words.js";

const role = document.documentElement.dataset.role;
const isDriver = role !== "visitor";
const isOwner = isDriver && role !== "driver";
const isInstaller = isOwner && role !== "owner";
const cards = new Map();
const MAY_CHARGE = new Set(["Charging", "SuspendedEV", "SuspendedEVSE"]);
const LEAST_A = 6; // no car charges with less (IEC 61851-1)
const MINUTE_MS = 60_000;
const SOON_MS = 120_000; // what changes all the time is not announced
const NAMED = new Set(["user", "grid-operator"]); // limits whose setter has a name that people know
const WAITING = new Set(["available", "charge-rests", "offline", "reserved"]); // reasons of the light while the station waits for a vehicle
const STATE_ONLY = { offered_a: null, limits: [] }; // of a visitor who may not see the charge
const AFTER_A_CARD = new Set(["not-authenticated", "card-rejected", "card-not-checked", "authorisation-timed-out"]);
const NO_PRICE = new Set(["out-of-service", "not-activated", "self-test", "software-starts", "installing-software", "unavailable"]);
let charges = new Map();

watchStatus(async (status) => {
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
    update(cards.get(evse.id), { ...STATE_ONLY, ...evse }, status);
  }
});

if (isDriver) drawHistory();
setInterval(() => {
  for (const card of cards.values()) countDown(card);
}, 1000);

/** Create the card of an EVSE; returns it with its elements that change. */
function newCard(id) {
  const root = find("#evse-card").content.firstElementChild.cloneNode(true);
  const place = {};
  for (const element of root.querySelectorAll("*")) {
    for (const name of Object.keys(element.dataset)) place[name] = element;
  }
  runOnClick(place.stop, async () => {
    await post(`/api/evses/${id}/stop`);
    reloadStatus();
  });
  runOnClick(place.now, async () => {
    await post(`/api/evses/${id}/charge-now`);
    reloadStatus();
  });
  runOnClick(place.start, () => start(id));
  runOnClick(place.activate, async () => {
    await activate();
    reloadStatus();
  });
  loadKeyWhenOpened(id, place);
  return { root, ...place };
}

function update(card, evse, status) {
  const charge = charges.get(evse.id);
  const state = stateOf(evse, charge);
  card.root.dataset.colour = evse.light?.colour ?? "white";
  card.root.dataset.pattern = evse.light?.pattern ?? "steady";
  setText(card.name, status.evses.length > 1 ? t("charge.evse", { number: evse.id }) : "");
  show(card.name, status.evses.length > 1);
  setText(card.headline, t(`state.${state}`));
  setText(card.sentence, sentenceOf(state, evse, status, charge));
  ring(card, evse, state, charge);
  awaitCar(card, state, charge, status);
  figures(card, state, charge, evse, status);
  cost(card, evse);
  tariff(card, state, evse);
  why(card, evse, status);
  show(card.key, charge?.signs === true);
  actions(card, evse, charge, state, status.stage);
}

/** The state of an EVSE: the reason of its light, refined by states that only the page shows. */
function stateOf(evse, charge) {
  const reason = evse.light?.reason ?? evse.connector_status.toLowerCase();
  const awaits = charge?.awaits_vehicle ?? null;
  if (awaits !== null && WAITING.has(reason)) return awaits.left_s === null ? "car-unplugged" : "plug-in";
  if (reason === "offline" && evse.connector_status === "Reserved") return "reserved"; // known cards may not charge there either
  if (reason === "charge-rests" && charge?.stopped) return "stopped";
  if (reason === "charging" && charge !== undefined && !charge.authorized) return "stopping";
  return reason;
}

function sentenceOf(state, evse, { stage, clock }, charge) {
  const fault = evse.faults.find((one) => hasText(`fault.${one}`));
  if (fault !== undefined) return t(`fault.${fault}`);
  if (state === "not-activated" && stage === "not-commissioned") return t("state.not-commissioned.text");
  if (state === "not-activated" && isOwner) return t("activation.text");
  if (state === "reserved" && evse.reserved_until) {
    const until = charge?.start_method === "app" ? "state.reserved.until-app" : "state.reserved.until";
    return t(until, { time: timeOrDate(evse.reserved_until, clock.now) });
  }
  if (state === "stopped") return t(`state.stopped.text-${howToGoOn(charge)}`);
  if (state === "not-authenticated" && charge?.awaits_token) return t(`state.not-authenticated.text-${howToTryAgain(charge)}`);
  return hasText(`state.${state}.text`) ? t(`state.${state}.text`) : "";
}

function howToGoOn({ start, start_method: method }) {
  if (isDriver && (start === "account" || method === "app")) return "button";
  return method === "card" ? "token" : method;
}

/** After a refusal: with another card, or with the button by whoever has it. */
function howToTryAgain({ start_method: method }) {
  if (!isDriver) return ["card", "app"].includes(method) ? method : "page";
  return method === "card" ? "card-start" : "start";
}

function ring(card, evse, state, charge) {
  const flows = evse.charging_state === "Charging" && evse.offered_a !== null;
  const most = charge?.rating_a ?? Math.max(32, evse.offered_a);
  const part = flows || evse.offered_a > 0 ? Math.min(1, evse.offered_a / most) : 1;
  card.arc.setAttribute("stroke-dasharray", `${(part * 100).toFixed(1)} 100`);
  if (flows) {
    setText(card.figure, kilowatts(evse.meter?.power_w ?? null));
    setText(card.unit, t("charge.of", { current: amps(evse.offered_a), most: amps(most) }));
  } else if (evse.offered_a > 0) {
    setText(card.figure, amps(evse.offered_a));
    setText(card.unit, t("charge.offered"));
  } else {
    setText(card.figure, t(`ring.${["not-activated", "stopped"].includes(state) ? state : evse.connector_status.toLowerCase()}`));
    setText(card.unit, state === "available" ? upTo(evse, charge) : "");
  }
  card.figure.style.setProperty("--chars", card.figure.textContent.length);
}

/** What a car that came now could get: the tightest limit, such as the owner's or what the house leaves. */
function upTo({ limit }, charge) {
  if (limit === null || charge === undefined) return "";
  const most = Math.min(limit.current_a, charge.rating_a);
  return most < LEAST_A ? t("charge.up-to-none") : t("charge.up-to", { most: amps(most) });
}

/** Show how long the station still waits for a car, counted down between two status updates. */
function awaitCar(card, state, charge, { clock }) {
  const { left_s: left, timeout_s: of } = state === "plug-in" ? charge.awaits_vehicle : {};
  card.wait = left === undefined ? null : { left, of, rate: clock.rate, since: performance.now() };
  countDown(card);
}

function countDown(card) {
  if (!card.wait) return;
  const { left, of, rate, since } = card.wait;
  const now = Math.max(0, left - (rate * (performance.now() - since)) / 1000);
  card.arc.setAttribute("stroke-dasharray", `${(100 * Math.min(1, now / of)).toFixed(1)} 100`);
  setText(card.figure, t("time.seconds", { seconds: Math.ceil(now) }));
  setText(card.unit, t("charge.time-left"));
}

function figures(card, state, charge, evse, status) {
  const details = state === "plug-in" && charge.charge?.energy_wh === 0 ? null : (charge?.charge ?? null);
  const running = charge?.stopped || details?.authorized || evse.charging_state !== "EVConnected" ? details : null;
  show(card.figures, running !== null || evse.cost !== null || costText(evse) !== undefined);
  show(card.energyTile, running !== null);
  show(card.timeTile, running !== null);
  if (running === null) return;
  setText(card.energy, kilowattHours(running.energy_wh));
  setText(card.time, duration(running.duration_s ?? (new Date(status.clock.now) - new Date(running.began_at)) / 1000));
}

/** The cost; without an amount, the text shown instead. */
function cost(card, evse) {
  const { cost } = evse;
  show(card.costTile, cost !== null);
  if (cost !== null) {
    setText(card.costName, t(cost.final ? "charge.total" : "charge.cost"));
    setText(card.cost, money(cost.amount, cost.currency));
  }
  message(card.totalTile, card.total, costText(evse));
}

const costText = ({ cost, display }) => display.find((one) => one.topic === "cost" && cost === null);

/** The price, already before the charge: the owner's prices in words, or a text of the CSMS. */
function tariff(card, state, evse) {
  const stated = NO_PRICE.has(state) ? null : evse.tariff;
  message(card.tariffTile, card.tariff, stated === null ? undefined : (ownTariff(stated.prices) ?? stated));
}

/** The owner's prices in the visitor's language; undefined: the tariff is not the owner's. */
function ownTariff(prices) {
  if (!prices) return undefined;
  const amount = (text) => price(text, prices.currency);
  const periods = prices.period.map((one) => `${one.name} ${amount(one.energy_per_kwh)}`).join(", ");
  const parts = [];
  if (Number(prices.energy_per_kwh) > 0 || periods !== "") {
    parts.push(t("tariff.energy", { price: amount(prices.energy_per_kwh) }) + (periods === "" ? "" : ` (${periods})`));
  }
  if (Number(prices.time_per_hour) > 0) parts.push(t("tariff.time", { price: amount(prices.time_per_hour) }));
  if (Number(prices.idle_per_hour) > 0) {
    const minutes = decimal(prices.idle_after_s / 60);
    parts.push(t(prices.idle_after_s > 0 ? "tariff.idle-after" : "tariff.idle", { price: amount(prices.idle_per_hour), minutes }));
  }
  return { language, content: parts.length === 0 ? t("tariff.free") : parts.join(" + ") };
}

/** Show a text of the CSMS, in any language; HTML without its tags. */
function message(tile, place, content) {
  show(tile, content !== undefined);
  if (content === undefined) return;
  place.lang = content.language ?? "";
  setText(place, content.format === "HTML" ? content.content.replace(/<[^>]*>/g, " ").trim() : content.content);
}

function why(card, evse, status) {
  const limit = evse.limit;
  const asks = limit !== null && MAY_CHARGE.has(evse.charging_state) && evse.faults.length === 0;
  show(card.why, asks);
  if (!asks) return;
  setText(card.whyTitle, t(limit.current_a > 0 ? "why.title" : "why.title-none", { current: amps(limit.current_a) }));
  const explained = limit.source === "grid" ? (evse.grid_explanation ?? null) : null;
  setText(card.whyText, explained === null ? reasonText(limit) : gridText(explained, status.clock.now));
  const announced = explained === null && limit.next_change !== null && new Date(limit.next_change) - new Date(status.clock.now) > SOON_MS;
  show(card.whyNext, announced);
  if (announced) {
    setText(card.whyNext, t("why.next", { time: timeOrDate(limit.next_change, status.clock.now) }));
  }
  const most = Math.max(...evse.limits.map((one) => one.current_a), 1);
  const tightestFirst = [...evse.limits].sort((one, other) => one.current_a - other.current_a);
  card.limits.replaceChildren(...tightestFirst.map((one) => limitRow(one, limit, most)));
}

/** What the house connection leaves on the phase that decides, as a sum, and what keeps the car from getting it. */
function gridText(explained, now) {
  const { phase, limit_a: limit, house_a: house, margin_a: margin, room_a: room } = explained;
  const kind = room === 0 ? "full" : house < 0 ? "feed-in" : "sum";
  const values = { phase, limit: amps(limit), house: amps(Math.abs(house)), margin: amps(margin), room: amps(room) };
  const sum = t(`why.grid-${kind}${phase === null ? "" : "-phase"}`, values);
  return explained.held_by === null ? sum : `${sum} ${holdText(explained, now)}`;
}

function holdText({ held_by: kind, held_until: until, current_a: current, peak_a: peak }, now) {
  const timed = until !== null && hasText(`why.hold-${kind}-until`);
  const later = timed && new Date(until) - new Date(now) > SOON_MS;
  const time = later ? timeOrDate(nextMinute(until), now) : timeWithSeconds(until); // never too early
  return t(`why.hold-${kind}${timed ? "-until" : ""}`, { time, current: amps(current), peak: amps(peak) });
}

const nextMinute = (moment) => new Date(Math.ceil(new Date(moment) / MINUTE_MS) * MINUTE_MS).toISOString();

/** The kind of a limit as shown: the owner's limit of 0 A is a pause. */
const kindOf = (limit) => (limit.source === "user" && limit.current_a === 0 ? "pause" : limit.source);

/** Why a limit applies; in English where the page has no text for its kind yet. */
function reasonText(limit) {
  const key = `why.${kindOf(limit)}`;
  return hasText(key) ? t(key, { by: limit.by ?? "" }) : `${capitalised(limit.words)}.`;
}

/** The name of a limit, with who set it if several can; in English where the page has no text for its kind yet. */
function nameText(limit) {
  const kind = kindOf(limit);
  if (!hasText(`limit.${kind}`)) return capitalised(limit.words);
  return NAMED.has(kind) && limit.by !== null ? `${t(`limit.${kind}`)} (${limit.by})` : t(`limit.${kind}`);
}

const capitalised = (words) => words.charAt(0).toUpperCase() + words.slice(1);

function limitRow(one, binding, most) {
  const bar = make("i");
  bar.style.width = `${Math.round((100 * one.current_a) / most)}%`;
  const binds = one.source === binding.source && one.by === binding.by && one.current_a === binding.current_a;
  return make(
    "li",
    { class: binds ? "binds" : "" },
    make("span", {}, nameText(one)),
    make("span", {}, amps(one.current_a)),
    make("span", { class: "bar", "aria-hidden": "true" }, bar),
  );
}

function actions(card, evse, charge, state, stage) {
  const someone = charge?.authorized === true;
  const usable =
    ["available", "plugged-in", "reserved", "offline", "stopped"].includes(state) ||
    (AFTER_A_CARD.has(state) && charge?.awaits_token === true);
  const plugStarts = charge?.start === "plug";
  setText(card.stop, t(state === "plug-in" ? "shell.cancel" : "charge.stop"));
  show(card.stop, isDriver && someone);
  const forHolder = state === "reserved" && charge?.start !== "token"; // only with the card of the reservation
  show(card.start, isDriver && usable && charge !== undefined && !plugStarts && !forHolder);
  show(card.now, isDriver && someone && evse.limit?.source === "tariff");
  show(card.activate, isOwner && state === "not-activated" && stage === "commissioned");
  show(card.commission, isInstaller && state === "not-activated" && stage === "not-commissioned");
  const hint = usable && !["stopped", "reserved"].includes(state) && !AFTER_A_CARD.has(state) ? t(`charge.hint-${charge?.start_method ?? "card"}`) : "";
  setText(card.hint, hint);
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
  reloadStatus();
}

async function present(id, card) {
  const result = await post(`/api/evses/${id}/token?wait=settled`, card);
  toast(t(`outcome.${result.outcome ?? "asked"}`));
}

/** Let the driver enter the number of a card; it is stored on this device only. */
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
