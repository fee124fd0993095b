// The results of a test, as names and values in the user's language; the suffix of a name is its unit.

import { dateAndTime, decimal, withUnit } from "../format.js";
import { hasText, t } from "../words.js";

const UNITS = { _a: "A", _v: "V", _w: "W", _s: "s", _nm: "Nm", _mm2: "mm²" };
const HIDDEN = new Set(["frames", "jumpers_mismatch", "without", "step"]);

/** Rows for `facts`. */
export function evidenceRows(evidence) {
  return Object.entries(evidence)
    .filter(([name, one]) => !HIDDEN.has(name) && one !== null)
    .map(([name, one]) => [label(name), valueText(name, one)]);
}

function label(name) {
  const evse = /^evse_(\d+)$/.exec(name);
  if (evse !== null) return t("charge.evse", { number: evse[1] });
  return hasText(`field.${name}`) ? withoutUnit(t(`field.${name}`)) : name;
}

/** The label of a field without the unit in brackets: its value has it. */
export const withoutUnit = (text) => text.replace(/ \([AW]\)/, "");

/** One value as text. */
export function valueText(name, value) {
  if (typeof value === "boolean") return t(value ? "shell.yes" : "shell.no");
  if (typeof value === "number") return withUnit(decimal(value, 2), unit(name));
  if (Array.isArray(value)) return withUnit(value.map((part) => (part === null ? "–" : decimal(part, 1))).join(" / "), unit(name));
  if (value !== null && typeof value === "object") return evidenceRows(value).map(([key, text]) => `${key}: ${text}`).join(", ");
  if (name === "at" || name.endsWith("_at")) return dateAndTime(value);
  return hasText(`value.${value}`) ? t(`value.${value}`) : String(value ?? "–");
}

function unit(name) {
  const end = Object.keys(UNITS).find((one) => name.endsWith(one));
  return end === undefined ? "" : UNITS[end];
}
