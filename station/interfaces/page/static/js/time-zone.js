// The field for the time zone of the station: offers the names that the browser knows, and suggests the browser's own.

import { get } from "./api.js";
import { find, make } from "./dom.js";

const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Offer the names of time zones, and fill in the zone that is set, else the browser's. Returns the response of /api/time-zone. */
export async function fillTimeZone(field) {
  const names = find("#zone-names");
  if (names.children.length === 0) {
    names.append(...(Intl.supportedValuesOf?.("timeZone") ?? []).map((zone) => make("option", { value: zone })));
  }
  const current = await get("/api/time-zone");
  if (field.value === "") field.value = current.time_zone || (browserZone ?? "");
  return current;
}
