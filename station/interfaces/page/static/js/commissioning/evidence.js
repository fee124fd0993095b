// The results of a test, as names and values in the user's language; the suffix of a name is its unit.

import { dateAndTime, decimal, withUnit } from "../format.js";
import { hasText, t } from "../words.js";

const UNITS = { _a: "A", _v: "V", _w: "W", _s: "s", _nm: "Nm", _mm2: "mm²" };
const HIDDEN_RESULTS = new Set(["frames", "jumpers_mismatch", "without", "step"]);

/** The results of a test as rows for `showFacts`. */
export function evidenceRows(evidence) {
  return Object.entries(evidence)
    .filter(([name, value]) => !HIDDEN_RESULTS.has(name) && value !== null)
    .map(([name, value]) => [fieldLabel(name), valueText(name, value)]);
}

function fieldLabel(name) {
  const evse = /^evse_(\d+)$/.exec(name);
  if (evse !== null) return t("charge.evse", { number: evse[1] });
  return hasText(`field.${name}`) ? withoutUnit(t(`field.${name}`)) : name;
}

/** The label of a field without the unit in brackets: its value has it. */
export const withoutUnit = (text) => text.replace(/ \([AW]\)/, "");

/** A value as text, with the unit that its name says. */
export function valueText(name, value) {
  if (typeof value === "boolean") return t(value ? "shell.yes" : "shell.no");
  if (typeof value === "number") return withUnit(decimal(value, 2), unitOf(name));
  if (Array.isArray(value)) return withUnit(value.map((element) => (element === null ? "–" : decimal(element, 1))).join(" / "), unitOf(name));
  if (value !== null && typeof value === "object") return evidenceRows(value).map(([key, text]) => `${key}: ${text}`).join(", ");
  if (name === "at" || name.endsWith("_at")) return dateAndTime(value);
  return hasText(`value.${value}`) ? t(`value.${value}`) : String(value ?? "–");
}

function unitOf(name) {
  const unitSuffix = Object.keys(UNITS).find((suffix) => name.endsWith(suffix));
  return unitSuffix === undefined ? "" : UNITS[unitSuffix];
}
