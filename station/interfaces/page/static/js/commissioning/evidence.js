// The results of a test, as names and values in the user's language; the suffix of a name is its unit.

import { day, plain, united } from "../format.js";
import { known, t } from "../words.js";

const UNITS = { _a: "A", _v: "V", _w: "W", _s: "s", _nm: "Nm", _mm2: "mm²" };
const HIDDEN = new Set(["frames", "jumpers_mismatch", "without", "step"]);

/** Rows for `facts`. */
export function measured(evidence) {
  return Object.entries(evidence)
    .filter(([name, one]) => !HIDDEN.has(name) && one !== null)
    .map(([name, one]) => [label(name), value(name, one)]);
}

function label(name) {
  const evse = /^evse_(\d+)$/.exec(name);
  if (evse !== null) return t("charge.evse", { number: evse[1] });
  return known(`field.${name}`) ? bare(t(`field.${name}`)) : name;
}

/** The label of a field without the unit in brackets: its value has it. */
export const bare = (text) => text.replace(/ \([AW]\)/, "");

/** One value as text. */
export function value(name, one) {
  if (typeof one === "boolean") return t(one ? "shell.yes" : "shell.no");
  if (typeof one === "number") return united(plain(one, 2), unit(name));
  if (Array.isArray(one)) return united(one.map((part) => (part === null ? "–" : plain(part, 1))).join(" / "), unit(name));
  if (one !== null && typeof one === "object") return measured(one).map(([key, text]) => `${key}: ${text}`).join(", ");
  if (name === "at" || name.endsWith("_at")) return day(one);
  return known(`value.${one}`) ? t(`value.${one}`) : String(one ?? "–");
}

function unit(name) {
  const end = Object.keys(UNITS).find((one) => name.endsWith(one));
  return end === undefined ? "" : UNITS[end];
}
