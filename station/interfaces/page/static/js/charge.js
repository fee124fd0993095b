// The driver's page: availability, current with its reason, energy and cost, start and stop.

import { get, post } from "./api.js";
import { activateStation } from "./activation.js";
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
const evseCards = new Map();
const ENERGY_TRANSFER_STATES = new Set(["Charging", "SuspendedEV", "SuspendedEVSE"]);
const MINIMUM_CURRENT_A = 6; // no car charges with less (IEC 61851-1)
const MINUTE_MS = 60_000;
const SOON_MS = 120_000; // changes that are nearer than this are not announced: such limits change all the time
const NAMED_SOURCES = new Set(["user", "grid-operator"]); // sources of limits whose setter has a name that people know
const WAITING_REASONS = new Set(["available", "charge-rests", "offline", "reserved"]); // reasons of the light while the station waits for a vehicle
const VISITOR_DEFAULTS = { offered_a: null, limits: [] }; // for a visitor who may not see the charge
const STATES_AFTER_REFUSAL = new Set(["not-authenticated", "card-rejected", "card-not-checked", "authorisation-timed-out"]);
const STATES_WITHOUT_PRICE = new Set(["out-of-service", "not-activated", "self-test", "software-starts", "installing-software", "unavailable"]);
let charges = new Map();

watchStatus(async (status) => {
  if (!status.powered) return;
  try {
    charges = new Map((await get("/api/charges")).map((charge) => [charge.evse, charge]));
  } catch {
    charges = new Map(); // then energy, time and cost are not shown
  }
  const container = find("#evses");
  for (const evse of status.evses) {
    if (!evseCards.has(evse.id)) {
      if (evseCards.size === 0) container.replaceChildren();
      const card = createCard(evse.id);
      evseCards.set(evse.id, card);
      container.append(card.root);
    }
    updateCard(evseCards.get(evse.id), { ...VISITOR_DEFAULTS, ...evse }, status);
  }
});

if (isDriver) drawHistory();
setInterval(() => {
  for (const card of evseCards.values()) countDown(card);
}, 1000);

/** Create the card of an EVSE; returns it with its elements that change. */
function createCard(evseId) {
  const root = find("#evse-card").content.firstElementChild.cloneNode(true);
  const elements = {};
  for (const element of root.querySelectorAll("*")) {
    for (const name of Object.keys(element.dataset)) elements[name] = element;
  }
  runOnClick(elements.stop, async () => {
    await post(`/api/evses/${evseId}/stop`);
    reloadStatus();
  });
  runOnClick(elements.now, async () => {
    await post(`/api/evses/${evseId}/charge-now`);
    reloadStatus();
  });
  runOnClick(elements.start, () => startCharge(evseId));
  runOnClick(elements.activate, async () => {
    await activateStation();
    reloadStatus();
  });
  loadKeyWhenOpened(evseId, elements);
  return { root, ...elements };
}

function updateCard(card, evse, status) {
  const charge = charges.get(evse.id);
  const state = stateOf(evse, charge);
  card.root.dataset.colour = evse.light?.colour ?? "white";
  card.root.dataset.pattern = evse.light?.pattern ?? "steady";
  setText(card.name, status.evses.length > 1 ? t("charge.evse", { number: evse.id }) : "");
  show(card.name, status.evses.length > 1);
  setText(card.headline, t(`state.${state}`));
  setText(card.sentence, stateText(state, evse, status, charge));
  updateRing(card, evse, state, charge);
  updateVehicleWait(card, state, charge, status);
  updateFigures(card, state, charge, evse, status);
  updateWants(card, evse, status);
  updateCost(card, evse);
  updateTariff(card, state, evse);
  updateLimitReason(card, evse, status);
  show(card.key, charge?.signs === true);
  updateButtons(card, evse, charge, state, status.stage);
}

/** The state of an EVSE: the reason of its light, refined by states that only the page shows. */
function stateOf(evse, charge) {
  const reason = evse.light?.reason ?? evse.connector_status.toLowerCase();
  const vehicleWait = charge?.awaits_vehicle ?? null;
  if (vehicleWait !== null && WAITING_REASONS.has(reason)) return vehicleWait.left_s === null ? "car-unplugged" : "plug-in";
  if (reason === "offline" && evse.connector_status === "Reserved") return "reserved"; // known cards may not charge there either
  if (reason === "charge-rests" && charge?.stopped) return "stopped";
  if (reason === "charging" && charge !== undefined && !charge.authorized) return "stopping";
  return reason;
}

