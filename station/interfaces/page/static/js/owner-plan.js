// Schedule, limits, priorities and prices of charging.

import { get, post, put, remove } from "./api.js";
import { find, make, runOnClick, setText, show, toast } from "./dom.js";
import { amps, dateAndTime, decimal, fieldNumber, withUnit } from "./format.js";
import { t } from "./words.js";

// Schedule, limit and service

let signals = {}; // by tariff mode: whether the station can wait for cheap hours, and why not

function showPriceSignal() {
  const signal = signals[find("#mode").value];
  const unusable = signal !== undefined && !signal.usable;
  setText(find("#schedule-signal"), unusable ? t(`schedule.signal-${signal.reason}`) : "");
}

find("#mode").addEventListener("change", showPriceSignal);

export async function openSchedule() {
  const form = find("#schedule-form");
  show(form, false); // nobody types into what is about to be filled
  const { tariff, plans } = await get("/api/load-management");
  find("#mode").value = tariff.mode;
  find("#departure").value = tariff.departure;
  find("#energy").value = tariff.energy_wh === 0 ? "" : tariff.energy_wh / 1000;
  signals = tariff.price_signals;
  showPriceSignal();
  showOwnPlans(tariff, plans);
  show(form, true);
  await showLimits();
}

/** Name the charging points whose plan is not the one of the form, which replaces theirs when it is saved. */
function showOwnPlans(tariff, plans) {
  const isOwn = (plan) => ["mode", "departure", "energy_wh"].some((key) => plan[key] !== tariff[key]);
  const own = Object.keys(plans).filter((evse) => isOwn(plans[evse]));
  setText(find("#schedule-own"), t("schedule.own", { evses: own.join(", ") }));
  show(find("#schedule-own"), own.length > 0);
}

let paused = false;

async function showLimits() {
  const [management, status] = await Promise.all([get("/api/load-management"), get("/api/status")]);
  const limit = management.limits.user ?? null;
  paused = management.paused;
  setText(find("#limit-now"), paused ? t("limit.paused") : limit === null ? t("limit.nothing") : showLimitText(limit));
  setText(find("#limit-end"), t(paused ? "limit.resume" : "limit.end"));
  show(find("#limit-end"), limit !== null);
  find("#service-items").replaceChildren(...status.evses.map((evse) => serviceItem(evse)));
  show(find("#priorities"), status.evses.length > 1);
  find("#priority-items").replaceChildren(...status.evses.map((evse) => priorityItem(evse.id, management.priorities[evse.id])));
}

function showLimitText(limit) {
  const size = limit.current_a === null ? withUnit(decimal(limit.power_w / 1000), "kW") : amps(limit.current_a);
  const until = limit.until === null ? t("limit.lasting", { size }) : t("limit.now", { size, until: dateAndTime(limit.until) });
  return limit.by === null ? until : `${until} (${limit.by})`;
}

submitting(find("#schedule-form"), async ({ mode, departure, energy }) => {
  const plan = { mode, departure, energy_wh: Math.round(Number(energy || 0) * 1000) };
  const { price_signal: signal } = await put("/api/load-management/tariff", plan);
  if (signal !== null) signals = { ...signals, [mode]: signal };
  showPriceSignal();
  show(find("#schedule-own"), false);
  toast(t("shell.saved"));
});

submitting(find("#limit-form"), async ({ current, hours }) => {
  await put("/api/load-management/limits/user", { current_a: Number(current), for_s: Number(hours) * 3600 });
  await showLimits();
});

runOnClick(find("#limit-end"), async () => {
  await remove(paused ? "/api/load-management/pause" : "/api/load-management/limits/user");
  await showLimits();
});

function serviceItem(evse) {
  const button = make("button", { type: "button" }, t(evse.in_service ? "service.close" : "service.open"));
  runOnClick(button, async () => {
    await post(`/api/evses/${evse.id}/availability`, { operative: !evse.in_service });
    await showLimits();
  });
  const state = make("span", { class: evse.in_service ? "pill on" : "pill bad" }, t(evse.in_service ? "service.is-open" : "service.is-closed"));
  return make("li", {}, make("div", { class: "row" }, make("strong", {}, t("charge.evse", { number: evse.id })), state), button);
}

const HIGHEST = 9;

function priorityItem(evse, priority) {
  const id = `priority-${evse}`;
  const numbers = Array.from({ length: HIGHEST + 1 }, (_, one) => make("option", { value: one, selected: one === priority }, String(one)));
  const choice = make("select", { id }, numbers);
  choice.addEventListener("change", async () => {
    try {
      await put(`/api/load-management/priorities/${evse}`, { priority: Number(choice.value) });
      toast(t("shell.saved"));
    } catch (error) {
      toast(error.message);
      await showLimits();
    }
  });
  return make("li", {}, make("div", { class: "row" }, make("label", { for: id }, t("charge.evse", { number: evse })), choice));
}

// Price

const MONEY = ["energy_per_kwh", "time_per_hour", "idle_per_hour"];

export async function openPrice() {
  show(find("#price-form"), false);
  const { prices } = await get("/api/prices");
  for (const name of MONEY) find(`#${name}`).value = prices === null ? "" : trimmed(prices[name]);
  find("#idle_after").value = prices === null ? "" : prices.idle_after_s / 60;
  find("#currency").value = prices?.currency ?? "EUR";
  find("#price-periods").replaceChildren(...(prices?.period ?? []).map((one) => periodRow(one.name, trimmed(one.energy_per_kwh))));
  show(find("#price-none"), prices !== null);
  show(find("#price-form"), true);
}

const trimmed = (amount) => fieldNumber(Number(amount));
const amount = (text) => (text.trim() === "" ? "0" : text.trim().replace(",", "."));
let periods = 0;

function periodRow(name = "", price = "") {
  const id = `period-${(periods += 1)}`;
  const gone = make("button", { type: "button", class: "quiet", onclick: () => row.remove() }, t("shell.delete"));
  const row = make(
    "div",
    { class: "fields period" },
    make("div", { class: "field" }, make("label", { for: `${id}-name` }, t("price.period")), make("input", { id: `${id}-name`, maxlength: 50, value: name })),
    make("div", { class: "field" }, make("label", { for: `${id}-price` }, t("price.energy")), make("input", { id: `${id}-price`, inputmode: "decimal", value: price })),
    gone,
  );
  return row;
}

find("#price-add").addEventListener("click", () => {
  const row = periodRow();
  find("#price-periods").append(row);
  find("input", row).focus();
});

submitting(find("#price-form"), async (given) => {
  const problem = find("#price-problem");
  setText(problem, "");
  const body = {
    currency: given.currency.trim().toUpperCase(),
    idle_after_s: Math.round(Number(given.idle_after || 0) * 60),
    period: [...document.querySelectorAll(".period")].map((row) => {
      const [name, price] = row.querySelectorAll("input");
      return { name: name.value.trim(), energy_per_kwh: amount(price.value) };
    }),
  };
  for (const name of MONEY) body[name] = amount(given[name]);
  try {
    await put("/api/prices", body);
    toast(t("shell.saved"));
    await openPrice();
  } catch (error) {
    setText(problem, error.status === 422 ? t("price.wrong") : error.message);
  }
});

runOnClick(find("#price-none"), async () => {
  await remove("/api/prices");
  await openPrice();
});

function submitting(form, send) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await send(Object.fromEntries(new FormData(form)));
    } catch (error) {
      toast(error.message);
    }
  });
}
