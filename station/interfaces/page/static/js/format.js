// Formats numbers, times and durations in the page's language. A number and its unit stay on one line.

import { formatter, isoDay } from "./station-time.js";
import { locale, t } from "./words.js";

const numberFormat = (maxDigits, minDigits = 0) =>
  new Intl.NumberFormat(locale, { maximumFractionDigits: maxDigits, minimumFractionDigits: minDigits });
const oneDecimal = numberFormat(1);
const twoDecimals = numberFormat(2, 2);

/** A number with its unit, joined by a non-breaking space. */
export const withUnit = (number, unit) => (unit === "" ? number : `${number}\u00a0${unit}`);

export const amps = (value) => (value === null ? "–" : withUnit(oneDecimal.format(value), "A"));
export const kilowatts = (watts) => (watts === null ? "–" : withUnit(numberFormat(1, 1).format(watts / 1000), "kW"));
/** Apparent power as text; meters such as the Linky report no other. */
export const kilovoltAmperes = (va) => (va === null ? "–" : withUnit(numberFormat(1, 1).format(va / 1000), "kVA"));
export const kilowattHours = (wh) => (wh === null ? "–" : withUnit(twoDecimals.format(wh / 1000), "kWh"));
export const decimal = (value, digits = 1) => numberFormat(digits).format(value);
/** A number as text for a field, in the notation of the language. */
export const fieldNumber = (value) => new Intl.NumberFormat(locale, { maximumFractionDigits: 6, useGrouping: false }).format(value);
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

export const timeOfDay = formatter(locale, { hour: "2-digit", minute: "2-digit" });
export const timeWithSeconds = formatter(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const dateAndTime = formatter(locale, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });

/** A time as text: only the time of day if it is today, else with its date. */
export function timeOrDate(moment, now) {
  return isoDay(moment) === isoDay(now) ? timeOfDay(moment) : dateAndTime(moment);
}