function stateText(state, evse, { stage, clock }, charge) {
  const fault = evse.faults.find((name) => hasText(`fault.${name}`));
  if (fault !== undefined) return t(`fault.${fault}`);
  if (state === "not-activated" && stage === "not-commissioned") return t("state.not-commissioned.text");
  if (state === "not-activated" && isOwner) return t("activation.text");
  if (state === "reserved" && evse.reserved_until) {
    const key = charge?.start_method === "app" ? "state.reserved.until-app" : "state.reserved.until";
    return t(key, { time: timeOrDate(evse.reserved_until, clock.now) });
  }
  if (state === "stopped") return t(`state.stopped.text-${resumeMethod(charge)}`);
  if (state === "not-authenticated" && charge?.awaits_token) return t(`state.not-authenticated.text-${retryMethod(charge)}`);
  return hasText(`state.${state}.text`) ? t(`state.${state}.text`) : "";
}

/** The way to continue a stopped charge, as the end of a text's key. */
function resumeMethod({ start, start_method: method }) {
  if (isDriver && (start === "account" || method === "app")) return "button";
  return method === "card" ? "token" : method;
}

/** The way to try again after a refusal, as the end of a text's key: with another card, or with the button of a page. */
function retryMethod({ start_method: method }) {
  if (!isDriver) return ["card", "app"].includes(method) ? method : "page";
  return method === "card" ? "card-start" : "start";
}

function updateRing(card, evse, state, charge) {
  const isCharging = evse.charging_state === "Charging" && evse.offered_a !== null;
  const maxCurrent = charge?.rating_a ?? Math.max(32, evse.offered_a);
  const fraction = isCharging || evse.offered_a > 0 ? Math.min(1, evse.offered_a / maxCurrent) : 1;
  card.arc.setAttribute("stroke-dasharray", `${(fraction * 100).toFixed(1)} 100`);
  if (isCharging) {
    setText(card.figure, kilowatts(evse.meter?.power_w ?? null));
    setText(card.unit, t("charge.of", { current: amps(evse.offered_a), most: amps(maxCurrent) }));
  } else if (evse.offered_a > 0) {
    setText(card.figure, amps(evse.offered_a));
    setText(card.unit, t("charge.offered"));
  } else {
    setText(card.figure, t(`ring.${["not-activated", "stopped"].includes(state) ? state : evse.connector_status.toLowerCase()}`));
    setText(card.unit, state === "available" ? availableCurrentText(evse, charge) : "");
  }
  card.figure.style.setProperty("--chars", card.figure.textContent.length);
}

/** The current that a car that came now could get: the tightest limit, such as the owner's or what the house leaves. */
function availableCurrentText({ limit }, charge) {
  if (limit === null || charge === undefined) return "";
  const maxCurrent = Math.min(limit.current_a, charge.rating_a);
  return maxCurrent < MINIMUM_CURRENT_A ? t("charge.up-to-none") : t("charge.up-to", { most: amps(maxCurrent) });
}

/** Start or stop the countdown of the time that the station still waits for a car; it goes on between two status updates. */
function updateVehicleWait(card, state, charge, { clock }) {
  const { left_s: leftS, timeout_s: timeoutS } = state === "plug-in" ? charge.awaits_vehicle : {};
  card.wait = leftS === undefined ? null : { leftS, timeoutS, rate: clock.rate, sinceMs: performance.now() };
  countDown(card);
}

function countDown(card) {
  if (!card.wait) return;
  const { leftS, timeoutS, rate, sinceMs } = card.wait;
  const remainingS = Math.max(0, leftS - (rate * (performance.now() - sinceMs)) / 1000);
  card.arc.setAttribute("stroke-dasharray", `${(100 * Math.min(1, remainingS / timeoutS)).toFixed(1)} 100`);
  setText(card.figure, t("time.seconds", { seconds: Math.ceil(remainingS) }));
  setText(card.unit, t("charge.time-left"));
}

function updateFigures(card, state, charge, evse, status) {
  const details = state === "plug-in" && charge.charge?.energy_wh === 0 ? null : (charge?.charge ?? null);
  const displayed = charge?.stopped || details?.authorized || evse.charging_state !== "EVConnected" ? details : null;
  show(card.figures, displayed !== null || evse.cost !== null || costMessage(evse) !== undefined);
  show(card.energyTile, displayed !== null);
  show(card.timeTile, displayed !== null);
  if (displayed === null) return;
  setText(card.energy, kilowattHours(displayed.energy_wh));
  setText(card.time, duration(displayed.duration_s ?? (new Date(status.clock.now) - new Date(displayed.began_at)) / 1000));
}

