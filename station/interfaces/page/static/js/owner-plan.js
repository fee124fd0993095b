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
  show(form, false); // fields that are about to be filled cannot be edited
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
  setText(find("#limit-now"), paused ? t("limit.paused") : limit === null ? t("limit.nothing") : limitText(limit));
  setText(find("#limit-end"), t(paused ? "limit.resume" : "limit.end"));
  show(find("#limit-end"), limit !== null);
  find("#service-items").replaceChildren(...status.evses.map((evse) => serviceItem(evse)));
  show(find("#priorities"), status.evses.length > 1);
  find("#priority-items").replaceChildren(...status.evses.map((evse) => priorityItem(evse.id, management.priorities[evse.id])));
}

function limitText(limit) {
  const size = limit.current_a === null ? withUnit(decimal(limit.power_w / 1000), "kW") : amps(limit.current_a);
  const text = limit.until === null ? t("limit.lasting", { size }) : t("limit.now", { size, until: dateAndTime(limit.until) });
  return limit.by === null ? text : `${text} (${limit.by})`;
}

sendOnSubmit(find("#schedule-form"), async ({ mode, departure, energy }) => {
  const plan = { mode, departure, energy_wh: Math.round(Number(energy || 0) * 1000) };
  const { price_signal: signal } = await put("/api/load-management/tariff", plan);
  if (signal !== null) signals = { ...signals, [mode]: signal };
  showPriceSignal();
  show(find("#schedule-own"), false);
  toast(t("shell.saved"));
});

sendOnSubmit(find("#limit-form"), async ({ current, hours }) => {
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

const HIGHEST_PRIORITY = 9;

function priorityItem(evse, priority) {
  const id = `priority-${evse}`;
  const options = Array.from({ length: HIGHEST_PRIORITY + 1 }, (_, number) =>
    make("option", { value: number, selected: number === priority }, String(number)),
  );
  const select = make("select", { id }, options);
  select.addEventListener("change", async () => {
    try {
      await put(`/api/load-management/priorities/${evse}`, { priority: Number(select.value) });
      toast(t("shell.saved"));
    } catch (error) {
      toast(error.message);
      await showLimits();
    }
  });
  return make("li", {}, make("div", { class: "row" }, make("label", { for: id }, t("charge.evse", { number: evse })), select));
}

// Price

const AMOUNT_FIELDS = ["energy_per_kwh", "time_per_hour", "idle_per_hour"];

export async function openPrice() {
  show(find("#price-form"), false);
  const { prices } = await get("/api/prices");
  for (const name of AMOUNT_FIELDS) find(`#${name}`).value = prices === null ? "" : fieldAmount(prices[name]);
  find("#idle_after").value = prices === null ? "" : prices.idle_after_s / 60;
  find("#currency").value = prices?.currency ?? "EUR";
  find("#price-periods").replaceChildren(...(prices?.period ?? []).map((period) => periodRow(period.name, fieldAmount(period.energy_per_kwh))));
  show(find("#price-none"), prices !== null);
  show(find("#price-form"), true);
}

const fieldAmount = (amount) => fieldNumber(Number(amount));
const parsedAmount = (text) => (text.trim() === "" ? "0" : text.trim().replace(",", "."));
let periods = 0;

function periodRow(name = "", price = "") {
  const id = `period-${(periods += 1)}`;
  const deleteButton = make("button", { type: "button", class: "quiet", onclick: () => row.remove() }, t("shell.delete"));
  const row = make(
    "div",
    { class: "fields period" },
    make("div", { class: "field" }, make("label", { for: `${id}-name` }, t("price.period")), make("input", { id: `${id}-name`, maxlength: 50, value: name })),
    make("div", { class: "field" }, make("label", { for: `${id}-price` }, t("price.energy")), make("input", { id: `${id}-price`, inputmode: "decimal", value: price })),
    deleteButton,
  );
  return row;
}

find("#price-add").addEventListener("click", () => {
  const row = periodRow();
  find("#price-periods").append(row);
  find("input", row).focus();
});

sendOnSubmit(find("#price-form"), async (values) => {
  const problem = find("#price-problem");
  setText(problem, "");
  const body = {
    currency: values.currency.trim().toUpperCase(),
    idle_after_s: Math.round(Number(values.idle_after || 0) * 60),
    period: [...document.querySelectorAll(".period")].map((row) => {
      const [name, price] = row.querySelectorAll("input");
      return { name: name.value.trim(), energy_per_kwh: parsedAmount(price.value) };
    }),
  };
  for (const name of AMOUNT_FIELDS) body[name] = parsedAmount(values[name]);
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

function sendOnSubmit(form, send) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await send(Object.fromEntries(new FormData(form)));
    } catch (error) {
      toast(error.message);
    }
  });
}
