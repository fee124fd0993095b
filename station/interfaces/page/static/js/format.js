// Formats numbers, times and durations in the page's language. A number and its unit stay on one line.

import { formatter, isoDay } from "./station-time.js";
import { locale, t } from "./words.js";

const number = (most, least = 0) =>
  new Intl.NumberFormat(locale, { maximumFractionDigits: most, minimumFractionDigits: least });
const tenths = number(1);
const exact = number(2, 2);

/** A number with its unit, joined by a non-breaking space. */
export const united = (figure, unit) => (unit === "" ? figure : `${figure}\u00a0${unit}`);

export const amps = (value) => (value === null ? "–" : united(tenths.format(value), "A"));
export const kilowatts = (watts) => (watts === null ? "–" : united(number(1, 1).format(watts / 1000), "kW"));
/** Apparent power; meters such as the Linky report no other. */
export const kilovoltAmperes = (va) => (va === null ? "–" : united(number(1, 1).format(va / 1000), "kVA"));
export const kilowattHours = (wh) => (wh === null ? "–" : united(exact.format(wh / 1000), "kWh"));
export const plain = (value, digits = 1) => number(digits).format(value);
/** A number in a field, in the notation of the language. */
export const written = (value) => new Intl.NumberFormat(locale, { maximumFractionDigits: 6, useGrouping: false }).format(value);
/** The price of a unit, with all its decimals. */
export const price = (amount, currency) =>
  new Intl.NumberFormat(locale, { style: "currency", currency, maximumFractionDigits: 6 }).format(amount);
export const money = (amount, currency) => new Intl.NumberFormat(locale, { style: "currency", currency }).format(amount);

export function duration(seconds) {
  const minutes = Math.max(0, Math.floor(seconds / 60));
  if (minutes < 1) return t("time.seconds", { seconds: Math.max(0, Math.floor(seconds)) });
  if (minutes < 60) return t("time.minutes", { minutes });
  return t("time.hours", { hours: Math.floor(minutes / 60), minutes: String(minutes % 60).padStart(2, "0") });
}

export const clock = formatter(locale, { hour: "2-digit", minute: "2-digit" });
export const second = formatter(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const day = formatter(locale, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });

/** A time: only the time if it is today, else with its date. */
export function soon(moment, now) {
  return isoDay(moment) === isoDay(now) ? clock(moment) : day(moment);
}