/** Show what a vehicle that communicates wants of its charge. */
function updateWants(card, { vehicle, transaction_id: transactionId }, { clock }) {
  const wants = vehicle?.energy_wh != null && transactionId != null;
  show(card.wants, wants);
  if (!wants) return;
  const energy = kilowattHours(vehicle.energy_wh);
  const until = vehicle.departs_at;
  setText(card.wants, until === null ? t("charge.wants", { energy }) : t("charge.wants-until", { energy, time: timeOrDate(until, clock.now) }));
}

/** Show the cost; without an amount, the text shown instead. */
function updateCost(card, evse) {
  const { cost } = evse;
  show(card.costTile, cost !== null);
  if (cost !== null) {
    setText(card.costName, t(cost.final ? "charge.total" : "charge.cost"));
    setText(card.cost, money(cost.amount, cost.currency));
  }
  showMessage(card.totalTile, card.total, costMessage(evse));
}

const costMessage = ({ cost, display }) => display.find((message) => message.topic === "cost" && cost === null);

/** Show the price, already before the charge: the owner's prices in words, or a text of the CSMS. */
function updateTariff(card, state, evse) {
  const displayedTariff = STATES_WITHOUT_PRICE.has(state) ? null : evse.tariff;
  const message = displayedTariff === null ? undefined : (ownerTariffMessage(displayedTariff.prices) ?? displayedTariff);
  showMessage(card.tariffTile, card.tariff, message);
}

/** The owner's prices as a message in the visitor's language; undefined: the tariff is not the owner's. */
function ownerTariffMessage(prices) {
  if (!prices) return undefined;
  const priceText = (amount) => price(amount, prices.currency);
  const periods = prices.period.map((period) => `${period.name} ${priceText(period.energy_per_kwh)}`).join(", ");
  const parts = [];
  if (Number(prices.energy_per_kwh) > 0 || periods !== "") {
    parts.push(t("tariff.energy", { price: priceText(prices.energy_per_kwh) }) + (periods === "" ? "" : ` (${periods})`));
  }
  if (Number(prices.time_per_hour) > 0) parts.push(t("tariff.time", { price: priceText(prices.time_per_hour) }));
  if (Number(prices.idle_per_hour) > 0) {
    const minutes = decimal(prices.idle_after_s / 60);
    parts.push(t(prices.idle_after_s > 0 ? "tariff.idle-after" : "tariff.idle", { price: priceText(prices.idle_per_hour), minutes }));
  }
  return { language, content: parts.length === 0 ? t("tariff.free") : parts.join(" + ") };
}

/** Show a text of the CSMS, in any language; HTML without its tags. */
function showMessage(tile, element, message) {
  show(tile, message !== undefined);
  if (message === undefined) return;
  element.lang = message.language ?? "";
  setText(element, message.format === "HTML" ? message.content.replace(/<[^>]*>/g, " ").trim() : message.content);
}

function updateLimitReason(card, evse, status) {
  const tightest = evse.limit;
  const isLimited = tightest !== null && ENERGY_TRANSFER_STATES.has(evse.charging_state) && evse.faults.length === 0;
  show(card.why, isLimited);
  if (!isLimited) return;
  setText(card.whyTitle, t(tightest.current_a > 0 ? "why.title" : "why.title-none", { current: amps(tightest.current_a) }));
  const explanation = tightest.source === "grid" ? (evse.grid_explanation ?? null) : null;
  setText(card.whyText, explanation === null ? reasonText(tightest) : gridText(explanation, status.clock.now));
  const announcesChange =
    explanation === null && tightest.next_change !== null && new Date(tightest.next_change) - new Date(status.clock.now) > SOON_MS;
  show(card.whyNext, announcesChange);
  if (announcesChange) {
    setText(card.whyNext, t("why.next", { time: timeOrDate(tightest.next_change, status.clock.now) }));
  }
  const maxCurrent = Math.max(...evse.limits.map((limit) => limit.current_a), 1);
  const tightestFirst = [...evse.limits].sort((a, b) => a.current_a - b.current_a);
  card.limits.replaceChildren(...tightestFirst.map((limit) => limitRow(limit, tightest, maxCurrent)));
}

/** A text that explains the limit of the house connection: the sum on the phase that decides, and what holds the current below it. */
function gridText(explanation, now) {
  const { phase, limit_a: limit, house_a: house, margin_a: margin, room_a: room } = explanation;
  const kind = room === 0 ? "full" : house < 0 ? "feed-in" : "sum";
  const values = { phase, limit: amps(limit), house: amps(Math.abs(house)), margin: amps(margin), room: amps(room) };
  const sum = t(`why.grid-${kind}${phase === null ? "" : "-phase"}`, values);
  return explanation.held_by === null ? sum : `${sum} ${holdText(explanation, now)}`;
}

function holdText({ held_by: kind, held_until: until, current_a: current, peak_a: peak }, now) {
  const hasTime = until !== null && hasText(`why.hold-${kind}-until`);
  const isDistant = hasTime && new Date(until) - new Date(now) > SOON_MS;
  const time = isDistant ? timeOrDate(nextMinute(until), now) : timeWithSeconds(until); // never too early
  return t(`why.hold-${kind}${hasTime ? "-until" : ""}`, { time, current: amps(current), peak: amps(peak) });
}

const nextMinute = (moment) => new Date(Math.ceil(new Date(moment) / MINUTE_MS) * MINUTE_MS).toISOString();

/** The kind of a limit as shown: the owner's limit of 0 A is a pause. */
const kindOf = (limit) => (limit.source === "user" && limit.current_a === 0 ? "pause" : limit.source);

/** A sentence that says why a limit applies; in English where the page has no text for its kind yet. */
function reasonText(limit) {
  const key = `why.${kindOf(limit)}`;
  return hasText(key) ? t(key, { by: limit.by ?? "" }) : `${capitalised(limit.words)}.`;
}

/** The name of a limit, with who set it if several can; in English where the page has no text for its kind yet. */
function nameText(limit) {
  const kind = kindOf(limit);
  if (!hasText(`limit.${kind}`)) return capitalised(limit.words);
  return NAMED_SOURCES.has(kind) && limit.by !== null ? `${t(`limit.${kind}`)} (${limit.by})` : t(`limit.${kind}`);
}

const capitalised = (words) => words.charAt(0).toUpperCase() + words.slice(1);

function limitRow(limit, binding, maxCurrent) {
  const bar = make("i");
  bar.style.width = `${Math.round((100 * limit.current_a) / maxCurrent)}%`;
  const isBinding = limit.source === binding.source && limit.by === binding.by && limit.current_a === binding.current_a;
  return make(
    "li",
    { class: isBinding ? "binds" : "" },
    make("span", {}, nameText(limit)),
    make("span", {}, amps(limit.current_a)),
    make("span", { class: "bar", "aria-hidden": "true" }, bar),
  );
}

function updateButtons(card, evse, charge, state, stage) {
  const isAuthorized = charge?.authorized === true;
  const canStart =
    ["available", "plugged-in", "reserved", "offline", "stopped"].includes(state) ||
    (STATES_AFTER_REFUSAL.has(state) && charge?.awaits_token === true);
  const plugStarts = charge?.start === "plug";
  setText(card.stop, t(state === "plug-in" ? "shell.cancel" : "charge.stop"));
  show(card.stop, isDriver && isAuthorized);
  const forReservationHolder = state === "reserved" && charge?.start !== "token"; // only with the card of the reservation
  show(card.start, isDriver && canStart && charge !== undefined && !plugStarts && !forReservationHolder);
  show(card.now, isDriver && isAuthorized && evse.limit?.source === "tariff");
  show(card.activate, isOwner && state === "not-activated" && stage === "commissioned");
  show(card.commission, isInstaller && state === "not-activated" && stage === "not-commissioned");
  const isHinted = canStart && !["stopped", "reserved"].includes(state) && !STATES_AFTER_REFUSAL.has(state);
  const hint = isHinted ? t(`charge.hint-${charge?.start_method ?? "card"}`) : "";
  setText(card.hint, hint);
  show(card.hint, hint !== "" && card.start.hidden);
}

async function startCharge(evseId) {
  if (charges.get(evseId)?.start === "button") {
    await post(`/api/evses/${evseId}/start-button`);
  } else if (charges.get(evseId)?.start === "account") {
    await presentCard(evseId, { id_token: "driver", type: "Local" });
  } else {
    const number = await askForCard();
    if (number !== null) await presentCard(evseId, { id_token: number });
  }
  reloadStatus();
}

async function presentCard(evseId, card) {
  const result = await post(`/api/evses/${evseId}/token?wait=settled`, card);
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
